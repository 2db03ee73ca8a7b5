"""The hub's configuration: our defaults, the teacher's file, then what a class can't run without."""

from __future__ import annotations

import ast
import json
import os
import signal
import sys
import traceback
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn
from urllib.parse import quote

from traitlets.config import Config
from traitlets.config.loader import LazyConfigValue

from conjured_hub.ask import directory, secret
from conjured_hub.authenticator import ConjuredAuthenticator
from conjured_hub.spawner import HTTP_TIMEOUT, START_TIMEOUT, ConjuredSpawner

HERE = Path(__file__).parent
SRV = Path("/srv/jupyterhub")
BAD_SRV = 66  # exit status: the teacher's file can't be used; the report says why
PATIENCE = 20  # seconds a teacher's file may run

ROLE: dict[str, Any] = {
    "name": "conjured",
    "description": "the daemon: starts servers before a lesson, and puts out those who left the roster",
    "services": ["conjured"],
    "scopes": ["admin:users", "admin:servers", "tokens", "list:users", "read:metrics", "read:hub", "proxy"],
}

# Our own pages, /conjured/account and /conjured/teach, learn here who is at the browser.
DESK: dict[str, Any] = {
    "name": "conjured-desk",
    "display": False,
    "oauth_client_id": "service-conjured-desk",
    "oauth_redirect_uri": "/conjured/oauth_callback",
    "oauth_no_confirm": True,
}

# Settings that must not be set: the front door, the daemon or the roster stand for them.
NOT_IN_HUB = (
    *("cookie_secret", "bind_url", "ip", "port", "base_url", "config_file", "pid_file"),
    *("hub_ip", "hub_port", "hub_connect_ip", "hub_connect_port", "hub_routespec", "hub_socket_mode"),
    *("ssl_key", "ssl_cert", "internal_ssl", "subdomain_host", "admin_users"),
    *("proxy_api_ip", "proxy_api_port", "proxy_auth_token", "proxy_cmd"),
)
NOT_IN_AUTHENTICATOR = (
    *("admin_users", "allowed_users", "allow_existing_users", "blocked_users", "any_allow_config"),
    *("auto_login", "username_map", "username_pattern", "enable_auth_state", "manage_roles", "manage_groups"),
)
NOT_IN_SPAWNER = ("cmd", "args", "ip", "port", "hub_connect_url", "ssl_alt_names")


class TooLong(BaseException):
    """The teacher's file did not come to an end. Not an Exception, so that few files catch it."""


def url(socket: str) -> str:
    """A socket of ours as JupyterHub writes it."""
    return "http+unix://" + quote(str(directory() / socket), safe="").lower()


def defaults(c: Config) -> None:
    """What a teacher's file may change."""
    c.JupyterHub.tornado_settings = {"slow_spawn_timeout": 0}  # the page with progress, at once
    c.JupyterHub.implicit_spawn_seconds = 0.1  # a bookmark of a notebook starts the server
    c.JupyterHub.init_spawners_timeout = 5
    c.JupyterHub.load_roles = []
    c.JupyterHub.services = []
    c.Spawner.start_timeout = START_TIMEOUT
    c.Spawner.http_timeout = HTTP_TIMEOUT
    c.Spawner.poll_interval = 30
    c.Spawner.default_url = "/lab"


def invariants() -> dict[str, dict[str, Any]]:
    """What a class can't run without, by class and setting. None: must not be set."""
    data = os.environ["CONJURED_DATA"]
    return {
        "JupyterHub": {
            "proxy_class": "jupyterhub.proxy.ConfigurableHTTPProxy",
            "spawner_class": ConjuredSpawner,
            "authenticator_class": ConjuredAuthenticator,
            "concurrent_spawn_limit": 0,  # nobody is refused: the daemon has the queue
            "cleanup_servers": False,
            "cleanup_proxy": False,
            "db_url": f"sqlite:///{data}/jupyterhub.sqlite",
            "upgrade_db": True,
            "cookie_secret_file": f"{data}/cookie_secret",
            "hub_bind_url": url("hub.sock"),
            "hub_connect_url": url("hub.sock"),
            **dict.fromkeys(NOT_IN_HUB),
        },
        "ConfigurableHTTPProxy": {
            "should_start": False,
            "api_url": url("proxy.sock"),
            "auth_token": secret("proxy"),
        },
        "Authenticator": {
            "allow_all": True,
            "auth_refresh_age": 2,  # seconds: a removed row is out within five
            "auth_refresh_strict": True,
            "refresh_pre_spawn": True,
            "delete_invalid_users": False,
            **dict.fromkeys(NOT_IN_AUTHENTICATOR),
        },
        "Spawner": {
            "consecutive_failure_limit": 0,  # a class's hub does not end for a few broken homes
            **dict.fromkeys(NOT_IN_SPAWNER),
        },
    }


def configure(c: Config) -> None:
    """Fill c, and write the report that the daemon reads."""
    report: dict[str, Any] = {"state": "loading", "file": "srv/jupyterhub_config.py", "overridden": []}
    write(report)
    defaults(c)
    teacher(c, report)
    try:
        insist(c, report)
        ours(c)
    except (TypeError, AttributeError, ValueError) as e:
        fail(report, e, f"a setting is not of the kind it must be: {e}")
    report["state"] = "loaded"
    write(report)


