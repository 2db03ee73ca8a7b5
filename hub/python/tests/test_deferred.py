"""Modules of our own in a temporary directory, put off and asked for."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from conjured_server import deferred, putoff
from conjured_server.deferred import Deferred

Make = Callable[..., deferred.Finder]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Files that become modules, and a table of those that are put off."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(tmp_path))
    finders: list[deferred.Finder] = []

    def write(files: Mapping[str, str], table: Mapping[str, Any]) -> deferred.Finder:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        importlib.invalidate_caches()
        finders.append(deferred.install(table))
        return finders[-1]

    yield write
    for finder in finders:
        sys.meta_path.remove(finder)
    for name in set(sys.modules) - before:
        del sys.modules[name]


def module(name: str) -> ModuleType:
    return importlib.import_module(name)


def test_code_runs_at_the_first_question(make: Make) -> None:
    make({"late_a.py": "value = 5\n"}, {"late_a": {}})
    m = module("late_a")
    assert isinstance(m, Deferred)
    assert module("late_a") is m and isinstance(m, Deferred), "a second import loads nothing"
    assert m.value == 5
    assert type(m) is ModuleType
    with pytest.raises(AttributeError):
        _ = m.other


def test_a_substitute_does_until_more_is_wanted(make: Make) -> None:
    make({"late_b.py": "def f(): return 'real'\nother = 1\n"}, {"late_b": {"f": lambda: "ours"}})
    scope: dict[str, Any] = {}
    exec("from late_b import f", scope)
    assert scope["f"]() == "ours"
    m = sys.modules["late_b"]
    assert isinstance(m, Deferred)
    assert m.other == 1
    assert m.f() == "real"


def test_forward_loads_at_the_first_call(make: Make) -> None:
    make({"late_c.py": "def f(x): return x + 1\n"}, {"late_c": {"f": deferred.forward("late_c", "f")}})
    f = module("late_c").f
    assert isinstance(sys.modules["late_c"], Deferred)
    assert f(2) == 3
    assert type(sys.modules["late_c"]) is ModuleType


PACKAGE = {
    "late_p/__init__.py": "from .errors import Error\nready = True\n",
    "late_p/errors.py": "class Error(Exception): real = True\n",
    "late_p/deep.py": "import late_p\nassert late_p.ready\n",
}


def test_a_package_that_is_wanted_gives_no_substitutes(make: Make) -> None:
    make(PACKAGE, {"late_p": {}, "late_p.errors": {"Error": ValueError}})
    assert module("late_p.errors").Error is ValueError
    p = module("late_p")
    assert isinstance(p, Deferred)
    assert p.ready and p.Error.real and p.errors.Error is p.Error


def test_inside_a_package_its_own_code_ran_first(make: Make) -> None:
    make(PACKAGE, {"late_p": {}})
    module("late_p.deep")
    assert type(sys.modules["late_p"]) is ModuleType


def test_circles_of_imports(make: Make) -> None:
    make(
        {
            "late_q/__init__.py": "one = 1\nfrom . import inner\n",
            "late_q/inner.py": "from late_q import one\ntwo = one + 1\n",
        },
        {"late_q": {}, "late_q.inner": {}},
    )
    assert module("late_q").inner.two == 2


def test_a_module_that_is_not_there(make: Make) -> None:
    make({}, {"late_nowhere": {"f": print}})
    with pytest.raises(ImportError):
        module("late_nowhere")


def test_a_module_that_fails_says_so_each_time(make: Make) -> None:
    make({"late_bad.py": "raise OSError('no disk')\n"}, {"late_bad": {}})
    m = module("late_bad")
    for _ in range(2):
        with pytest.raises(OSError, match="no disk"):
            _ = m.value


def test_what_is_loaded_already_stays(make: Make) -> None:
    assert "json" not in make({}, {"json": {}}).table


def test_the_table_names_what_is_there() -> None:
    """Every substitute stands for a name that its module really has."""
    for name, names in putoff.table().items():
        for attribute in names:
            try:
                real = importlib.import_module(name)
            except ImportError:
                continue  # the linters' own environment does not hold all of Lab
            assert hasattr(real, attribute), f"{name}.{attribute}"
