"""The conda half of a build: a prefix of conda's packages, into which uv installs the rest.

conda.py chooses and installs; here is what it is asked, and how uv is told of the prefix.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from typing import Any, NamedTuple, NoReturn

OWN = "%d.%d" % sys.version_info[:2]


class Ask(NamedTuple):
    """The conda part of a job."""

    rattler: str  # the interpreter that has py-rattler
    channels: list[str]
    specs: list[str]  # the teacher's lines
    mirror: str
    cache: str
    offline: bool


class Chosen(NamedTuple):
    packages: list[dict[str, Any]]

    @property
    def full(self) -> str:
        """The version of Python, X.Y.Z; "" for none."""
        return next((str(p["version"]) for p in self.packages if p["name"] == "python"), "")

    @property
    def python(self) -> str:
        """The version of Python, X.Y; "" for none."""
        return ".".join(self.full.split(".")[:2])


class Prefix:
    """What is asked for, and the directory of the build."""

    def __init__(self, work: str, ask: dict[str, Any]) -> None:
        self.work, self.ask = work, Ask(**ask)

    def at(self, name: str) -> str:
        return os.path.join(self.work, name)

    def load(self, name: str) -> list[dict[str, Any]]:
        """A list of packages; of a generation without any there is none."""
        try:
            with open(self.at(name)) as f:
                out: list[dict[str, Any]] = json.load(f)
                return out
        except FileNotFoundError:
            return []

    def give_up(self, result: dict[str, Any]) -> NoReturn:
        with open(self.at("conda-failure.json"), "w") as f:
            json.dump(result, f)
        sys.exit(15)

    def run(self, verb: str, **job: Any) -> dict[str, Any]:
        """Have conda.py do something, and give its result whatever it is."""
        if not os.path.exists(self.ask.rattler):
            return {"ok": False, "kind": "engine", "message": "the image has no %s" % self.ask.rattler, "names": []}
        job |= {"cache": self.ask.cache, "mirror": self.ask.mirror, "offline": self.ask.offline}
        path, result = self.at("conda-%s.json" % verb), self.at("conda-%s-result.json" % verb)
        with open(path, "w") as f:
            json.dump(job, f)
        if os.path.exists(result):
            os.unlink(result)
        p = subprocess.run([self.ask.rattler, "-I", self.at("conda.py"), verb, path, result], cwd=self.work)
        try:
            with open(result) as f:
                out: dict[str, Any] = json.load(f)
                return out
        except (OSError, ValueError):
            return {"ok": False, "kind": "other", "message": "conda.py ended with %d" % p.returncode, "names": []}

    def choose(self, asked: str, need: bool) -> Chosen:
        """Choose packages; asked is the version of Python, need whether there must be one.

        A Python that only the rest needs is that of the image, where conda's packages
        leave the choice: more is shared then.
        """
        specs = self.ask.specs
        tries = [specs]
        if not any(named(s) == "python" for s in specs):
            if asked:
                tries = [[*specs, "python=%s" % asked]]
            elif need:
                tries = [[*specs, "python=%s" % OWN], [*specs, "python"]]
        out: dict[str, Any] = {}
        for t in tries:
            platform, locked = "linux-" + os.uname().machine, self.load("locked.json")
            out = self.run("solve", platform=platform, channels=self.ask.channels, specs=t, locked=locked)
            if out["ok"] or out["kind"] not in ("conflict", "missing"):
                break
        if not out["ok"]:
            self.give_up(out)
        return Chosen(out["packages"])

    def listed(self) -> Chosen:
        """What the manifest says that is to be built."""
        return Chosen(self.load("conda.json"))

    def keep(self, chosen: Chosen) -> None:
        with open(self.at("conda.json"), "w") as f:
            json.dump(chosen.packages, f)

    def unchanged(self, chosen: Chosen) -> bool:
        """Whether the generation in use has exactly these packages."""
        return {(p["url"], p["sha256"]) for p in chosen.packages} == {(p["url"], p["sha256"]) for p in self.load("previous.json")}

    def install(self, chosen: Chosen, folder: str, check: bool) -> None:
        """Fill a directory, whatever an attempt has left there."""
        os.makedirs(folder, exist_ok=True)
        clear(folder)
        out = self.run("install", prefix=folder, packages=chosen.packages, check=check)
        if not out["ok"]:
            self.give_up(out)

    def wanted(self, mode: str, asked: str) -> bool:
        """Whether anything comes from conda: a line, a manifest, or another Python."""
        if mode == "build":
            return bool(self.load("conda.json"))
        if self.ask.specs:
            return True
        if not asked or asked.split(".")[:2] == OWN.split("."):
            return False
        if not os.path.exists(self.ask.rattler):
            sys.exit(14)
        return True

    def stand_in(self, python: str, folder: str, chosen: Chosen) -> str:
        """A program that says for the prefix's Python what it would say itself: standin.py."""
        path = self.at("python")
        with open(path + ".json", "w") as f:
            json.dump({"prefix": folder, "version": chosen.python, "full": chosen.full, "own": OWN}, f)
        with open(self.at("standin.py")) as source, open(path, "w") as program:
            program.write("#!%s -IS\n%s" % (python, source.read()))
        os.chmod(path, 0o755)
        return path


def named(spec: str) -> str:
    """The package that a line names."""
    m = re.match(r"(?:[^:]*::)?\s*([A-Za-z0-9_][A-Za-z0-9._-]*)", spec)
    return m[1].lower() if m else ""


def clear(folder: str) -> None:
    """Remove all that is in a directory."""
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.unlink(path)
