"""The conda half of a build: choose packages of conda channels, install them, fetch them.

Run inside the system image as `RATTLER/bin/python -I WORK/conda.py VERB JOB RESULT`.
JOB and RESULT are JSON files; the fields are those of the functions below, and of
Package in condastore.py. Every address in them is the canonical one, below
https://conda.anaconda.org; `mirror` says where what is below that is fetched from.

solve    {platform, channels, specs, locked, constraints, exclude_newer, mirror, cache, offline}
         -> {ok, packages, python, snapshots: {"channel/subdir": sha256 of its list}}
install  {prefix, packages, cache, mirror, offline, check}
         -> {ok}; check: look at every stored file's hash before it is used
fetch    {packages, cache, mirror, offline, archives}
         -> {ok, files: {sha256: name}, md5: {sha256: md5}}: their archives, in a directory
missing  {packages, cache} -> {ok, missing: [url]}

A failure is {ok: false, kind, message, names, channel, missing, versions, near}. kind is
network, conflict, missing, spec, hash, disk, or other. names are specs as they came in,
all that are at fault. versions tells for each what there is, near what may be meant.
A channel that its server does not know is of kind missing, with channel and no names.

Code of a package is never run, link scripts neither. Killing it leaves nothing that the
next run takes for good.
"""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import condapaths  # noqa: E402
import condastore  # noqa: E402
from condasolve import Ask, Solver  # noqa: E402
from condastore import Failure, Package, Store, say  # noqa: E402
from rattler import InstallerReporter, PackageRecord, RepoDataRecord  # noqa: E402
from rattler import install as link  # noqa: E402
from rattler.package_cache import PackageCache, ValidationMode  # noqa: E402


class Linked(InstallerReporter):
    """Says how far it is."""

    def __init__(self, total: int) -> None:
        self.done, self.total = 0, total

    def on_link_complete(self, index: int) -> None:
        self.done += 1
        say("done conda-link %d %d" % (self.done, self.total))


def record(store: Store, p: Package) -> RepoDataRecord:
    """What the installer is told about a package: what its archive says about itself.

    So the prefix is the same whether it is made from a fresh choice or from a lock.
    """
    own = PackageRecord.from_index_json(Path(store.pkgs, p.stem, "info/index.json"), p.size or None, p.sha256)
    channel, subdir, file = p.url.rsplit("/", 2)
    own.subdir = subdir
    return RepoDataRecord(own, file, p.url, channel + "/")


async def install(store: Store, packages: list[Package], prefix: str) -> None:
    """Make a prefix, by hard links, of packages that are in the store."""
    try:
        condapaths.together([os.path.join(store.pkgs, p.stem) for p in packages])
    except condapaths.Unfit as e:
        raise Failure("other", str(e)) from e
    say("step conda-link")
    records = [record(store, p) for p in packages]
    cache = PackageCache.new_layered([store.pkgs], validation_mode=ValidationMode.skip())
    reporter: Any = Linked  # every method has a body that does nothing: it is not abstract
    await link(records, prefix, package_cache=cache, execute_link_scripts=False, reporter=reporter(len(packages)))
    # Of no use in what never changes; backup programs would leave a generation out.
    Path(prefix, "CACHEDIR.TAG").unlink(missing_ok=True)


def run(verb: str, job: dict[str, Any]) -> dict[str, Any]:
    if verb == "solve":
        return asyncio.run(Solver(Ask(**job)).answer())
    packages = [Package.of(p) for p in job.pop("packages")]
    store = Store(job.pop("cache"), job.pop("mirror", ""), job.pop("offline", False))
    if verb == "install":
        store.fill(packages, bool(job.get("check", False)))
        asyncio.run(install(store, packages, job["prefix"]))
        return {"ok": True}
    if verb == "fetch":
        files, md5 = store.collect(packages, job["archives"])
        return {"ok": True, "files": files, "md5": md5}
    if verb == "missing":
        return {"ok": True, "missing": [p.url for p in packages if not store.has(p)]}
    raise Failure("other", "no such verb: " + verb)


def main() -> int:
    verb, job, result = sys.argv[1:]
    os.umask(0o022)
    try:
        with open(job) as f:
            out = run(verb, json.load(f))
    except Failure as e:
        out = e.result()
    except Exception as e:
        out = condastore.classify("%s: %s" % (type(e).__name__, e), "other").result()
    with open(result + ".part", "w") as f:
        json.dump(out, f, sort_keys=True)
    os.replace(result + ".part", result)
    if not out["ok"]:
        say("note conda: %s: %s" % (out["kind"], str(out["message"]).replace("\n", " ")[:2000]))
    return 0 if out["ok"] else 1


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    code = main()
    sys.stdout.flush()
    os._exit(code)  # rattler's threads may still wait for a server