def insist(c: Config, report: dict[str, Any]) -> None:
    """Put the invariants in, and note which of them the teacher's files had set."""
    lines = settings(SRV)
    for section, wanted in invariants().items():
        for name, value in wanted.items():
            if name in c[section]:
                if c[section][name] != value:
                    setting = f"{section}.{name}"
                    file, line = lines.get(setting, ("srv/jupyterhub_config.py", 0))
                    report["overridden"].append({"setting": "c." + setting, "file": file, "line": line})
                del c[section][name]
            if value is not None:
                c[section][name] = value
    # A setting on a subclass would win over the one on its parent.
    for section in ("ConjuredSpawner", "ConjuredAuthenticator", "Proxy"):
        c.pop(section, None)


def ours(c: Config) -> None:
    """What is added to the teacher's lists."""
    hub = c.JupyterHub
    others = [s for s in listed(hub, "services") if s.get("name") not in ("conjured", DESK["name"])]
    daemon = {"name": "conjured", "api_token": secret("service"), "display": False}
    hub.services = [*others, daemon, {**DESK, "api_token": secret("desk")}]
    hub.load_roles = roles(listed(hub, "load_roles"))
    hub.template_paths = [*listed(hub, "template_paths"), str(HERE / "templates")]
    hub.tornado_settings = with_cookies(value_of(hub.get("tornado_settings", {}), {}))
    names = hub.get("template_vars", {})
    hub.template_vars = {"class_name": os.environ.get("CONJURED_CLASS", ""), **value_of(names, {})}


def roles(theirs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The teacher's roles and ours; everybody with an account may use our own pages."""
    access = "access:services!service=" + DESK["name"]
    everybody: dict[str, Any] = {"name": "user", "description": "all accounts", "scopes": ["self"]}
    others = []
    for role in theirs:
        if role.get("name") == "user":
            everybody = role
        elif role.get("name") != "conjured":
            others.append(role)
    scopes = [s for s in everybody.get("scopes", ["self"]) if s != access]
    return [*others, {**everybody, "scopes": [*scopes, access]}, ROLE]


def with_cookies(settings: dict[str, Any]) -> dict[str, Any]:
    """Cookies that a page of another site cannot send along, and of the hub's none that a script can read."""
    options = dict(settings.get("cookie_options", {}))
    if not any(k.lower() == "samesite" for k in options):  # a teacher may show the class inside another site
        options["samesite"] = "Lax"
    xsrf = {**options, "httponly": True, **settings.get("xsrf_cookie_kwargs", {})}
    return {**settings, "cookie_options": options, "xsrf_cookie_kwargs": xsrf}


def value_of(v: Any, initial: Any) -> Any:
    return v.get_value(initial) if isinstance(v, LazyConfigValue) else v


def listed(section: Any, name: str) -> list[Any]:
    return list(value_of(section.get(name, []), []))


def teacher(c: Config, report: dict[str, Any]) -> None:
    """Run srv/jupyterhub_config.py with c, or end this process with the reason in the report."""
    path = SRV / "jupyterhub_config.py"
    if not path.is_file():
        return
    sys.path.append(str(SRV))  # last: a teacher's file never stands in for a library
    limit = int(os.environ.get("CONJURED_SRV_SECONDS", PATIENCE))
    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(limit)
    try:
        code = compile(path.read_bytes(), str(path), "exec")
        exec(code, namespace(c, path))  # noqa: S102 - running it is what it is for
    except TooLong as e:
        fail(report, e, f"it was still running after {limit} seconds")
    except SyntaxError as e:
        report.update(line=e.lineno or 0, file=relative(e.filename or str(path)))
        fail(report, None, e.msg)
    except SystemExit as e:
        fail(report, e, "it ends the program")
    except Exception as e:
        fail(report, e, f"{type(e).__name__}: {e}")
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def too_long(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise TooLong


def namespace(c: Config, path: Path) -> dict[str, Any]:
    """The names a configuration file of JupyterHub may use."""

    def load_subconfig(name: str, path: str | None = None) -> None:
        file = Path(path or SRV) / name
        exec(compile(file.read_bytes(), str(file), "exec"), namespace(c, file))  # noqa: S102

    return {
        "c": c,
        "get_config": lambda: c,
        "load_subconfig": load_subconfig,
        "__file__": str(path),
        "__name__": "jupyterhub_config",
    }


def fail(report: dict[str, Any], e: BaseException | None, why: str) -> NoReturn:
    """Say where in the teacher's files it happened, and end."""
    frames = traceback.extract_tb(e.__traceback__) if e else []
    for frame in frames:
        if frame.filename.startswith(f"{SRV}/"):
            report.update(file=relative(frame.filename), line=frame.lineno or 0)
    report.update(state="failed", error=why[:500])
    write(report)
    print(f"{report['file']}:{report.get('line', 0)}: {why}", file=sys.stderr, flush=True)
    # Not SystemExit: traitlets takes that for an error of its own and tells the story again.
    os._exit(BAD_SRV)


def relative(file: str) -> str:
    """A file of the teacher's by the name it has in their folder."""
    path = Path(file)
    return f"srv/{path.relative_to(SRV)}" if path.is_relative_to(SRV) else path.name


def settings(srv: Path) -> dict[str, tuple[str, int]]:
    """Where the teacher's files set what: "JupyterHub.ip" -> file and line of the last time."""
    found: dict[str, tuple[str, int]] = {}
    for path in sorted(srv.glob("*.py"))[:100]:
        try:
            tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError, OSError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute):
                found[f"{node.value.attr}.{node.attr}"] = (f"srv/{path.name}", node.lineno)
    return found


def write(report: dict[str, Any]) -> None:
    """Leave the report for the daemon, whole."""
    path = directory() / "report.json"
    part = path.with_suffix(".part")
    part.write_text(json.dumps(report))
    part.replace(path)
