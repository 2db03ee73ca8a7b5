"""Write the bytecode of a generation: run by its own Python where that is not the image's,
since only the Python that will read bytecode can write it.

It is the first program of the generation's packages that runs. So it runs as nobody,
without network, and sees its own generation and FOLDER, which it alone may write to: the
files of a generation are also those of others, and root could change them.

Run as `GENERATION/bin/python -I -S -c THIS-TEXT FOLDER`. FOLDER/jobs.json is a list of
(source, name in tracebacks, place of the bytecode); the bytecode of the n-th is FOLDER/n.
"""

import json
import os
import py_compile
import sys
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context

FOLDER = sys.argv[1]
SHARE = 60


def compile_many(jobs: list[tuple[int, str, str]]) -> int:
    """Compile some; a source that is no Python is left alone."""
    for n, source, shown in jobs:
        try:
            mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
            py_compile.compile(source, os.path.join(FOLDER, str(n)), shown, doraise=True, quiet=2, invalidation_mode=mode)
        except (py_compile.PyCompileError, ValueError, OSError, RecursionError, MemoryError):
            pass
    return len(jobs)


def main() -> None:
    with open(os.path.join(FOLDER, "jobs.json")) as f:
        todo = [(n, source, shown) for n, (source, shown, _) in enumerate(json.load(f))]
    shares = [todo[i : i + SHARE] for i in range(0, len(todo), SHARE)]
    workers, done = min(os.cpu_count() or 1, len(shares) or 1), 0
    try:
        with ProcessPoolExecutor(max_workers=workers, mp_context=get_context("fork")) as pool:
            for some in pool.map(compile_many, shares):
                done += some
                print("conjured: done compile %d %d" % (done, len(todo)), flush=True)
    except BrokenProcessPool:
        print("conjured: note the compiler died; some modules stay without bytecode", flush=True)


if __name__ == "__main__":
    main()
