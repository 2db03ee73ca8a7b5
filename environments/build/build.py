"""Choose versions and build a generation, inside the system image, with the environment
mount writable. Executes no code of any package: uv unpacks wheels, finish.py compiles
them without importing any.

Run as `python -I -S WORK/build.py` by the image's interpreter and not the generation's,
because that one would execute the packages' .pth files. WORK holds job.json (see Job),
in.txt and constraints.txt (the teacher's lines), core.txt (what is required of the Lab
set), lab.txt (its lock), lock.txt (versions to prefer, replaced by the manifest) and
previous.txt (the manifest of the generation in use). base.txt is the manifest of the
base environment's generation, for another environment. previous.json and conda.json are
the packages of conda: of the generation in use, and of the manifest. result.json is
written last.

When job.json says ahead, the generation in use is being linked into the new one by whoever
started this, and inventory.json is its inventory: see ahead.py. In the end inventory.json
is that of the new generation, if it has one. Nothing is touched after the line "end TOKEN".

Exit codes: 10 no manifest, 11 no interpreter, 12 not installed, 13 not compiled,
14 no such Python, 15 see conda-failure.json, 20 the manifest is the one in previous.txt
and previous.json. After "end TOKEN", when versions were chosen from what is stored: 21 the
index says something else, 22 it does not answer. See doubt.py.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

WORK = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, WORK)

import alone  # noqa: E402
import compose  # noqa: E402
import condameta  # noqa: E402
import finish  # noqa: E402
import inventory  # noqa: E402
import lock  # noqa: E402
import prefix  # noqa: E402
from ahead import Added, Ahead  # noqa: E402
from doubt import Doubt  # noqa: E402


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
    implicit: list[str]  # what a kernel of Python needs, unless something else brings a kernel
    conda: dict[str, Any]  # see prefix.Ask
    check: bool  # whether what is stored is looked at before it is used
    ahead: bool  # whether the generation in use is being linked already
    token: str  # to be said when nothing is left to do


class Site(NamedTuple):
    """Where uv installs to."""

    python: str  # the interpreter, or what stands in for it
    version: str  # X.Y; "" for none
    have: dict[str, condameta.Provided]  # what is there already
    chosen: prefix.Chosen | None  # the packages of conda; None for a virtual environment
    ready: bool  # whether the packages of conda are in their place
    kernel: list[str]  # of its own; [] for that of Python


def say(*words: object) -> None:
    print("conjured:", *words, flush=True)


def at(name: str) -> str:
    return os.path.join(WORK, name)


def uv(job: Job, *args: str) -> bool:
    code = subprocess.run([job.uv, *args], cwd=WORK).returncode
    if code == -signal.SIGKILL:
        print("error: it took more memory than the box can spare", flush=True)
    return code == 0


class Choice(NamedTuple):
    """How versions are chosen."""

    uv: list[str]  # and its arguments, without where to write to; [] when nothing is asked for
    core: dict[str, lock.Pin]
    seed: set[str]  # of the Lab set, what is there whatever is chosen


def choice(job: Job, site: Site) -> Choice:
    """The Lab set is locked and complete in itself: nothing in it asks for a package that
    is not in it. So it is enough to choose versions for what the teacher's lines ask
    for, with the Lab set's versions as limits, and to put the two together. Only where
    the Lab set may move, or is not the one of the image, uv looks at everything.
    """
    core = lock.read(at("lab.txt"))
    seed = compose.versions(job.lab)
    narrow = job.narrow and bool(seed) and site.version == compose.OWN and site.have.keys().isdisjoint(core)
    narrow = narrow and all(n in core and core[n].version == version for n, version in seed.items())
    asked = write_lines(job, site)
    args: list[str] = []
    if asked or not narrow:
        args = [job.uv, "pip", "compile", "--python", site.python, "--no-build", "--no-sources", "--generate-hashes"]
        args += ["--no-header", "--no-annotate", "--quiet", *job.options, "-c", "constraints.txt", "-c", "provided.txt"]
        if job.implicit and "--offline" in job.options:
            args += ["--find-links", condameta.installed_stubs(os.path.join(job.lab, compose.PACKAGES), at("installed"))]
        args += [*(["-c", "core.txt"] if narrow else ["required.txt"]), "asked.txt"]
    return Choice(args, core, set(seed) if narrow else set())


def quietly(job: Job, *args: str) -> bool:
    return subprocess.run([job.uv, *args], cwd=WORK, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


def resolve(job: Job, site: Site) -> bool:
    """Make lock.txt."""
    say("step resolve")
    if not site.version:
        lock.write(at("lock.txt"), {})
        return True
    c = choice(job, site)
    if c.uv and subprocess.run([*c.uv, "-o", "lock.txt"], cwd=WORK).returncode != 0:
        return False
    whole(c, site, at("lock.txt"))
    return True


def whole(c: Choice, site: Site, path: str) -> None:
    """Put what uv chose and what is there anyway together."""
    found = {n: p for n, p in lock.read(path).items() if n not in site.have} if c.uv else {}
    found |= {n: c.core[n] for n in c.seed}
    # An index may have got more files of a version since: the lock's list of them stays.
    lock.write(path, {n: c.core[n] if n in c.core and c.core[n].version == p.version else p for n, p in found.items()})


def suppose(job: Job, site: Site) -> tuple[Choice, Doubt] | None:
    """Make lock.txt of what is stored, while the index is asked. None, and it is made of
    what the index says, when that is not enough."""
    say("step resolve")
    c = choice(job, site)
    if not c.uv:
        whole(c, site, at("lock.txt"))
        return None
    doubt = Doubt(c.uv, WORK)
    if quietly(job, *c.uv[1:], "--offline", "-o", "lock.txt"):
        whole(c, site, at("lock.txt"))
        return c, doubt
    settled(c, site, doubt)
    return None


def settled(c: Choice, site: Site, doubt: Doubt) -> None:
    """Make lock.txt of what the index says."""
    if not doubt.adopt():
        sys.exit(10)
    whole(c, site, at("lock.txt"))


def certain(c: Choice, site: Site, doubt: Doubt) -> int:
    """The exit code when the index has said what it says."""
    if not doubt.ended():
        return 22
    whole(c, site, doubt.path)
    return 0 if lock.read(doubt.path) == lock.read(at("lock.txt")) else 21


def write_lines(job: Job, site: Site) -> bool:
    """Write what uv reads for a site; tell whether anything is asked for."""
    with open(at("provided.txt"), "w") as f:
        f.writelines(condameta.stubs(site.have, os.path.join(job.conda["cache"], "provided")) if site.have else [])
    with open(at("provided.json"), "w") as f:
        json.dump({n: {"version": p.version, "package": p.package} for n, p in site.have.items()}, f)
    with open(at("in.txt")) as f:
        lines = f.read()
    if not site.kernel:
        lines += "".join(line + "\n" for line in job.implicit)
    with open(at("asked.txt"), "w") as f:
        f.write(lines)
    with open(at("core.txt")) as f, open(at("required.txt"), "w") as out:
        # Required as a whole the Lab set would ask for other versions than conda's.
        out.write(lock.without(f.read(), set(site.have)))
    return bool(lines.strip())


def same_as_before(job: Job, site: Site) -> bool:
    if job.prev_python != site.version or not os.path.exists(at("previous.txt")):
        return False
    if site.chosen is None and os.path.exists(at("previous.json")) or site.chosen and site.ready:
        return False
    with open(at("previous.txt"), "rb") as a, open(at("lock.txt"), "rb") as b:
        return a.read() == b.read()


def venv(job: Job) -> Site:
    return Site(job.python, compose.OWN, {}, None, False, [])


def conda(job: Job, half: prefix.Prefix) -> Site:
    """Choose packages of conda, and have them in their place if they are other ones than
    those in use: then their files tell what they bring."""
    target = job.gen or at("prefix")
    with open(at("in.txt")) as f:
        need = bool(f.read().strip() or lock.read(at("core.txt")) or job.asked)
    for force in (need, True):
        chosen = half.listed() if job.mode == "build" else half.choose(job.asked, force)
        same = job.mode != "build" and bool(job.prev) and half.unchanged(chosen)
        source = job.prev if same else target
        if not same:
            half.install(chosen, target, job.check)
        kernel = condameta.kernel(source) if job.implicit else []
        if chosen.python or kernel or job.mode == "build":
            break
    python = half.stand_in(job.python, target, chosen)
    return Site(python, chosen.python, condameta.provided(source), chosen, not same, kernel)


def empty(job: Job, site: Site) -> None:
    """Make the generation what it is before uv installs, whatever an attempt has left."""
    if site.chosen:
        if not site.ready:
            prefix.Prefix(WORK, job.conda).install(site.chosen, job.gen, job.check)
    else:
        prefix.clear(job.gen)
        if subprocess.run(venv_args(job), cwd=WORK).returncode != 0:
            sys.exit(11)
    if site.version:
        hot(job)


def hot(job: Job) -> None:
    """Let the generation's Python look where packages are put for kernels that run."""
    os.makedirs(os.path.join(job.gen, compose.PACKAGES), exist_ok=True)
    compose.write(os.path.join(job.gen, compose.PACKAGES, "conjured_hot.pth"), (job.hot + "\n").encode(), 0o644)


