"""Try a generation as a class would use it. Executes the code of its packages, so it
runs as nobody, without network, and with the environment mount read-only.

Run as `PYTHON -I -c THIS-TEXT JOB`: PYTHON is the generation's own, or that of the image's
Lab set for a generation without one; JOB is JSON, see Job. Prints one line of JSON for
each thing tried. Parts that may crash are run by the same text with more arguments.

With "wait" in JOB it begins before the generation is complete, and PYTHON is that of the
one beside which it is made. What speaks to a kernel is loaded then, and another JOB comes
as a line on standard input. All that is tried still runs in the generation's own Python.
"""

import base64
import glob
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, TypedDict

TEXT = sys.orig_argv[3]
LIMIT = 120.0  # seconds that anything may take
MOST = 1 << 20  # characters of what anything prints that are looked at
ROOT = "/tmp/conjured-verify-%d" % os.getpid()


class Job(TypedDict):
    prefix: str  # the generation
    uv: str
    outer: str  # the interpreter of the image's Lab set
    names: list[str]  # distributions of the Python index to import
    conda: list[str]  # packages of conda to import
    pip: list[str]  # distributions that did not come from conda; null when there is no conda
    kernel: list[str]  # how the kernel is started; [] for that of Python
    lab: bool  # whether Lab is started
    files: bool  # whether every file is compared with its hash
    wait: bool  # whether the job is still to come


JOB: Job = json.loads(sys.argv[1])
PYTHON = sys.executable  # what tries
WAITED = JOB["wait"]


def say(check: str, ok: bool, name: str = "", kind: str = "", detail: str = "") -> None:
    line = {"check": check, "ok": ok, "name": name, "kind": kind, "detail": detail[-2000:]}
    print("conjured: " + json.dumps(line), flush=True)


def child(*args: str) -> list[str]:
    return [PYTHON, "-I", "-c", TEXT, json.dumps(JOB), *args]


def packages() -> list[dict[str, Any]]:
    """What conda-meta says of each package of conda."""
    out = []
    for path in sorted(glob.glob(os.path.join(JOB["prefix"], "conda-meta", "*.json"))):
        with open(path) as f:
            out.append(json.load(f))
    return out


def inside(name: str) -> Iterable[str]:
    """The files of a distribution, or of a package of conda, relative to site-packages."""
    if name not in JOB["conda"]:
        from importlib import metadata

        return [str(f) for f in metadata.distribution(name).files or []]
    files = [f for p in packages() if p["name"] == name for f in p.get("files", [])]
    return [f.partition("site-packages/")[2] for f in files if "site-packages/" in f]


def modules(name: str) -> list[str]:
    """The modules that show that a distribution works: the one with its name, else all at the top."""
    top: set[str] = set()
    for f in inside(name):
        head, _, rest = f.partition("/")
        if rest == "__init__.py":
            top.add(head)
        elif not rest and head.endswith((".py", ".so")):
            top.add(head.split(".")[0])
    top = {m for m in top if m.isidentifier() and not m.startswith("_") and m not in ("tests", "test", "docs", "examples")}
    same = [m for m in top if m.lower() == name.replace("-", "_")]
    return same or sorted(top)


def one_import(name: str) -> None:
    """A distribution works when at least one of its candidates can be imported."""
    import importlib

    problem = None
    try:
        candidates = modules(name)
    except ImportError as e:  # no such distribution
        say("import", False, name, "ImportError", str(e))
        return
    for module in candidates:
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


def ended(name: str, args: list[str], stderr: int = subprocess.STDOUT) -> tuple[int, str]:
    """Run a program to its end, or for LIMIT; give its exit code and what it printed.

    It prints to a file: a process that it leaves behind would keep a pipe open for ever.
    """
    path = os.path.join(ROOT, name + ".log")
    with open(path, "wb") as out:
        p = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=out, stderr=stderr)
    timer = threading.Timer(LIMIT, p.kill)
    timer.start()
    code, late = p.wait(), timer.finished.is_set()
    timer.cancel()
    with open(path, errors="replace") as f:
        text = f.read(MOST)
    return code, text + ("\nno end after %d seconds" % LIMIT if late else "")


