"""What the hub is started with: ``jupyterhub -f .../jupyterhub_config.py``."""

from conjured_hub.config import configure

configure(get_config())  # type: ignore[name-defined]  # noqa: F821 - JupyterHub's loader brings it