def heir_of(job: Job, site: Site) -> str:
    """The generation in use, where its bytecode was written by the very same Python: that
    of another one, which may have been exchanged because it was not to be trusted, ends
    with it."""

    def python(packages: list[dict[str, Any]]) -> list[str]:
        return [str(p["sha256"]) for p in packages if p["name"] == "python"]

    now = site.chosen.packages if site.chosen else []
    return job.prev if python(now) == python(prefix.Prefix(WORK, job.conda).load("previous.json")) else ""


def venv_args(job: Job) -> list[str]:
    return [job.uv, "venv", "--quiet", "--no-project", "--allow-existing", "--python", job.python, job.gen]


def fetch(job: Job, site: Site, rest: dict[str, lock.Pin], stored: bool) -> bool:
    """Have uv install distributions beside what is there; stored: what is not stored is
    asked for only when it turns out to be missing."""
    lock.write(at("todo.txt"), rest)
    python = site.python if site.chosen else os.path.join(job.gen, "bin/python")
    args = ["pip", "install", "--python", python, "--no-deps", "--require-hashes", "--break-system-packages"]
    args += ["--no-build", "--no-sources", "--link-mode", "hardlink", *job.options, "-r", "todo.txt"]
    if rest and not (stored and "--offline" not in args and quietly(job, *args, "--offline")) and not uv(job, *args):
        return False
    ours = compose.OURS - {".lock"} | (set() if site.chosen else {"conda-meta"})
    if taken := [n for n in sorted(ours) if os.path.lexists(os.path.join(job.gen, n))]:
        print("error: one of them has the file %s, which only the class may write" % taken[0], flush=True)
        return False
    if rest:
        hot(job)  # in the place of a package's own
    if os.path.lexists(own := os.path.join(job.gen, ".lock")):
        os.unlink(own)  # uv's, and of no use in what never changes
    return True


