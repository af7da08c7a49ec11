"""Looking for faces in several photos at once, in processes of their own if that pays."""

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
from typing import Self

from facecli.errors import FacecliError
from facecli.faces.acquisition import look
from facecli.faces.images import display_name, open_picture
from facecli.types import Acquisition, ChipGeometry, Detector, Failure

ALONE_SECONDS = 2.0
"""Seconds of searching in this process before others are started, which takes about as long."""


class Searchers:
    """Up to `count` searches at a time; use it in a `with` block, which ends the processes.

    The first photos are searched in a thread of this process, so that few photos cost no start of
    others. The detector must be one that pickle can copy if `count` is above 1.
    """

    def __init__(self, detector: Detector, geometry: ChipGeometry, count: int) -> None:
        self._detector = detector
        self._geometry = geometry
        self._count = count
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="search")
        self._idle: SimpleQueue[Connection] = SimpleQueue()
        self._processes: list[multiprocessing.process.BaseProcess] = []
        self._began: float | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        for process in self._processes:
            process.terminate()
        self._threads.shutdown(wait=True)
        for process in self._processes:
            process.join()

    def submit(self, path: Path) -> Future[Acquisition | Failure]:
        """Start looking at one photo."""
        now = time.monotonic()
        self._began = self._began or now
        if self._count > 1 and not self._processes and now - self._began >= ALONE_SECONDS:
            self._start()
        if self._processes:
            return self._threads.submit(self._ask, path)
        return self._threads.submit(_look, path, self._detector, self._geometry)

    def _ask(self, path: Path) -> Acquisition | Failure:
        """Have an idle process look at a photo."""
        connection = self._idle.get()
        try:
            connection.send(path)
            answer: Acquisition | Failure | Exception = connection.recv()
        except (EOFError, OSError) as error:
            where = display_name(path)
            reason = "the process looking at it was ended, maybe for want of memory: --workers 1"
            raise FacecliError(f"{where}: {reason} needs less") from error
        finally:
            self._idle.put(connection)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _start(self) -> None:
        """Start the processes, with a thread each that waits for them."""
        # A forked copy of a process with PyTorch's threads can hang.
        context = multiprocessing.get_context("spawn")
        for _ in range(self._count):
            ours, theirs = context.Pipe()
            arguments = (theirs, self._detector, self._geometry)
            process = context.Process(target=_serve, args=arguments, daemon=True)
            with _deaf():
                process.start()
            theirs.close()
            self._processes.append(process)
            self._idle.put(ours)
        self._threads.shutdown(wait=False)
        self._threads = ThreadPoolExecutor(self._count, thread_name_prefix="search")


def _serve(connection: Connection, detector: Detector, geometry: ChipGeometry) -> None:
    """Look at photos until the asking process closes its end of the pipe, or dies."""
    with suppress(EOFError, OSError):
        while True:
            path: Path = connection.recv()
            answer: Acquisition | Failure | Exception
            try:
                answer = _look(path, detector, geometry)
            except Exception as error:
                answer = error
            connection.send(answer)


def _look(path: Path, detector: Detector, geometry: ChipGeometry) -> Acquisition | Failure:
    return look(str(path), lambda: open_picture(path), detector, geometry)


@contextmanager
def _deaf() -> Iterator[None]:
    """Let processes started here not hear Ctrl-C, which the one that started them answers.

    A blocked signal stays blocked in the new process from its first moment, and reaches this one
    afterwards.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # started with the first process, it would unblock it again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
