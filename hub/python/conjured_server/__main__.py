"""Start a student's server: the stock one, after the module search was told what to put off."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

if __package__ in (None, ""):  # started as `python DIRECTORY/conjured_server`
    sys.path[0] = str(Path(__file__).resolve().parent.parent)


def main() -> None:
    """Run what `jupyterhub-singleuser` runs. Whatever of ours fails is left out of it."""
    try:
        from conjured_server import deferred, exports, forkserver, kernel, nursery, putoff

        deferred.install(putoff.table())
        child = forkserver.start() if os.environ.get("CONJURED_FORK_KERNELS", "1") != "0" else None
        if isinstance(child, forkserver.Order):
            return kernel.run(child)
        if child:
            nursery.install(nursery.Nursery(*child))
        exports.install()
    except Exception:
        logging.getLogger("conjured").exception("The server starts without what makes it smaller")
    from jupyterhub.singleuser import main as stock

    sys.argv[0] = "jupyterhub-singleuser"
    stock()
    return None


if __name__ == "__main__":
    main()