def add(job: Job, site: Site, ahead: Ahead) -> Added | None:
    """Put what is new beside what is linked already; None when that does not do."""
    wanted, before = lock.read(at("lock.txt")), lock.read(at("previous.txt"))
    if not ahead.fits(wanted, before):
        say("note the packages in use do not stay as they are")
        return None
    say("step install")
    hot(job)
    rest = {n: p for n, p in wanted.items() if n not in before}
    if not fetch(job, site, rest, True):
        return None
    return ahead.more(set(rest))


def install(job: Job, site: Site) -> tuple[compose.Composed, list[str]] | None:
    """Take over what is installed elsewhere in exactly this form, and download the rest."""
    say("step install")
    wanted = lock.read(at("lock.txt"))
    before = lock.read(at("previous.txt")) if job.prev else {}
    prev, lab = compose.Donor(heir_of(job, site), before, True), compose.Donor(job.lab, lock.read(at("lab.txt")), False)
    base = compose.Donor(job.base, lock.read(at("base.txt")), True)
    empty(job, site)
    try:
        done = compose.compose(job.gen, wanted, [prev, base, lab])
    except (OSError, ValueError, RuntimeError) as e:
        # Something is not as an installer leaves it: a new installation does not need it.
        say("note nothing is taken over: %s" % str(e).replace("\n", " "))
        empty(job, site._replace(ready=False))
        done = compose.compose(job.gen, wanted, [compose.Donor("", {}, False)])
    rest = {n: p for n, p in wanted.items() if n not in done.taken()}
    say("note taken over %s, to install %d" % (" ".join(str(len(n)) for n in done.names), len(rest)))
    if not fetch(job, site, rest, False):
        return None
    new = sorted(set(wanted) - done.names[0])
    if not job.prev or set(before) != done.names[0] or site.chosen and not prefix.Prefix(WORK, job.conda).unchanged(site.chosen):
        new = []  # something went or changed: the generation is not the old one and more
    return done, new


