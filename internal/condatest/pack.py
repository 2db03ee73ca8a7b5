"""Write the interpreter that runs this as a tar of a prefix, as conda's python package
lays one out: relocatable, without a package of its own, and without what a distribution
changed in it (Debian: dist-packages, posix_local, EXTERNALLY-MANAGED).

Only what programs and kernels need is taken: no tests, no Tk, no headers. Bytecode is
that of conda's packages: bound to the date that the archive gives its source.
Shared libraries of the interpreter itself come along; those of extension modules
(OpenSSL, SQLite...) have to be on the machine, as they are where this runs.
"""

import importlib.util
import io
import marshal
import os
import re
import subprocess
import sys
import tarfile

DATE = int(sys.argv[1])  # of everything in the package
VERSION = "python%d.%d" % sys.version_info[:2]
STDLIB = os.path.dirname(os.path.realpath(os.__file__))
LEFT_OUT = {
    "site-packages", "dist-packages", "__pycache__", "test", "tests", "idlelib", "idle_test", "tkinter",
    "turtledemo", "lib2to3", "ensurepip", "EXTERNALLY-MANAGED", "sitecustomize.py", "_distutils_system_mod.py",
}  # fmt: skip


def text(path: str, data: bytes) -> bytes:
    """A file of the standard library as upstream has it, where a distribution differs."""
    if path == "site.py":
        return data.replace(b'"local/lib"', b'"lib"').replace(b'"dist-packages"', b'"site-packages"')
    if path in ("sysconfig.py", "sysconfig/__init__.py") and b"'posix_local'" in data:
        new, n = re.subn(rb"prefix_scheme = '(?:deb_system|posix_local)'", b"prefix_scheme = 'posix_prefix'", data)
        if n != 2:
            sys.exit("the distribution's sysconfig has another form than known here")
        return new
    return data


def program(data: bytes) -> bytes:
    """The interpreter: its frozen copy of site.py, and where it looks for libpython."""
    # Marshalled strings of the same length: nothing moves.
    data = data.replace(b"\x09local/libz\x0ddist-packages", b"\x09lib//////z\x0dsite-packages")
    here = os.path.join(sys.base_prefix, "lib").encode() + b"\0"
    return data.replace(b"\0" + here, b"\0" + b"$ORIGIN/../lib".ljust(len(here), b"\0")) if len(here) > 14 else data


def own_libraries(binary: str) -> dict[str, str]:
    """The libpython that the interpreter was linked with, if any, by name."""
    shown = subprocess.run(["ldd", binary], capture_output=True, text=True, check=True).stdout
    found = re.findall(r"^\s*(libpython\S+) => (\S+)", shown, re.M)
    return {name: path for name, path in found}


def read(path: str) -> bytes:
    with open(path, "rb") as f:
        return f.read()


def bytecode(name: str, source: bytes) -> bytes:
    """The content of a .pyc file (PEP 552, bound to date and size)."""
    code = compile(source, name, "exec", dont_inherit=True)
    head = importlib.util.MAGIC_NUMBER + b"\0\0\0\0" + DATE.to_bytes(4, "little") + len(source).to_bytes(4, "little")
    return head + marshal.dumps(code)


def main() -> None:
    out = tarfile.open(fileobj=sys.stdout.buffer, mode="w|")

    def add(name: str, data: bytes, mode: int = 0o644, link: str = "") -> None:
        info = tarfile.TarInfo(name)
        info.mode, info.size = mode, 0 if link else len(data)
        if link:
            info.type, info.linkname = tarfile.SYMTYPE, link
        out.addfile(info, io.BytesIO(data))

    binary = os.path.realpath(sys.executable)
    add("bin/" + VERSION, program(read(binary)), 0o755)
    for name in ("python3", "python"):
        add("bin/" + name, b"", link=VERSION)
    for name, path in own_libraries(binary).items():
        add("lib/" + name, read(path), 0o755)
    for folder, folders, files in os.walk(STDLIB):
        inside = os.path.relpath(folder, STDLIB)
        folders[:] = sorted(f for f in folders if f not in LEFT_OUT and not f.startswith("config-"))
        for name in sorted(files):
            path, short = os.path.join(folder, name), os.path.normpath(os.path.join(inside, name))
            if name in LEFT_OUT or "_tkinter" in name or not os.path.isfile(path):
                continue
            short, data = "lib/%s/%s" % (VERSION, short), text(short, read(path))
            add(short, data)
            if name.endswith(".py"):
                add(importlib.util.cache_from_source(short), bytecode(short, data))
    add("lib/%s/site-packages/README.txt" % VERSION, b"Packages are installed here.\n")
    add("version", ("%d.%d.%d" % sys.version_info[:3]).encode())
    out.close()


if __name__ == "__main__":
    main()
