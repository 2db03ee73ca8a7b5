"""Versions that were chosen from what is stored, while the index is still being asked.

Nearly always the index says the same, and to ask it takes longer than all the rest of
adding a package. So it is asked beside that, and what it says decides in the end: nothing
is complete before.
"""

import os
import shutil
import subprocess


class Doubt:
    """Uv, asking the index."""

    def __init__(self, args: list[str], work: str) -> None:
        """Args are uv and its arguments, without where to write to; lock.txt is preferred."""
        self.path, self.log = os.path.join(work, "lock-sure.txt"), os.path.join(work, "sure.log")
        self.kept = os.path.join(work, "lock.txt")
        if os.path.lexists(self.kept):
            shutil.copyfile(self.kept, self.path)
        with open(self.log, "wb") as out:
            self.uv = subprocess.Popen(
                [*args, "-o", self.path], cwd=work, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT
            )

    def ended(self) -> bool:
        """Wait for the end, and show what uv said; tell whether it chose."""
        code = self.uv.wait()
        with open(self.log, errors="replace") as f:
            print(f.read(), end="", flush=True)
        return code == 0

    def adopt(self) -> bool:
        """Have what the index says in place of what was stored; False when it says nothing."""
        if not self.ended():
            return False
        os.replace(self.path, self.kept)
        return True
