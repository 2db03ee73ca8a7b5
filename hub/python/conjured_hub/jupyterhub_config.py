"""What the hub is started with: ``jupyterhub -f .../jupyterhub_config.py``."""

from traitlets.config import get_config

from conjured_hub.config import configure

configure(get_config())
