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

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._marks: dict[str, str] = {}  # of those who log in for the first time

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
        mark = str(answer.get("mark", ""))
        if user := handler.find_user(answer["name"]):
            self._stamp(user, mark)
        else:
            self._marks[answer["name"]] = mark
        return {"name": answer["name"], "admin": bool(answer["admin"])}

    def add_user(self, user: Any) -> Any:
        """Somebody who was never here before: their cookies are of today's mark from the first on."""
        self._stamp(user, self._marks.pop(user.name, ""))
        return super().add_user(user)

    def _stamp(self, user: Any, mark: str) -> bool:
        """Make cookies of another mark worthless; tells whether there can have been some."""
        if not mark or user.orm_user.cookie_id == mark:
            return False
        user.orm_user.cookie_id = mark
        user.db.commit()
        return True

    async def refresh_user(self, user: Any, handler: Any = None) -> bool | dict[str, Any]:
        """False ends the session of somebody who left the roster, or whose password has changed."""
        try:
            answer = await ask("GET", f"/v1/accounts/{user.escaped_name}")
        except Refused as e:
            return e.status != 404
        except Unreachable:
            return True
        # What scripts show, a token, the daemon has taken back where it had to.
        by_cookie = handler is not None and not getattr(handler, "_token_authenticated", False)
        if self._stamp(user, str(answer.get("mark", ""))) and by_cookie:
            return False
        return {"name": user.name, "admin": bool(answer["admin"])}
