"""Spawner and authenticator against a daemon that answers what it is told to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from tornado.web import HTTPError

from conjured_hub.authenticator import ConjuredAuthenticator
from conjured_hub.spawner import ConjuredSpawner, SpawnFailed


class Daemon:
    """Answers by path; what was asked is kept."""

    def __init__(self) -> None:
        self.answers: dict[str, list[tuple[int, Any]]] = {}
        self.asked: list[tuple[str, str, Any]] = []

    async def handle(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "token t0"
        body = await request.text()
        self.asked.append((request.method, request.path, json.loads(body) if body else None))
        answers = self.answers[f"{request.method} {request.path}"]
        status, answer = answers.pop(0) if len(answers) > 1 else answers[0]
        text = (
            "".join(json.dumps(e) + "\n" for e in answer) if isinstance(answer, list) else json.dumps(answer)
        )
        return web.Response(status=status, text="" if status == 204 else text)


@pytest_asyncio.fixture
async def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Daemon]:
    monkeypatch.setenv("CONJURED_DIR", str(tmp_path))
    (tmp_path / "secrets.json").write_text('{"ask": "t0"}')
    d = Daemon()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", d.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.UnixSite(runner, str(tmp_path / "ask.sock")).start()
    yield d
    await runner.cleanup()


def spawner(name: str = "") -> ConjuredSpawner:
    s = ConjuredSpawner(environment={"COURSE": "7b"})
    s.user = SimpleNamespace(name="amira", url="/user/amira/", escaped_name="amira", id=1, settings={})
    s.orm_spawner = SimpleNamespace(name=name, server=None)
    s.get_env = lambda: {"JUPYTERHUB_API_TOKEN": "s3"}  # type: ignore[method-assign]
    return s


PLACE = "00ddbd88183d"  # the daemon's id for amira's first server


def test_place_is_the_daemons() -> None:
    assert spawner().place == PLACE


async def test_start_follows_the_daemon(daemon: Daemon) -> None:
    s = spawner()
    daemon.answers = {
        "POST /v1/servers": [
            (503, {"message": "The class is still being prepared."}),
            (202, {"id": PLACE, "url": "http+unix://%2fx:80", "state": "queued", "token": "s3"}),
        ],
        f"POST /v1/servers/{PLACE}/watched": [(204, None)],
        f"GET /v1/servers/{PLACE}/events": [
            # then it restarts
            (
                200,
                [{"state": "queued", "message": "You are number 2.", "progress": 5, "place": 2, "wait": 40}],
            ),
            (200, [{"state": "ready", "message": "Ready.", "progress": 100}]),
        ],
    }
    seen: list[str] = []
    places: list[int | None] = []

    async def watch() -> None:
        async for e in s.progress():
            seen.append(e["message"])
            places.append(e.get("place"))

    watcher = asyncio.create_task(watch())
    assert await s.start() == "http+unix://%2fx:80"
    await asyncio.sleep(0)
    watcher.cancel()
    assert seen[0] == "The class is still being prepared." and "You are number 2." in seen and 2 in places
    asked = [q for _, path, q in daemon.asked if path == "/v1/servers"]
    # A daemon that came back is told how long the student has waited.
    assert [q.pop("waited") > 0.5 for q in asked] == [False, True, True]
    assert asked[0] == {"user": "amira", "server": "", "env": {"JUPYTERHUB_API_TOKEN": "s3"}}
    assert ("POST", f"/v1/servers/{PLACE}/watched", None) in daemon.asked


async def test_a_hub_that_died_waits_for_what_it_had_begun(daemon: Daemon) -> None:
    daemon.answers = {
        f"GET /v1/servers/{PLACE}": [(200, {"state": "queued"}), (200, {"state": "ready", "url": "u"})],
        f"GET /v1/servers/{PLACE}/events": [(200, [{"state": "ready", "message": "Ready."}])],
    }
    assert await spawner().get_url() == "u"


def test_no_time_out_is_shorter_than_the_queue() -> None:
    s = ConjuredSpawner(start_timeout=60, http_timeout=5)
    assert s.start_timeout >= 3600 and s.http_timeout >= 120
    assert ConjuredSpawner(start_timeout=7200).start_timeout == 7200


async def test_start_adopts_with_the_token_the_server_has(daemon: Daemon) -> None:
    s = spawner()
    daemon.answers = {
        "POST /v1/servers": [(200, {"id": PLACE, "url": "u", "state": "ready", "token": "old"})],
        f"GET /v1/servers/{PLACE}/events": [(200, [{"state": "ready", "message": "Ready."}])],
    }
    await s.start()
    assert s.api_token == "old"


async def test_start_says_why_it_failed(daemon: Daemon) -> None:
    s = spawner()
    daemon.answers = {
        "POST /v1/servers": [(202, {"id": PLACE, "url": "u", "state": "queued"})],
        f"GET /v1/servers/{PLACE}/events": [(200, [{"state": "failed", "message": "Out of memory."}])],
    }
    with pytest.raises(SpawnFailed) as e:
        await s.start()
    assert e.value.jupyterhub_message == "Out of memory."


@pytest.mark.parametrize(
    ("answer", "want"),
    [
        ((200, {"state": "ready"}), None),
        ((200, {"state": "queued"}), None),
        ((200, {"state": "gone", "code": 137}), 137),
        ((200, {"state": "gone"}), 0),
        ((503, {"message": "busy"}), None),
    ],
)
async def test_poll(daemon: Daemon, answer: tuple[int, Any], want: int | None) -> None:
    daemon.answers = {f"GET /v1/servers/{PLACE}": [answer]}
    assert await spawner().poll() == want


async def test_poll_without_a_daemon_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONJURED_DIR", str(tmp_path))
    (tmp_path / "secrets.json").write_text('{"ask": "t0"}')
    assert await spawner().poll() is None
    user = SimpleNamespace(name="amira", escaped_name="amira")
    assert await ConjuredAuthenticator().refresh_user(user) is True


async def test_stop(daemon: Daemon) -> None:
    daemon.answers = {f"DELETE /v1/servers/{PLACE}": [(204, None)]}
    await spawner().stop()
    assert daemon.asked[0][0] == "DELETE"


HANDLER = SimpleNamespace(request=SimpleNamespace(remote_ip="10.0.0.7"), find_user=lambda name: None)


async def test_login_says_admin_each_time(daemon: Daemon) -> None:
    a = ConjuredAuthenticator()
    daemon.answers = {
        "POST /v1/auth": [(200, {"name": "T", "admin": True}), (200, {"name": "T", "admin": False})]
    }
    form = {"username": "t", "password": " p "}
    assert await a.authenticate(HANDLER, form) == {"name": "T", "admin": True}
    assert await a.authenticate(HANDLER, form) == {"name": "T", "admin": False}
    assert daemon.asked[0][2] == {"user": "t", "password": " p ", "address": "10.0.0.7"}
    assert a.normalize_username("Élodie") == "Élodie"


async def test_login_refusal_is_in_words(daemon: Daemon) -> None:
    daemon.answers = {"POST /v1/auth": [(403, {"message": "100% wrong."})]}
    with pytest.raises(HTTPError) as e:
        await ConjuredAuthenticator().authenticate(HANDLER, {})
    assert e.value.status_code == 403 and e.value.log_message % e.value.args == "100% wrong."


async def test_a_removed_user_is_out(daemon: Daemon) -> None:
    a = ConjuredAuthenticator()
    daemon.answers = {"GET /v1/accounts/amira": [(404, {}), (200, {"admin": False}), (500, {})]}
    user = SimpleNamespace(name="amira", escaped_name="amira")
    assert await a.refresh_user(user) is False
    assert await a.refresh_user(user) == {"name": "amira", "admin": False}
    assert await a.refresh_user(user) is True


def somebody(cookie: str) -> SimpleNamespace:
    db = SimpleNamespace(commit=lambda: None)
    return SimpleNamespace(
        name="amira", escaped_name="amira", orm_user=SimpleNamespace(cookie_id=cookie), db=db
    )


async def test_a_new_password_ends_the_logins_before_it(daemon: Daemon) -> None:
    a = ConjuredAuthenticator()
    answer = {"name": "amira", "admin": False, "mark": "m2"}
    daemon.answers = {"GET /v1/accounts/amira": [(200, answer)] * 4, "POST /v1/auth": [(200, answer)] * 2}
    user = somebody("m1")
    assert await a.refresh_user(user, SimpleNamespace()) is False and user.orm_user.cookie_id == "m2"
    assert await a.refresh_user(user, SimpleNamespace()) == {"name": "amira", "admin": False}
    user = somebody("m1")
    by_token = SimpleNamespace(_token_authenticated=True)
    assert await a.refresh_user(user, by_token) == {"name": "amira", "admin": False}
    user = somebody("m1")  # who logs in with the new password stays in
    handler = SimpleNamespace(request=HANDLER.request, find_user=lambda name: user)
    await a.authenticate(handler, {"username": "amira", "password": "x"})
    assert await a.refresh_user(user, SimpleNamespace()) == {"name": "amira", "admin": False}
    await a.authenticate(HANDLER, {"username": "amira", "password": "x"})  # the first time ever
    user = somebody("new")
    a.add_user(user)
    assert user.orm_user.cookie_id == "m2"
