"""Try a generation as a class would use it. Executes the code of its packages, so it
runs as nobody, without network, and with the environment mount read-only.

Run as `GENERATION/bin/python -I -c THIS-TEXT all|added UV NAME...`; NAME are the
distributions to import. With `added` Lab is not started: the files of it are those of a
generation where it did start (see verify.go). Prints one line of JSON for each thing tried.
"""

import json
import os
import subprocess
import sys
import threading
import time

TEXT = sys.orig_argv[3]
LIMIT = 120.0  # seconds that anything may take
ROOT = "/tmp/conjured-verify-%d" % os.getpid()


def say(check: str, ok: bool, name: str = "", kind: str = "", detail: str = "") -> None:
    line = {"check": check, "ok": ok, "name": name, "kind": kind, "detail": detail[-2000:]}
    print("conjured: " + json.dumps(line), flush=True)


def child(*args: str) -> list[str]:
    return [sys.executable, "-I", "-c", TEXT, *args]


def modules(name: str) -> list[str]:
    """The modules that show that a distribution works: the one with its name, else all at the top."""
    from importlib import metadata

    top: set[str] = set()
    for f in metadata.distribution(name).files or []:
        head = f.parts[0]
        if len(f.parts) == 2 and f.name == "__init__.py":
            top.add(head)
        elif len(f.parts) == 1 and f.suffix in (".py", ".so"):
            top.add(head.split(".")[0])
    top = {m for m in top if m.isidentifier() and not m.startswith("_") and m not in ("tests", "test", "docs", "examples")}
    same = [m for m in top if m.lower() == name.replace("-", "_")]
    return same or sorted(top)


def one_import(name: str) -> None:
    """A distribution works when at least one of its candidates can be imported."""
    import importlib

    problem = None
    for module in modules(name):
        try:
            importlib.import_module(module)
        except KeyboardInterrupt:
            raise
        except BaseException as e:  # a package may raise anything, SystemExit too
            problem = problem or e
        else:
            problem = None
            break
    if problem is None:
        say("import", True, name)
    else:
        kind = "ImportError" if isinstance(problem, ImportError) else type(problem).__name__
        say("import", False, name, kind, str(problem))


def imports(names: list[str]) -> None:
    """One process imports all; when it dies, the next goes on behind the culprit."""
    while names:
        p = subprocess.Popen(child("imports", *names), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        timer = threading.Timer(LIMIT, p.kill)
        timer.start()
        seen = 0
        for line in p.stdout or []:
            if line.startswith('conjured: {"check": "import"'):
                print(line, end="", flush=True)
                seen += 1
        code = p.wait()
        timer.cancel()
        if seen < len(names):
            say("import", False, names[seen], "crash", "the interpreter ended with %d" % code)
        names = names[seen + 1 :] if seen < len(names) else []


def kernel() -> None:
    from jupyter_client import KernelManager

    km = KernelManager()
    km.kernel_spec.argv[0] = sys.executable
    km.start_kernel()
    kc = km.client()
    kc.start_channels()
    try:
        kc.wait_for_ready(timeout=LIMIT / 2)
        seen: list[str] = []
        kc.execute_interactive("1+1", timeout=LIMIT / 2, output_hook=lambda m: seen.append(m["content"].get("data", {}).get("text/plain", "")))
        if "2" not in seen:
            raise RuntimeError("1+1 gave %r" % seen)
    finally:
        kc.stop_channels()
        km.shutdown_kernel(now=True)


def run(check: str, args: list[str]) -> None:
    """A check that is one process: fine when it exits with 0."""
    try:
        p = subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", timeout=LIMIT)
        say(check, p.returncode == 0, detail="" if p.returncode == 0 else p.stdout)
    except subprocess.TimeoutExpired:
        say(check, False, kind="timeout", detail="no end after %d seconds" % LIMIT)


def answer(sock: str, path: str) -> int:
    import http.client
    import socket

    c = http.client.HTTPConnection("localhost", timeout=20)
    c.sock = socket.socket(socket.AF_UNIX)
    c.sock.settimeout(20)
    c.sock.connect(sock)
    c.request("GET", path)
    status = c.getresponse().status
    c.close()
    return status


def server() -> None:
    """Lab answers on a unix socket, which is how students' servers listen."""
    sock, log = ROOT + "/s.sock", ROOT + "/server.log"
    args = [sys.executable, "-I", "-m", "jupyterlab", "--no-browser", "--allow-root", "--ServerApp.sock=" + sock]
    args += ["--IdentityProvider.token=", "--ServerApp.root_dir=" + ROOT]
    with open(log, "w") as out:
        p = subprocess.Popen(args, stdout=out, stderr=subprocess.STDOUT, cwd=ROOT)
    problem, end = "no answer after %d seconds" % LIMIT, time.monotonic() + LIMIT
    while time.monotonic() < end:
        if p.poll() is not None:
            problem = "the server ended with %d" % p.returncode
            break
        try:
            codes = [answer(sock, path) for path in ("/api/status", "/lab")]
            problem = "" if codes == [200, 200] else "it answered %s" % codes
            break
        except OSError:
            time.sleep(0.05)
    p.kill()
    p.wait()
    with open(log, errors="replace") as f:
        say("server", not problem, detail=problem and f.read()[-1500:] + "\n" + problem)


def have(name: str) -> bool:
    from importlib import metadata

    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def everything(uv: str, names: list[str], lab: bool) -> None:
    os.makedirs(ROOT, exist_ok=True)
    for var in ("HOME", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "MPLCONFIGDIR"):
        os.environ[var] = os.path.join(ROOT, var.lower())
        os.makedirs(os.environ[var], exist_ok=True)
    os.environ.update(PYTHONNOUSERSITE="1", MPLBACKEND="Agg", JUPYTER_PLATFORM_DIRS="0")
    os.environ.pop("JUPYTER_PATH", None)
    work = [threading.Thread(target=imports, args=(names,))]
    work.append(threading.Thread(target=run, args=("consistent", [uv, "pip", "check", "--no-config", "--no-cache", "--python", sys.executable])))
    if lab and have("jupyterlab"):
        work.append(threading.Thread(target=server))
    if have("ipykernel") and have("jupyter_client"):
        work.append(threading.Thread(target=run, args=("kernel", child("kernel"))))
    if lab and have("jupyterhub"):
        work.append(threading.Thread(target=run, args=("singleuser", [sys.executable, "-I", "-c", "import jupyterhub.singleuser.extension"])))
    for t in work:
        t.start()
    for t in work:
        t.join()
    say("done", True)


def main() -> None:
    mode, rest = sys.argv[1], sys.argv[2:]
    if mode in ("all", "added"):
        everything(rest[0], rest[1:], mode == "all")
    elif mode == "imports":
        for name in rest:
            one_import(name)
        os._exit(0)
    elif mode == "kernel":
        kernel()


if __name__ == "__main__":
    main()
