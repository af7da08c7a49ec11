"""Stream addresses: how to show one without its password, and why one cannot be opened."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

from facecli.errors import GateError

PORTS = {"rtsp": 554, "rtsps": 322, "rtmp": 1935, "rtmps": 443, "http": 80, "https": 443}
"""The default port of each protocol."""

CONNECT_SECONDS = 3.0
"""How long to wait for a connection, in seconds."""


def checked(address: str) -> str:
    """Return a stream's address without password, query and fragment.

    Raises GateError for an unknown protocol or an address without a host.
    """
    try:
        parts = urlsplit(address)
        host = parts.hostname
    except ValueError:
        host = None
    if not host or parts.scheme not in PORTS:
        bare = address.rpartition("@")[2]
        raise GateError(f"{bare}: a stream begins with one of {', '.join(sorted(PORTS))}")
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def why_unreachable(address: str) -> str:
    """Return in words why a stream cannot be opened, as far as the network can tell."""
    try:
        parts = urlsplit(address)
        place = parts.hostname, parts.port or PORTS[parts.scheme]
        socket.create_connection(place, CONNECT_SECONDS).close()
    except socket.gaierror:
        return "the name of its host is not known"
    except (OSError, ValueError) as error:
        return f"its host cannot be reached: {getattr(error, 'strerror', None) or error}"
    return "its host is there, but gives no stream for this path and password"
