"""What a generation consists of, written down for the one that is made of it next.

Whoever adds a package must know three things of all that is there: that every file has
its owner, which files name the directory they are in, and which modules look for others
that need not be there. To find out means to read 20 000 files. They never change, so it
is done once, when the generation is there already and is being tried: see ahead.py.
"""

import json
import os
import re
import stat
from typing import NamedTuple

import compose
from lock import Pin

# What may follow import or from, up to the end of the next line: a name there may be
# looked for. More than alone.FORM finds, never less.
LINE = re.compile(rb"^\s*(?:import|from)\s(?=([^\n#]*\n?[^\n]*))", re.M)
WORD = re.compile(rb"(?<![^\s,])\w+")
ASKED = re.compile(rb"(?:import\w*|find_spec|require)\(\s*[rb]?['\"](\w+)")


class Inventory(NamedTuple):
    own: list[str]  # files that are not linked into the next generation: made anew, or of this one only
    skeleton: list[str]  # those of them that were there before any distribution
    programs: dict[str, list[str]]  # files that name the prefix, by the directory of their distribution
    words: list[str]  # names that some module imports or asks for


def read(path: str) -> Inventory | None:
    try:
        with open(path) as f:
            return Inventory(**json.load(f))
    except (OSError, TypeError, ValueError):
        return None


def write(path: str, i: Inventory) -> None:
    with open(path + ".part", "w") as f:
        json.dump(i._asdict(), f)
    os.replace(path + ".part", path)


def words(prefix: str, sources: list[str]) -> set[str]:
    """The names that modules import or ask for in quotes, and more."""
    out: set[bytes] = set()
    for f in sources:
        with open(os.path.join(prefix, f), "rb") as src:
            text = src.read()
        for line in set(LINE.findall(text)):
            out.update(WORD.findall(line))
        out.update(ASKED.findall(text))
    return {w.decode("ascii") for w in out}


def programs(prefix: str, d: compose.Dist) -> list[str] | None:
    """The files of a distribution that begin with the prefix's interpreter; None when it
    cannot be taken over by links and by writing those anew."""
    out = []
    for f in d.files:
        path = os.path.join(prefix, f)
        if not stat.S_ISREG(os.lstat(path).st_mode):
            return None
        if f.startswith("bin/"):
            text = compose.read(path)
            if text.startswith(b"#!" + os.path.join(prefix, "bin/python").encode()):
                out.append(f)
            elif prefix.encode() in text:
                return None
    return out


def extend(old: Inventory, prefix: str, dists: list[compose.Dist]) -> Inventory | None:
    """The inventory with more distributions; None when one of them is not as an installer
    leaves it."""
    own, by = set(old.own), dict(old.programs)
    sources = []
    for d in dists:
        found = programs(prefix, d)
        if found is None:
            return None
        if found:
            by[os.path.basename(os.path.dirname(d.files[0]))] = found
            own |= {d.files[0], *found}
        sources += [f for f in d.files if f.endswith(".py")]
    return Inventory(sorted(own), old.skeleton, by, sorted(words(prefix, sources).union(old.words)))


def study(gen: str, wanted: dict[str, Pin], skeleton: set[str]) -> Inventory | None:
    """The inventory of a generation of distributions alone; None when it has a file that
    nobody owns, or anything else that has to be looked at each time."""
    have = compose.reusable(compose.Donor(gen, wanted, True), wanted, skeleton)
    if set(have) != set(wanted):
        return None
    try:
        return extend(Inventory(sorted(compose.with_bytecode([*skeleton])), sorted(skeleton), {}, []), gen, list(have.values()))
    except OSError:
        return None
