"""Take over distributions that are installed in another prefix in exactly the form that
is wanted, so that only the difference is downloaded, unpacked and compiled.

From the generation in use files are hard-linked; from the image's own Lab set, which is
on another file system, they are copied. What results is what a new installation gives,
byte for byte: a distribution is what its RECORD lists (and the bytecode of that), the
few files that name the prefix are written anew, and whatever is in doubt is not taken.

Nothing is ever written through a link: new content is a new file.
"""

import base64
import csv
import hashlib
import os
import stat
import sys
from concurrent.futures import ProcessPoolExecutor
from importlib.util import source_hash
from multiprocessing import get_context
from typing import NamedTuple

import condameta
from lock import Pin, normalise

OWN = "%d.%d" % sys.version_info[:2]
PACKAGES, TAG = "", ""  # where packages are, and what bytecode is marked with: see use
OURS = frozenset({"lease", "manifest.txt", "variables.txt", "generation.json", "ok", ".lock"})
SHEBANG = 127  # longest line that Linux reads; an installer writes longer ones in another form


def use(version: str) -> None:
    """Name the Python, X.Y, that this process makes a generation for."""
    global PACKAGES, TAG
    PACKAGES, TAG = "lib/python%s/site-packages" % version, "cpython-" + version.replace(".", "")


use(OWN)


class Dist(NamedTuple):
    version: str
    files: list[str]  # relative to the prefix; RECORD is the first


class Donor(NamedTuple):
    prefix: str  # "" for none
    pins: dict[str, Pin]  # what was asked for when it was installed
    link: bool


class Composed(NamedTuple):
    names: list[set[str]]  # of the distributions that each donor gave
    files: list[set[str]]  # the relative paths of them, which are final
    skeleton: set[str]  # what was there before

    def taken(self) -> set[str]:
        return set().union(*self.names)

    def final(self) -> set[str]:
        return set().union(*self.files)


def record(prefix: str, info: str) -> list[str]:
    """The files of a distribution; none when it lists one outside of the prefix."""
    own = os.path.join(PACKAGES, info, "RECORD")
    out = [own]
    try:
        with open(os.path.join(prefix, own), newline="") as f:
            for row in csv.reader(f):
                path = os.path.normpath(os.path.join(PACKAGES, row[0])) if row else ".."
                if os.path.isabs(path) or path.startswith(".."):
                    return []
                if path != own:
                    out.append(path)
    except (OSError, csv.Error, UnicodeError):
        return []
    return out


def versions(prefix: str) -> dict[str, str]:
    """What a prefix holds, by normalised name."""
    try:
        names = os.listdir(os.path.join(prefix, PACKAGES)) if prefix else []
    except OSError:
        return {}
    stems = [i.removesuffix(".dist-info").rpartition("-") for i in names if i.endswith(".dist-info")]
    return {normalise(name): version for name, _, version in stems}


def installed(prefix: str) -> dict[str, Dist]:
    """What a prefix holds, by normalised name."""
    out: dict[str, Dist] = {}
    try:
        names = os.listdir(os.path.join(prefix, PACKAGES)) if prefix else []
    except OSError:
        names = []
    for info in names:
        stem, dot, _ = info.partition(".dist-info")
        if dot and info.endswith(".dist-info"):
            name, _, version = stem.rpartition("-")
            out[normalise(name)] = Dist(version, record(prefix, info))
    return out


def listing(prefix: str) -> set[str]:
    """All files and links below a prefix, relative to it."""
    out: set[str] = set()
    for folder, folders, files in os.walk(prefix):
        inside = os.path.relpath(folder, prefix)
        out.update(os.path.normpath(os.path.join(inside, f)) for f in files)
        out.update(os.path.normpath(os.path.join(inside, d)) for d in folders if os.path.islink(os.path.join(folder, d)))
    return out


def cached(path: str) -> str:
    """Where the bytecode of a source is."""
    folder, name = os.path.split(path)
    return os.path.join(folder, "__pycache__", "%s.%s.pyc" % (name.removesuffix(".py"), TAG))


