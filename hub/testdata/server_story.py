"""Runs in a student's container: all that Lab asks of a server, and what a kernel must be.

Prints one line for each thing that is wrong, and "done" at the end.
"""

import asyncio
import json
import os
import signal
import sys
import time
from pathlib import Path

import aiohttp
from jupyter_client import BlockingKernelClient

SOCK, PREFIX, TOKEN = sys.argv[1:4]
HOME = Path.home()
LAB = """/api /api/me /api/status /lab /lab/tree/sub /tree /notebooks/sub/n.ipynb /lab/api/settings
/lab/api/settings/@jupyterlab/notebook-extension:tracker /lab/api/translations /lab/api/translations/en
/lab/api/workspaces /lab/api/workspaces/default /lab/api/themes /lab/api/extensions /lab/extensions
/lab/api/listings/@jupyterlab/extensionmanager-extension/listings.json /api/kernelspecs /api/sessions /api/kernels
/api/terminals /api/contents?content=1 /api/contents/sub/n.ipynb?content=1 /api/contents/sub/n.ipynb/checkpoints
/lsp/status /api/nbconvert /files/sub/a.txt /files/sub/a.txt?download=1 /nbconvert/html/sub/n.ipynb?download=true
/nbconvert/python/sub/n.ipynb /nbconvert/markdown/sub/n.ipynb /api/spec.yaml
/metrics /static/favicons/favicon.ico /custom/custom.css""".split()

NOTEBOOK = {
    "cells": [
        {"cell_type": "markdown", "metadata": {}, "source": "# Title\n\n$x$ *em* <b>b</b>", "id": "a"},
        {"cell_type": "code", "metadata": {}, "source": "print(1)", "outputs": [], "execution_count": None, "id": "b"},
    ],
    "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    "nbformat": 4,
    "nbformat_minor": 5,
}

PROBE = """
import sys, os, signal, gc, threading, warnings, json, stat
print(json.dumps({
    "argv": sys.argv[:1] + sys.argv[1:2], "path": sys.path, "executable": sys.executable, "prefix": sys.prefix,
    "orig": sys.orig_argv[:4], "flags": str(sys.flags), "cwd": os.getcwd(), "main": sys.modules["__main__"].__dict__.get("__file__"),
    "env": {k: v for k, v in os.environ.items() if k not in ("JPY_PARENT_PID",)},
    "signals": [str(signal.getsignal(s)) for s in (signal.SIGTERM, signal.SIGCHLD, signal.SIGPIPE, signal.SIGHUP)],
    "gc": [gc.isenabled(), gc.get_threshold()], "threads": sorted(t.name for t in threading.enumerate() if t.name != "Thread-1"),
    "meta": [getattr(f, "__name__", type(f).__name__) for f in sys.meta_path], "umask": os.umask(0o22),
    "leader": os.getsid(0) == os.getpid(), "stdin": sys.stdin is not None, "title": open("/proc/self/cmdline").read().split(chr(0))[1:4],
    "filters": len(warnings.filters), "score": open("/proc/self/oom_score_adj").read().strip(),
    "nice": os.nice(0), "policy": os.sched_getscheduler(0), "debugger": get_ipython().kernel.debugger is not None,
    "fds": sorted({stat.S_IFMT(os.stat(f"/proc/self/fd/{f}").st_mode) for f in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{f}")} - {stat.S_IFCHR}),
}))
"""


def wrong(what):
    print(what, flush=True)


def own():
    """Our processes: the server, and the one it forked, which kernels come from."""
    start = b"/opt/conjured/server-python/conjured_server"
    pids = [p for p in Path("/proc").iterdir() if p.name.isdigit() and (p / "cmdline").read_bytes().split(b"\0")[1:2] == [start]]
    parents = {int(p.name): int((p / "stat").read_text().rpartition(")")[2].split()[1]) for p in pids}
    return [p for p in parents if parents[p] not in parents], [p for p in parents if parents[p] in parents]


def budget():
    """Memory of its own that a server with Lab open holds, measured 53 MB, and what waits beside it, 32 MB."""
    for pids, most in zip(own(), (68, 42)):
        for pid in pids:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            mb = sum(int(line.split()[1]) for line in lines if line.startswith("Pss_Anon")) * 1024 / 1e6
            if mb > most:
                wrong(f"process {pid} holds {mb:.1f} MB, more than {most}")


