"""Choose packages of conda channels: conda.py's verb solve, and why there is no choice."""

import datetime
import difflib
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import condastore
from condalists import Lists, reach
from condastore import CANONICAL, Failure, say
from rattler import (
    Client,
    Gateway,
    GenericVirtualPackage,
    MatchSpec,
    PackageName,
    RepoDataRecord,
    SourceConfig,
    Subdir,
    Version,
    VirtualPackage,
    solve,
)
from rattler.exceptions import GatewayError, InvalidChannelError, InvalidMatchSpecError, SolverError
from rattler.networking import MirrorMiddleware, RetryMiddleware
from rattler.package import BuildString

ANACONDA = "https://repo.anaconda.com/"
SOLVING = 120.0  # seconds for one choice
CANCELLED = "has been cancelled"  # what rattler says of a choice that took too long
LISTS = 300  # seconds for one file of a channel's list; conda-forge's largest has 50 MB
SEARCH = 30.0  # seconds to look for the smallest set of lines that clash
SUBDIRS = {"linux-x86_64": "linux-64", "linux-amd64": "linux-64", "linux-arm64": "linux-aarch64"}


@dataclass
class Ask:
    """A solve job."""

    channels: list[str]
    specs: list[str]
    cache: str
    platform: str = ""
    mirror: str = ""
    locked: list[dict[str, Any]] = field(default_factory=list)
    constraints: list[str] = field(default_factory=list)
    offline: bool = False
    exclude_newer: str | None = None


def address(channel: str) -> str:
    """The canonical address of a channel, without a slash at its end.

    Anaconda's own are elsewhere; whether the school may use them was asked before.
    """
    channel = {"defaults": "pkgs/main"}.get(channel, channel)
    if "://" not in channel:
        channel = (ANACONDA if channel.startswith("pkgs/") else CANONICAL) + channel
    return channel.rstrip("/")


def short(channel: str) -> str:
    """A channel as people write it."""
    return channel.removeprefix(CANONICAL).rstrip("/")


class Solver:
    """Answers one job."""

    def __init__(self, ask: Ask) -> None:
        self.ask = ask
        self.channels = [address(c) for c in ask.channels]
        subdir = SUBDIRS.get(ask.platform, ask.platform) or str(Subdir.current())
        self.subdirs = [Subdir(subdir), Subdir("noarch")]
        middleware: list[Any] = [RetryMiddleware(1)]
        if ask.mirror:
            middleware.insert(0, MirrorMiddleware({CANONICAL: [ask.mirror.rstrip("/") + "/"]}))
        try:
            client = Client(middleware, timeout=LISTS, user_agent=condastore.AGENT)
        except ValueError as e:  # no certificate at all is known
            raise Failure("network", "certificate verify failed: no certificates are installed (%s)" % e) from e
        # Offline, an old list is better than none.
        use = SourceConfig(cache_action="force-cache-only" if ask.offline else "cache-or-fetch")
        self.lists = Lists(ask.cache)
        self.gateway = Gateway(Path(self.lists.folder), default_config=use, max_concurrent_requests=8, client=client)
        self.newest = datetime.datetime.fromisoformat(ask.exclude_newer) if ask.exclude_newer else None

    async def query(self, specs: list[MatchSpec]) -> list[RepoDataRecord]:
        """What the channels have of the named packages."""
        found = await self.gateway.query(self.channels, self.subdirs, specs, recursive=False, channel_relations="disabled")
        return [r for records in found for r in records]

    async def locked(self) -> list[RepoDataRecord]:
        """The packages in use, as far as the channels still have them.

        Only the channel knows what they need: a record made from a lock would lead the
        solver to believe that they need nothing.
        """
        want = {p["url"] for p in self.ask.locked}
        specs = [MatchSpec("%s[version='==%s',build='%s']" % (p["name"], p["version"], p["build"])) for p in self.ask.locked]
        return [r for r in await self.query(specs) if r.url in want] if specs else []

    async def choose(
        self, specs: list[str], limits: list[str], locked: list[RepoDataRecord], seconds: float = 0
    ) -> list[RepoDataRecord]:
        chosen: list[RepoDataRecord] = await solve(
            self.channels,
            [parse(s) for s in specs],
            gateway=self.gateway,
            platforms=self.subdirs,
            locked_packages=locked,
            virtual_packages=virtual(str(self.subdirs[0])),
            timeout=datetime.timedelta(seconds=seconds or SOLVING),
            exclude_newer=self.newest,
            timestamp_policy="allow-missing",
            constraints=[parse(s) for s in limits],
            channel_relations="disabled",
        )
        return chosen

    async def answer(self) -> dict[str, Any]:
        wrong = [s for s in self.ask.specs + self.ask.constraints if not understood(s)]
        if wrong:
            raise Failure("spec", "not a package and a version: " + ", ".join(wrong), names=wrong)
        if not self.ask.offline:
            reach(self.channels, self.ask.mirror)
        self.lists.begin(self.ask.offline)
        say("step conda-lists")
        try:
            locked = await self.lists.limit(self.locked())
            say("step conda-solve")
            records = await self.lists.limit(self.choose(self.ask.specs, self.ask.constraints, locked))
        except SolverError as e:
            if CANCELLED in str(e):
                raise Failure("other", "choosing versions took longer than %d seconds" % SOLVING) from e
            why = await self.explain(str(e))
            self.lists.end()
            raise why from e
        except (GatewayError, InvalidChannelError) as e:
            raise self.unreachable(str(e)) from e
        self.lists.end()
        if strange := [r for r in records if not self.fetchable(r.url)]:
            names = [r.name.normalized for r in strange]
            raise Failure("other", "%s is no address of the internet" % strange[0].url, names)
        records.sort(key=lambda r: r.name.normalized)
        python = next((str(r.version) for r in records if r.name.normalized == "python"), "")
        return {"ok": True, "packages": [entry(r) for r in records], "python": python, "snapshots": self.snapshots()}

    def fetchable(self, url: str) -> bool:
        """Whether a package may be fetched from there: a list may name another place for its
        packages (CEP 15), but only a channel on this machine one on this machine."""
        return url.startswith(("https://", "http://")) or any(c.startswith("file:") for c in self.channels)

    def snapshots(self) -> dict[str, str]:
        """What the choice was made from: the hash of each list, as rattler keeps it."""
        out: dict[str, str] = {}
        for channel in self.channels:
            for subdir in map(str, self.subdirs):
                digest = self.lists.digest("%s/%s" % (channel, subdir))
                if digest:
                    out["%s/%s" % (short(channel), subdir)] = digest
        return out

    def unreachable(self, message: str) -> Failure:
        """Why a channel's list could not be read."""
        text = message
        if self.ask.mirror:
            text = message.replace(self.ask.mirror.rstrip("/") + "/", CANONICAL)
        channel = next((c for c in self.channels if c + "/" in text), "")
        if "could not find subdir" in message or re.search(r"\(404 |\(410 ", message):
            return Failure("missing", message, channel=channel)
        return condastore.classify(message, "network", channel)

    async def explain(self, message: str) -> Failure:
        """Why there is no solution: what does not exist first, then the smallest clash."""
        specs = {s: parse(s) for s in self.ask.specs}
        names = {s: name_of(m) for s, m in specs.items()}
        have: dict[str, list[RepoDataRecord]] = {}
        for r in await self.query([MatchSpec(n) for n in sorted(set(names.values())) if not n.startswith("__")]):
            have.setdefault(r.name.normalized, []).append(r)
        absent = [s for s in specs if names[s] not in have and not names[s].startswith("__")]
        if absent:
            known = [n.normalized for n in await self.gateway.names(self.channels, self.subdirs, channel_relations="disabled")]
            near = {s: difflib.get_close_matches(names[s], known, 1, 0.75) for s in absent}
            return Failure("missing", message, absent, near={s: n[0] for s, n in near.items() if n})
        none = {
            s: versions(have[names[s]])
            for s, m in specs.items()
            if names[s] in have and not any(m.matches(r) for r in have[names[s]])
        }
        if none:
            return Failure("missing", message, list(none), versions=none)
        clash, why = await self.smallest(message)
        return Failure("conflict", why, clash)

    async def smallest(self, message: str) -> tuple[list[str], str]:
        """The fewest lines that cannot be had together, by leaving out one after another."""
        items = [(s, False) for s in self.ask.specs] + [(s, True) for s in self.ask.constraints]
        end = time.monotonic() + SEARCH
        for item in list(items):
            rest = [i for i in items if i is not item]
            left = end - time.monotonic()
            if left < 0.1 or not rest:
                break
            try:
                await self.choose([s for s, limit in rest if not limit], [s for s, limit in rest if limit], [], left)
            except SolverError as e:
                if CANCELLED not in str(e):
                    items, message = rest, str(e)
        return [s for s, _ in items], message


