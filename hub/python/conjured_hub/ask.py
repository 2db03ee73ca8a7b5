"""Questions to the daemon, over its unix socket."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

MAX_ANSWER = 1 << 20  # bytes
PATIENCE = 60.0  # seconds until an answer is there; stopping a server takes some


class Refused(Exception):
    """The daemon said no: HTTP's status, words for the person who asked, seconds to wait."""

    def __init__(self, status: int, message: str, wait: int = 0) -> None:
        super().__init__(message)
        self.status = status
        self.wait = wait


class Unreachable(Exception):
    """The daemon does not answer: it is being restarted. Nothing is known, so nothing is changed."""


def directory() -> Path:
    """Where this hub's sockets and tokens are."""
    return Path(os.environ["CONJURED_DIR"])


def secret(name: str) -> str:
    """One of the tokens the daemon left for this hub."""
    return str(json.loads((directory() / "secrets.json").read_text())[name])


def _session(seconds: float | None) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        base_url="http://daemon",
        connector=aiohttp.UnixConnector(path=str(directory() / "ask.sock")),
        headers={"Authorization": "token " + secret("ask")},
        timeout=aiohttp.ClientTimeout(total=seconds, sock_connect=5),
    )


async def ask(method: str, path: str, question: Any = None) -> dict[str, Any]:
    """Ask and get the answer, {} when it is empty."""
    try:
        async with _session(PATIENCE) as session, session.request(method, path, json=question) as response:
            body = await response.content.read(MAX_ANSWER)
            answer: dict[str, Any] = json.loads(body) if body else {}
            if response.status >= 400:
                words = str(answer.get("message", response.reason))
                raise Refused(response.status, words, int(answer.get("wait", 0)))
            return answer
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as e:
        raise Unreachable(f"the daemon does not answer: {e}") from e


async def events(path: str) -> AsyncIterator[dict[str, Any]]:
    """The daemon's news, one by one, until it has said everything."""
    try:
        async with _session(None) as session, session.get(path) as response:
            async for line in response.content:
                if line.strip():
                    yield json.loads(line)
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as e:
        raise Unreachable(f"the daemon does not answer: {e}") from e
