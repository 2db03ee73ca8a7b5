"""The lists of what channels have, as rattler keeps them, made safe against being killed.

rattler writes some of its files in place. Killed at that moment, or when the power goes,
it leaves lists that nobody can read, and without internet nothing can be chosen then. So
the lists of the last run that came to its end are kept beside, and are put back.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import shutil
import struct
import urllib.error
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from condastore import LANES, STALL, Failure, connect, digest, fetched_from

Answer = TypeVar("Answer")

LARGEST = 4 << 30  # bytes of all lists; those of conda-forge and bioconda have half a GB
LOOK = 1.0  # seconds between looks at their size
LARGE = 64 << 20  # bytes; rattler writes repodata.json, the only file so large, as a new file


class Lists:
    """The directory CACHE/repodata, and CACHE/repodata.good, what it last was."""

    def __init__(self, cache: str) -> None:
        self.folder, self.good, self.mark = (os.path.join(cache, n) for n in ("repodata", "repodata.good", "repodata.begun"))
        os.makedirs(self.folder, exist_ok=True)

    def begin(self, offline: bool) -> None:
        """Put the good lists back after a run that did not end, and remember that this one begins."""
        if os.path.exists(self.mark) and os.path.isdir(self.good):
            self.drop()
            put(self.good, self.folder)
        if not offline:
            Path(self.mark).touch()

    def drop(self) -> None:
        for f in files(self.folder):
            os.unlink(os.path.join(self.folder, f))

    def size(self) -> int:
        """Bytes of all lists. One that is being exchanged may be gone between two looks."""
        with contextlib.suppress(FileNotFoundError):
            return sum(os.path.getsize(os.path.join(self.folder, f)) for f in files(self.folder))
        return 0

    async def limit(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        """What work gives, unless the lists become larger than any channel's are."""
        task = asyncio.ensure_future(work)
        while not (await asyncio.wait({task}, timeout=LOOK))[0]:
            if self.size() > LARGEST:
                task.cancel()
                self.drop()
                raise Failure("other", "the lists of the channels have more than %d MB" % (LARGEST >> 20))
        return task.result()

    def end(self) -> None:
        """The lists are whole."""
        if not os.path.exists(self.mark):
            return
        new = self.good + ".new"
        shutil.rmtree(new, ignore_errors=True)
        os.makedirs(new)
        put(self.folder, new)
        shutil.rmtree(self.good, ignore_errors=True)
        os.rename(new, self.good)
        os.unlink(self.mark)

    def digest(self, subdir: str) -> str:
        """The hash of one list: of the index of its shards, or of repodata.json."""
        for name in files(self.folder):
            path = os.path.join(self.folder, name)
            if name.endswith(".shards-cache-v1"):
                data = Path(path).read_bytes()
                end = 18 + struct.unpack("<I", data[14:18])[0] if len(data) > 18 else 0
                if len(data) > end and (subdir + "/repodata_shards").encode() in data[:end]:
                    return hashlib.sha256(data[end:]).hexdigest()
            elif name.endswith(".info.json"):
                url = json.loads(Path(path).read_bytes()).get("url", "")
                if url.rpartition("/")[0] == subdir:
                    return digest(path.removesuffix(".info.json") + ".json")
        return ""


def files(folder: str) -> list[str]:
    return sorted(e.name for e in os.scandir(folder) if e.is_file() and not e.name.endswith(".lock"))


def put(source: str, target: str) -> None:
    """The files of one directory in another, with their times: rattler compares them."""
    for f in files(source):
        old, new = os.path.join(source, f), os.path.join(target, f)
        if os.path.getsize(old) > LARGE:
            os.link(old, new)
        else:
            shutil.copy2(old, new)


def reach(channels: list[str], mirror: str) -> None:
    """Raise when a channel's server does not answer: rattler waits for minutes."""

    def try_one(channel: str) -> str:
        if channel.startswith("file:"):
            return ""
        try:
            connect(fetched_from(channel + "/noarch/repodata_shards.msgpack.zst", mirror), {"Range": "bytes=0-0"}, STALL).close()
        except urllib.error.HTTPError as e:
            e.close()
            # 403 is also what some stores of files say of one that they have not.
            return "HTTP status %d" % e.code if e.code >= 500 or e.code == 407 else ""
        except (OSError, ValueError) as e:
            return str(e) or type(e).__name__
        return ""

    with ThreadPoolExecutor(LANES) as pool:
        failed = {c: why for c, why in zip(channels, pool.map(try_one, channels), strict=True) if why}
    if failed:
        channel = next(iter(failed))
        message = "; ".join("%s: %s" % f for f in failed.items())
        raise Failure("network", message, names=[c for c in channels if c not in failed], channel=channel)
