"""Write down which Debian packages an image has, so that they can be had again.

Usage: aptmanifest.py TARGET, right after apt-get, while its lists are there. Each line
is `name=version:architecture sha256 size path`, by name: the hash and the size in bytes
of the .deb, and its place below the mirror. They come from the Packages record, because
what apt-get prints has only MD5 sums, or none. A package whose record is gone from the
mirror (a base image is older than the mirror) has "-" in their place.
"""

import os
import subprocess
import sys


def run(*args: str) -> str:
    return subprocess.run(args, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, "LC_ALL": "C.UTF-8"}).stdout


def records(text: str) -> dict[tuple[str, str, str], str]:
    """What `apt-cache dumpavail` knows: name, version and architecture to hash, size and path."""
    out: dict[tuple[str, str, str], str] = {}
    for paragraph in text.split("\n\n"):
        field: dict[str, str] = {}
        for line in paragraph.splitlines():
            name, colon, value = line.partition(": ")
            if colon and not line.startswith(" "):
                field[name] = value
        if "SHA256" in field:
            key = field["Package"], field["Version"], field["Architecture"]
            out[key] = "%s %s %s" % (field["SHA256"], field.get("Size", "-"), field.get("Filename", "-"))
    return out


def main(target: str) -> None:
    known = records(run("apt-cache", "dumpavail"))
    lines: list[str] = []
    installed = run("dpkg-query", "-W", "-f", "${db:Status-Abbrev}\\t${Package}\\t${Version}\\t${Architecture}\\n")
    for line in installed.splitlines():
        state, name, version, arch = line.split("\t")
        if state.startswith("ii"):
            lines.append("%s=%s:%s %s\n" % (name, version, arch, known.get((name, version, arch), "- - -")))
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(target, "w", encoding="utf-8") as f:
        f.writelines(sorted(lines))


if __name__ == "__main__":
    main(*sys.argv[1:])
