"""The process that kernels are forked from.

It is itself forked from the server, before the server has threads or an event loop, so
that the three share the pages of what they all import. It imports what a kernel needs
while nobody waits, slowly, and then a kernel is there at once. When it ends, kernels go
on; the server starts new ones as Jupyter always does.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MESSAGE = 1 << 18  # bytes; a socket takes no more at once

# What kernels need in the order they load it. The first part is the server's too.
COMMON = ("asyncio", "tornado.web", "tornado.ioloop", "zmq.asyncio", "traitlets.config", "jupyter_client")
KERNEL = (
    "IPython.core.interactiveshell",
    "ipykernel.kernelapp",
    "ipykernel.zmqshell",
    "ipykernel.debugger",
    "ipykernel.datapub",
    "IPython.core.completerlib",
    "IPython.core.magics",
    "comm",
    "matplotlib_inline.config",
)


@dataclass(frozen=True)
class Order:
    """One kernel that is asked for."""

    file: str  # its connection file
    cwd: str
    env: dict[str, str]


def alone() -> bool:
    """Whether this process has one thread, as it must before a fork."""
    return len(list(Path("/proc/self/task").iterdir())) == 1


def imports(names: tuple[str, ...]) -> Iterator[str]:
    """Import one after the other; a name that is not there was renamed in another version."""
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError:
            continue
        yield name


class ForkServer:
    """The loop of that process. `run` gives an Order in a new kernel and never returns elsewhere."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.work: Iterator[str] | None = imports(KERNEL)
        self.begun = False
        self.wake, wake_end = socket.socketpair()
        for s in (self.wake, wake_end):
            s.setblocking(False)
        self.wake_end = wake_end
        self.env: dict[str, str] = {}

    def run(self) -> Order:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self.wake_end.fileno(), warn_on_full_buffer=False)
        first_to_go(True)
        os.environ["JPY_PARENT_PID"] = (
            "1"  # read once, when ipykernel is imported: a kernel has nobody to watch
        )
        self.env = dict(os.environ)
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        poll.register(self.wake, select.POLLIN)
        pause = 0.0
        while True:
            ready = poll.poll(1000 * pause if self.begun and self.work else None)
            for fd, _ in ready:
                if fd == self.wake.fileno():
                    self.wake.recv(4096)
                    self.reap()
                elif order := self.receive():
                    return order
            if not ready and self.work:
                began = time.process_time()
                self.step()
                pause = 3 * (time.process_time() - began)  # three quarters are for the others

    def step(self) -> bool:
        if self.work and next(self.work, None):
            return True
        self.work = None
        gc.collect()
        gc.freeze()
        return False

    def receive(self) -> Order | None:
        data = self.sock.recv(MESSAGE)
        if not data:
            os._exit(0)  # the server is gone
        message = json.loads(data)
        if "file" not in message:
            self.begun = True
            return None
        while self.work:
            self.step()
        return self.fork(message)

    def fork(self, message: dict[str, Any]) -> Order | None:
        if not alone():
            self.tell(n=message["n"], pid=0)
            return None
        pid = os.fork()
        if pid:
            self.tell(n=message["n"], pid=pid)
            return None
        os.setsid()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for s in (self.sock, self.wake, self.wake_end):
            s.close()
        first_to_go(False)
        # Some packages set variables while they are imported.
        set_here = {k: v for k, v in os.environ.items() if self.env.get(k) != v}
        return Order(message["file"], message["cwd"], {**message["env"], **set_here})

    def reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self.tell(ended=pid, code=os.waitstatus_to_exitcode(status))

    def tell(self, **message: int) -> None:
        try:
            self.sock.send(json.dumps(message).encode())
        except OSError:
            os._exit(0)


SCORE = Path("/proc/self/oom_score_adj")


def first_to_go(yes: bool) -> None:
    """When memory is short this process ends before any that a student works with."""
    try:
        if yes:
            first_to_go.__dict__.setdefault("before", SCORE.read_text())
            SCORE.write_text("1000")
        else:
            SCORE.write_text(first_to_go.__dict__.get("before", "0"))
    except OSError:
        return


def start() -> tuple[int, socket.socket] | Order | None:
    """Fork this process. Its id and our end of the socket; in a new kernel its Order; None: not possible."""
    for _ in imports(COMMON):
        pass
    if threading.active_count() != 1 or not alone() or not hasattr(os, "pidfd_open"):
        return None
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    gc.collect()
    gc.freeze()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        its.close()
        ours.setblocking(False)
        return pid, ours
    ours.close()
    return ForkServer(its).run()
