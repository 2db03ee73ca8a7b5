"""Servers are started by the daemon: this class only asks for them."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from jupyterhub.spawner import Spawner
from traitlets import validate

from conjured_hub.ask import Refused, Unreachable, ask, events

RETRY = 1.0  # seconds before the daemon is asked again

# The least time-outs, in seconds. A start has its place in the queue within them, and
# the daemon ends one that hangs; with a shorter one a whole class would lose its last.
START_TIMEOUT = 3600
HTTP_TIMEOUT = 120


class SpawnFailed(Exception):
    """Why a server did not start, for the student to read."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.jupyterhub_message = message


class ConjuredSpawner(Spawner):
    """One container for each server, made by the daemon; it outlives the hub."""

    # Listened to by nobody: the server's socket is the daemon's choice.
    ip = "localhost"
    port = 8888

    @validate("start_timeout")
    def _whole_queue(self, proposal: Any) -> int:
        return max(int(proposal.value), START_TIMEOUT)

    @validate("http_timeout")
    def _busy_machine(self, proposal: Any) -> int:
        return max(int(proposal.value), HTTP_TIMEOUT)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._news: list[dict[str, Any]] = []
        self._more = asyncio.Condition()

    @property
    def place(self) -> str:
        """The daemon's id for this server: made of user and name, so it is known without a database."""
        return hashlib.sha256(f"{self.user.name}\0{self.name}".encode()).digest()[:6].hex()

    def get_env(self) -> dict[str, str]:
        """JupyterHub's variables and those the teacher's file adds; never the hub's own PATH."""
        env: dict[str, str] = super().get_env()
        keep = {"MEM_LIMIT", "CPU_LIMIT", *self.environment}
        return {k: str(v) for k, v in env.items() if v and (k.startswith("JUPYTERHUB_") or k in keep)}

    async def start(self) -> str:
        """Ask for the server, or find it running, and wait for its first answer. Gives its URL."""
        self._news.clear()
        env = self.get_env()
        asked = time.monotonic()
        while True:
            try:
                answer = await self._begin(env, asked)
                if token := answer.get("token"):
                    self.api_token = token
                await self._follow()
                return str(answer["url"])
            except Unreachable:
                await self._tell({"message": "Waiting for the class to come back.", "progress": 10})
                await asyncio.sleep(RETRY)

    async def _begin(self, env: dict[str, str], asked: float) -> dict[str, Any]:
        question: dict[str, Any] = {"user": self.user.name, "server": self.name, "env": env}
        while True:
            question["waited"] = round(time.monotonic() - asked, 1)  # a new daemon knows no queue
            try:
                return await ask("POST", "/v1/servers", question)
            except Refused as e:
                if e.status != 503:
                    raise SpawnFailed(str(e)) from e
                await self._tell({"message": str(e), "progress": 5})
                await asyncio.sleep(RETRY)

    async def _follow(self) -> None:
        async for event in events(f"/v1/servers/{self.place}/events"):
            if event["state"] == "failed":
                raise SpawnFailed(event["message"])
            # JupyterHub adds its own event when the server can be used.
            news: dict[str, Any] = {
                k: event[k] for k in ("message", "state", "place", "of", "wait", "note") if k in event
            }
            await self._tell({**news, "progress": min(event.get("progress", 10), 90)})
            if event["state"] == "ready":
                return
        raise Unreachable("the daemon stopped in the middle")

    async def _tell(self, event: dict[str, Any]) -> None:
        async with self._more:
            if not self._news or self._news[-1] != event:
                self._news.append(event)
                self._more.notify_all()

    async def progress(self) -> AsyncIterator[dict[str, Any]]:
        """What start was told, from the beginning, as it comes. JupyterHub ends it."""
        with suppress(Refused, Unreachable):  # somebody waits before a page: they go first
            await ask("POST", f"/v1/servers/{self.place}/watched")
        n = 0
        while True:
            async with self._more:
                await self._more.wait_for(lambda n=n: len(self._news) > n)  # type: ignore[misc]
                news = self._news[n:]
            for event in news:
                yield event
            n += len(news)

    async def get_url(self) -> str:
        """Where the server is. A hub that died while it was starting waits for it here."""
        while True:
            try:
                answer = await ask("GET", f"/v1/servers/{self.place}")
                if answer["state"] not in ("queued", "starting"):
                    return str(answer.get("url") or self.server.url)
                await self._follow()
            except Unreachable:
                await asyncio.sleep(RETRY)
            except (Refused, SpawnFailed):
                return str(self.server.url)

    async def poll(self) -> int | None:
        """None while the server runs, is being started, or nobody can tell."""
        try:
            answer = await ask("GET", f"/v1/servers/{self.place}")
        except (Refused, Unreachable) as e:
            self.log.warning("Cannot ask for %s: %s", self._log_name, e)
            return None
        if answer["state"] in ("queued", "starting", "ready"):
            return None
        if message := answer.get("message"):
            self.log.warning("%s is gone: %s", self._log_name, message)
        return int(answer.get("code", 0))

    async def stop(self, now: bool = False) -> None:
        """Stop the server; the answer comes when it is gone."""
        await ask("DELETE", f"/v1/servers/{self.place}")
