"""What conda-meta says of a prefix: which files are conda's, and which of Python's
distributions came with them."""

import email.parser
import glob
import json
import os
import re
import zipfile
from typing import Any, NamedTuple

from lock import normalise

VERSION = re.compile(r"[0-9]+(\.[0-9]+)*([a-z0-9.+!_-]*)", re.I)


class Provided(NamedTuple):
    """A distribution of Python that a package of conda brings."""

    name: str  # as the distribution writes it
    version: str
    extras: list[str]
    package: str  # of conda


def records(prefix: str) -> list[dict[str, Any]]:
    """One for each package; none when prefix is no prefix of conda."""
    out = []
    for path in sorted(glob.glob(os.path.join(prefix, "conda-meta", "*.json"))) if prefix else []:
        with open(path) as f:
            out.append(json.load(f))
    return out


def files(prefix: str) -> set[str]:
    """All that conda has put there, relative to the prefix."""
    out: set[str] = set()
    for r in records(prefix):
        out.update(r.get("files") or [])
    for folder, _, names in os.walk(os.path.join(prefix, "conda-meta")) if prefix else []:
        out.update(os.path.relpath(os.path.join(folder, n), prefix) for n in names)
    return out


def provided(prefix: str) -> dict[str, Provided]:
    """The distributions of Python among the packages, by normalised name."""
    out: dict[str, Provided] = {}
    for r in records(prefix):
        for f in r.get("files") or []:
            if not re.search(r"/site-packages/[^/]+\.(dist-info/METADATA|egg-info/PKG-INFO|egg-info)$", "/" + f):
                continue
            try:
                with open(os.path.join(prefix, f), encoding="utf-8", errors="replace") as text:
                    meta = email.parser.HeaderParser().parse(text)
            except OSError:
                continue
            name, version = str(meta["Name"] or "").strip(), str(meta["Version"] or "").strip()
            if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name) and VERSION.fullmatch(version):
                extras = [str(e).strip() for e in meta.get_all("Provides-Extra") or []]
                out[normalise(name)] = Provided(name, version, extras, str(r.get("name", "")))
    return out


def stubs(have: dict[str, Provided], folder: str) -> list[str]:
    """Lines that tell uv that it need not, and must not, look for these distributions.

    Each is a wheel with a name and a version, in a folder where uv finds it again.
    """
    os.makedirs(folder, exist_ok=True)
    out = []
    for name, p in sorted(have.items()):
        stem = "%s-%s" % (name.replace("-", "_"), p.version.replace("-", "_"))
        path = os.path.join(folder, stem + "-py3-none-any.whl")
        if not os.path.exists(path):
            meta = "Metadata-Version: 2.1\nName: %s\nVersion: %s\n" % (p.name, p.version)
            meta += "".join("Provides-Extra: %s\n" % e for e in p.extras if re.fullmatch(r"[A-Za-z0-9._-]+", e))
            stub(path, stem, meta)
        out.append("%s @ file://%s\n" % (name, path))
    return out


def stub(path: str, stem: str, meta: str) -> None:
    """A wheel with nothing but metadata."""
    with zipfile.ZipFile(path + ".part", "w") as z:
        for file, text in (
            ("METADATA", meta),
            ("WHEEL", "Wheel-Version: 1.0\nGenerator: conjured\nRoot-Is-Purelib: true\nTag: py3-none-any\n"),
            ("RECORD", ""),
        ):
            z.writestr(zipfile.ZipInfo(stem + ".dist-info/" + file), text)
    os.replace(path + ".part", path)


def installed_stubs(packages: str, folder: str) -> str:
    """A folder in which uv finds what is installed in a directory of packages: without a
    network nothing else may know what the image's own packages need."""
    os.makedirs(folder, exist_ok=True)
    for path in glob.glob(os.path.join(packages, "*.dist-info", "METADATA")):
        stem = os.path.basename(os.path.dirname(path)).removesuffix(".dist-info")
        with open(path, encoding="utf-8", errors="replace") as f:
            stub(os.path.join(folder, stem + "-py3-none-any.whl"), stem, f.read())
    return folder


def kernel(prefix: str) -> list[str]:
    """How a kernel that a package of conda brings is started, its program without a path.

    [] when there is none but that of ipykernel.
    """
    for path in sorted(glob.glob(os.path.join(prefix, "share/jupyter/kernels/*/kernel.json"))):
        try:
            with open(path) as f:
                argv = json.load(f)["argv"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if not isinstance(argv, list) or not argv or not all(isinstance(a, str) for a in argv):
            continue
        program = os.path.basename(argv[0])
        if any(a.startswith("ipykernel") for a in argv) or not os.access(os.path.join(prefix, "bin", program), os.X_OK):
            continue
        return [program, *argv[1:]]
    return []
