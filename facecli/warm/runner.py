"""The warm process: it runs commands for other processes of the same user, each in a fork.

It listens on a Unix socket, has a single thread, opens no database and reads nothing from a client.
The fork does that, so that no client can block another one. A fork reads and writes the streams of
its client, in the client's folder and environment. It sends the answers of its networks back, so
that the next command can use them.
"""

from __future__ import annotations

import gc
import io
import os
import pickle
import selectors
import signal
import socket
import struct
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from facecli.text import read_json_object
from facecli.warm.client import LIMIT, MESSAGE_LENGTH, READY, is_private, meeting_place
from facecli.warm.memory import Memory

Run = Callable[[list[str]], int]

BACKLOG = 128
DESCRIPTORS = 4
"""File descriptors from a client: stdin, stdout, stderr and its current folder."""


def open_socket() -> socket.socket | None:
    """Listen on this program's socket; return None if another service does so already.

    Raises OSError if the folder belongs to somebody else or its path is too long for a socket.
    """
    place = Path(meeting_place())
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not is_private(str(place.parent)):
        raise PermissionError(f"{place.parent} is not private to this user")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trial, suppress(OSError):
        trial.connect(str(place))
        return None
    _remove_left(place)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mine = place.with_suffix(f".{os.getpid()}")
    mine.unlink(missing_ok=True)  # of a killed service that had the number of this process
    listener.bind(str(mine))
    mine.chmod(0o600)
    listener.listen(BACKLOG)
    mine.replace(place)  # replaces the socket of a service that was killed
    return listener


def _remove_left(place: Path) -> None:
    """Remove sockets of services that were killed before theirs was at its place."""
    for left in place.parent.glob(f"{place.stem}.[0-9]*"):
        try:
            os.kill(int(left.suffix[1:]), 0)
        except ProcessLookupError:
            left.unlink(missing_ok=True)
        except PermissionError:
            pass  # another user's process has that number now


def start_runner(listener: socket.socket, warmed_up: Callable[[], Run], memory: Memory) -> None:
    """Fork the warm process. It ends when this process ends, in whatever way.

    It calls `warmed_up`, which loads the networks and returns what runs a command. Clients wait for
    that, or run their command themselves. Call it before this process has threads or an open
    database.
    """
    alive, held = os.pipe()
    if os.fork():
        os.close(alive)
        listener.close()
        return
    os.close(held)
    try:
        os.setsid()  # Ctrl-C for the service must not reach the commands of clients
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks
        run = warmed_up()
        gc.collect()
        gc.freeze()  # otherwise every collection in a fork would copy shared memory
        _Runner(listener, alive, run, memory).attend()
    finally:
        os._exit(0)


class _Runner:
    """The loop of the warm process: it forks for each client and collects what forks learnt."""

    def __init__(self, listener: socket.socket, alive: int, run: Run, memory: Memory) -> None:
        self._listener = listener
        self._alive = alive
        self._run = run
        self._memory = memory
        self._lessons: dict[int, bytearray] = {}
        self._ready = selectors.DefaultSelector()
        self._ready.register(listener, selectors.EVENT_READ)
        self._ready.register(alive, selectors.EVENT_READ)

    def attend(self) -> None:
        """Serve until the process at the other end of the pipe has ended."""
        while True:
            ready = {key.fd for key, _ in self._ready.select()}
            if self._alive in ready:
                return
            # Read what the last command learnt before the next one starts.
            for lesson in ready & self._lessons.keys():
                self._listen(lesson)
            if self._listener.fileno() in ready:
                self._accept()

    def _listen(self, lesson: int) -> None:
        data = os.read(lesson, 2**16)
        self._lessons[lesson] += data
        if data:
            return
        self._ready.unregister(lesson)
        os.close(lesson)
        learnt = bytes(self._lessons.pop(lesson))
        if learnt:
            with suppress(Exception):  # incomplete, if the fork was killed
                self._memory.absorb(pickle.loads(learnt))  # noqa: S301 - a fork of this process wrote it

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return
        lesson, telling = os.pipe()
        try:
            child = os.fork()
        except OSError:  # no memory, or too many processes: the client runs the command itself
            connection.close()
            os.close(telling)
            os.close(lesson)
            return
        if child:
            connection.close()
            os.close(telling)
            self._lessons[lesson] = bytearray()
            self._ready.register(lesson, selectors.EVENT_READ)
            return
        self._ready.close()
        self._listener.close()
        for other in (self._alive, lesson, *self._lessons):
            os.close(other)
        _Fork(connection, telling, self._run, self._memory).serve()


class _Fork:
    """One command of one client, in its own process."""

    def __init__(self, connection: socket.socket, telling: int, run: Run, memory: Memory) -> None:
        self._connection = connection
        self._telling = telling
        self._run = run
        self._memory = memory

    def serve(self) -> NoReturn:
        """Run the command, send what was learnt and the exit code, and end the process."""
        try:
            if _is_same_user(self._connection):
                self._serve()
        except OSError:
            pass  # the client has gone
        finally:
            os._exit(0)

    def _serve(self) -> None:
        self._connection.sendall(READY)
        request = self._received()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        threading.Thread(target=self._obey, daemon=True).start()
        code = self._run(request["arguments"])
        with suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        # If the warm process has ended, the client still gets its exit code.
        with suppress(OSError), os.fdopen(self._telling, "wb") as telling:
            if self._memory.learnt:
                pickle.dump(self._memory.learnt, telling)
        self._connection.sendall(bytes([code]))

    def _received(self) -> dict[str, Any]:
        """Read the request, and take over the client's streams, folder, umask and environment."""
        head, files, _, _ = socket.recv_fds(self._connection, MESSAGE_LENGTH, DESCRIPTORS)
        length = int.from_bytes(head, "big")
        if len(files) != DESCRIPTORS or length > LIMIT:
            raise ConnectionError("not a client of this program")
        data = bytearray()
        while len(data) < length:
            more = self._connection.recv(length - len(data))
            if not more:
                raise ConnectionError("the client has gone")
            data += more
        request: dict[str, Any] = read_json_object(bytes(data), most=LIMIT)
        os.fchdir(files[3])
        for place, file in enumerate(files[:3]):
            os.dup2(file, place)
            os.close(file)
        os.close(files[3])
        os.umask(request["umask"])
        os.environ.clear()
        os.environ.update(request["environment"])
        sys.stdin, sys.stdout, sys.stderr = (
            _stream(place, *encoding) for place, encoding in enumerate(request["encodings"])
        )
        return request

    def _obey(self) -> None:
        """Pass on the client's signals; when the client has ended, end the command."""
        while number := self._connection.recv(1):
            os.kill(os.getpid(), number[0])
        os.kill(os.getpid(), signal.SIGTERM)


def _stream(place: int, encoding: str, errors: str) -> io.TextIOWrapper:
    """Open a standard stream as Python does when it starts."""
    mode = "w" if place else "r"
    line_by_line = place == 2 or os.isatty(place)
    return io.TextIOWrapper(
        open(place, f"{mode}b", closefd=False),
        encoding=encoding,
        errors=errors,
        line_buffering=line_by_line,
    )


def _is_same_user(connection: socket.socket) -> bool:
    """Tell if the client is this user. True if the system cannot tell: the folder is private."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    size = struct.calcsize("3i")
    _, user, _ = struct.unpack(
        "3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    )
    return bool(user == os.getuid())