def parse(spec: str) -> MatchSpec:
    return MatchSpec(spec, strict=False)


def name_of(spec: MatchSpec) -> str:
    name = spec.name.as_package_name() if spec.name else None
    return name.normalized if name else ""


def understood(spec: str) -> bool:
    """Whether a line names a package of the channels: no address and no path."""
    if "://" in spec.partition("::")[2] or ("://" in spec and "::" not in spec) or re.search(r"[\x00-\x1f;]", spec):
        return False
    try:
        return bool(name_of(parse(spec)))
    except InvalidMatchSpecError:
        return False


def versions(records: list[RepoDataRecord]) -> list[str]:
    """The versions there are, newest first, each once."""
    ordered = sorted(records, key=lambda r: r.version, reverse=True)
    return list(dict.fromkeys(str(r.version) for r in ordered))


def virtual(subdir: str) -> list[GenericVirtualPackage]:
    """What the container offers: its libc and kernel.

    The processor is the plainest of its kind, so that a choice made on one box works on
    every other, and is the same.
    """
    found = [v.into_generic() for v in VirtualPackage.detect()]
    plain = {"linux-64": "x86_64", "linux-aarch64": "aarch64"}.get(subdir)
    out = [v for v in found if v.name.normalized not in ("__archspec", "__cuda")]
    if plain:
        out.append(GenericVirtualPackage(PackageName("__archspec"), Version("1"), BuildString(plain)))
    return out


def entry(r: RepoDataRecord) -> dict[str, Any]:
    noarch = "python" if r.noarch.python else "generic" if r.noarch.generic else ""
    return {
        "name": r.name.normalized,
        "version": str(r.version),
        "build": str(r.build),
        "url": r.url,
        "sha256": r.sha256.hex() if r.sha256 else "",
        "md5": r.md5.hex() if r.md5 else "",
        "size": r.size or 0,
        "license": r.license or "",
        "depends": list(r.depends),
        "noarch": noarch,
        "channel": short(r.channel or ""),
        "subdir": r.subdir,
    }
