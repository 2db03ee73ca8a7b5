"""Kernels for the server, forked from the process that waits for it."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

LAUNCH = "/opt/conjured/bin/launch"
PATIENCE = 30.0  # seconds for a fork on a busy machine
PLAIN = {"env", "cwd", "kernel_id", "extra_arguments"}  # of a kernel that nothing special is asked for

log = logging.getLogger("conjured")


class Forked:
    """A kernel's process, with what jupyter_client asks of a subprocess.Popen."""

    stdin = stdout = stderr = None

    def __init__(self, pid: int, nursery: Nursery, args: list[str]) -> None:
        self.pid = pid
        self.args = args
        self.returncode: int | None = None
        self.nursery = nursery
        self.fd = os.pidfd_open(pid)

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        if self.returncode is None and select.select([self.fd], [], [], 0)[0]:
            # Its parent says how it ended, unless that ended too.
            self.returncode = self.nursery.code(self.pid)
            if self.returncode is not None:
                os.close(self.fd)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, when it has ended."""
        began = time.monotonic()
        while (code := self.poll()) is None:
            if timeout is not None and time.monotonic() - began > timeout:
                raise subprocess.TimeoutExpired(self.args, timeout)
            time.sleep(0.01)
        return code

    def send_signal(self, number: int) -> None:
        """Signal this very process: its number may be another's by now."""
        if self.poll() is None:
            signal.pidfd_send_signal(self.fd, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)


class Nursery:
    """The server's end of the socket. Used from any thread."""

    def __init__(self, pid: int, sock: socket.socket) -> None:
        self.pid = pid
        self.sock: socket.socket | None = sock
        self.lock = threading.Lock()
        self.next = 0
        self.born: dict[int, int] = {}  # pids by order
        self.codes: dict[int, int] = {}  # exit codes by pid

    def prepare(self) -> None:
        """Nobody waits now: import what kernels need."""
        self._send({"prepare": True})

    def fits(self, cmd: list[str], kwargs: dict[str, Any]) -> bool:
        """Whether a forked kernel would be what this command starts."""
        if self.sock is None or set(kwargs) - PLAIN or kwargs.get("extra_arguments"):
            return False
        if len(cmd) != 7 or cmd[0] != LAUNCH or cmd[2:6] != ["python", "-m", "ipykernel_launcher", "-f"]:
            return False
        env = kwargs.get("env", os.environ)
        if env.get("PATH", "").split(":")[0] != sys.prefix + "/bin" or any(
            env.get(k) != os.environ.get(k)
            for k in {*env, *os.environ}
            if k.startswith(("PYTHON", "LD_", "MALLOC_"))
        ):
            return False
        environment, _, label = cmd[1].partition("@")
        root = Path(os.environ.get("CONJURED_ENV", "/opt/conjured/env"))
        # After a label moved new kernels get the new packages, which we have not.
        return (root / "label" / environment / label).resolve() == Path(sys.prefix).resolve()

    async def launch(self, cmd: list[str], kwargs: dict[str, Any]) -> Forked | None:
        """A new kernel, or None: start it another way."""
        if not self.fits(cmd, kwargs):
            return None
        env = {**kwargs.get("env", os.environ), "JPY_PARENT_PID": "1"}  # ends with the container
        with self.lock:
            self.next += 1
            n = self.next
        if not self._send({"n": n, "file": cmd[6], "cwd": str(kwargs.get("cwd") or Path.cwd()), "env": env}):
            return None
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and self.sock:
            self._drain()
            pid = self.born.pop(n, None)
            if pid is not None:
                return Forked(pid, self, cmd) if pid else None
            await asyncio.sleep(0.003)
        return None

    def code(self, pid: int) -> int | None:
        """How a kernel that ended ended; None: not known yet."""
        self._drain()
        if self.sock is None:
            return self.codes.get(pid, 1)
        return self.codes.pop(pid, None)

    def _send(self, message: dict[str, Any]) -> bool:
        if self.sock is None:
            return False
        try:
            self.sock.send(json.dumps(message).encode())
            return True
        except BlockingIOError:
            return False
        except OSError as e:  # too long a message, or nobody there
            log.info("A kernel starts by itself: %s", e)
            return False

    def _drain(self) -> None:
        with self.lock:
            while self.sock is not None:
                try:
                    data = self.sock.recv(4096)
                except BlockingIOError:
                    return
                except OSError:
                    data = b""
                if not data:
                    log.warning("Kernels start by themselves from now on: the process for it has ended")
                    self.sock.close()
                    self.sock = None
                    return
                message = json.loads(data)
                if "ended" in message:
                    self.codes[message["ended"]] = message["code"]
                else:
                    self.born[message["n"]] = message["pid"]


def install(nursery: Nursery) -> None:
    """Start the kernels of this process from the nursery where they fit, and prepare it when idle."""
    from jupyter_client.provisioning.local_provisioner import LocalProvisioner
    from jupyter_server.serverapp import ServerApp

    stock = LocalProvisioner.launch_kernel

    async def launch_kernel(self: Any, cmd: list[str], **kwargs: Any) -> Any:
        forked = await nursery.launch(cmd, kwargs)
        if forked is None:
            return await stock(self, cmd, **kwargs)
        self.process = forked
        self.pid = self.pgid = forked.pid
        self.cwd = kwargs.get("cwd", Path.cwd())
        return self.connection_info

    started = ServerApp.start_ioloop

    def start_ioloop(self: Any) -> None:
        self.io_loop.call_later(1.0, nursery.prepare)
        started(self)

    LocalProvisioner.launch_kernel = launch_kernel
    ServerApp.start_ioloop = start_ioloop
