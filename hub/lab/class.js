// The page's half of @conjured/class: what a student is told while Lab is open.
//
// This file is a module-federation container as Lab and Notebook 7 load it, written by
// hand: there is no build step, and nothing of it depends on a version of Lab beyond
// the notifications of @jupyterlab/apputils. It needs no secure context, since a class
// is plain HTTP. Everything that comes over the network is shown as text.
(function () {
  'use strict';
  const NAME = '@conjured/class';
  const config = JSON.parse(document.getElementById('jupyter-config-data').textContent);
  const base = config.baseUrl;
  const plainFetch = window.fetch.bind(window);
  let scope; // the page's shared modules

  // ---- A second visit costs little. ----

  // Lab asks for its settings with an address that changes each time, so they travel
  // whole at each reload. Asked with the plain address and "no-cache" they are still
  // checked each time, and travel only when they have changed.
  const stable = ['lab/api/settings', 'lab/api/translations', 'lsp/status'].map(p => new URL(base + p, location.href).pathname);
  function plainly(input) {
    if (!(input instanceof Request) || input.method !== 'GET' || input.cache !== 'no-store') {
      return input;
    }
    const url = new URL(input.url);
    if (url.origin !== location.origin || !stable.some(p => url.pathname === p || url.pathname.startsWith(p + '/'))) {
      return input;
    }
    url.search = url.search.replace(/([?&])\d{13}$/, '');
    return new Request(new Request(url.href, input), { cache: 'no-cache' });
  }
  window.fetch = function (input, init) {
    try {
      input = init ? input : plainly(input);
    } catch (e) {
      console.warn(NAME, e);
    }
    return plainFetch(input, init);
  };

  // ---- Notices. ----

  const remembered = 'conjured-class:' + base;
  const store = {
    get: () => { try { return Number(localStorage.getItem(remembered)) || 0; } catch { return 0; } },
    set: id => { try { localStorage.setItem(remembered, String(id)); } catch { /* it will be told again */ } },
  };
  const sentence = s => (!s || /[.!?…]$/.test(s) ? s || '' : s + '.');
  const upper = s => s.charAt(0).toUpperCase() + s.slice(1);

  class Notices {
    constructor(app, ui, widgets) {
      Object.assign(this, { app, ui, widgets, source: null, gone: null, known: 0, kernels: 0, wait: 0, timer: 0, starting: false });
      document.addEventListener('visibilitychange', () => this.listen());
      window.addEventListener('pagehide', () => this.stop());
      this.listen();
    }

    // A browser keeps six connections to the class, for all its tabs: only a page that
    // is looked at listens. It is told later what it has missed.
    listen() {
      if (document.hidden) {
        this.stop();
      } else if (!this.source) {
        this.open();
      }
    }

    stop() {
      clearTimeout(this.timer);
      this.source?.close();
      this.source = null;
    }

    open() {
      this.stop();
      const s = (this.source = new EventSource(base + 'conjured/events?after=' + store.get()));
      s.addEventListener('hello', e => {
        this.wait = 0;
        const { last, kernels } = JSON.parse(e.data);
        this.known = last;
        this.look(kernels);
        this.back();
      });
      s.addEventListener('kernels', e => this.look(Number(e.data)));
      s.addEventListener('notice', e => this.told(JSON.parse(e.data), Number(e.lastEventId)));
      s.onerror = () => {
        if (s.readyState === EventSource.CLOSED) {
          this.refused();
        } // else the browser tries again by itself
      };
    }

    // look asks the server which kernels there are, when others can be started than this
    // page knows: the launcher and the menus follow. Lab does so itself once a minute.
    look(kernels) {
      if (this.kernels && kernels && kernels !== this.kernels) {
        this.app.serviceManager.kernelspecs.refreshSpecs().catch(e => console.warn(NAME, e));
      }
      this.kernels = kernels || this.kernels;
    }

    // The door refuses when the server does not run, or when the login has ended.
    async refused() {
      this.stop();
      this.wait = Math.min(60e3, (this.wait || 2500) * 2);
      this.timer = setTimeout(() => this.listen(), this.wait);
      if ((await this.up()) === false) {
        this.lost({ severity: 'error', what: 'Your server does not run any more', means: 'What you saved is in your home' });
      }
    }

    // up tells whether the server answers; undefined when nobody can tell.
    async up() {
      try {
        const r = await plainFetch(base + 'api', { cache: 'no-store' });
        return r.ok ? true : [404, 424, 500, 502, 503].includes(r.status) ? false : undefined;
      } catch {
        return undefined; // the class or the Wi-Fi is away: Lab says so itself
      }
    }

    told(n, id) {
      if (id) {
        store.set(id);
      }
      if (!String(n.code).startsWith('server-')) {
        this.show(n);
      } else if (id > this.known) {
        this.lost(n);
      } else {
        this.show({ ...n, severity: 'info', do: '' }); // a page that is open now has its server
      }
    }

    // show puts up a notice as text. Errors stay until they are closed.
    show(n, actions = []) {
      const { Notification } = this.ui;
      const kind = { error: 'error', warning: 'warning', info: 'info' }[n.severity] || 'info';
      const autoClose = kind === 'error' ? false : kind === 'warning' ? 30e3 : 12e3;
      if (n.means || n.do) {
        actions = [...actions, { label: 'What now?', caption: 'What it means and what to do', callback: e => { e.preventDefault(); this.explain(n); } }];
      }
      if (!this.app.hasPlugin('@jupyterlab/apputils-extension:notification')) {
        this.explain(n); // nothing shows notifications here
        return null;
      }
      return Notification.emit(sentence(n.what), kind, { autoClose: actions.length > 1 ? false : autoClose, actions });
    }

    explain(n) {
      const { Dialog, showDialog } = this.ui;
      const node = document.createElement('div');
      for (const text of [n.means, n.do]) {
        if (text) {
          node.appendChild(document.createElement('p')).textContent = sentence(upper(text));
        }
      }
      node.querySelectorAll('p').forEach(p => { p.style.margin = '0 0 0.7em'; p.style.maxWidth = '32em'; });
      return showDialog({ title: sentence(n.what), body: new this.widgets.Widget({ node }), buttons: [Dialog.okButton({ label: 'OK' })] });
    }

    // lost says that the server is no more, once, and offers to start it again. A
    // reason replaces the bare fact.
    lost(n) {
      if (this.starting || (this.gone && (this.gone.code || !n.code))) {
        return;
      }
      if (this.gone?.code === undefined) {
        this.dismiss();
      }
      const start = { label: 'Start it again', displayType: 'accent', callback: e => { e.preventDefault(); this.start(); } };
      this.gone = { code: n.code };
      this.gone.id = this.show({ ...n, severity: 'error' }, [start]);
    }

    dismiss() {
      if (this.gone?.id) {
        this.ui.Notification.dismiss(this.gone.id);
      }
      this.gone = null;
    }

    // back: the server answers.
    back() {
      if (this.gone && !this.starting) {
        this.up().then(up => up && this.dismiss());
      }
    }

    // start asks the hub for the server as a link would, and stays on the page: what
    // was typed here and not saved is still there when the server is.
    async start() {
      if (this.starting) {
        return;
      }
      this.starting = true;
      this.dismiss();
      const { Notification } = this.ui;
      const spawn = config.hubPrefix + ['spawn', config.hubUser, config.hubServerName].filter(Boolean).map(encodeURIComponent).join('/');
      const id = Notification.emit('Your server is being started.', 'in-progress', { autoClose: false });
      const end = Date.now() + 5 * 60e3;
      let up = false;
      while (!up && Date.now() < end) {
        try {
          const r = await plainFetch(spawn, { mode: 'no-cors', cache: 'no-store' });
          if (new URL(r.url || location.href).pathname.startsWith(config.hubPrefix + 'login')) {
            location.assign(spawn); // logged out meanwhile
            return;
          }
        } catch { /* the class is away for a moment */ }
        for (let i = 0; i < 4 && !up; i++) {
          await new Promise(next => setTimeout(next, 1500));
          up = (await this.up()) === true;
        }
      }
      this.starting = false;
      if (up) {
        this.ui.Dialog.flush(); // Lab's own question whether to restart it
        Notification.update({ id, message: 'Your server runs again. Run the cells from the top: the variables are gone.', type: 'success', autoClose: 12e3 });
        this.open();
      } else {
        Notification.dismiss(id);
        this.lost({ severity: 'error', what: 'Your server could not be started yet', do: 'Try again, or reload the page; then ask your teacher' });
      }
    }
  }

  // ---- The container. ----

  const need = async name => {
    const versions = scope[name];
    if (!versions) {
      throw new Error('this page does not share ' + name);
    }
    const newest = Object.keys(versions).sort((a, b) => a.localeCompare(b, undefined, { numeric: true })).pop();
    return (await versions[newest].get())();
  };

  const plugin = {
    id: NAME + ':notices',
    description: 'Shows what the class has to tell you.',
    autoStart: true,
    activate: app => {
      if (config.hubPrefix) {
        app.restored
          .then(() => Promise.all([need('@jupyterlab/apputils'), need('@lumino/widgets')]))
          .then(([ui, widgets]) => new Notices(app, ui, widgets))
          .catch(e => console.warn(NAME, e));
      }
    },
  };

  (window._JUPYTERLAB = window._JUPYTERLAB || {})[NAME] = {
    init: s => { scope = s; },
    get: async module => {
      if (module !== './extension') {
        throw new Error('there is no ' + module);
      }
      return () => ({ __esModule: true, default: plugin });
    },
  };
})();
