"""What a student's server imports and hardly ever uses."""

from __future__ import annotations

from typing import Any

from conjured_server import hubclient
from conjured_server.deferred import Names, forward


class HealthCheckHandler:
    """Stands for the hub's handler in isinstance(): a student's server has none."""


class SQLAlchemyError(Exception):
    """Stands for the database's errors in except: a student's server has no database."""


def prometheus_log_method(handler: Any) -> None:
    """Counts requests for the hub's figures, which a student's server does not show."""


def table() -> dict[str, Names]:
    """Modules by name, with the substitutes for what others take out of them while importing."""
    return {
        # The hub itself: its handlers and its database come in with one line of jupyterhub.log.
        "jupyterhub.handlers": {},
        "jupyterhub.handlers.pages": {"HealthCheckHandler": HealthCheckHandler},
        "jupyterhub.metrics": {"prometheus_log_method": prometheus_log_method},
        "jupyterhub.orm": {},
        "jupyterhub.roles": {},
        "sqlalchemy": {},
        "sqlalchemy.exc": {"SQLAlchemyError": SQLAlchemyError},
        # Its client for questions to the hub.
        "jupyterhub.httpclient": {"fetch": hubclient.fetch},
        "aiohttp": {},
        # Checks of formats that no schema here names. The first alone reads 16 grammars,
        # a second and a half of processor time and 40 MB.
        "rfc3987_syntax": {"is_valid_syntax": forward("rfc3987_syntax", "is_valid_syntax")},
        "rfc3986_validator": {"validate_rfc3986": forward("rfc3986_validator", "validate_rfc3986")},
        "webcolors": {},
        "uri_template": {},
        # Clients for the internet and for servers elsewhere.
        "requests": {},
        "httpx": {},
        "websocket": {},
        "xmlrpc.client": {},
    }
