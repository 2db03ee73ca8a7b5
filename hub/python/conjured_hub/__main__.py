"""Starts JupyterHub without what it imports, takes long, and a class never uses."""

from __future__ import annotations

import gc
import sys

# The first reads 16 grammars to check a kind of address that no schema here names: more
# than half of all the time until the login page. The second is a client of name servers;
# the hub has no network. Whoever imports them expects that they may be missing.
UNUSED = ("rfc3987_syntax", "aiodns")


def run() -> None:
    """JupyterHub, from its arguments."""
    for name in UNUSED:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]  # how Python spells "not there"
    gc.disable()  # importing makes no garbage worth looking for
    from jupyterhub.app import main

    gc.enable()
    gc.freeze()  # nor is what was imported
    main()


if __name__ == "__main__":
    run()
