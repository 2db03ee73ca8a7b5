"""Choose versions and build a generation, inside the system image, with the environment
mount writable. Executes no code of any package: uv unpacks wheels, finish.py compiles
them without importing any.

Run as `python -I -S WORK/build.py` by the image's interpreter and not the generation's,
because that one would execute the packages' .pth files. WORK holds job.json (see Job),
in.txt and constraints.txt (the teacher's lines), core.txt (what is required of the Lab
set), lab.txt (its lock), lock.txt (versions to prefer, replaced by the manifest) and
previous.txt (the manifest of the generation in use). base.txt is the manifest of the
base environment's generation, for another environment. result.json is written last.

Exit codes: 10 no manifest, 11 no interpreter, 12 not installed, 13 not compiled,
14 no such Python, 20 the manifest is the one in previous.txt.
"""

import json
import os
import shutil
import subprocess
import sys
from typing import NamedTuple

WORK = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, WORK)

import compose  # noqa: E402
import finish  # noqa: E402
import lock  # noqa: E402


class Job(NamedTuple):
    mode: str  # resolve, build, or both
    python: str
    uv: str
    gen: str  # directory of the new generation
    prev: str  # directory of the generation in use, or ""
    prev_python: str  # the Python that previous.txt was chosen for
    base: str  # directory of the base environment's generation, or ""
    lab: str  # the Lab set that the image has installed
    hot: str  # directory of what is added to the generation while it is used
    asked: str  # the version of Python that was asked for, or ""
    narrow: bool  # whether the Lab set's versions are given
    options: list[str]  # of uv: where the index is


def say(*words: object) -> None:
    print("conjured:", *words, flush=True)


def at(name: str) -> str:
    return os.path.join(WORK, name)


def uv(job: Job, *args: str) -> bool:
    return subprocess.run([job.uv, *args], cwd=WORK).returncode == 0


def resolve(job: Job) -> bool:
    """Make lock.txt.

    The Lab set is locked and complete in itself: nothing in it asks for a package that
    is not in it. So it is enough to choose versions for what the teacher's lines ask
    for, with the Lab set's versions as limits, and to put the two together. Only where
    the Lab set may move, or is not the one of the image, uv looks at everything.
    """
    say("step resolve")
    core = lock.read(at("lab.txt"))
    seed = compose.installed(job.lab)
    narrow = job.narrow and bool(seed) and all(n in core and core[n].version == d.version for n, d in seed.items())
    with open(at("in.txt")) as f:
        asked = f.read().strip()
    given = ["-c", "core.txt"] if narrow else ["core.txt"]
    found: dict[str, lock.Pin] = {}
    if asked or not narrow:
        args = ["pip", "compile", "--python", job.python, "--no-build", "--no-sources", "--generate-hashes"]
        args += ["--no-header", "--no-annotate", "--quiet", *job.options, "-c", "constraints.txt", "-o", "lock.txt"]
        if not uv(job, *args, *given, "in.txt"):
            return False
        found = lock.read(at("lock.txt"))
    if narrow:
        found |= {n: core[n] for n in seed}
    # An index may have got more files of a version since: the lock's list of them stays.
    lock.write(at("lock.txt"), {n: core[n] if n in core and core[n].version == p.version else p for n, p in found.items()})
    return True


def same_as_before(job: Job) -> bool:
    if job.prev_python != "%d.%d" % sys.version_info[:2] or not os.path.exists(at("previous.txt")):
        return False
    with open(at("previous.txt"), "rb") as a, open(at("lock.txt"), "rb") as b:
        return a.read() == b.read()


def empty(job: Job) -> None:
    """Make the generation an empty virtual environment, whatever an attempt has left."""
    for name in os.listdir(job.gen):
        path = os.path.join(job.gen, name)
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.unlink(path)
    if not uv(job, "venv", "--quiet", "--no-project", "--allow-existing", "--python", job.python, job.gen):
        sys.exit(11)
    hot(job)


def hot(job: Job) -> None:
    """Let the generation's Python look where packages are put for kernels that run."""
    with open(os.path.join(job.gen, compose.PACKAGES, "conjured_hot.pth"), "w") as f:
        f.write(job.hot + "\n")


def install(job: Job) -> tuple[compose.Composed, list[str]] | None:
    """Take over what is installed elsewhere in exactly this form, and download the rest."""
    say("step install")
    wanted = lock.read(at("lock.txt"))
    before = lock.read(at("previous.txt")) if job.prev else {}
    prev, lab = compose.Donor(job.prev, before, True), compose.Donor(job.lab, lock.read(at("lab.txt")), False)
    base = compose.Donor(job.base, lock.read(at("base.txt")), True)
    empty(job)
    try:
        done = compose.compose(job.gen, wanted, [prev, base, lab])
    except (OSError, ValueError, RuntimeError) as e:
        # Something is not as an installer leaves it: a new installation does not need it.
        say("note nothing is taken over: %s" % str(e).replace("\n", " "))
        empty(job)
        done = compose.compose(job.gen, wanted, [compose.Donor("", {}, False)])
    rest = {n: p for n, p in wanted.items() if n not in done.taken()}
    say("note taken over %s, to install %d" % (" ".join(str(len(n)) for n in done.names), len(rest)))
    lock.write(at("todo.txt"), rest)
    args = ["pip", "install", "--python", os.path.join(job.gen, "bin/python"), "--no-deps", "--require-hashes"]
    args += ["--no-build", "--no-sources", "--link-mode", "hardlink", *job.options, "-r", "todo.txt"]
    if rest and not uv(job, *args):
        return None
    if os.path.lexists(own := os.path.join(job.gen, ".lock")):
        os.unlink(own)  # uv's, and of no use in what never changes
    new = sorted(set(wanted) - done.names[0])
    if not job.prev or set(before) != done.names[0]:
        new = []  # something went or changed: the generation is not the old one and more
    return done, new


def main() -> None:
    os.umask(0o022)
    with open(at("job.json")) as f:
        job = Job(**json.load(f))
    own = "%d.%d" % sys.version_info[:2]
    say("python %s linux-%s" % (own, os.uname().machine))
    if job.asked and job.asked.split(".")[:2] != own.split("."):
        sys.exit(14)
    if job.mode != "build":
        if not resolve(job):
            sys.exit(10)
        if job.mode == "resolve":
            return
        if same_as_before(job):
            sys.exit(20)
    built = install(job)
    if built is None:
        sys.exit(12)
    say("step compile")
    done, new = built
    fresh = finish.finish(job.gen, done.final())
    fresh |= {f for f in done.final() - done.files[0] if not f.endswith(".pyc")}
    reason = finish.touches(job.gen, new, done.files[0], fresh - done.skeleton) if new else "not only additions"
    with open(at("result.json"), "w") as f:
        json.dump({"alone": not reason, "new": new, "reason": reason}, f)
    say("step built")


if __name__ == "__main__":
    main()
