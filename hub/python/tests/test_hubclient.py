"""Questions over a real unix socket."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import quote

import pytest

from conjured_server import hubclient

PLAIN = b"HTTP/1.1 200 OK\r\nX-JupyterHub-Version: 6\r\nContent-Length: 7\r\n\r\n" + b'{"a":1}'
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab\xc3\r\n1\r\n\xa4\r\n0\r\n\r\n"
REFUSED = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"


class Hub:
    """Answers every question the same way and remembers it."""

    def __init__(self, path: Path) -> None:
        self.answer = PLAIN
        self.asked = b""
        self.url = "http+unix://" + quote(str(path), safe="") + "/hub/api"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked = await reader.readuntil(b"\r\n\r\n")
        length = int(self.asked.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        self.asked += await reader.readexactly(length)
        writer.write(self.answer)
        writer.close()


@pytest.fixture
async def hub(tmp_path: Path):
    path = tmp_path / "s"
    h = Hub(path)
    server = await asyncio.start_unix_server(h.serve, path)
    yield h
    server.close()


async def test_a_question(hub: Hub) -> None:
    r = await hubclient.fetch(hub.url + "?x=1", method="POST", headers={"Authorization": "token t"}, data="ä")
    assert (r.status, r.ok, await r.json(), r.headers.get("x-jupyterhub-version")) == (
        200,
        True,
        {"a": 1},
        "6",
    )
    head, _, body = hub.asked.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /hub/api?x=1 HTTP/1.1\r\n")
    assert b"Authorization: token t" in head and body == "ä".encode()


async def test_an_answer_in_pieces(hub: Hub) -> None:
    hub.answer = CHUNKED
    assert await (await hubclient.fetch(hub.url)).text() == "abä"


async def test_a_refusal(hub: Hub) -> None:
    hub.answer = REFUSED
    r = await hubclient.fetch(hub.url, raise_for_status=False)
    assert (r.status, await r.read()) == (403, b"no")
    with pytest.raises(OSError, match="403 Forbidden"):
        await hubclient.fetch(hub.url)


@pytest.mark.parametrize("answer", [b"", b"nonsense\r\n\r\n", PLAIN[:-3]])
async def test_half_an_answer(hub: Hub, answer: bytes) -> None:
    hub.answer = answer
    with pytest.raises(OSError, match="no whole answer"):
        await hubclient.fetch(hub.url)


async def test_no_line_is_smuggled_in(hub: Hub) -> None:
    with pytest.raises(ValueError, match="line break"):
        await hubclient.fetch(hub.url, headers={"X": "a\r\nY: b"})
    assert hub.asked == b""


async def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        await hubclient.fetch("http+unix://" + quote(str(tmp_path / "none"), safe=""))


async def test_the_rest_goes_to_jupyterhub(monkeypatch: pytest.MonkeyPatch, hub: Hub) -> None:
    async def theirs(url: str, **kwargs: object) -> object:
        return url, kwargs

    monkeypatch.setattr(hubclient, "theirs", theirs)
    assert (await hubclient.fetch("http://hub:8081/hub/api"))[0] == "http://hub:8081/hub/api"
    assert (await hubclient.fetch(hub.url, ssl=1))[1]["ssl"] == 1
    assert hub.asked == b""
