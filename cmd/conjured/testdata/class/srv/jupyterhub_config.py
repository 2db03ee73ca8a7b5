# A setting of the teacher's own, and one that a class cannot run without.
c.JupyterHub.shutdown_on_logout = False
c.JupyterHub.cleanup_servers = True
