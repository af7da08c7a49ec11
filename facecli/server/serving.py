"""Run the service: its socket, its threads, and how it stops."""

from __future__ import annotations

import math
import signal
import socket
from functools import partial
from typing import Any

import uvicorn

from facecli.errors import FacecliError
from facecli.gate.journal import Journal
from facecli.server.access import Access
from facecli.server.app import build
from facecli.server.connections import HEAD_SECONDS, Connections, LimitedProtocol
from facecli.server.limits import Lanes, Workers
from facecli.server.lookers import MOST_LOOKERS, Lookers
from facecli.server.service import RecognitionService
from facecli.server.sessions import Sessions

BACKLOG = 128
"""Connections that the system holds until they are taken."""

QUICK = 4
"""Threads for what needs no photo searched."""

GRACE_SECONDS = 5


def listen(host: str, port: int) -> socket.socket:
    """Listen on a port, or on any free port for 0; raise FacecliError if this is not possible."""
    try:
        (family, _, _, _, address), *_ = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        raise FacecliError(f"{host} port {port}: {error.strerror}") from error
    return listener


def serve(
    service: RecognitionService,
    lookers: Lookers,
    access: Access,
    listener: socket.socket,
    journal: Journal,
) -> None:
    """Answer requests until SIGINT or SIGTERM. Requests that have begun are finished first.

    The decisions of camera pages go to the journal.
    """
    lanes = Lanes(quick=Workers(QUICK), looks=Workers(MOST_LOOKERS), admin=Workers(1))
    protocol: Any = partial(LimitedProtocol, Connections())  # called like the class it is of
    sessions = Sessions(service.recognizer, lookers, journal)
    server = uvicorn.Server(
        uvicorn.Config(
            build(service, sessions, access, lanes),
            http=protocol,
            loop="asyncio",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=math.ceil(HEAD_SECONDS),
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
    )

    def stop(*_: object) -> None:
        server.should_exit = True

    # After it has stopped, uvicorn raises the signal again for the handlers set before it.
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, stop)
    try:
        server.run(sockets=[listener])
    finally:
        lanes.close()
        sessions.close()
