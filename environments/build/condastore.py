"""The store of conda packages: archives fetched, checked and unpacked, and prefixes made
from it by hard links. conda.py is its only user.

    CACHE/repodata/          rattler's lists of the channels
    CACHE/part/              archives on their way; what is there is continued
    CACHE/archives/HEX.EXT   whole archives that were asked for, or brought by a bundle
    CACHE/pkgs/STEM/         an unpacked archive, in the form that rattler's installer reads
    CACHE/pkgs/STEM.lock     written last: 8 bytes of count, 32 bytes sha256 of the archive

rattler follows `..` and links when it puts files in their place, and fetches without
resuming: so archives are fetched and looked at here, and it only does the linking.
"""

import hashlib
import http.client
import json
import os
import re
import shutil
import ssl
import struct
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from condapaths import Unfit, intact, look
from rattler.package_streaming import extract

CANONICAL = "https://conda.anaconda.org/"
AGENT = "conjured"
STALL = 30  # seconds without a byte
TRIES = 3
LANES = 4
LARGEST = 8 << 30  # bytes of an archive whose size is not known
ENDS = (".conda", ".tar.bz2")


def say(words: str) -> None:
    print("conjured: " + words, flush=True)


class Failure(Exception):
    """Why something was not done, in the fields of a result."""

    def __init__(
        self,
        kind: str,
        message: str,
        names: Iterable[str] = (),
        channel: str = "",
        missing: Iterable[str] = (),
        versions: dict[str, list[str]] | None = None,
        near: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.fields: dict[str, Any] = {"kind": kind, "message": message[:20000], "names": list(names), "channel": channel}
        self.fields |= {"missing": list(missing), "versions": versions or {}, "near": near or {}}

    def result(self) -> dict[str, Any]:
        return {"ok": False, **self.fields}


def classify(message: str, default: str, channel: str = "") -> Failure:
    """The kind of a failure that came as text."""
    text = message.lower()
    if "os error 28" in text or "no space left" in text or "disk quota" in text:
        return Failure("disk", message, channel=channel)
    if "hash mismatch" in text:
        return Failure("hash", message, channel=channel)
    signs = ("error sending request", "timed out", "dns error", "connection", "certificate", "http status", "urlopen error")
    return Failure("network" if any(s in text for s in signs) else default, message, channel=channel)


class Package(NamedTuple):
    """One locked package."""

    name: str
    version: str
    build: str
    url: str
    sha256: str
    size: int = 0
    md5: str = ""  # "" when nobody says

    @classmethod
    def of(cls, d: dict[str, Any]) -> "Package":
        name, version, build, url, sha256 = (str(d[k]) for k in ("name", "version", "build", "url", "sha256"))
        p = cls(name, version, build, url, sha256, int(d.get("size") or 0), str(d.get("md5") or ""))
        if not re.fullmatch("[0-9a-f]{64}", p.sha256):
            raise Failure("hash", "%s has no sha256" % p.url, [p.name])
        if (
            not re.match(r"(https?|file)://", p.url)
            or not p.url.endswith(ENDS)
            or not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.!+=~-]*", p.stem)
        ):
            raise Failure("other", "not the address of a conda package: " + p.url, [p.name])
        return p

    @property
    def file(self) -> str:
        return self.url.rpartition("/")[2]

    @property
    def stem(self) -> str:
        """The directory that rattler looks for."""
        return "%s-%s-%s" % (self.name, self.version, self.build)

    @property
    def archive(self) -> str:
        return self.sha256 + next(e for e in ENDS if self.url.endswith(e))


def fetched_from(url: str, mirror: str) -> str:
    if mirror and url.startswith(CANONICAL):
        return mirror.rstrip("/") + "/" + url[len(CANONICAL) :]
    return url


def connect(url: str, headers: dict[str, str], seconds: float) -> Any:
    """Open an address, by the proxy and with the certificates that the environment names."""
    request = urllib.request.Request(url, headers={"User-Agent": AGENT, **headers})
    context = ssl.create_default_context() if url.startswith("https:") else None
    return urllib.request.urlopen(request, timeout=seconds, context=context)


def digest(path: str, kind: str = "sha256") -> str:
    with open(path, "rb") as f:
        return hashlib.file_digest(f, kind).hexdigest()


