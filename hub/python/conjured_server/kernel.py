"""What makes a forked process the one that `python -m ipykernel_launcher -f FILE` starts."""

from __future__ import annotations

import ctypes
import gc
import importlib
import os
import random
import sys
import time
from pathlib import Path

from conjured_server import deferred
from conjured_server.forkserver import Order


def run(order: Order) -> None:
    """Be the kernel until it ends."""
    os.chdir(order.cwd)
    os.environ.clear()
    os.environ.update(order.env)
    if "PWD" in order.env:  # the launcher is a shell: it puts that right
        os.environ["PWD"] = order.cwd
    time.tzset()
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    random.seed()
    gc.enable()
    deferred.uninstall()
    ours = str(Path(__file__).resolve().parent.parent)
    sys.path[:] = [p for p in sys.path if p != ours]
    launcher = Path(sys.prefix) / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
    sys.argv[:] = [str(launcher / "site-packages" / "ipykernel_launcher.py"), "-f", order.file]
    sys.orig_argv[:] = [sys.executable, "-m", "ipykernel_launcher", "-f", order.file]
    retitle(sys.orig_argv)
    importlib.import_module("ipykernel.kernelapp").launch_new_instance()


def retitle(argv: list[str]) -> None:
    """Write argv over the one that this process came with, as far as there is room: `ps` shows it."""
    try:
        after_name = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        begin, end = int(after_name[45]), int(after_name[46])  # fields 48 and 49 of proc_pid_stat(5)
        room = end - begin
        if not 0 < room < 1 << 16:
            return
        text = b"\0".join(a.encode() for a in argv)[: room - 1]
        ctypes.memmove(begin, text.ljust(room, b"\0"), room)
    except (OSError, ValueError, IndexError):
        return
