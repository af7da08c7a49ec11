"""Send decisions to commands and web addresses. The gate does not wait for them."""

from __future__ import annotations

import json
import os
import queue
import re
import shlex
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPSHandler,
    OpenerDirector,
    Request,
)

from facecli.errors import GateError

WAITING = 64
"""Events that may wait for a slow outlet. More are dropped, counted and reported."""

COMMAND_SECONDS = 30.0
WEBHOOK_SECONDS = 10.0
CLOSING_SECONDS = 10.0
"""How long the gate waits at its end for events that are still to be delivered."""

FIELDS = ("status", "person", "squared_l2", "threshold", "time", "source", "track", "model")
"""The fields in a command's environment. Each is named FACECLI_ and its name in capitals."""

Record = Mapping[str, Any]

_QUOTED = re.compile(r"""'[^']*'|"(?:\\.|[^"\\])*"|\\.""", re.DOTALL)
_SHELL_WORD = re.compile(r".*(\||&&|;$|`|\$[A-Za-z_{(]).*|&|\d*[<>].*|~/.*")
"""A pipe, a list, a redirection, a variable, a home folder; & alone, as addresses contain it."""


class Outlet:
    """Delivers events in its own thread, one at a time and in order.

    `deliver` raises OSError if an event could not be delivered. `warn` gets a line for each
    failure, with `name` and the number of failures so far. Nothing is tried twice: the log holds
    every decision.
    """

    def __init__(
        self, name: str, deliver: Callable[[Record], None], *, warn: Callable[[str], None]
    ) -> None:
        self.failures = 0
        self._name = name
        self._deliver = deliver
        self._warn = warn
        self._waiting: queue.Queue[Record | None] = queue.Queue(WAITING)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def offer(self, event: Record) -> None:
        """Accept an event for delivery, or drop it if too many wait."""
        try:
            self._waiting.put_nowait(event)
        except queue.Full:
            self._failed(f"too slow: {WAITING} events wait")

    def close(self) -> None:
        """Deliver the waiting events for at most CLOSING_SECONDS, and report what was lost."""
        deadline = time.monotonic() + CLOSING_SECONDS
        with suppress(queue.Full):
            self._waiting.put(None, timeout=CLOSING_SECONDS)
        self._thread.join(max(0.0, deadline - time.monotonic()))
        if self._thread.is_alive():
            self._failed(f"not finished at the end: up to {self._waiting.qsize() + 1} events lost")

    def _run(self) -> None:
        while (event := self._waiting.get()) is not None:
            try:
                self._deliver(event)
            except OSError as error:
                self._failed(str(error))

    def _failed(self, why: str) -> None:
        self.failures += 1
        self._warn(f"{self._name}: {why} ({self.failures} failed so far)")


def command(text: str) -> Callable[[Record], None]:
    """Return a function that runs a command for an event; raise GateError if it cannot be run.

    The text is split into words once, and runs without a shell. What only a shell understands is
    refused: it would reach the command as a plain word. The event is in the environment.
    Stdin is empty and stdout is discarded. After COMMAND_SECONDS the command is killed together
    with its child processes.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise GateError(f"{text}: not a command: {str(error).lower()}") from error
    if (word := _for_a_shell(text)) is not None:
        raise GateError(
            f"{text!r}: {word} works in a shell only, and none is used: write sh -c '…' around it"
        )
    if not words or shutil.which(words[0]) is None:
        raise GateError(f"{text!r}: there is no such command")

    def run(event: Record) -> None:
        process = subprocess.Popen(  # noqa: S603  the user chose the command
            words,
            env={**os.environ, **variables(event)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            code = process.wait(COMMAND_SECONDS)
        except subprocess.TimeoutExpired as error:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise OSError(f"killed after {COMMAND_SECONDS:.0f} s") from error
        if code:
            raise OSError(f"exit code {code}")

    return run


def _for_a_shell(text: str) -> str | None:
    """Return the first word with an unquoted sign that only a shell understands; None without."""
    bare = _QUOTED.sub("", text)
    return next(filter(_SHELL_WORD.fullmatch, bare.split()), None)


def variables(event: Record) -> dict[str, str]:
    """Return an event as environment variables; FACECLI_EVENT holds the whole event as JSON."""
    fields = {name: "" if event[name] is None else str(event[name]) for name in FIELDS}
    fields["event"] = json.dumps(event)
    # The operating system refuses a value with a zero byte.
    return {f"FACECLI_{name.upper()}": text.replace("\0", "") for name, text in fields.items()}


def webhook(url: str) -> Callable[[Record], None]:
    """Return a function that posts an event as JSON to an address.

    Only http and https are allowed. Proxies are not used and redirects are not followed, so the
    event goes to this address only. Raises GateError for any other address.
    """
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or "@" in parts.netloc:
        raise GateError(f"{url}: not an http or https address without a password")
    if not (url.isascii() and url.isprintable()) or " " in url:
        raise GateError(f"{url}: not plain ASCII without spaces; write other characters as %XX")
    opener = OpenerDirector()
    for handler in (HTTPHandler, HTTPSHandler, HTTPDefaultErrorHandler, HTTPErrorProcessor):
        opener.add_handler(handler())

    def post(event: Record) -> None:
        headers = {"Content-Type": "application/json", "User-Agent": "facecli"}
        request = Request(url, json.dumps(event).encode(), headers)  # noqa: S310  checked above
        try:
            opener.open(request, timeout=WEBHOOK_SECONDS).close()
        except HTTPError as error:
            error.close()
            raise OSError(f"answered {error.code}") from error
        except HTTPException as error:
            raise OSError("the answer is not HTTP") from error

    return post
