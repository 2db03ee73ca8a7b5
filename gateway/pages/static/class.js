// The waiting pages: show progress as it comes and go on when the wait is over.
"use strict";
(() => {
  const wait = document.body.dataset.wait;
  let leaving = false;

  // A whole class waits at the same door: not all at once.
  function go() {
    if (leaving) return;
    leaving = true;
    setTimeout(() => location.replace(location.href), Math.random() * 800);
  }

  function element(name, className, text) {
    const e = document.createElement(name);
    if (className) e.className = className;
    if (text) e.textContent = text;
    return e;
  }

  function left(seconds) {
    if (!(seconds > 0)) return "";
    if (seconds < 90) return `about ${Math.max(5, 5 * Math.ceil(seconds / 5))} seconds left`;
    return `about ${Math.round(seconds / 60)} minutes left`;
  }

  function showJob(e) {
    const jobs = document.getElementById("jobs");
    if (!jobs) return;
    jobs.querySelector('[data-job=""]')?.remove();
    let li = [...jobs.children].find((x) => x.dataset.job === e.job);
    if (e.state === "stopped") return li?.remove();
    if (!li) {
      li = element("li");
      li.dataset.job = e.job;
      const amount = element("p", "amount");
      amount.append(element("span"), element("span"));
      const bar = element("progress");
      bar.max = 100;
      li.append(element("p", "step"), bar, amount);
      jobs.append(li);
    }
    li.className = e.state || "";
    const bar = li.querySelector("progress");
    const unit = e.unit || "";
    const done = e.done || 0;
    li.querySelector(".step").textContent = e.step;
    if (e.state === "done") bar.value = 100;
    else if (e.total > 0) bar.value = Math.min(100, (100 * done) / e.total);
    else bar.removeAttribute("value");
    const [amount, eta] = li.querySelectorAll(".amount span");
    amount.textContent = e.total > 0 ? `${done} of ${e.total} ${unit}` : done > 0 ? `${done} ${unit}` : "";
    eta.textContent = e.state ? "" : left(e.eta);
  }

  function showState(s) {
    if (s.ready) return go();
    document.getElementById("class").textContent = s.class;
    const section = document.getElementById("notices");
    section.hidden = !s.notices.length;
    section.replaceChildren(...s.notices.map((n) => {
      const a = element("article", `notice ${n.severity}`);
      const h = element("h2");
      if (n.file) h.append(element("span", "where", n.line ? `${n.file}:${n.line}` : n.file), " ");
      h.append(n.what);
      a.append(h);
      if (n.means) a.append(element("p", "", n.means));
      if (n.do) a.append(element("p", "do", n.do));
      return a;
    }));
  }

  function every(ms, look) {
    const again = () => look().catch(() => {}).finally(() => { if (!leaving) setTimeout(again, ms + Math.random() * 500); });
    again();
  }

  const askHealth = async () => showState(await (await fetch("/conjured/health", { cache: "no-store" })).json());

  if (wait === "ready") {
    const stream = window.EventSource && new EventSource("/conjured/events");
    if (!stream) return every(3000, askHealth);
    stream.addEventListener("progress", (e) => showJob(JSON.parse(e.data)));
    stream.addEventListener("state", (e) => showState(JSON.parse(e.data)));
    let polling = false;
    stream.addEventListener("error", () => {
      if (stream.readyState !== EventSource.CLOSED || polling) return; // else it comes back by itself
      polling = true;
      every(3000, askHealth);
    });
  } else if (wait === "hub") {
    every(1500, async () => {
      const answer = await fetch("/hub/health", { cache: "no-store", redirect: "manual" });
      if (answer.status < 500) go();
    });
  }
})();
