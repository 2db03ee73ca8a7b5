# Settings of JupyterHub, read after those of conjured; c is the configuration.
# An empty file is fine. For example, to stop a server after an hour without use:
#
# c.JupyterHub.services = [...]
#
# What a class cannot run without (proxy, spawner, logins, database) stays as
# conjured sets it; a notice says so when this file tries to change it.