def plain(job: Job, site: Site) -> Callable[[], inventory.Inventory | None]:
    """Make the generation, and give what writes its inventory."""
    built = install(job, site)
    if built is None:
        sys.exit(12)
    say("step compile")
    done, new = built
    later = at("compile.json") if site.version not in ("", compose.OWN) else ""
    fresh = finish.finish(job.gen, done.final(), heir_of(job, site), later)
    fresh |= {f for f in done.final() - done.files[0] if not f.endswith(".pyc")}
    theirs = done.files[0] | done.skeleton if site.chosen else done.files[0]
    reason = "not only additions"
    if new:
        have = compose.installed(job.gen)
        files = {n: have[n].files if n in have else [] for n in new}
        reason = alone.touches(job.gen, files, alone.read(job.gen, theirs), fresh - done.skeleton)
    result(reason, new, site.kernel, None)
    wanted = lock.read(at("lock.txt"))
    return lambda: None if site.chosen or later else inventory.study(job.gen, wanted, done.skeleton)


def quick(job: Job, ahead: Ahead, added: Added) -> Callable[[], inventory.Inventory | None]:
    """As plain, of a generation that was linked ahead."""
    new = {n: d.files for n, d in sorted(added.dists.items())}
    files = {f for d in added.dists.values() for f in d.files}
    reason = alone.touches(job.gen, new, alone.known(job.prev, job.gen, ahead.known), files) if new else "nothing new"
    result(reason, sorted(new), [], sorted(added.files))
    return lambda: added.inventory


def result(reason: str, new: list[str], kernel: list[str], added: list[str] | None) -> None:
    with open(at("result.json"), "w") as f:
        json.dump({"alone": not reason, "new": new, "reason": reason, "kernel": kernel, "added": added}, f)


def begun(job: Job, site: Site) -> Ahead | None:
    known = inventory.read(at("inventory.json")) if job.ahead and not site.chosen else None
    return known and Ahead(job.prev, job.gen, known, venv_args(job))


def main() -> None:
    os.umask(0o022)
    with open(at("job.json")) as f:
        job = Job(**json.load(f))
    half = prefix.Prefix(WORK, job.conda)
    site = conda(job, half) if half.wanted(job.mode, job.asked) else venv(job)
    compose.use(site.version or compose.OWN)
    say("python %s linux-%s" % (site.version or "none", os.uname().machine))
    ahead, open_question = begun(job, site), None
    if job.mode != "build":
        if ahead and "--offline" not in job.options:
            open_question = suppose(job, site)
        elif not resolve(job, site):
            sys.exit(10)
        if site.chosen:
            half.keep(site.chosen)
        if job.mode == "resolve":
            return
    added = ahead and not same_as_before(job, site) and add(job, site, ahead) or None
    if ahead and not added:
        ahead.ended()
    if open_question and not added:  # without the short way there is no hurry
        settled(open_question[0], site, open_question[1])
        open_question = None
    if job.mode != "build" and same_as_before(job, site):
        sys.exit(20)
    if os.path.lexists(at("inventory.json")):
        os.unlink(at("inventory.json"))
    study = quick(job, ahead, added) if ahead and added else plain(job, site)
    say("step built")
    if found := study():
        inventory.write(at("inventory.json"), found)
    say("end", job.token)
    if open_question:
        sys.exit(certain(open_question[0], site, open_question[1]))


if __name__ == "__main__":
    main()