def with_bytecode(files: list[str]) -> set[str]:
    return {*files, *(cached(f) for f in files if f.endswith(".py"))}


def same(wanted: Pin, before: Pin | None) -> bool:
    """The same version, and no file of it is refused now that was good then."""
    return before is not None and bool(before.hashes) and before.line == wanted.line and before.hashes <= wanted.hashes


def reusable(donor: Donor, wanted: dict[str, Pin], skeleton: set[str]) -> dict[str, Dist]:
    """The distributions of a donor that are wanted as they are and are nobody else's."""
    have = installed(donor.prefix)
    if donor.link:
        # A file that no RECORD lists: whose it is cannot be known.
        own = condameta.files(donor.prefix)
        have = {n: d for n, d in have.items() if own.isdisjoint(d.files)}
        listed = set().union(with_bytecode([*skeleton, *own]), OURS, *(with_bytecode(d.files) for d in have.values()))
        if odd := listing(donor.prefix) - listed:
            print("conjured: note nothing is taken over from %s: nobody's %s" % (donor.prefix, min(odd)), flush=True)
            return {}
    good = {
        n
        for n, d in have.items()
        if d.files and n in wanted and same(wanted[n], donor.pins.get(n)) and d.version in ("", wanted[n].version or d.version)
    }
    owners: dict[str, list[str]] = {}
    for name, d in have.items():
        for f in d.files:
            owners.setdefault(f, []).append(name)
    shared = [set(o) for o in owners.values() if len(set(o)) > 1]
    while bad := {n for o in shared if not o <= good for n in o & good}:
        good -= bad
    return {n: have[n] for n in good}


class Writer:
    """Puts files of a donor in their place below a new prefix."""

    def __init__(self, donor: Donor, gen: str, done: set[str]) -> None:
        self.donor, self.gen, self.done = donor, gen, done
        self.old, self.new = (os.path.join(p, "bin/python").encode() for p in (donor.prefix, gen))
        self.plain: dict[str, int] = {}  # files to take as they are, with their mode

    def program(self, text: bytes) -> bytes | None:
        """A program that begins with the donor's interpreter, for the new prefix; None for another one."""
        if text.startswith(b"#!" + self.old) and len(self.new) + 3 < SHEBANG:
            return b"#!" + self.new + text[2 + len(self.old) :]
        return None

    def renew(self, path: str, text: bytes, mode: int) -> str:
        """Write a program, and give its hash and size as RECORD has them."""
        self.put(path, text, mode)
        return "sha256=%s,%d" % (base64.urlsafe_b64encode(hashlib.sha256(text).digest()).rstrip(b"=").decode(), len(text))

    def put(self, path: str, data: bytes, mode: int) -> None:
        """Write a file that names the prefix."""
        os.makedirs(os.path.dirname(os.path.join(self.gen, path)), mode=0o755, exist_ok=True)
        write(os.path.join(self.gen, path), data, mode)
        self.done.add(path)

    def dist(self, d: Dist) -> bool:
        """Plan to take a distribution over; False, and nothing done, when it is not as it should be."""
        infos: dict[str, os.stat_result] = {}
        programs: dict[str, bytes] = {}
        for f in d.files:
            path = os.path.join(self.donor.prefix, f)
            try:
                infos[f] = os.lstat(path)
            except OSError:
                return False
            if not stat.S_ISREG(infos[f].st_mode):
                return False
            if f.startswith("bin/"):
                text = read(path)
                if new := self.program(text):
                    programs[f] = new
                elif self.donor.prefix.encode() in text:
                    return False
        changed: dict[str, str] = {}
        for f in d.files[1:]:
            if f in programs:
                changed[f] = self.renew(f, programs[f], infos[f].st_mode)
            elif f not in self.done:
                self.plain[f] = infos[f].st_mode
        self.record(d.files[0], changed, infos[d.files[0]].st_mode)
        return True

    def record(self, path: str, changed: dict[str, str], mode: int) -> None:
        """RECORD, with the hashes of what was written anew."""
        if not changed:
            self.plain[path] = mode
            return
        rows: list[str] = []
        for line in read(os.path.join(self.donor.prefix, path)).decode().splitlines(keepends=True):
            row = next(csv.reader([line]), [""])
            now = changed.get(os.path.normpath(os.path.join(PACKAGES, row[0])))
            rows.append("%s,%s\n" % (line[: line.rindex(",", 0, line.rindex(","))], now) if now else line)
        self.put(path, "".join(rows).encode(), mode)

    def run(self) -> None:
        """Take the plain files, on every processor."""
        for folder in sorted(
            {os.path.dirname(p) for p in self.plain} | {os.path.dirname(cached(p)) for p in self.plain if p.endswith(".py")}
        ):
            os.makedirs(os.path.join(self.gen, folder), mode=0o755, exist_ok=True)
        jobs = sorted(self.plain.items())
        size = 400
        shares = [(self.donor.prefix, self.donor.link, self.gen, jobs[i : i + size]) for i in range(0, len(jobs), size)]
        self.done.update(self.plain)
        with ProcessPoolExecutor(max_workers=os.cpu_count(), mp_context=get_context("fork")) as pool:
            for compiled in pool.map(carry, shares):
                self.done.update(compiled)


