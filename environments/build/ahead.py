"""Take the generation in use over before it is known whether all of it stays.

Mostly it does: a teacher adds a line. So while versions are chosen, and before that while
this container starts, whoever started it links the whole tree, but for what names the
directory it is in (inventory.Inventory.own): that is made here meanwhile. Then one line
comes on standard input: "linked", or anything else when that is not to be had.

What is in the tree is then what compose.py would have put there, and nothing has to be
looked at again but what is new. Whoever linked looks afterwards that there is nothing
else. Where anything is not as expected, None is given, and the plain way is taken.
"""

import atexit
import os
import stat
import subprocess
import sys
import threading
from typing import NamedTuple

import compose
import finish
import inventory
import lock
from inventory import Inventory
from lock import Pin


class Added(NamedTuple):
    dists: dict[str, compose.Dist]  # by normalised name
    files: set[str]  # all that was not there before, with bytecode
    inventory: Inventory  # of the new generation


class Ahead:
    """What happens while versions are chosen."""

    def __init__(self, prev: str, gen: str, known: Inventory, venv: list[str]) -> None:
        self.prev, self.gen, self.known = prev, gen, known
        self.venv = subprocess.Popen(venv, stdin=subprocess.DEVNULL)
        atexit.register(self.venv.wait)  # nobody writes there when this process has ended
        self.problem = ""
        self.thread = threading.Thread(target=self.rewrite)
        self.thread.start()

    def rewrite(self) -> None:
        """Make the files that name the prefix."""
        try:
            for info, programs in self.known.programs.items():
                writer = compose.Writer(compose.Donor(self.prev, {}, True), self.gen, set())
                changed: dict[str, str] = {}
                for f in programs:
                    text = writer.program(compose.read(os.path.join(self.prev, f)))
                    if text is None:
                        raise ValueError("%s is not as it was" % f)
                    changed[f] = writer.renew(f, text, os.lstat(os.path.join(self.prev, f)).st_mode)
                record = os.path.join(compose.PACKAGES, info, "RECORD")
                writer.record(record, changed, os.lstat(os.path.join(self.prev, record)).st_mode)
        except (OSError, ValueError) as e:
            self.problem = str(e)

    def ended(self) -> bool:
        """Wait until nobody writes to the generation; tell whether the old one is in it."""
        self.thread.join()
        made = self.venv.wait() == 0
        linked = sys.stdin.readline() == "linked\n"
        return made and linked and not self.problem

    def fits(self, wanted: dict[str, Pin], before: dict[str, Pin]) -> bool:
        """Whether all that was there stays as it is."""
        return self.ended() and all(n in wanted and compose.same(wanted[n], p) for n, p in before.items())

    def more(self, names: set[str]) -> Added | None:
        """Finish the distributions that were installed beside the others."""
        try:
            dists = self.fresh()
            if set(dists) != names or not all(d.files for d in dists.values()):
                return None
            files = {f for d in dists.values() for f in d.files}
            if any(os.path.lexists(os.path.join(self.prev, f)) for f in files):
                return None
            grown = inventory.extend(self.known, self.gen, list(dists.values()))
            return grown and Added(dists, files | self.seal(files), grown)
        except OSError:
            return None

    def fresh(self) -> dict[str, compose.Dist]:
        """The distributions that the old generation does not have."""
        old, out = set(os.listdir(os.path.join(self.prev, compose.PACKAGES))), {}
        for info in sorted(set(os.listdir(os.path.join(self.gen, compose.PACKAGES))) - old):
            if info.endswith(".dist-info"):
                name, _, version = info.removesuffix(".dist-info").rpartition("-")
                out[lock.normalise(name)] = compose.Dist(version, compose.record(self.gen, info))
        return out

    def seal(self, files: set[str]) -> set[str]:
        """Make files and those of the virtual environment final, and give their bytecode."""
        library = os.path.dirname(compose.PACKAGES) + "/"
        todo: list[tuple[str, str]] = []
        code: set[str] = set()
        for f in sorted(files.union(self.known.skeleton)):
            path = os.path.join(self.gen, f)
            info = os.lstat(path)
            if not stat.S_ISREG(info.st_mode):
                continue
            finish.seal(path, info)
            os.chmod(os.path.dirname(path), 0o755)
            pyc = compose.cached(path)
            if f.endswith(".py") and f.startswith(library) and not (os.path.lexists(pyc) and finish.current(path, pyc)):
                os.makedirs(os.path.dirname(pyc), mode=0o755, exist_ok=True)
                todo.append((path, os.path.join(finish.SHOWN, f)))
                code.add(compose.cached(f))
        finish.compile_and_seal(todo)
        return code
