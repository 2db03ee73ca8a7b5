"""A real fork in a process of its own, with a stand-in for the kernel."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from conjured_server import nursery

SCRIPT = """
import asyncio, json, os, signal, sys, time
sys.path.insert(0, sys.argv[1])
from conjured_server import forkserver, nursery
forkserver.COMMON, forkserver.KERNEL = ("json",), ("colorsys", "no_such_module")
child = forkserver.start()
if isinstance(child, forkserver.Order):
    if child.file == "wait":
        time.sleep(60)
    loaded, leader = "colorsys" in sys.modules, os.getsid(0) == os.getpid()
    print(json.dumps([child.file, child.cwd, child.env, loaded, leader]), flush=True)
    sys.exit(7)
n = nursery.Nursery(*child)
n.fits = lambda cmd, kwargs: True
cmd = ["launch", "base@current", "python", "-m", "ipykernel_launcher", "-f", "a.json"]
async def main():
    first = await n.launch(cmd, {"cwd": "/", "env": {"A": "ä"}})
    said = {"code": first.wait(30), "again": first.poll()}
    second = await n.launch([*cmd[:6], "wait"], {"env": {}})
    said["runs"] = second.poll()
    second.kill()
    said["killed"] = second.wait(30)
    third = await n.launch([*cmd[:6], "wait"], {"env": {}})
    said["too long"] = await n.launch(cmd, {"env": {"A": "x" * (1 << 20)}})
    os.kill(n.pid, signal.SIGKILL)
    os.waitpid(n.pid, 0)
    said["alive"] = third.poll()
    said["none"] = await n.launch(cmd, {"env": {}})
    third.terminate()
    third.terminate()
    said["unknown"] = third.wait(30)
    third.kill()
    print(json.dumps(said))
asyncio.run(main())
"""


def test_kernels_are_forked_and_watched() -> None:
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", SCRIPT, str(root)], capture_output=True, text=True, timeout=120, check=True
    )
    kernel, said = (json.loads(line) for line in done.stdout.splitlines())
    assert kernel == ["a.json", "/", {"A": "ä", "JPY_PARENT_PID": "1"}, True, True]
    assert said == {
        "code": 7,
        "again": 7,
        "runs": None,
        "killed": -9,
        "too long": None,
        "alive": None,
        "none": None,
        "unknown": 1,
    }


@pytest.fixture
def fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Whether a command would be forked, in a tree where current is this very interpreter."""
    (tmp_path / "label" / "base").mkdir(parents=True)
    (tmp_path / "label" / "base" / "current").symlink_to(sys.prefix)
    (tmp_path / "label" / "base" / "previous").symlink_to(tmp_path)
    monkeypatch.setenv("CONJURED_ENV", str(tmp_path))
    monkeypatch.setenv("PATH", sys.prefix + "/bin:/usr/bin")
    ours, its = socket.socketpair()
    n = nursery.Nursery(1, ours)

    def ask(
        ref: str = "base@current",
        launch: str = nursery.LAUNCH,
        env: dict[str, str] | None = None,
        **more: Any,
    ) -> bool:
        cmd = [launch, ref, "python", "-m", "ipykernel_launcher", "-f", "x.json"]
        return n.fits(cmd, {"env": {**os.environ, **(env or {})}, "cwd": "/", **more})

    yield ask
    ours.close()
    its.close()


def test_what_is_forked(fits: Any) -> None:
    assert fits()
    assert fits(env={"JPY_SESSION_NAME": "a.ipynb"})
    assert not fits("base@previous"), "other packages"
    assert not fits("other@current")
    assert not fits(launch="/usr/bin/launch"), "a teacher's own kernel"
    assert not fits(env={"PYTHONPATH": "/somewhere"})
    assert not fits(env={"LD_PRELOAD": "x.so"})
    assert not fits(env={"PATH": "/usr/bin"})
    assert not fits(extra_arguments=["--debug"])
    assert not fits(stdout=3)