def read(path: str) -> bytes:
    with open(path, "rb") as f:
        return f.read()


def write(path: str, data: bytes, mode: int) -> None:
    """A new file in place of what is there: nothing is written through a link."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    try:
        fd = os.open(path, flags, final(mode))
    except FileExistsError:
        os.unlink(path)
        fd = os.open(path, flags, final(mode))
    with open(fd, "wb", buffering=0) as f:
        while data:
            data = data[f.write(data) :]


def link(source: str, path: str) -> bool:
    """False when a file cannot have one more link."""
    try:
        os.link(source, path, follow_symlinks=False)
    except FileExistsError:
        os.unlink(path)
        return link(source, path)
    except OSError:
        return False
    return True


def carry(share: tuple[str, bool, str, list[tuple[str, int]]]) -> set[str]:
    """Take files with their bytecode, and give the bytecode's paths. A source without any
    is for finish.py to try again.

    Bytecode of an image may be bound to the date of its source; what we keep is bound to
    nothing (see finish.py), and is the same otherwise.
    """
    prefix, linked, gen, jobs = share
    names = {path for path, _ in jobs}
    done: set[str] = set()
    for path, mode in jobs:
        source, to = os.path.join(prefix, path), os.path.join(gen, path)
        text = None
        if not linked or not link(source, to):
            text = read(source)
            write(to, text, mode)
        pyc = cached(path) if path.endswith(".py") else ""
        if not pyc or pyc in names:
            continue
        try:
            if not linked or not link(os.path.join(prefix, pyc), os.path.join(gen, pyc)):
                code = read(os.path.join(prefix, pyc))
                write(
                    os.path.join(gen, pyc),
                    code[:4] + (1).to_bytes(4, "little") + source_hash(text or read(source)) + code[16:],
                    mode & 0o666,
                )
            done.add(pyc)
        except OSError:
            pass
    return done


def final(mode: int) -> int:
    """Nobody writes, everybody reads."""
    return 0o555 if mode & 0o111 else 0o444


def compose(gen: str, wanted: dict[str, Pin], donors: list[Donor]) -> Composed:
    """Fill a fresh prefix with what the donors have of the wanted, the first one first."""
    skeleton = listing(gen)
    out = Composed([], [], skeleton)
    left = dict(wanted)
    for donor in donors:
        files: set[str] = set()
        writer, taken = Writer(donor, gen, files), set[str]()
        others = out.final()
        for name, d in sorted(reusable(donor, left, skeleton).items()):
            if others.isdisjoint(d.files) and writer.dist(d):
                taken.add(name)
        if taken:
            writer.run()
        out.names.append(taken)
        out.files.append(files)
        left = {n: p for n, p in left.items() if n not in taken}
    return out
