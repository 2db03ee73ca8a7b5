"""Make an installed generation final: bytecode for every module, nothing writable.

Run as `python -I -S finish.py GENERATION PREVIOUS`, by the image's interpreter and not
the generation's, because that one would execute the packages' .pth files.

Bytecode is of the unchecked-hash kind: equal in every generation whatever its path and
dates, so what the previous generation compiled is linked where the source is the same
file (uv links both from its cache). Python puts the true path into tracebacks itself.
"""

import os
import py_compile
import stat
import sys
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from importlib.util import cache_from_source

MODE = py_compile.PycInvalidationMode.UNCHECKED_HASH


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
    mode = 0o555 if info.st_mode & 0o111 else 0o444
    if stat.S_IMODE(info.st_mode) != mode:
        os.chmod(path, mode)


def take_bytecode(source: str, info: os.stat_result, old: str) -> bool:
    """Link the bytecode that the previous generation made of the same file."""
    try:
        before = os.lstat(old)
        if (before.st_ino, before.st_dev) != (info.st_ino, info.st_dev):
            return False
        os.link(cache_from_source(old), cache_from_source(source))
    except OSError:
        return False
    return True


def walk(gen: str, prev: str) -> list[tuple[str, str]]:
    """Seal every file of the generation and give the sources without bytecode."""
    todo: list[tuple[str, str]] = []
    for folder, _, files in os.walk(gen):
        os.chmod(folder, 0o755)
        inside = os.path.relpath(folder, gen)
        for name in files:
            path = os.path.join(folder, name)
            info = os.lstat(path)
            if not stat.S_ISREG(info.st_mode):
                continue
            seal(path, info)
            if not name.endswith(".py") or "site-packages" not in inside:
                continue
            pyc = cache_from_source(path)
            if os.path.lexists(pyc):
                continue
            os.makedirs(os.path.dirname(pyc), mode=0o755, exist_ok=True)
            if not prev or not take_bytecode(path, info, os.path.join(prev, inside, name)):
                todo.append((path, os.path.join(inside, name)))
    return todo


def compile_all(todo: list[tuple[str, str]]) -> None:
    """Compile on every processor. A source that kills the compiler costs its share."""
    size = 60
    shares = [todo[i : i + size] for i in range(0, len(todo), size)]
    if len(todo) < 2 * size:
        compile_many(todo)
        return
    try:
        with ProcessPoolExecutor(max_workers=os.cpu_count()) as pool:
            done = 0
            for share, _ in zip(shares, pool.map(compile_many, shares)):
                done += len(share)
                print(f"conjured: done compile {done} {len(todo)}", flush=True)
    except BrokenProcessPool:
        print("conjured: note the compiler died; some modules stay without bytecode", flush=True)


def main() -> None:
    gen, prev = sys.argv[1], sys.argv[2]
    compile_all(walk(gen, prev))
    for folder, _, files in os.walk(gen):
        if os.path.basename(folder) == "__pycache__":
            for name in files:
                path = os.path.join(folder, name)
                seal(path, os.lstat(path))


if __name__ == "__main__":
    main()
