"""Look at an unpacked conda package before any of it is put into a prefix.

rattler's installer takes the paths that a package lists as they are: with `..` in them,
or through a link, a file would be put outside of the prefix, into another environment.
"""

import hashlib
import json
import os
import re
import stat
from typing import Any

CONTROL = re.compile("[\x00-\x1f]")
TURNS = 40  # as many links as Linux follows for one path
ENTRY = re.compile(r"[A-Za-z0-9_.+-]+\s*=\s*[A-Za-z0-9_.]+:[A-Za-z0-9_.]+\s*(\[[A-Za-z0-9_,. -]*\]\s*)?")
OURS = ("conda-meta", "info", "hot", "lease", "manifest.txt", "variables.txt", "generation.json", "ok")


class Unfit(ValueError):
    """A package that no environment may hold, and why."""


def listed(folder: str) -> list[dict[str, Any]]:
    """The files of a package, as paths.json lists them, or `files` of an old package."""
    try:
        with open(os.path.join(folder, "info/paths.json"), encoding="utf-8") as f:
            return list(json.load(f)["paths"])
    except FileNotFoundError:
        with open(os.path.join(folder, "info/files"), encoding="utf-8") as f:
            return [{"_path": line} for line in f.read().splitlines() if line]


def plain(path: str) -> bool:
    """Whether a path stays below where it begins, and has one spelling only.

    A name that rattler gives to a file when two packages have it could lead elsewhere
    than it seems.
    """
    parts = path.split("/")
    return bool(path) and all(p not in ("", ".", "..") and "__clobber-from-" not in p for p in parts) and not CONTROL.search(path)


def look(folder: str) -> None:
    """Raise Unfit unless every file and link of a package stays in the prefix it is for."""
    entry_points(folder)
    together([folder])


def together(folders: list[str]) -> None:
    """Raise Unfit unless what packages hold stays in the prefix, also by way of each other's links."""
    names: list[str] = []
    links: dict[str, str] = {}
    every: list[tuple[str, str]] = []
    for folder in folders:
        for name in checked(folder):
            names.append(name)
            if os.path.islink(os.path.join(folder, name)):
                target = os.readlink(os.path.join(folder, name))
                every.append((name, target))
                if links.setdefault(name, target) != target:
                    links[name] = "/"  # who knows which of them it will be: nothing may go through it
    where(links)
    for name, target in every:
        step(name, target, links)
    for name in names if links else []:
        place(name, links)


def checked(folder: str) -> list[str]:
    """The names of a package's files, each a file or link that is there, at a plain path."""
    try:
        names = [e["_path"] for e in listed(folder)]
        if not all(isinstance(n, str) for n in names):
            raise Unfit("it lists files that have no names")
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise Unfit("what it holds cannot be read (%s)" % e) from e
    for name in names:
        if not plain(name) or name.split("/")[0] in OURS:
            raise Unfit("it has a file outside of its place: %.200s" % name)
        try:
            mode = os.lstat(os.path.join(folder, name)).st_mode
        except OSError as e:
            raise Unfit("it has not the file %.200s" % name) from e
        if not stat.S_ISREG(mode) and not stat.S_ISLNK(mode):
            raise Unfit("%.200s is no file" % name)
    return names


def where(links: dict[str, str]) -> None:
    """Know links also at the places where they really are, when that is by way of others."""
    for _ in range(TURNS):
        found = {real: links[n] for n in links if (real := place(n, links)) not in links}
        if not found:
            return
        links |= found
    raise Unfit("its links lead astray")


def place(name: str, links: dict[str, str]) -> str:
    """Where a file really is, once its directory's links are followed."""
    folder, _, base = name.rpartition("/")
    real = follow(folder.split("/") if folder else [], links, name)
    if (real + [base])[0] in OURS:
        raise Unfit("it has a file outside of its place: %.200s" % name)
    return "/".join([*real, base])


def step(name: str, target: str, links: dict[str, str]) -> None:
    """Raise Unfit when a link leads out of the prefix."""
    folder = place(name, links).split("/")[:-1]
    if target.startswith("/") or not target:
        raise Unfit("it has a link to outside of its place: %.200s" % name)
    follow([*folder, *target.split("/")], links, name)


def follow(parts: list[str], links: dict[str, str], name: str) -> list[str]:
    """Where a path leads, as the system goes: link by link, never above the prefix."""
    todo = list(reversed(parts))
    out: list[str] = []
    turns = 0
    while todo:
        part = todo.pop()
        if part in ("", "."):
            continue
        if part == "..":
            if not out:
                raise Unfit("it has a link to outside of its place: %.200s" % name)
            out.pop()
            continue
        out.append(part)
        target = links.get("/".join(out))
        if target is not None:
            turns += 1
            if turns > TURNS or target.startswith("/"):
                raise Unfit("%.200s is reached by a link that leads astray" % name)
            out.pop()
            todo += reversed(target.split("/"))
    return out


def entry_points(folder: str) -> None:
    """Raise when a program that is made for a package could have another name or content."""
    try:
        with open(os.path.join(folder, "info/link.json"), encoding="utf-8") as f:
            noarch = json.load(f).get("noarch")
    except FileNotFoundError:
        return
    except (OSError, ValueError, AttributeError) as e:
        raise Unfit("its programs cannot be read (%s)" % e) from e
    for program in (noarch.get("entry_points") or []) if isinstance(noarch, dict) else []:
        if not isinstance(program, str) or not ENTRY.fullmatch(program.strip()):
            raise Unfit("it names a program that is none: %.200r" % program)


def intact(folder: str) -> bool:
    """Whether every file has the hash that the package lists."""
    try:
        for e in listed(folder):
            path = os.path.join(folder, e["_path"])
            if os.path.islink(path):
                continue
            with open(path, "rb") as f:
                if "sha256" in e and hashlib.file_digest(f, "sha256").hexdigest() != e["sha256"]:
                    return False
                if "size_in_bytes" in e and os.fstat(f.fileno()).st_size != e["size_in_bytes"]:
                    return False
        look(folder)
    except (OSError, ValueError):
        return False
    return True
