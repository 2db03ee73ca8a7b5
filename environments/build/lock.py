"""Requirements files in which every line is pinned: what uv writes and manifests are."""

import re
from typing import NamedTuple


class Pin(NamedTuple):
    line: str  # name==version or name @ url
    version: str  # "" for one that comes from an address
    hashes: frozenset[str]


def normalise(name: str) -> str:
    """A distribution's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read(path: str) -> dict[str, Pin]:
    """The pins by name. Markers, comments and options for an index are dropped."""
    try:
        with open(path) as f:
            text = f.read()
    except FileNotFoundError:
        return {}
    out: dict[str, Pin] = {}
    for line in text.replace("\\\n", " ").splitlines():
        pin, *hashes = re.split(r"\s+--hash=", re.sub(r"(^|\s)#.*", "", line).strip())
        pin = pin.split(" ;")[0].strip()
        if not pin or pin.startswith("-"):
            continue
        name, at, url = pin.partition(" @ ")
        name, _, version = (name, "", "") if at else name.partition("==")
        key = normalise(name.split("[")[0].strip())
        line = "%s @ %s" % (key, url) if at else "%s==%s" % (key, version)
        out[key] = Pin(line, version.strip(), frozenset(h.strip() for h in hashes))
    return out


def without(text: str, names: set[str]) -> str:
    """Requirements as they are, markers and all, but for some names."""
    kept = []
    for line in text.replace("\\\n", "\x00").splitlines():
        m = re.match(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)", line)
        if not m or normalise(m[1]) not in names:
            kept.append(line.replace("\x00", "\\\n") + "\n")
    return "".join(kept)


def write(path: str, pins: dict[str, Pin]) -> None:
    """In the form that manifests have, so that equal ones are equal bytes."""
    with open(path, "w") as f:
        for name in sorted(pins):
            f.write(" \\\n    --hash=".join([pins[name].line, *sorted(pins[name].hashes)]) + "\n")
