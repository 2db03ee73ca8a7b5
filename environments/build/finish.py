"""Make an installed generation final: bytecode for every module, nothing writable.

Bytecode is of the unchecked-hash kind and names the source as the image's Lab set does,
so that it is the same bytes in every generation and for every way to get it. Python
puts the true path into tracebacks itself.

Only the Python that will read bytecode can write it. Where that is not the image's,
bytecode.py does, in a container of its own.
"""

import json
import os
import py_compile
import stat
import sys
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import compose  # noqa: E402
from compose import cached, final  # noqa: E402

MODE = py_compile.PycInvalidationMode.UNCHECKED_HASH
SHOWN = "/opt/conjured/lab"


def compile_many(jobs: list[tuple[str, str]]) -> int:
    """Compile (source, name in tracebacks) pairs; a source that is no Python is left alone."""
    bad = 0
    for source, shown in jobs:
        try:
            py_compile.compile(source, dfile=shown, doraise=True, quiet=2, invalidation_mode=MODE)
        except (py_compile.PyCompileError, ValueError, OSError, RecursionError, MemoryError):
            bad += 1
    return bad


def seal(path: str, info: os.stat_result) -> None:
    """Take the right to write away, and let everybody read."""
    if stat.S_IMODE(info.st_mode) != final(info.st_mode):
        os.chmod(path, final(info.st_mode))


def current(source: str, pyc: str) -> bool:
    """Whether bytecode that came with a package is of use: bound to nothing, or to the date
    that its source has."""
    try:
        info = os.stat(source)
        with open(pyc, "rb") as f:
            head = f.read(16)
    except OSError:
        return False
    flags, date, size = (int.from_bytes(head[i : i + 4], "little") for i in (4, 8, 12))
    return flags == 1 or flags == 0 and (date, size) == (int(info.st_mtime) & 0xFFFFFFFF, info.st_size & 0xFFFFFFFF)


def shared(source: str, pyc: str, old: str, old_pyc: str) -> bool:
    """Take the bytecode of another generation, where the source is the very same file."""
    try:
        if not os.path.samestat(os.lstat(source), os.lstat(old)):
            return False
        os.makedirs(os.path.dirname(pyc), mode=0o755, exist_ok=True)
        return compose.link(old_pyc, pyc)
    except OSError:
        return False


def walk(gen: str, done: set[str], prev: str) -> tuple[list[tuple[str, str]], set[str]]:
    """Seal every file that is not done, and give the sources without bytecode and what is new."""
    todo: list[tuple[str, str]] = []
    fresh: set[str] = set()
    ours: set[str] = set()
    library = os.path.dirname(compose.PACKAGES)
    for folder, _, files in os.walk(gen):
        os.chmod(folder, 0o755)
        inside = os.path.relpath(folder, gen)
        for name in files:
            path, short = os.path.join(folder, name), os.path.normpath(os.path.join(inside, name))
            if short not in done:
                info = os.lstat(path)
                if not stat.S_ISREG(info.st_mode):
                    continue
                fresh.add(short)
                seal(path, info)
            if name.endswith(".py") and inside.startswith(library):
                pyc = cached(short)
                new = os.path.join(gen, pyc)
                if pyc in done or os.path.lexists(new) and current(path, new):
                    continue
                ours.add(pyc)
                if not (prev and shared(path, new, os.path.join(prev, short), os.path.join(prev, pyc))):
                    os.makedirs(os.path.join(folder, "__pycache__"), mode=0o755, exist_ok=True)
                    todo.append((path, os.path.join(SHOWN, short)))
    return todo, fresh - ours


def compile_all(todo: list[tuple[str, str]]) -> None:
    """Compile on every processor. A source that kills the compiler costs its share."""
    size = 60
    shares = [todo[i : i + size] for i in range(0, len(todo), size)]
    try:
        with ProcessPoolExecutor(max_workers=min(os.cpu_count() or 1, len(shares) or 1), mp_context=get_context("fork")) as pool:
            done = 0
            for share, _ in zip(shares, pool.map(compile_many, shares), strict=True):
                done += len(share)
                print(f"conjured: done compile {done} {len(todo)}", flush=True)
    except BrokenProcessPool:
        print("conjured: note the compiler died; some modules stay without bytecode", flush=True)


def compile_and_seal(todo: list[tuple[str, str]]) -> None:
    if todo:
        compile_all(todo)
    for source, _ in todo:
        pyc = cached(source)
        if os.path.lexists(pyc):
            seal(pyc, os.lstat(pyc))


def finish(gen: str, done: set[str], prev: str, later: str) -> set[str]:
    """Finish what is not done yet, and give its files, without bytecode.

    Later is where to note what has to be compiled by another Python; "" when it is ours.
    """
    todo, fresh = walk(gen, done, prev)
    if not later:
        compile_and_seal(todo)
    elif todo:
        with open(later, "w") as f:
            json.dump([(source, shown, os.path.relpath(cached(source), gen)) for source, shown in todo], f)
    return fresh
