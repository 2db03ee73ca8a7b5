"""Tell uv of the Python of a prefix, without running it: no program of a package runs
while the store can be written to.

uv has an interpreter run a program of its own, that prints what it found as JSON. This
one, in the place of an interpreter, has the image's run it, and puts in what is different
in a prefix of conda. All else is the image's: libraries, kernel and processor.
"""

import contextlib
import io
import json
import sys
from typing import Any


def scheme(prefix: str, version: str) -> dict[str, str]:
    """Where the parts of a distribution go in a prefix of conda."""
    packages = prefix + "/lib/python" + version + "/site-packages"
    include = prefix + "/include/python" + version
    return {"purelib": packages, "platlib": packages, "include": include, "scripts": prefix + "/bin", "data": prefix}


def inside(version: str) -> dict[str, str]:
    """The same of a virtual environment, relative to it."""
    packages = "lib/python" + version + "/site-packages"
    return {"purelib": packages, "platlib": packages, "include": "include/site/python" + version, "scripts": "bin", "data": ""}


def changed(info: dict[str, Any], prefix: str, version: str, full: str, own: str) -> dict[str, Any]:
    """What the image's Python says of itself, as that of a prefix would say it."""
    marks = info["markers"]
    marks["implementation_version"] = marks["python_full_version"] = full
    marks["python_version"] = version
    for key in ("sys_base_prefix", "sys_base_exec_prefix", "sys_prefix"):
        info[key] = prefix
    for key in ("sys_base_executable", "sys_executable"):
        info[key] = prefix + "/bin/python"
    info["stdlib"] = prefix + "/lib/python" + version
    info["scheme"], info["virtualenv"] = scheme(prefix, version), inside(version)
    info["sys_path"] = info["site_packages"] = [info["scheme"]["purelib"]]
    mine, its = ("cpython-" + v.replace(".", "") for v in (own, version))
    info["extension_suffixes"] = [s.replace(mine, its) for s in info.get("extension_suffixes", [])]
    return info


def main() -> None:
    with open(__file__ + ".json") as f:
        its = json.load(f)
    program, said = sys.argv[sys.argv.index("-c") + 1], io.StringIO()
    sys.argv = ["-c"]
    with contextlib.redirect_stdout(said):
        exec(program, {"__name__": "__main__"})
    print(json.dumps(changed(json.loads(said.getvalue()), **its)))


if __name__ == "__main__":
    main()
