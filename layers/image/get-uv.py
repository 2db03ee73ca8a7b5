"""Fetch uv, the installer, from the package index and check its hash.

Usage: get-uv.py LOCK TARGET. LOCK is uv.txt, which lists the hash of every wheel
of the one version it names; TARGET is where the program goes. A base image has no
pip, and this is all that pip would be needed for.
"""

import hashlib
import html.parser
import io
import os
import platform
import re
import sys
import urllib.parse
import urllib.request
import zipfile

INDEX = os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("PIP_INDEX_URL") or "https://pypi.org/simple"
LARGEST = 100 << 20


class Links(html.parser.HTMLParser):
    """Collects the targets of the links on an index page."""

    def __init__(self) -> None:
        super().__init__()
        self.hrefs: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.hrefs += [value for name, value in attrs if tag == "a" and name == "href" and value]


def get(url: str) -> bytes:
    """Fetch url, at most LARGEST bytes."""
    request = urllib.request.Request(url, headers={"Accept": "text/html"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        body: bytes = answer.read(LARGEST + 1)
    if len(body) > LARGEST:
        raise SystemExit(f"{url} is larger than {LARGEST} bytes")
    return body


def wheel(version: str) -> str:
    """Find the wheel of that version for this machine."""
    libc = "manylinux" if platform.libc_ver()[0] == "glibc" else "musllinux"
    page = f"{INDEX.rstrip('/')}/uv/"
    links = Links()
    links.feed(get(page).decode())
    for href in links.hrefs:
        name = href.split("#")[0].rsplit("/", 1)[-1]
        if name.startswith(f"uv-{version}-") and libc in name and name.endswith(f"_{platform.machine()}.whl"):
            return urllib.parse.urljoin(page, href).split("#")[0]
    raise SystemExit(f"{page} has no uv {version} for {platform.machine()} ({libc})")


def main(lock: str, target: str) -> None:
    with open(lock, encoding="utf-8") as f:
        text = f.read()
    version = re.search(r"^uv==([0-9.]+)", text, re.MULTILINE)
    if not version:
        raise SystemExit(f"{lock} names no version of uv")
    body = get(wheel(version[1]))
    digest = hashlib.sha256(body).hexdigest()
    if f"--hash=sha256:{digest}" not in text:
        raise SystemExit(f"uv {version[1]} has the hash {digest}, which is not in {lock}")
    with zipfile.ZipFile(io.BytesIO(body)) as z:
        program = z.read(next(n for n in z.namelist() if n.endswith(".data/scripts/uv")))
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(target, "wb") as out:
        out.write(program)
    os.chmod(target, 0o755)


if __name__ == "__main__":
    main(*sys.argv[1:])
