"""Run the service: its socket, its threads, and how it stops."""

from __future__ import annotations

import os
import signal
import socket

import uvicorn

from facecli.errors import FacecliError
from facecli.gate.journal import Journal
from facecli.server.access import Access
from facecli.server.app import build
from facecli.server.limits import Workers
from facecli.server.service import RecognitionService
from facecli.server.sessions import Sessions

MOST_CONNECTIONS = 128
"""More connections are refused. It is more than MOST_REQUESTS, since pages keep theirs open."""

IDLE_SECONDS = 5
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
        listener.listen(MOST_CONNECTIONS)
    except OSError as error:
        raise FacecliError(f"{host} port {port}: {error.strerror}") from error
    return listener


def serve(
    service: RecognitionService,
    access: Access,
    listener: socket.socket,
    journal: Journal,
) -> None:
    """Answer requests until SIGINT or SIGTERM. Requests that have begun are finished first.

    The decisions of camera pages go to the journal.
    """
    workers = Workers(os.cpu_count() or 1)
    sessions = Sessions(service.recognizer, journal)
    server = uvicorn.Server(
        uvicorn.Config(
            build(service, sessions, access, workers),
            http="h11",
            loop="asyncio",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=MOST_CONNECTIONS,
            timeout_keep_alive=IDLE_SECONDS,
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
        workers.close()
        sessions.close()
