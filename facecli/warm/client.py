"""Hand a command to a warm service of the same user: the protocol, and the client.

This module is imported before the rest of the program, so it imports very little.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import stat
import sys
from collections.abc import Sequence

import facecli

READY = b"+"
"""The first byte from the service: one of its processes waits for the command.

Before this byte, the client can stop waiting and run the command itself. The client sends its
streams only after it: a service that never reads them would keep them open.
"""

INTERRUPT = b"\x02"
"""Every later byte to the service is the number of a signal. This one is SIGINT."""

START_SECONDS = 2.0
"""Seconds to wait for the service's first byte; loading the networks takes as long."""

FIXED_AT_START = ("PYTHON", "OMP_", "MKL_", "OPENBLAS_", "KMP_", "GOMP_", "DNNL_", "ONEDNN_")
"""First parts of environment variables that are read once, at the start, and can change numbers."""

MESSAGE_LENGTH = 8
"""Bytes of the length before a message, big-endian."""

LIMIT = 16 * 2**20
"""Most bytes of a message. By default, Linux allows 2 MiB of arguments and environment."""


def folder() -> str:
    """Return the folder of this user's sockets."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime:
        return os.path.join(runtime, "facecli")  # noqa: PTH118 - pathlib costs 10 ms
    return os.path.join(os.environ.get("TMPDIR") or "/tmp", f"facecli-{os.getuid()}")  # noqa: PTH118, S108 - checked to be private


def is_private(path: str) -> bool:
    """Tell if a path is a folder of this user that nobody else may enter."""
    try:
        found = os.lstat(path)
    except OSError:
        return False
    private = found.st_uid == os.getuid() and not found.st_mode & 0o077
    return stat.S_ISDIR(found.st_mode) and private


def meeting_place() -> str:
    """Return the path of the socket of a service that gives the same answers as this process.

    The name is a hash of everything that can change an answer: the installation, its Python, and
    the settings that count only when a process starts. A service that differs has another name, so
    it is never asked.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    same = [
        facecli.__version__,
        facecli.__file__,
        _changed(os.path.dirname(facecli.__file__)),  # noqa: PTH120
        sys.executable,
        sys.version,
        sys.getfilesystemencoding(),
        sys.flags.utf8_mode,
        cores,
        sorted(one for one in os.environ.items() if one[0].startswith(FIXED_AT_START)),
    ]
    name = hashlib.sha256(json.dumps(same).encode()).hexdigest()[:16]
    return os.path.join(folder(), f"{name}.sock")  # noqa: PTH118


def _changed(package: str) -> int:
    """Return when a module was last changed: a service runs the code from when it started."""
    newest = 0
    for entry in os.scandir(package):
        if entry.is_dir(follow_symlinks=False) and entry.name != "__pycache__":
            newest = max(newest, _changed(entry.path))
        elif entry.name.endswith(".py"):
            newest = max(newest, entry.stat().st_mtime_ns)
    return newest


def relayed(arguments: Sequence[str]) -> int | None:
    """Run a command in the service and return its exit code; None if no service can run it.

    The service reads and writes the streams of this process. Ctrl-C reaches the command. The
    command ends when this process ends.
    """
    try:
        connection = _handed_over(arguments)
    except (OSError, AttributeError, ValueError):
        return None  # no service, or a closed stream: running it here gives the right message
    if connection is None:
        return None
    with connection:
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, lambda *_: _send(connection, INTERRUPT))
        code = _received(connection)
    if not code:
        print("facecli: the service was stopped in the middle: run it again", file=sys.stderr)  # noqa: T201
        return 2
    return code[0]


def _handed_over(arguments: Sequence[str]) -> socket.socket | None:
    """Return a connection to a process that has the whole command, or None."""
    if not is_private(folder()):
        return None  # no service, so there is no need to look at the age of every module
    place = meeting_place()
    streams = [sys.stdin, sys.stdout, sys.stderr]
    message = json.dumps(
        {
            "arguments": list(arguments),
            "environment": dict(os.environ),
            "encodings": [(one.encoding, one.errors) for one in streams],
            "umask": _umask(),
        }
    ).encode()
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(START_SECONDS)
        connection.connect(place)
        if connection.recv(1) != READY:
            raise ConnectionError
        _send_files(connection, len(message), [one.fileno() for one in streams])
        connection.sendall(message)
        connection.settimeout(None)
    except BaseException:
        connection.close()
        raise
    return connection


def _send_files(connection: socket.socket, length: int, streams: list[int]) -> None:
    """Send the length of a message, and with it the streams and the current folder."""
    here = os.open(".", os.O_RDONLY)
    try:
        head = length.to_bytes(MESSAGE_LENGTH, "big")
        socket.send_fds(connection, [head], [*streams, here])
    finally:
        os.close(here)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _send(connection: socket.socket, byte: bytes) -> None:
    try:
        connection.sendall(byte)
    except OSError:
        return  # the command has ended; the exit code, or its absence, is read next


def _received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(1)
    except OSError:
        return b""
