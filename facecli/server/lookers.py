"""Processes that decode photos and search them for faces, and that can be ended.

A photo comes from anybody. What decodes it may hang or want gigabytes, and a thread cannot be
ended. So photos are decoded in other processes only, which hold the networks, are short of memory
and are killed at the end of a request's time.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Self, TypeVar

from facecli.errors import FacecliError, ModelError, PictureError
from facecli.faces.acquisition import Source
from facecli.faces.budget import PICTURE_BYTES
from facecli.faces.embedding import EmbeddedPicture
from facecli.faces.frames import Glimpse, glimpse
from facecli.faces.images import measure, read_picture
from facecli.faces.workers import deaf
from facecli.recognition.networks import Faces, FollowPhotos, Networks
from facecli.types import Detector, Encoder, Failure, ModelCard

UNTIL: ContextVar[float] = ContextVar("UNTIL", default=float("inf"))
"""The end of a request's time, by `time.monotonic`; what is looked at for it is ended then."""

MOST_LOOKERS = min(os.cpu_count() or 1, 4)
"""Processes at most, each started when all others are busy; one with the networks takes 160 MB."""

MORE_BYTES = 2 * PICTURE_BYTES
"""How much more memory than with the networks loaded a process may have.

Twice the budget of a picture, which is planned from its header: this is for what nobody planned.
"""

LoadNetworks = Callable[[], tuple[Detector, Encoder]]
"""Returns the networks; pickle must be able to copy it."""

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class View:
    """A frame's width and height and the faces in it; none if it was not to be searched."""

    size: tuple[int, int]
    glimpses: list[Glimpse] | None


class Lookers:
    """Up to `most` processes that look at photos; use it in a `with` block, which ends them.

    May be used from any thread. A process that is ended or dies is replaced at once.
    """

    def __init__(self, load: LoadNetworks, *, most: int = MOST_LOOKERS) -> None:
        """Start the first one and wait for it; raise ModelError if it cannot load the networks."""
        self._load = load
        self._most = most
        self._idle: queue.SimpleQueue[_Looker] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._all: list[_Looker] = []
        self._closed = False
        self._start()
        first = self._idle.get()
        self.card = first.card()
        self._idle.put(first)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._closed = True
            for one in self._all:
                one.process.kill()
            for one in self._all:
                one.process.join()

    def embed(self, sources: Sequence[Source], faces: Faces) -> list[EmbeddedPicture | Failure]:
        """Return the faces of photos with their embeddings.

        Raises PictureError if that takes too much memory, and TimeoutError at the end of the time.
        """
        found: list[EmbeddedPicture | Failure] = self._ask(_embed, sources, faces)
        return found

    def view(self, frame: bytes, *, search: bool) -> View:
        """Return the size of a frame and, if it is to be searched, the faces; raise as `embed`."""
        seen: View = self._ask(_view, frame, search)
        return seen

    def _ask(self, work: Callable[..., Any], *given: Any) -> Any:
        until = UNTIL.get()
        looker = self._take(until)
        try:
            answer = looker.answer(until, (work, *given))
        except BaseException:
            self._replace(looker)
            raise
        self._idle.put(looker)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _take(self, until: float) -> _Looker:
        """Wait for an idle process; start another one if all are busy and there may be more."""
        while True:
            if self._idle.empty():
                self._start()
            left = _left(until)
            if not left:
                raise TimeoutError
            try:
                looker = self._idle.get(timeout=left)
            except queue.Empty:
                raise TimeoutError from None
            if not looker.works:
                self._replace(looker)
                continue
            try:
                if looker.card().fingerprint != self.card.fingerprint:
                    raise ModelError("the file of the model has changed: start the service again")
            except FacecliError:
                self._replace(looker)
                raise
            return looker

    def _replace(self, looker: _Looker) -> None:
        looker.process.kill()
        with self._lock:
            if looker in self._all:
                self._all.remove(looker)
        looker.process.join()
        looker.connection.close()
        self._start()

    def _start(self) -> None:
        """Start a process if there may be one more, and hand it to `_idle` when it is ready."""
        with self._lock:
            if self._closed or len(self._all) >= self._most:
                return
            looker = _Looker(self._load)
            self._all.append(looker)
        threading.Thread(target=self._hand_over, args=(looker,), daemon=True).start()

    def _hand_over(self, looker: _Looker) -> None:
        looker.get_ready()
        self._idle.put(looker)


