"""Run the scripts of conda's packages that `conda activate` runs, and tell what they set.

Run as `PYTHON -I -S -c THIS-TEXT JOB` as nobody, without network, and with the
environment mount read-only: the scripts are programs of strangers. JOB is JSON, see Job.
Prints one line of JSON, which begins with "conjured: ", for each script in the order
they were run, and one for what came of it. See activation.go for what is believed of it.

Each script has a shell of its own, which begins with the variables that the one before
it ended with. One that fails, never ends or writes without end has set nothing.
"""

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from typing import TypedDict

FILE, MEMORY = 1 << 18, 1 << 30  # bytes that a script may write to one file, and have

# $1 is the script. What it prints is for nobody, and how it ends does not matter to conda.
SHELL = 'exec 3>&1\n. "$1" >/dev/null 2>&1 3>&-\n/usr/bin/env -0 >&3\n'


class Job(TypedDict):
    scripts: list[str]  # absolute paths, in order
    env: dict[str, str]  # to begin with
    seconds: float  # that one script may take; all together four times as many


def limit() -> None:
    """In the child, before the shell: what it and its children may use."""
    for what, most in ((resource.RLIMIT_FSIZE, FILE), (resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_CORE, 0)):
        resource.setrlimit(what, (most, most))


def text(value: bytes) -> str:
    """A value, or what nobody lets a variable have for one that is no text."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return "\0"


def one(script: str, env: dict[bytes, bytes], seconds: float) -> tuple[dict[bytes, bytes], str]:
    """The variables after a script, and "", or those before it and why it did not work."""
    bash = "/bin/bash"
    shell = [bash, "--noprofile", "--norc"] if os.path.exists(bash) else ["/bin/sh"]
    with tempfile.TemporaryFile() as out:
        p = subprocess.Popen(
            [*shell, "-c", SHELL, "activate", script], env=env, cwd="/tmp", stdin=subprocess.DEVNULL, stdout=out,
            stderr=subprocess.DEVNULL, start_new_session=True, preexec_fn=limit,
        )  # fmt: skip
        why = ""
        try:
            p.wait(seconds)
        except subprocess.TimeoutExpired:
            why = "time"
        try:
            os.killpg(p.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        code = p.wait()
        out.seek(0)
        dump = out.read(FILE)
    if why or not dump.endswith(b"\0"):
        return env, why or "end %d" % code
    pairs = (line.partition(b"=") for line in dump[:-1].split(b"\0"))
    return {name: value for name, _, value in pairs if name}, ""


def main() -> None:
    job: Job = json.loads(sys.argv[1])
    env = {name.encode(): value.encode() for name, value in job["env"].items()}
    end = time.monotonic() + 4 * job["seconds"]
    for script in job["scripts"]:
        left = end - time.monotonic()
        env, why = one(script, env, min(left, job["seconds"])) if left > 0 else (env, "time")
        print("conjured: " + json.dumps({"script": script, "why": why}), flush=True)
    print("conjured: " + json.dumps({"env": {text(name): text(value) for name, value in env.items()}}), flush=True)


if __name__ == "__main__":
    main()
