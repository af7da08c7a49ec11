"""Search several photos for faces at once, in other processes if there are many photos."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from threading import Lock
from typing import Self

from facecli.faces.acquisition import ENDED, failure, look
from facecli.faces.budget import PICTURE_BYTES, Room
from facecli.faces.memory import Places
from facecli.faces.opened import opened
from facecli.types import Acquisition, ChipGeometry, Detector, Failure

ORDINARY_BYTES = 128 * 2**20
"""Bytes for each process: as a 24-megapixel photo needs. For larger ones the processes wait."""

ALONE_SECONDS = 2.0
"""Seconds of searching in this process before others are started; a start takes about as long."""


class Searchers:
    """Up to `count` searches at a time; use it in a `with` block, which ends the processes.

    The first photos are searched in a thread of this process, so that no other process is started
    for a few photos. If `count` is above 1, pickle must be able to copy the detector.
    """

    def __init__(self, detector: Detector, geometry: ChipGeometry, count: int) -> None:
        self._detector = detector
        self._geometry = geometry
        self._count = count
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="search")
        self._idle: SimpleQueue[Connection] = SimpleQueue()
        self._processes: list[multiprocessing.process.BaseProcess] = []
        self._starting = Lock()
        self._closed = False
        self._began: float | None = None
        self._room = Room(max(PICTURE_BYTES, count * ORDINARY_BYTES))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        with self._starting:
            self._closed = True
        for process in self._processes:
            process.terminate()
        self._threads.shutdown(wait=True)
        for process in self._processes:
            process.join()

    def submit(self, path: Path, places: Places | None = None) -> Future[Acquisition | Failure]:
        """Start to search one photo, or to cut its faces out if it is known where they are."""
        now = time.monotonic()
        self._began = self._began or now
        if self._count > 1 and not self._processes and now - self._began >= ALONE_SECONDS:
            self._start()
        if self._processes:
            return self._threads.submit(self._ask, path, places)
        return self._threads.submit(
            _look, path, places, self._detector, self._geometry, room=self._room
        )

    def _ask(self, path: Path, places: Places | None) -> Acquisition | Failure:
        """Let an idle process search a photo."""
        connection = self._idle.get()
        try:
            connection.send((path, places))
            answer: Acquisition | Failure | int = connection.recv()
            if isinstance(answer, int):
                with self._room.held(answer):
                    connection.send(None)
                    answer = connection.recv()
        except (EOFError, OSError):
            connection = self._started() or connection
            return Failure(str(path), ENDED)
        except Exception as error:
            return failure(str(path), error)
        finally:
            self._idle.put(connection)
        assert not isinstance(answer, int)
        return answer

    def _start(self) -> None:
        """Start the processes, and for each a thread that waits for it."""
        for _ in range(self._count):
            if connection := self._started():
                self._idle.put(connection)
        self._threads.shutdown(wait=False)
        self._threads = ThreadPoolExecutor(self._count, thread_name_prefix="search")

    def _started(self) -> Connection | None:
        """Start a process and return our end of its pipe; None if the searches are to end."""
        # A forked copy of a process with PyTorch's threads can hang.
        context = multiprocessing.get_context("spawn")
        with self._starting:
            if self._closed:
                return None
            ours, theirs = context.Pipe()
            arguments = (theirs, self._detector, self._geometry)
            process = context.Process(target=_serve, args=arguments, daemon=True)
            with deaf():
                process.start()
            theirs.close()
            self._processes.append(process)
        return ours


def _serve(connection: Connection, detector: Detector, geometry: ChipGeometry) -> None:
    """Search photos until the parent process closes its end of the pipe, or dies."""
    with suppress(EOFError, OSError):
        while True:
            path, places = connection.recv()
            connection.send(_look(path, places, detector, geometry, room=_ParentsRoom(connection)))


class _ParentsRoom(Room):
    """The room of the parent process, which is asked for it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @contextmanager
    def held(self, needed: int) -> Iterator[None]:
        """Ask for so many bytes and wait for them. The parent takes the answer as their return."""
        self._connection.send(needed)
        self._connection.recv()
        yield


def _look(
    path: Path, places: Places | None, detector: Detector, geometry: ChipGeometry, *, room: Room
) -> Acquisition | Failure:
    return look(
        str(path),
        lambda: opened(path),
        detector,
        geometry,
        places=places,
        room=room,
    )


@contextmanager
def deaf() -> Iterator[None]:
    """Block Ctrl-C in processes started here: this process handles it.

    A signal blocked here is blocked in a new process from its start. This process receives it after
    the block.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # if started later, it would unblock the signal
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
