"""Questions of a student's server to its hub, over the one unix socket it has for that.

JupyterHub asks with aiohttp, which is 7 MB and an eighth of a server's start for one
short question every few minutes. Anything but a plain question goes to JupyterHub's own
client still.
"""

from __future__ import annotations

import asyncio
import http.client
import io
import json
from typing import Any
from urllib.parse import unquote, urlsplit

from conjured_server.deferred import forward

PATIENCE = 120.0  # seconds
MAX_ANSWER = 16 << 20  # bytes
PLAIN = {"headers", "data"}

theirs = forward("jupyterhub.httpclient", "fetch")


class Answer:
    """What JupyterHub's code uses of an aiohttp.ClientResponse."""

    def __init__(self, url: str, response: http.client.HTTPResponse, body: bytes) -> None:
        self.url = url
        self.status = response.status
        self.reason = response.reason
        self.headers = response.headers
        self.body = body

    @property
    def ok(self) -> bool:
        """Whether it is no error."""
        return self.status < 400

    async def read(self) -> bytes:
        """The body."""
        return self.body

    async def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    async def json(self) -> Any:
        """The body's value."""
        return json.loads(self.body)

    def raise_for_status(self) -> None:
        """An error is an exception."""
        if not self.ok:
            raise OSError(f"{self.status} {self.reason} from {self.url}")


class _Received:
    """Bytes that were received, for http.client to read."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self.data)


async def fetch(url: str, *, method: str = "GET", raise_for_status: bool = True, **kwargs: Any) -> Any:
    """Ask, as jupyterhub.httpclient.fetch does."""
    parts = urlsplit(url)
    headers = kwargs.get("headers") or {}
    body = kwargs.get("data") or b""
    if isinstance(body, str):
        body = body.encode()
    if parts.scheme != "http+unix" or set(kwargs) - PLAIN or not isinstance(body, bytes):
        return await theirs(url, method=method, raise_for_status=raise_for_status, **kwargs)
    target = parts.path + ("?" + parts.query if parts.query else "")
    head = {"Host": "hub", **headers, "Connection": "close", "Content-Length": str(len(body))}
    if any(c in text for text in (method, target, *head, *map(str, head.values())) for c in "\r\n"):
        raise ValueError("a header or an address has a line break in it")
    lines = [f"{method} {target or '/'} HTTP/1.1", *(f"{k}: {v}" for k, v in head.items()), "", ""]
    path = unquote(parts.netloc.rpartition("@")[2].partition(":")[0])
    async with asyncio.timeout(PATIENCE):
        answer = await _exchange(url, path, "\r\n".join(lines).encode("latin-1") + body, method)
    if raise_for_status:
        answer.raise_for_status()
    return answer


async def _exchange(url: str, path: str, question: bytes, method: str) -> Answer:
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        writer.write(question)
        await writer.drain()
        data = bytearray()
        while piece := await reader.read(1 << 16):
            data += piece
            if len(data) > MAX_ANSWER:
                raise OSError(f"{url} answers without end")
    finally:
        writer.close()
    response = http.client.HTTPResponse(_Received(bytes(data)), method=method)  # type: ignore[arg-type]
    try:
        response.begin()
        return Answer(url, response, response.read())
    except http.client.HTTPException as e:
        raise OSError(f"{url} gave no whole answer: {e!r}") from e
