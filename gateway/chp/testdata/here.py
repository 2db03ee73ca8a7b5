"""A pytest plugin: every name below localhost.jovyan.org is this machine, without DNS."""

import socket

_ask = socket.getaddrinfo


def _here(host, *args, **kwargs):
    if isinstance(host, str) and (host + ".").endswith("localhost.jovyan.org."):
        host = "127.0.0.1"
    return _ask(host, *args, **kwargs)


socket.getaddrinfo = _here