class Kernel:
    """One kernel by its connection file, as a browser sees it."""

    def __init__(self, id):
        self.id = id
        file = os.environ["JUPYTER_RUNTIME_DIR"] + f"/kernel-{id}.json"
        end = time.monotonic() + 90
        while True:
            self.client = BlockingKernelClient(connection_file=file)
            self.client.load_connection_file()
            self.client.start_channels()
            try:
                return self.client.wait_for_ready(timeout=20)
            except RuntimeError:  # not there yet, or the file was its predecessor's
                self.client.stop_channels()
                if time.monotonic() > end:
                    raise
                time.sleep(0.2)

    def run(self, code, answer=None):
        out = []

        def hook(msg):
            c = msg["content"]
            out.append(c.get("text") or c.get("ename") or c.get("data", {}).get("text/plain") or "")

        self.client.execute_interactive(
            code, timeout=60, output_hook=hook, allow_stdin=answer is not None, stdin_hook=lambda _: self.client.input(answer)
        )
        return "".join(out).strip()


async def main(session):
    async def ask(method, path, **kw):
        async with session.request(method, f"http://localhost{PREFIX}{path}", headers={"Authorization": f"token {TOKEN}"}, **kw) as r:
            body = await r.read()
            return r.status, (json.loads(body) if "json" in r.content_type and body else body)

    def kernel_of(session_model):
        return Kernel(session_model["kernel"]["id"])

    async def started(path, name="python3"):
        status, model = await ask("POST", "/api/sessions", json={"path": path, "name": Path(path).name, "type": "notebook", "kernel": {"name": name}})
        if status != 201:
            wrong(f"session {path}: {status} {model}")
        return model

    (HOME / "sub").mkdir(exist_ok=True)
    (HOME / "sub" / "n.ipynb").write_text(json.dumps(NOTEBOOK))
    (HOME / "sub" / "a.txt").write_text("text")
    later = ("/nbconvert", "/api/nbconvert", "/tree", "/notebooks", "/api/spec")  # load more, for who wants them
    for path in sorted(LAB, key=lambda p: p.startswith(later)):
        if path == "/tree":
            budget()
        status, body = await ask("GET", path)
        if status != 200:
            wrong(f"GET {path}: {status} {body[:300]}")
        if path.startswith("/nbconvert/html") and b"Title" not in body:
            wrong("the exported page has no title")
    for method, path, data, want in [
        ("PUT", "/api/contents/new.txt", {"type": "file", "format": "text", "content": "x"}, 201),
        ("PATCH", "/api/contents/new.txt", {"path": "moved.txt"}, 200),
        ("POST", "/api/contents/sub/n.ipynb/checkpoints", {}, 201),
        ("POST", "/api/contents", {"type": "notebook"}, 201),
        ("PUT", "/lab/api/settings/@jupyterlab/apputils-extension:themes", {"raw": '{"theme":"JupyterLab Dark"}'}, 204),
        ("PUT", "/lab/api/workspaces/w", {"data": {}, "metadata": {"id": "w"}}, 204),
        ("POST", "/api/terminals", {}, 200),
        ("DELETE", "/api/contents/moved.txt", None, 204),
    ]:
        status, body = await ask(method, path, json=data)
        if status != want:
            wrong(f"{method} {path}: {status} {body}")

    from nbconvert.exporters import base

    status, formats = await ask("GET", "/api/nbconvert")
    real = {n: {"output_mimetype": base.get_exporter(n).output_mimetype} for n in base.get_export_names()}
    if formats != real:
        wrong(f"formats to export to: {formats}, nbconvert has {real}")

    model = await started("sub/n.ipynb")
    k = kernel_of(model)
    check = [
        ("print(6*7)", "42"),
        ("import os; print(os.getcwd())", str(HOME / "sub")),
        ("print(os.environ['JPY_SESSION_NAME'], __session__)", f"{HOME}/sub/n.ipynb {HOME}/sub/n.ipynb"),
        ("import subprocess; print(subprocess.run(['sh', '-c', 'exit 3']).returncode)", "3"),
        ("%%bash\necho shell", "shell"),
        ("!echo also", "also"),
        ("import multiprocessing as m; print(m.get_context('spawn').Pool(1).map(abs, [-5]))", "[5]"),
        ("import multiprocessing as m; print(m.get_context('fork').Pool(1).map(abs, [-6]))", "[6]"),
        ("import asyncio; await asyncio.sleep(0.01); print('async')", "async"),
        ("1/0", "ZeroDivisionError"),
        ("import sys; print(sorted(n for n in sys.modules if n in ('jupyter_server', 'jupyterhub')))", "[]"),
        ("import pydoc; print(len(pydoc.render_doc(print)) > 100)", "True"),
        ("import random; r = random.random()", ""),
    ]
    for code, want in check:
        if (got := k.run(code)) != want:
            wrong(f"{code}: {got!r}, not {want!r}")
    if (got := k.run("print(input('? '))", "typed")) != "typed":
        wrong(f"input: {got!r}")
    k.client.control_channel.send(k.client.session.msg("debug_request", {"type": "request", "seq": 1, "command": "debugInfo", "arguments": {}}))
    reply = k.client.get_control_msg(timeout=30)
    if reply["content"].get("success") is not True:
        wrong(f"debugInfo: {reply['content']}")

    pid = int(k.run("print(os.getpid())"))
    k.client.execute("import time\nprint('go', flush=True)\ntime.sleep(60)")
    while k.client.get_iopub_msg(timeout=30)["content"].get("text") != "go\n":
        pass
    began = time.monotonic()
    await ask("POST", f"/api/kernels/{k.id}/interrupt")
    while k.client.get_iopub_msg(timeout=30)["content"].get("ename") != "KeyboardInterrupt":
        pass
    if time.monotonic() - began > 30:
        wrong("the interrupt waited for the cell")

    other = kernel_of(await started("other.ipynb"))
    if other.run("import random; print(random.random())") == k.run("print(r)"):
        wrong("two kernels draw the same numbers")
    status, _ = await ask("POST", f"/api/kernels/{k.id}/restart")
    k = Kernel(k.id)
    if status != 200 or int(k.run("import os; print(os.getpid())")) == pid or k.run("r") != "NameError":
        wrong(f"restart: {status}")
    if k.run("print(os.getcwd())") != str(HOME / "sub"):
        wrong("the restarted kernel is elsewhere")

    # A kernel that is killed is started again, and its process is gone.
    pid = int(other.run("import os; print(os.getpid())"))
    os.kill(pid, signal.SIGKILL)
    for _ in range(300):
        if not Path(f"/proc/{pid}").exists():
            break
        await asyncio.sleep(0.1)
    else:
        wrong("a killed kernel stays as a zombie")
    again = Kernel(other.id)
    if again.run("import os; print(os.getpid())") == str(pid):
        wrong("the killed kernel is still there")
    pid = int(again.run("print(os.getpid())"))
    status, _ = await ask("DELETE", f"/api/kernels/{other.id}")
    for _ in range(100):
        if not Path(f"/proc/{pid}").exists():
            break
        await asyncio.sleep(0.1)
    else:
        wrong("a kernel that was shut down runs on")
    if status != 204:
        wrong(f"shutdown: {status}")

    forked = json.loads(kernel_of(await started("sub/p.ipynb")).run(PROBE))
    servers, inner = own()
    if len(servers) != 1 or len(inner) != 1:
        wrong(f"processes: {servers}, forked {inner}")
    for p in inner:
        os.kill(p, signal.SIGKILL)
    if k.run("print(7)") != "7":
        wrong("a kernel went with the process it was forked from")
    model = await started("sub/p2.ipynb")
    stock = json.loads(kernel_of(model).run(PROBE))
    stock["env"]["JPY_SESSION_NAME"] = forked["env"]["JPY_SESSION_NAME"]
    for key, value in stock.items():
        if key == "env":
            ours, value = forked[key].items() - value.items(), value.items() - forked[key].items()
            if ours or value:
                wrong(f"a forked kernel has in its environment {ours}, one started by itself {value}")
        elif forked[key] != value:
            wrong(f"a forked kernel has {key} = {forked[key]}, one started by itself {value}")
    status, _ = await ask("DELETE", f"/api/kernels/{k.id}")
    if status != 204:
        wrong(f"shutdown without its parent: {status}")


async def whole():
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(path=SOCK)) as session:
        await main(session)


asyncio.run(whole())
print("done")
