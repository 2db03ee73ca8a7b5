// The pages about people: puts in what changed. Everything works without it.
"use strict";
(() => {
  let live = document.body.dataset.live;
  const template = document.createElement("template");

  function parse(html) {
    template.innerHTML = html;
    return template.content.firstElementChild;
  }

  // Who is on a button with the keyboard stays on it.
  function put(old, fresh) {
    fresh.querySelectorAll("details").forEach((d, i) => { d.open = old.querySelectorAll("details")[i]?.open || false; });
    const at = old.contains(document.activeElement) ? document.activeElement : null;
    old.replaceWith(fresh);
    if (!at) return;
    const same = [...fresh.querySelectorAll("button, a, input")].find((e) =>
      e.tagName === at.tagName && e.name === at.name && (e.value || e.href) === (at.value || at.href));
    (same || fresh.querySelector("button, a"))?.focus({ preventScroll: true });
  }

  function show({ set = {}, order, none }) {
    live = live.replace(/have=\w+/, "have="); // the page is another one now
    const rows = document.getElementById("rows");
    for (const [id, html] of Object.entries(set)) {
      const old = document.getElementById(id);
      const fresh = parse(html);
      if (!fresh) continue;
      if (!old) {
        if (fresh.tagName === "TR") rows.append(fresh);
      } else if (!same(old, fresh)) {
        if (fresh.tagName === "TR") fresh.classList.add("fresh");
        put(old, fresh);
      }
    }
    if (!order && !none) return;
    const want = new Set(order || []);
    for (const tr of [...rows.children]) if (!want.has(tr.id)) tr.remove();
    let at = rows.firstElementChild;
    for (const id of want) {
      const tr = document.getElementById(id);
      if (!tr) continue;
      if (tr === at) at = at.nextElementSibling;
      else rows.insertBefore(tr, at);
    }
    document.getElementById("empty").hidden = want.size > 0;
  }

  // The mark of a fresh row and what was unfolded are no difference.
  function same(old, fresh) {
    const copy = old.cloneNode(true);
    copy.classList.remove("fresh");
    copy.querySelectorAll("details").forEach((d) => { d.open = false; });
    return copy.isEqualNode(fresh);
  }

  function stream() {
    const mark = document.getElementById("live");
    const say = (text, away) => {
      mark.hidden = false;
      mark.classList.toggle("away", away);
      if (mark.textContent !== text) mark.textContent = text;
    };
    let source;
    const open = () => {
      source = new EventSource(live);
      source.addEventListener("open", () => say("Live", false));
      source.addEventListener("parts", (e) => show(JSON.parse(e.data)));
      source.addEventListener("error", () => {
        say("Not live: trying again", true);
        if (source.readyState !== EventSource.CLOSED) return; // else it comes back by itself
        // Refused: the class restarts, or this login has ended; loading the page finds out.
        setTimeout(again, 3000 + Math.random() * 2000);
      });
    };
    const again = async () => {
      const answer = await fetch(live, { cache: "no-store", headers: { Accept: "text/plain" }, signal: AbortSignal.timeout(4000) }).catch(() => null);
      const status = answer ? answer.status : 0;
      answer?.body?.cancel();
      if (status === 200) return open();
      if (status === 401 || status === 403) return location.reload();
      setTimeout(again, 3000 + Math.random() * 2000);
    };
    open();
    // A browser lets few connections be open at once: a page that nobody sees gives its own back.
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) source.close();
      else if (source.readyState === EventSource.CLOSED) open();
    });
  }

  // One's own servers are looked at again while one of them is on its way.
  function poll() {
    const again = async () => {
      const old = document.getElementById("servers");
      if (!old || document.hidden) return setTimeout(again, 2000);
      const answer = await fetch(live, { cache: "no-store" }).catch(() => null);
      if (answer?.status === 401) return location.reload();
      const fresh = answer?.ok && parse(await answer.text());
      if (fresh && !old.isEqualNode(fresh)) put(old, fresh);
      setTimeout(again, (fresh || old).dataset.moving === "true" ? 1500 : 10000);
    };
    setTimeout(again, 1500);
  }

  if (!live || !window.fetch) return;
  if (document.getElementById("rows")) {
    if (window.EventSource) stream();
  } else {
    poll();
  }
})();
