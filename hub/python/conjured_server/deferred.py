"""Modules that are loaded when somebody first wants something of them.

The standard library's LazyLoader loads a module as soon as it is imported a second time
and knows no `from module import name`. Here an importer that only keeps a name gets a
substitute for that name, and the module itself is loaded when anything else is asked for.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

Names = Mapping[str, Any]  # what a module has before it is loaded


class Deferred(ModuleType):
    """A module whose code has not run yet. Its own attributes are those of its spec."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name not in ("__version__", "__all__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        load(self)
        if type(self) is _Loading:  # by this thread: a circle of imports
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r} yet")
        return getattr(self, name)

    def __dir__(self) -> list[str]:
        load(self)
        return list(super().__dir__())


class _Loading(Deferred):
    """A module whose code runs now: another thread that asks for something waits."""


def load(module: ModuleType) -> None:
    """Run the module's code, unless that was done or is being done by this thread."""
    if not isinstance(module, Deferred):
        return
    later = _later(module)
    if later is None:
        raise ImportError(f"cannot load {module.__name__}: nothing says how", name=module.__name__)
    with later.lock:
        if type(module) is not Deferred:
            return
        _become(module, _Loading)
        try:
            later.names_off(module)
            later.finder.forget(module.__name__)
            later.real.exec_module(module)
        except BaseException:
            _become(module, Deferred)
            raise
        _become(module, ModuleType)


def _become(module: ModuleType, kind: type[ModuleType]) -> None:
    module.__class__ = kind


def _later(module: ModuleType) -> _Later | None:
    loader = module.__spec__.loader if module.__spec__ else None
    return loader if isinstance(loader, _Later) else None


class _Later(Loader):
    """Makes the module and leaves running its code to load."""

    def __init__(self, real: Loader, names: Names, finder: Finder) -> None:
        self.real, self.names, self.finder = real, names, finder
        self.lock = threading.RLock()

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return Deferred(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__.update(self.names)

    def names_off(self, module: ModuleType) -> None:
        for name, value in self.names.items():
            if module.__dict__.get(name) is value:
                del module.__dict__[name]

    def __getattr__(self, name: str) -> Any:
        # Package data is read through the loader: get_data, get_resource_reader.
        return getattr(self.real, name)


class Finder(MetaPathFinder):
    """Finds the modules of a table where they are, and puts off loading them."""

    def __init__(self, table: Mapping[str, Names]) -> None:
        self.table = dict(table)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        names = self.table.get(name)
        if names is None:
            # Code inside a package expects that the package's own code ran before it.
            parent = sys.modules.get(name.rpartition(".")[0])
            if parent is not None:
                load(parent)
            return None
        spec = self._real(name, path, target)
        if spec is None or spec.loader is None or not hasattr(spec.loader, "exec_module"):
            return None
        spec.loader = _Later(spec.loader, names, self)
        return spec

    def _real(self, name: str, path: Sequence[str] | None, target: ModuleType | None) -> ModuleSpec | None:
        for finder in sys.meta_path:
            find: Callable[..., ModuleSpec | None] | None = getattr(finder, "find_spec", None)
            if finder is self or find is None:
                continue
            spec = find(name, path, target)
            if spec is not None:
                return spec
        return None

    def forget(self, name: str) -> None:
        """A package is really wanted: what is in it gives no substitutes any more."""
        for inner in [n for n in self.table if n.startswith(name + ".")]:
            del self.table[inner]
            module = sys.modules.get(inner)
            if isinstance(module, Deferred) and (later := _later(module)):
                later.names_off(module)


def install(table: Mapping[str, Names]) -> Finder:
    """Put off the modules of the table that are not loaded yet."""
    finder = Finder({name: names for name, names in table.items() if name not in sys.modules})
    sys.meta_path.insert(0, finder)
    return finder


def forward(module: str, name: str) -> Callable[..., Any]:
    """A function that is module.name, which is loaded at the first call."""

    def call(*args: Any, **kwargs: Any) -> Any:
        real = sys.modules[module]
        load(real)
        return getattr(real, name)(*args, **kwargs)

    call.__name__ = call.__qualname__ = name
    return call


def uninstall() -> None:
    """Look for modules as ever, and forget those that were never loaded."""
    sys.meta_path[:] = [f for f in sys.meta_path if not isinstance(f, Finder)]
    for name, module in list(sys.modules.items()):
        if isinstance(module, Deferred):
            del sys.modules[name]
