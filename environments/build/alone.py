"""Whether a generation is the one in use and something beside it, which nothing looks for."""

import configparser
import os
import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

import compose
from inventory import Inventory


class Others(NamedTuple):
    """The distributions that were there before, as far as new ones may meet them."""

    has: Callable[[str], bool]  # whether a file is theirs
    tops: set[str]  # what can be imported of them
    looks: Callable[[set[str]], str]  # who looks for one of some names; "" for nobody


def heads(files: Iterable[str]) -> set[str]:
    """What can be imported by the first part of a file's name in the directory of packages."""
    return {f.split("/")[0].split(".")[0] for f in files}


def read(gen: str, done: set[str]) -> Others:
    """The others by their files, whose sources are read."""
    inside = [os.path.relpath(f, compose.PACKAGES) for f in done if f.startswith(compose.PACKAGES)]
    return Others(done.__contains__, heads(inside), lambda tops: looked_for(gen, tops, done))


def known(prev: str, gen: str, i: Inventory) -> Others:
    """The others by the inventory of the generation that they are."""
    words = set(i.words)

    def looks(tops: set[str]) -> str:
        if plain := {t for t in tops if re.fullmatch(r"\w+", t, re.A)} & words:
            return "a module looks for %s" % min(plain)
        odd = {t for t in tops if not re.fullmatch(r"\w+", t, re.A)}
        return looked_for(prev, odd, compose.listing(prev)) if odd else ""

    return Others(
        lambda f: os.path.lexists(os.path.join(prev, f)), heads(os.listdir(os.path.join(prev, compose.PACKAGES))), looks
    )


def touches(gen: str, new: dict[str, list[str]], others: Others, fresh: set[str]) -> str:
    """Why the distributions that are new, with their files, might change how the others
    work; "" when they lie beside them and nothing looks for them. Fresh are all files that
    are not the others'.

    Every file of the others is the file that was tried before. What could still differ
    is what they find when they run: start-up files, plug-ins (entry points, and all that
    Jupyter reads below etc and share), a package that they share, and modules that they
    use when they are there. Programs in compiled modules are not looked into.
    """
    tops: set[str] = set()
    listed: set[str] = set()
    for name, files in new.items():
        for f in files:
            listed.add(f)
            if others.has(f):
                return "%s brings another file %s" % (name, f)
            if f.endswith("/entry_points.txt") and plugs_in(os.path.join(gen, f)):
                return "%s is a plug-in" % name
            if not f.startswith((compose.PACKAGES + "/", "bin/")) or f.endswith(".pth"):
                return "%s brings %s" % (name, f)
            head = os.path.relpath(f, compose.PACKAGES).split("/")[0]
            if f.startswith(compose.PACKAGES) and not head.endswith(".dist-info"):
                tops.add(head.split(".")[0])
    if not listed or not tops or any("\n" in t or not t for t in tops):
        return "no list of files"
    if odd := fresh - listed - {".lock"}:
        return "a file that no list names: %s" % min(odd)
    if both := tops & (others.tops | {"sitecustomize", "usercustomize"}):
        return "more of %s" % min(both)
    return others.looks(tops)


def plugs_in(path: str) -> bool:
    """Whether entry points are more than programs to be started by hand."""
    c = configparser.ConfigParser(delimiters=("=",), interpolation=None, strict=False)
    try:
        c.read(path, encoding="utf-8")
    except (configparser.Error, UnicodeError):
        return True
    return not set(c.sections()) <= {"console_scripts", "gui_scripts"}


def looked_for(gen: str, tops: set[str], done: set[str]) -> str:
    """A module that imports one of the names, or asks for it in quotes."""
    names = "|".join(sorted(re.escape(t) for t in tops))
    plain = [t.encode() for t in tops]
    form = re.compile(
        (
            r"^\s*(?:import|from)\s(?:[^\n#]*[\s,])?(?:%s)\b|(?:import\w*|find_spec|require)\(\s*[rb]?['\"](?:%s)\b"
            % (names, names)
        ).encode(),
        re.M,
    )
    for f in done:
        if f.endswith(".py"):
            with open(os.path.join(gen, f), "rb") as src:
                text = src.read()
            if any(p in text for p in plain) and form.search(text):
                return "%s looks for it" % f
    return ""
