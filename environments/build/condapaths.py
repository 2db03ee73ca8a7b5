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

ENTRY = re.compile(r"[A-Za-z0-9_.-]+\s*=\s*[A-Za-z0-9_.]+:[A-Za-z0-9_.]+\s*(\[[A-Za-z0-9_,. -]*\]\s*)?")
OURS = ("conda-meta", "info", "hot", "lease", "manifest.txt", "generation.json", "ok")


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
    """Whether a path stays below where it begins, and has one spelling only."""
    parts = path.split("/")
    return bool(path) and all(p not in ("", ".", "..") for p in parts) and not re.search(r"[\x00-\x1f\\]", path)


def target_inside(path: str, target: str) -> bool:
    """Whether a link stays in the prefix: `..` only to begin with, and not too often."""
    up = 0
    parts = target.split("/")
    while parts and parts[0] == "..":
        up, parts = up + 1, parts[1:]
    return up <= path.count("/") and (not parts or plain("/".join(parts)))


def look(folder: str) -> None:
    """Raise Unfit unless every file and link of a package stays in the prefix it is for."""
    try:
        entries = listed(folder)
        names = [e["_path"] for e in entries]
        if not all(isinstance(n, str) for n in names):
            raise Unfit("it lists files that have no names")
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise Unfit("what it holds cannot be read (%s)" % e) from e
    links: set[str] = set()
    for name in names:
        if not plain(name) or name.split("/")[0] in OURS:
            raise Unfit("it has a file outside of its place: %.200s" % name)
        links |= one(folder, name)
    through(names, links)
    entry_points(folder)


def one(folder: str, name: str) -> set[str]:
    """Look at one file; gives its name when it is a link."""
    path = os.path.join(folder, name)
    try:
        mode = os.lstat(path).st_mode
        if stat.S_ISLNK(mode):
            if not target_inside(name, os.readlink(path)):
                raise Unfit("it has a link to outside of its place: %.200s" % name)
            return {name}
    except OSError as e:
        raise Unfit("it has not the file %.200s" % name) from e
    if not stat.S_ISREG(mode):
        raise Unfit("%.200s is no file" % name)
    return set()


def through(names: list[str], links: set[str]) -> None:
    """Raise when a file is to be put where a link leads."""
    for name in names:
        parent = os.path.dirname(name)
        while parent:
            if parent in links:
                raise Unfit("%.200s is reached by a link" % name)
            parent = os.path.dirname(parent)


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


def together(folders: list[str]) -> None:
    """Raise when a package would put a file through another one's link."""
    names: list[str] = []
    links: set[str] = set()
    for folder in folders:
        for e in listed(folder):
            names.append(e["_path"])
            if os.path.islink(os.path.join(folder, e["_path"])):
                links.add(e["_path"])
    if links:
        through(names, links)


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