class _Looker:
    """One process, and the connection to it."""

    def __init__(self, load: LoadNetworks) -> None:
        # A forked copy of a process with threads can hang, and one with a graphics card fails.
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, load), daemon=True)
        with deaf():
            self.process.start()
        theirs.close()
        self._ready: ModelCard | Exception | None = None

    def get_ready(self) -> None:
        """Wait until the networks are loaded, or cannot be."""
        with suppress(EOFError, OSError):
            self._ready = self.connection.recv()

    @property
    def works(self) -> bool:
        """Whether the process lives, or has said why it does not."""
        failed = isinstance(self._ready, Exception)
        return failed or (self._ready is not None and self.process.is_alive())

    def card(self) -> ModelCard:
        """Return the model's card, or raise why the networks cannot be loaded."""
        if self._ready is None:
            raise ModelError("the process that searches photos did not start")
        if isinstance(self._ready, Exception):
            raise self._ready
        return self._ready

    def answer(self, until: float, question: tuple[Any, ...]) -> Any:
        """Return the answer; raise TimeoutError if there is none at the end of the time."""
        try:
            self.connection.send(question)
            if not self.connection.poll(_left(until)):
                raise TimeoutError
            return self.connection.recv()
        except (EOFError, ConnectionError) as error:
            raise PictureError("the photo took too much memory: its search was ended") from error


def _left(until: float) -> float:
    """Return the seconds until then; never more than a day, which is all that poll takes."""
    return min(max(0.0, until - time.monotonic()), 86400.0)


class LookedElsewhere(Networks):
    """Networks that are in other processes."""

    def __init__(self, lookers: Lookers) -> None:
        def elsewhere() -> Any:
            raise RuntimeError("the networks are in other processes")

        super().__init__(card=lambda: lookers.card, detector=elsewhere, encoder=elsewhere)
        self._lookers = lookers

    def embed(
        self,
        sources: Iterable[Source],
        *,
        faces: Faces = "all",
        follow: FollowPhotos = iter,  # noqa: ARG002 - nobody follows the photos of a request
    ) -> Iterator[EmbeddedPicture | Failure]:
        """Yield the faces of each source with their embeddings; the time of its request counts."""
        yield from self._lookers.embed(list(sources), faces)


# in the other process


def _work(connection: Connection, load: LoadNetworks) -> None:
    """Load the networks, then answer until the parent process closes the pipe, or dies."""
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, signal.SIG_IGN)  # the service ends first, and ends this one
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with suppress(EOFError, OSError):
        try:
            networks = _ready_networks(load)
        except Exception as error:
            connection.send(error)
            return
        connection.send(networks.card)
        _limit_memory()
        while True:
            work, *given = connection.recv()
            connection.send(_tried(work, networks, *given))


def _end_with_parent() -> None:
    """End this process when its parent has ended, in whatever way, even in the middle of a look."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(0)


def _ready_networks(load: LoadNetworks) -> Networks:
    """Load the networks and use them once."""
    import numpy as np
    from PIL import Image

    detector, encoder = load()
    size = encoder.card.geometry.size
    detector.detect([Image.new("RGB", (size, size))])
    encoder.embed(np.zeros((1, size, size, 3), np.uint8))
    return Networks(card=lambda: encoder.card, detector=lambda: detector, encoder=lambda: encoder)


def _tried(work: Callable[..., Any], networks: Networks, *given: Any) -> Any:
    try:
        return work(networks, *given)
    except MemoryError:
        return PictureError("the photo takes too much memory to be searched")
    except Exception as error:
        return error


def _embed(
    networks: Networks, sources: Sequence[Source], faces: Faces
) -> list[EmbeddedPicture | Failure]:
    return list(networks.embed(sources, faces=faces))


def _view(networks: Networks, frame: bytes, search: bool) -> View:
    if not search:
        return View(measure(frame, "frame")[0], None)
    pixels = read_picture(frame, "frame").pixels
    return View(pixels.size, glimpse(pixels, networks.detector, networks.encoder))


def _limit_memory() -> None:
    """Let this process have MORE_BYTES more than now, where the system can (Linux).

    The limit is on data, not on addresses (RLIMIT_AS): graphics cards and libraries reserve many
    addresses that they never use. An allocation beyond it fails at once, which a watch of the
    resident memory would see too late. If memory runs short all the same, the kernel ends this
    process first.
    """
    with suppress(ImportError, OSError, ValueError):
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[5])
        most = pages * resource.getpagesize() + MORE_BYTES
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
        Path("/proc/self/oom_score_adj").write_text("1000")
