"""Make a wheel of a package that exists as source only, where the teacher allows it.

Run as `python -I -S WORK/source/source.py fetch|build`. The directory holds source.json:
name, version ("" for the newest), index, hashes (of which the source has to have one; null
for any), and uv with its options. It ends with 3 when the source has none of them. fetch
may use the network and runs nothing of the package: it loads the source, checks its hash,
and installs what it says that building needs, from wheels only. build runs the package's own code, in a
container without network that sees nothing but this directory; out/ has the wheel then.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import urllib.parse
import urllib.request
from typing import Any

HERE = os.path.dirname(os.path.abspath(__file__))
OTHER = 3  # exit code: the source is not one that is allowed
LARGEST = 200 << 20  # bytes of an archive
JSON = "application/vnd.pypi.simple.v1+json"

HOOK = """
import importlib, json, os, sys
job = json.loads(sys.argv[1])
sys.path[:0] = job["path"]
backend = importlib.import_module(job["module"])
for name in filter(None, job["object"].split(".")):
    backend = getattr(backend, name)
print("conjured: note built " + backend.build_wheel(job["out"]))
"""


def at(name: str) -> str:
    return os.path.join(HERE, name)


def load(url: str, accept: str = "*/*") -> bytes:
    if not url.startswith(("https://", "http://")):
        sys.exit("error: %s is no address of the internet" % url)  # an index may name a file of the box
    request = urllib.request.Request(url, headers={"Accept": accept, "User-Agent": "conjured"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        data: bytes = answer.read(LARGEST + 1)
    if len(data) > LARGEST:
        sys.exit("error: %s is too large" % url)
    return data


def has(data: bytes, checksum: str) -> bool:
    """Whether a checksum, such as sha256:9f86..., is one of the data."""
    kind, _, digest = checksum.partition(":")
    return kind in ("sha256", "sha384", "sha512") and hashlib.new(kind, data).hexdigest() == digest


def order(version: str) -> list[int]:
    return [int(n) for n in re.findall(r"\d+", version)]


def choose(files: list[dict[str, Any]], version: str) -> dict[str, Any]:
    """The newest source archive, or the one of a version."""
    found: list[tuple[list[int], dict[str, Any]]] = []
    for f in files:
        m = re.fullmatch(r".+-(\d[^-]*)\.tar\.gz", str(f["filename"]))
        good = m and not f.get("yanked") and f.get("hashes", {}).get("sha256")
        if m and good and (m[1] == version or not version and re.fullmatch(r"[\d.]+", m[1])):
            found.append((order(m[1]), f))
    if not found:
        sys.exit("error: there is no source archive")
    return max(found, key=lambda x: x[0])[1]


def project() -> tuple[str, dict[str, Any]]:
    """The unpacked source, and what it says of its building (PEP 518)."""
    top = at("src/" + os.listdir(at("src"))[0])
    try:
        with open(os.path.join(top, "pyproject.toml"), "rb") as f:
            system = tomllib.load(f).get("build-system", {})
    except FileNotFoundError:
        system = {}
    if "requires" not in system:
        system = {"requires": ["setuptools", "wheel"], "build-backend": "setuptools.build_meta:__legacy__"}
    return top, system


def fetch(job: dict[str, Any]) -> None:
    index = "%s/%s/" % (job["index"].rstrip("/"), job["name"])
    f = choose(json.loads(load(index, JSON))["files"], job["version"])
    data = load(urllib.parse.urljoin(index, f["url"]))
    if hashlib.sha256(data).hexdigest() != f["hashes"]["sha256"]:
        sys.exit("error: Hash mismatch for `%s`" % f["filename"])
    if job["hashes"] and not any(has(data, h) for h in job["hashes"]):
        sys.exit(OTHER)
    with open(at("archive"), "wb") as out:
        out.write(data)
    with tarfile.open(at("archive")) as t:
        t.extractall(at("src"), filter="data")
    tools = [str(r) for r in project()[1]["requires"]]
    if tools:
        with open(at("tools.txt"), "w") as out_text:
            out_text.write("".join(r.replace("\n", " ") + "\n" for r in tools))
        args = [job["uv"], "pip", "install", "--quiet", "--python", sys.executable, "--target", at("tools"), "--no-build"]
        sys.exit(subprocess.run([*args, *job["options"], "-r", at("tools.txt")]).returncode)


def build() -> None:
    top, system = project()
    module, _, inside = str(system.get("build-backend", "setuptools.build_meta:__legacy__")).partition(":")
    path = [os.path.join(top, p) for p in system.get("backend-path", [])]
    os.makedirs(at("out"), exist_ok=True)
    job = {"path": [*path, at("tools")], "module": module, "object": inside, "out": at("out")}
    sys.exit(subprocess.run([sys.executable, "-I", "-S", "-c", HOOK, json.dumps(job)], cwd=top).returncode)


if __name__ == "__main__":
    os.umask(0o022)
    if sys.argv[1] == "fetch":
        with open(at("source.json")) as text:
            fetch(json.load(text))
    else:
        build()
