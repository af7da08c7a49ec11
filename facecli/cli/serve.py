"""`facecli serve`: keep the networks loaded for HTTP, a camera page and other commands."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from facecli.cli.gate import log_database, log_option
from facecli.cli.options import command_options
from facecli.cli.output import note, warn
from facecli.cli.settings import Settings, pass_settings
from facecli.errors import FacecliError, MissingExtra

if TYPE_CHECKING:
    from collections.abc import Callable

    from facecli.server.access import Access
    from facecli.warm.memory import Memory

LOOPBACK = "127.0.0.1"
PORT = 8765
_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.option("--host", default=LOOPBACK, show_default=True, help="The address to listen at.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=PORT,
    show_default=True,
    help="The port. 0 takes any free port.",
)
@click.option(
    "--token-file", type=_FILE, help="Answer only clients that send the token in this file."
)
@click.option(
    "--admin-token-file",
    type=_FILE,
    help="Clients that send the token in this file may change who is enrolled and get embeddings.",
)
@log_option
@command_options
@pass_settings
def serve(
    settings: Settings,
    host: str,
    port: int,
    token_file: Path | None,
    admin_token_file: Path | None,
    log: Path | None,
) -> None:
    """Run an HTTP service with a camera page, and make other commands faster.

    While it runs, the commands enroll, verify and identify of the same user use its loaded
    networks; their answers stay the same. The pages /api and /openapi.json describe the HTTP
    interface. Without --admin-token-file nobody can change who is enrolled over HTTP, or get
    embeddings. Without --token-file the service listens on this machine only. Press Ctrl-C to stop.
    """
    try:
        import fastapi  # noqa: F401 - reports a missing package before anything is loaded
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise MissingExtra("serve needs FastAPI: pip install 'facecli[serve]'") from error
    from facecli.gate.journal import Journal
    from facecli.recognition.recognizer import Recognizer
    from facecli.server.lookers import LookedElsewhere, Lookers
    from facecli.server.service import RecognitionService
    from facecli.server.serving import listen
    from facecli.server.serving import serve as answer
    from facecli.stores.opening import gallery_at

    access = _access(host, token_file, admin_token_file)
    load = settings.loader()
    # The gallery is created if people may be added. It is closed again, since no database may be
    # open while the process forks.
    with gallery_at(settings.database).open(create=access.admin is not None):
        pass
    _start_runner(settings)
    with Lookers(load) as lookers:  # after the fork, which must not hold their pipes
        networks = LookedElsewhere(lookers)
        recognizer = Recognizer(networks, settings.place(), threshold=settings.threshold)
        recognizer.known()  # report a gallery of another model now, not at the first request
        listener = listen(host, port)
        address = f"[{host}]" if ":" in host else host
        note(f"listening at http://{address}:{listener.getsockname()[1]}/")
        if access.token is None:
            note("every user of this machine may ask it: --token-file admits only some")
        journal = Journal(
            log_database(log), warn=warn, on_lost=lambda line: click.echo(line, err=True)
        )
        try:
            answer(RecognitionService(recognizer), lookers, access, listener, journal)
        finally:
            journal.close()


def _access(host: str, token_file: Path | None, admin_token_file: Path | None) -> Access:
    """Read the tokens; raise FacecliError if other machines could connect without a token."""
    from facecli.server.access import Access, is_loopback, read_token

    token = None if token_file is None else read_token(token_file)
    admin = None if admin_token_file is None else read_token(admin_token_file)
    if token is None and not is_loopback(host):
        raise FacecliError(f"{host} can be reached from other machines: give --token-file")
    if token is not None and token == admin:
        raise FacecliError("the two tokens are the same: every client could enroll people")
    return Access(token=token, admin=admin, loopback=is_loopback(host))


def _start_runner(settings: Settings) -> None:
    """Start the process that runs other commands, if this system and the device allow it.

    Only that process loads the networks.
    """
    from facecli.cli import warm
    from facecli.warm.memory import Memory
    from facecli.warm.runner import open_socket, start_runner

    if not hasattr(os, "fork") or settings.device != warm.WARM_DEVICE:
        return
    try:
        meeting = open_socket()
    except OSError as error:
        warn(f"other commands will not be faster: {error.strerror or error}")
        return
    if meeting is None:
        note("other commands are served by another service already")
        return
    memory = Memory()
    start_runner(meeting, partial(_warmed_up, settings, memory), memory)


def _warmed_up(settings: Settings, memory: Memory) -> Callable[[list[str]], int]:
    """Load the networks, and return what runs a command with them."""
    from facecli.cli import cli, warm
    from facecli.warm.memory import RememberingDetector, RememberingEncoder

    detector, encoder = settings.loader()()
    warm.warm_up(detector, encoder)
    networks = RememberingDetector(detector, memory), RememberingEncoder(encoder, memory)
    model = warm.model_file(settings.model_name)

    def run(arguments: list[str]) -> int:
        code: int = cli.main(
            arguments,
            standalone_mode=False,
            obj=warm.WarmSettings(*networks, model, service=settings),
        )
        return code

    return run