def openly(folder: str) -> None:
    """Let us look into every directory below one: an archive says who may, and without
    capabilities that counts for root too."""
    if not os.path.lexists(folder):
        return
    os.chmod(folder, 0o755)
    for above, folders, _ in os.walk(folder):
        for f in folders:
            if not os.path.islink(os.path.join(above, f)):
                os.chmod(os.path.join(above, f), 0o755)


def wipe(folder: str) -> None:
    openly(folder)
    shutil.rmtree(folder, ignore_errors=True)


class Store:
    """The directory CACHE. One process uses it at a time."""

    def __init__(self, cache: str, mirror: str, offline: bool) -> None:
        self.mirror, self.offline = mirror, offline
        self.pkgs, self.part, self.archives = (os.path.join(cache, d) for d in ("pkgs", "part", "archives"))
        for d in (self.pkgs, self.part, self.archives):
            os.makedirs(d, exist_ok=True)
        self.stop = threading.Event()
        self.unpacked: list[Package] = []
        self.loaded, self.total, self.said = 0, 0, 0.0
        self.lock = threading.Lock()

    def has(self, p: Package) -> bool:
        """Whether a package is unpacked, wholly, and from the archive that is meant."""
        try:
            mark = Path(self.pkgs, p.stem + ".lock").read_bytes()
        except OSError:
            return False
        return mark[8:] == bytes.fromhex(p.sha256) and os.path.exists(os.path.join(self.pkgs, p.stem, "info/index.json"))

    def drop(self, p: Package) -> None:
        """Forget an unpacked package: first the mark that it is whole."""
        Path(self.pkgs, p.stem + ".lock").unlink(missing_ok=True)
        wipe(os.path.join(self.pkgs, p.stem))

    def fill(self, packages: list[Package], check: bool) -> None:
        """Have all packages unpacked, or raise what is wrong with each of them."""
        for left in os.listdir(self.pkgs):
            if left.startswith(".new-"):
                wipe(os.path.join(self.pkgs, left))
        if check:
            for p in packages:
                if self.has(p) and not intact(os.path.join(self.pkgs, p.stem)):
                    say("note conda: %s was damaged in the store" % p.stem)
                    self.drop(p)
        todo = [p for p in packages if not self.has(p)]
        say("note conda: %d packages are stored, %d are not" % (len(packages) - len(todo), len(todo)))
        try:
            self.every(todo, self.unpack)
        finally:
            self.mark()

    def mark(self) -> None:
        """Say of what was unpacked that it is whole, so that it is also after the power went."""
        if self.unpacked:
            os.sync()
        for p in self.unpacked:
            Path(self.pkgs, p.stem + ".lock").write_bytes(struct.pack(">Q", 1) + bytes.fromhex(p.sha256))
            Path(self.part, p.archive).unlink(missing_ok=True)

    def collect(self, packages: list[Package], folder: str) -> tuple[dict[str, str], dict[str, str]]:
        """Have all archives in a directory; gives their names there, and their md5, by hash."""
        os.makedirs(folder, exist_ok=True)

        def one(p: Package) -> None:
            final = os.path.join(folder, p.archive)
            if not os.path.exists(final) or digest(final) != p.sha256:
                os.replace(self.archive(p), final) if not self.kept(p) else shutil.copyfile(self.archive(p), final)

        self.every(packages, one)
        sums = {p.sha256: digest(os.path.join(folder, p.archive), "md5") for p in packages}
        return {p.sha256: p.archive for p in packages}, sums

    def every(self, packages: list[Package], work: Any) -> None:
        """Do something for each package, some at a time; raise one failure for all that failed."""
        if self.offline:
            absent = [p for p in packages if not self.kept(p) and not os.path.exists(os.path.join(self.part, p.archive))]
            if absent:
                names = [p.name for p in absent]
                raise Failure("network", "not stored: " + ", ".join(names), names, missing=[p.url for p in absent])
        self.total = sum(p.size for p in packages)
        failures: list[Failure] = []

        def one(p: Package) -> None:
            if self.stop.is_set():
                return
            try:
                work(p)
            except Failure as e:
                failures.append(e)
            except Exception as e:
                failures.append(classify("%s: %s: %s" % (p.file, type(e).__name__, e), "other"))
                failures[-1].fields["names"] = [p.name]
            if failures and failures[-1].fields["kind"] in ("network", "disk"):
                self.stop.set()  # the others would fail as well

        with ThreadPoolExecutor(LANES) as pool:
            list(pool.map(one, packages))
        if failures:
            first = failures[0].fields
            for f in failures[1:]:
                first["names"] += f.fields["names"]
                first["missing"] += f.fields["missing"]
            raise failures[0]

    def kept(self, p: Package) -> bool:
        return os.path.exists(os.path.join(self.archives, p.archive))

    def archive(self, p: Package) -> str:
        """A package's archive on disk, checked."""
        if self.kept(p):
            path = os.path.join(self.archives, p.archive)
            if digest(path) == p.sha256:
                return path
            os.unlink(path)
        path = os.path.join(self.part, p.archive)
        for attempt in range(TRIES):
            begun = os.path.exists(path)
            if begun and digest(path) == p.sha256:
                return path
            if self.offline:
                break
            try:
                self.load(p, path)
            except urllib.error.HTTPError as e:
                e.close()
                text = "%s: HTTP status %d" % (p.url, e.code)
                if e.code in (404, 410):
                    raise Failure("missing", text, [p.name], missing=[p.url]) from e
                if e.code == 416 and begun:
                    os.unlink(path)
                elif e.code < 500 or attempt + 1 == TRIES:
                    raise Failure("network", text, [p.name], missing=[p.url]) from e
            except (OSError, ValueError, http.client.HTTPException) as e:
                if getattr(e, "errno", None) in (28, 122) or attempt + 1 == TRIES:
                    raise classify("%s: %s: %s" % (p.url, type(e).__name__, e), "network") from e
            else:
                if digest(path) == p.sha256:
                    return path
                os.unlink(path)
                if not begun:  # what was continued may have begun wrong
                    raise Failure("hash", "hash mismatch: %s is not the file that was chosen" % p.url, [p.name], missing=[p.url])
            time.sleep(0.5 * (attempt + 1))
        raise Failure("network", "not stored: " + p.file, [p.name], missing=[p.url])

    def load(self, p: Package, path: str) -> None:
        """Fetch an archive, from where an earlier attempt stopped."""
        start = os.path.getsize(path) if os.path.exists(path) else 0
        headers = {"Range": "bytes=%d-" % start} if start else {}
        with connect(fetched_from(p.url, self.mirror), headers, STALL) as answer:
            if start and getattr(answer, "status", 0) != 206:
                start = 0
            with open(path, "ab" if start else "wb") as f:
                left = (p.size or LARGEST) - start
                while data := answer.read(1 << 16):
                    left -= len(data)
                    if left < 0:
                        break  # longer than what was chosen: its hash will not fit
                    f.write(data)
                    self.progress(len(data))
            whole = getattr(answer, "length", None) in (0, None)
        if left >= 0 and not whole:
            raise OSError("the connection was cut")

    def progress(self, n: int) -> None:
        with self.lock:
            self.loaded += n
            if time.monotonic() - self.said > 0.5:
                self.said = time.monotonic()
                say("done conda-download %d %d" % (self.loaded >> 20, max(self.total, self.loaded) >> 20))

    def unpack(self, p: Package) -> None:
        archive = self.archive(p)
        if p.md5 and digest(archive, "md5") != p.md5:  # a list may go by that alone
            raise Failure("hash", "hash mismatch: %s is not the file that was chosen" % p.url, [p.name])
        new = os.path.join(self.pkgs, ".new-" + p.stem)
        wipe(new)
        try:
            extract(Path(archive), Path(new))
            openly(new)
            try:
                look(new)
            except Unfit as e:
                raise Failure("other", "%s: %s" % (p.file, e), [p.name]) from e
            index = json.loads(Path(new, "info/index.json").read_bytes())
            if "%s-%s-%s" % (index.get("name"), index.get("version"), index.get("build")) != p.stem:
                raise Failure("hash", "%s holds another package" % p.url, [p.name])
        except BaseException:
            wipe(new)
            raise
        self.drop(p)
        os.rename(new, os.path.join(self.pkgs, p.stem))
        self.unpacked.append(p)
