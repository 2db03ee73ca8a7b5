"""The configuration, run as the hub runs it: in a process of its own, with a teacher's file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAM = """
import json, sys
from pathlib import Path
from traitlets.config import Config
import conjured_hub.config as m
m.SRV = Path(sys.argv[1])
c = Config()
m.configure(c)
print(json.dumps({k: v for k, v in c.items()}, default=repr))
"""


def run(tmp_path: Path, **files: str) -> tuple[int, dict[str, Any], dict[str, Any]]:
    srv = tmp_path / "srv"
    srv.mkdir()
    for name, text in files.items():
        (srv / f"{name}.py").write_text(text)
    (tmp_path / "secrets.json").write_text('{"ask": "a", "proxy": "p", "service": "s", "desk": "d"}')
    env = os.environ | {
        "CONJURED_DIR": str(tmp_path),
        "CONJURED_DATA": "/data",
        "CONJURED_CLASS": "7b",
        "CONJURED_SRV_SECONDS": "1",
        "PYTHONPATH": str(Path(__file__).parent.parent),
    }
    p = subprocess.run(  # noqa: S603
        [sys.executable, "-c", PROGRAM, str(srv)],
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    report = json.loads((tmp_path / "report.json").read_text())
    return p.returncode, report, json.loads(p.stdout) if p.stdout else {}


def test_without_a_file(tmp_path: Path) -> None:
    code, report, c = run(tmp_path)
    assert code == 0 and report["state"] == "loaded" and report["overridden"] == []
    assert c["JupyterHub"]["cleanup_servers"] is False
    assert c["JupyterHub"]["hub_bind_url"] == c["JupyterHub"]["hub_connect_url"]
    assert c["JupyterHub"]["hub_bind_url"].endswith("%2fhub.sock")
    assert c["JupyterHub"]["concurrent_spawn_limit"] == 0 and c["Spawner"]["consecutive_failure_limit"] == 0
    assert c["Authenticator"]["allow_all"] is True
    assert c["JupyterHub"]["template_vars"] == {"class_name": "7b"}


def test_a_teachers_file_counts(tmp_path: Path) -> None:
    code, report, c = run(
        tmp_path,
        jupyterhub_config=(
            "import mine\n"
            "c.Spawner.default_url = mine.URL\n"
            "c.JupyterHub.services.append({'name': 'x', 'url': 'http://x'})\n"
            "c.JupyterHub.load_roles = [{'name': 'r'}]\n"
            "get_config().JupyterHub.template_vars = {'a': 1}\n"
            "c.JupyterHub.template_paths = ['/srv/jupyterhub/t']\n"
            "load_subconfig('more.py')\n"
        ),
        mine="URL = '/tree'\n",
        more="c.Spawner.poll_interval = 7\n",
    )
    assert code == 0 and report["overridden"] == []
    assert c["Spawner"] == {**c["Spawner"], "default_url": "/tree", "poll_interval": 7}
    assert [s["name"] for s in c["JupyterHub"]["services"]] == ["x", "conjured", "conjured-desk"]
    assert [s["name"] for s in c["JupyterHub"]["load_roles"]] == ["r", "user", "conjured"]
    assert c["JupyterHub"]["template_vars"] == {"class_name": "7b", "a": 1}
    assert c["JupyterHub"]["template_paths"][0] == "/srv/jupyterhub/t"


def test_invariants_win_and_are_told(tmp_path: Path) -> None:
    code, report, c = run(
        tmp_path,
        jupyterhub_config=(
            "# TLS, one day\n"
            "c.JupyterHub.spawner_class = 'simple'\n"
            "c.JupyterHub.port = 443\n"
            "c.Authenticator.admin_users.add('eve')\n"
            "c.JupyterHub.cleanup_servers = False\n"
            "c.ConjuredSpawner.cmd = ['sh']\n"
            "import other\n"
        ),
        other="from traitlets.config import get_config\nget_config().JupyterHub.db_url = 'x'\n",
    )
    assert code == 0
    assert "port" not in c["JupyterHub"] and "admin_users" not in c["Authenticator"]
    assert "ConjuredSpawner" not in c and "ConjuredSpawner" in c["JupyterHub"]["spawner_class"]
    told = {(o["setting"], o["file"], o["line"]) for o in report["overridden"]}
    assert told == {
        ("c.JupyterHub.spawner_class", "srv/jupyterhub_config.py", 2),
        ("c.JupyterHub.port", "srv/jupyterhub_config.py", 3),
        ("c.Authenticator.admin_users", "srv/jupyterhub_config.py", 4),
    }


@pytest.mark.parametrize(
    ("files", "file", "line", "words"),
    [
        (
            {"jupyterhub_config": "x = 1\nc.JupyterHub.ip = (\n"},
            "srv/jupyterhub_config.py",
            2,
            "never closed",
        ),
        ({"jupyterhub_config": "\n\nundefined\n"}, "srv/jupyterhub_config.py", 3, "NameError"),
        (
            {"jupyterhub_config": "import helper\n", "helper": "x = 1\n1/0\n"},
            "srv/helper.py",
            2,
            "ZeroDivisionError",
        ),
        (
            {"jupyterhub_config": "import helper\n", "helper": "def f(:\n"},
            "srv/helper.py",
            1,
            "invalid syntax",
        ),
        (
            {"jupyterhub_config": "import sys\nsys.exit(0)\n"},
            "srv/jupyterhub_config.py",
            2,
            "ends the program",
        ),
        ({"jupyterhub_config": "c.JupyterHub.services = 7\n"}, "srv/jupyterhub_config.py", 0, "kind"),
        ({"jupyterhub_config": "\nwhile True: pass\n"}, "srv/jupyterhub_config.py", 2, "still running"),
        (
            {"jupyterhub_config": "import time\ntime.sleep(99)\n"},
            "srv/jupyterhub_config.py",
            2,
            "still running",
        ),
    ],
)
def test_a_broken_file_is_told_with_its_line(
    tmp_path: Path, files: dict[str, str], file: str, line: int, words: str
) -> None:
    code, report, _ = run(tmp_path, **files)
    assert code == 66
    assert (report["state"], report["file"], report.get("line", 0)) == ("failed", file, line)
    assert words in report["error"]


def test_cookies(tmp_path: Path) -> None:
    _, _, c = run(tmp_path)
    settings = c["JupyterHub"]["tornado_settings"]
    assert settings["cookie_options"] == {"samesite": "Lax"}
    assert settings["xsrf_cookie_kwargs"] == {"samesite": "Lax", "httponly": True}


def test_cookies_of_the_teacher(tmp_path: Path) -> None:
    cookies = '"cookie_options": {"SameSite": "None", "Secure": True}'
    text = f'c.JupyterHub.tornado_settings = {{"x": 1, {cookies}}}\n'
    _, _, c = run(tmp_path, jupyterhub_config=text)
    settings = c["JupyterHub"]["tornado_settings"]
    assert settings["x"] == 1 and settings["cookie_options"] == {"SameSite": "None", "Secure": True}
    assert settings["xsrf_cookie_kwargs"]["SameSite"] == "None"
