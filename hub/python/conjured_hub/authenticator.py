"""Who may log in is the daemon's to say: the roster lives there."""

from __future__ import annotations

from typing import Any

from jupyterhub.auth import Authenticator
from tornado import web

from conjured_hub.ask import Refused, Unreachable, ask


def refusal(e: Refused) -> web.HTTPError:
    """What the login page shows: 429 for a password that was not looked at, so that scripts can tell."""
    error = web.HTTPError(429 if e.status == 429 else 403, str(e))
    if e.wait:
        error.headers = {"Retry-After": str(e.wait)}  # type: ignore[attr-defined]  # JupyterHub sends them
    return error


class ConjuredAuthenticator(Authenticator):
    """Asks at each login, and again while a user is active, so that a removed one is out."""

    def normalize_username(self, username: str) -> str:
        """The daemon's spelling stands: it knows the accounts."""
        return username

    async def authenticate(self, handler: Any, data: dict[str, str]) -> dict[str, Any] | None:
        """The account, or its refusal in words on the login page. Admin is said each time, True or False."""
        question = {
            "user": data.get("username", ""),
            "password": data.get("password", ""),
            "address": handler.request.remote_ip or "",
        }
        try:
            answer = await ask("POST", "/v1/auth", question)
        except Refused as e:
            raise refusal(e) from e
        except Unreachable as e:
            self.log.error("Login could not be checked: %s", e)
            raise web.HTTPError(503, "The class is being restarted. Try again in a moment.") from e
        return {"name": answer["name"], "admin": bool(answer["admin"])}

    async def refresh_user(self, user: Any, handler: Any = None) -> bool | dict[str, Any]:
        """False ends the session of somebody who is no longer on the roster."""
        try:
            answer = await ask("GET", f"/v1/accounts/{user.escaped_name}")
        except Refused as e:
            return e.status != 404
        except Unreachable:
            return True
        return {"name": user.name, "admin": bool(answer["admin"])}
