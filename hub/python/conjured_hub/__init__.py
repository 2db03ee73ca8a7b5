"""The daemon's half inside JupyterHub: who may log in and where servers run is asked of the daemon."""