def imports(names: list[str]) -> None:
    """One process imports all; when it dies, the next goes on behind the culprit."""
    while names:
        code, text = ended("imports", child("imports", *names), subprocess.DEVNULL)
        lines = [line for line in text.splitlines() if line.startswith('conjured: {"check": "import"')]
        for line in lines:
            print(line, flush=True)
        seen = len(lines)
        if seen < len(names):
            say("import", False, names[seen], "crash", "the interpreter ended with %d" % code)
        names = names[seen + 1 :] if seen < len(names) else []


def run(check: str, args: list[str]) -> None:
    """A check that is one process: fine when it exits with 0."""
    code, text = ended(check, args)
    say(check, code == 0, detail="" if code == 0 else text)


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


def manager() -> Any:
    """What starts kernels, and speaks to them, as in students' servers."""
    from jupyter_client import KernelManager
    from jupyter_client.kernelspec import KernelSpecManager

    folder = os.path.join(os.environ["HOME"], "kernels", "tried")
    os.makedirs(folder, exist_ok=True)
    argv = JOB["kernel"] or ["python", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    argv = [os.path.join(JOB["prefix"], "bin", argv[0]), *argv[1:]]
    with open(os.path.join(folder, "kernel.json"), "w") as f:
        json.dump({"argv": argv, "display_name": "tried", "language": ""}, f)
    specs = KernelSpecManager(kernel_dirs=[os.path.dirname(folder)], ensure_native_kernel=False)
    return KernelManager(kernel_name="tried", kernel_spec_manager=specs)


def compute(km: Any) -> None:
    """A kernel computes 1+1. It is started as students' servers start it."""
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL} if WAITED else {}
    km.start_kernel(**silent)
    kc = km.client()
    kc.start_channels()
    try:
        kc.wait_for_ready(timeout=LIMIT / 2)
        seen: list[str] = []

        def show(message: dict[str, Any]) -> None:
            seen.append(message["content"].get("data", {}).get("text/plain", ""))

        kc.execute_interactive("1+1", timeout=LIMIT / 2, output_hook=show)
        if "2" not in " ".join(seen).split():
            raise RuntimeError("1+1 gave %r" % seen)
        if WAITED:
            say("kernel", True)
    finally:
        kc.stop_channels()
        km.shutdown_kernel(now=True)


def damaged(root: str, files: Iterable[tuple[str, str]]) -> list[str]:
    """The files that are not there or do not have their hash, which is hex or as in RECORD."""
    out = []
    for path, want in files:
        try:
            with open(os.path.join(root, path), "rb") as f:
                got = hashlib.file_digest(f, "sha256").digest()
        except OSError:
            out.append(path)
            continue
        if want not in (got.hex(), base64.urlsafe_b64encode(got).rstrip(b"=").decode()):
            out.append(path)
    return out


def compare() -> None:
    """Every file has the hash that it was installed with."""
    from importlib import metadata

    site = glob.glob(os.path.join(JOB["prefix"], "lib/python*/site-packages"))
    for d in metadata.distributions(path=site):
        name = d.metadata["Name"] or "?"
        if JOB["pip"] is not None and name.lower().replace("_", "-").replace(".", "-") not in JOB["pip"]:
            continue  # conda's, and compared below
        bad = damaged(str(d.locate_file("")), ((str(f), f.hash.value) for f in d.files or [] if f.hash))
        if bad:
            say("files", False, name, detail=" ".join(sorted(bad)[:5]))
    for p in packages():
        paths = p.get("paths_data", {}).get("paths", [])
        hashes = ((x["_path"], x.get("sha256_in_prefix") or x.get("sha256")) for x in paths if x.get("path_type") == "hardlink")
        bad = damaged(JOB["prefix"], ((f, h) for f, h in hashes if h))
        if bad:
            say("files", False, p["name"], detail=" ".join(sorted(bad)[:5]))
    say("files", True)


def files() -> None:
    """Comparing takes a processor for seconds: it is a process beside the others."""
    code, text = ended("files", child("compare"))
    for line in text.splitlines():
        if line.startswith("conjured: "):
            print(line, flush=True)
    if code:
        say("files", False, detail=text)


def consistent() -> None:
    """All that a package needs is there: uv says so for Python, conda-meta for the rest."""
    have = {p["name"]: p.get("depends", []) for p in packages()}
    for name, depends in have.items():
        lost = [d for d in depends if d.split(" ")[0] not in have and not d.startswith("__")]
        if lost:
            say("consistent", False, name, detail="%s needs %s" % (name, ", ".join(lost)))
            return
    if not os.path.exists(os.path.join(JOB["prefix"], "bin/python")):
        say("consistent", True)
        return
    args = [JOB["uv"], "pip", "check", "--no-config", "--no-cache", "--python", PYTHON]
    code, text = ended("consistent", args)
    problems = [line for line in text.splitlines() if line.startswith("The package")]
    if code and JOB["pip"] is not None:
        # What packages of conda say of each other in Python's form need not hold.
        problems = [line for line in problems if line.split("`")[1] in JOB["pip"]]
        say("consistent", not problems, detail=" ".join(problems))
    else:
        say("consistent", code == 0, detail=text if code else "")


def have(name: str) -> bool:
    from importlib import metadata

    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def guarded(work: Callable[..., None], *args: Any) -> None:
    """A check that itself breaks, on what a package holds, has failed."""
    try:
        work(*args)
    except Exception as e:
        say("failed", False, detail="%s: %s" % (type(e).__name__, e))


def settle() -> None:
    """Give what is tried a home, and nothing else of a person's."""
    os.makedirs(ROOT, exist_ok=True)
    for var in ("HOME", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "MPLCONFIGDIR"):
        os.environ[var] = os.path.join(ROOT, var.lower())
        os.makedirs(os.environ[var], exist_ok=True)
    os.environ.update(PYTHONNOUSERSITE="1", MPLBACKEND="Agg", JUPYTER_PLATFORM_DIRS="0")
    os.environ.pop("JUPYTER_PATH", None)


def wait() -> None:
    """Load what speaks to a kernel, wait for the job, and do it. Whoever asked takes
    nothing but a yes from here, so that what fails need not be explained."""
    global JOB, PYTHON
    from jupyter_client import blocking

    settle()
    km = manager()
    if km.kernel_spec is None or blocking is None:  # has all loaded that it takes
        return
    line = sys.stdin.readline()
    if not line.endswith("\n"):
        return  # it is not wanted any more
    JOB, PYTHON = json.loads(line), os.path.join(JOB["prefix"], "bin/python")
    work = [threading.Thread(target=guarded, args=args) for args in ((imports, JOB["names"]), (consistent,))]
    for t in work:
        t.start()
    compute(km)
    for t in work:
        t.join()
    say("done", True)


def everything() -> None:
    settle()
    work: list[tuple[Callable[..., None], tuple[Any, ...]]] = [(imports, (JOB["names"] + JOB["conda"],)), (consistent, ())]
    if JOB["lab"] and have("jupyterlab"):
        work.append((server, ()))
    if JOB["kernel"] or have("ipykernel") and have("jupyter_client"):
        speaks = PYTHON if have("jupyter_client") else JOB["outer"]  # a kernel of its own needs no Python that does
        work.append((run, ("kernel", [speaks, *child("compute")[1:]])))
    if JOB["lab"] and have("jupyterhub"):
        work.append((run, ("singleuser", [sys.executable, "-I", "-c", "import jupyterhub.singleuser.extension"])))
    if JOB["files"]:
        work.append((files, ()))
    threads = [threading.Thread(target=guarded, args=(f, *args)) for f, args in work]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    say("done", True)


def main() -> None:
    mode, rest = (sys.argv[2:] or ["all"])[0], sys.argv[3:]
    if mode == "all":
        try:
            (wait if WAITED else everything)()
        finally:
            shutil.rmtree(ROOT, ignore_errors=True)
    elif mode == "imports":
        for name in rest:
            one_import(name)
        os._exit(0)
    elif mode == "compute":
        compute(manager())
    elif mode == "compare":
        compare()


if __name__ == "__main__":
    main()
