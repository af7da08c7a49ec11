"""Sources of frames: cameras, streams, video files, folders, and pictures on stdin."""

from __future__ import annotations

import atexit
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from io import BufferedReader
from pathlib import Path

from PIL import Image

from facecli.errors import FacecliError, GateError
from facecli.faces.images import read_picture
from facecli.gate.addresses import checked, why_unreachable
from facecli.gate.capture import WAIT_MILLISECONDS, Capture
from facecli.gate.folder import listed, watched
from facecli.gate.frames import TICK, Frame, Load, Warn, loaded
from facecli.gate.pace import Pace
from facecli.gate.picturestream import first_only, pictures

FIRST_RETRY, LAST_RETRY = 1.0, 30.0
"""Seconds before a lost camera is tried again; the wait doubles from the first to the last."""

WHOLE = 0.9
"""A video file with less than this share of the frames it announces is reported as cut short."""

CLOSING_SECONDS = 2.0
"""How long to wait for a camera to close."""

Arrivals = queue.Queue[Load | FacecliError | None]
"""What a thread passes on: a picture to load, an error, or None at the end."""


@dataclass(frozen=True, slots=True)
class Source:
    """A source of frames.

    If `every` is true, no picture is skipped, no matter how fast they arrive. If `apart` is true,
    the pictures are unrelated: each may show another person.
    """

    name: str
    frames: Callable[[threading.Event, Warn], Iterator[Frame]]
    every: bool = False
    apart: bool = False


def source_of(
    text: str,
    *,
    watch: bool,
    stdin: Callable[[], BufferedReader],
    opened: Callable[[int | str], Capture] = Capture,
) -> Source:
    """Return the source that a text names; raise GateError if there is no such source.

    A number is a camera, an address is a stream, and "-" is stdin. A folder stands for the pictures
    in it or, with `watch`, for the pictures that arrive later. Anything else is a video file.
    """
    if watch and not Path(text).is_dir():
        raise GateError(f"{text}: --watch is for folders, and this is not a folder")
    if text == "-":
        return Source("stdin", lambda *rest: from_stream(stdin(), *rest), every=True)
    if text.isdecimal():
        return _live(f"camera {text}", lambda: opened(int(text)))
    if "://" in text:
        return _live(checked(text), lambda: opened(text))
    path = Path(text)
    if path.is_dir():
        follow = watched if watch else listed
        return Source(text, lambda *rest: follow(path, *rest), every=True, apart=True)
    if not path.is_file():
        raise GateError(f"{text}: no such camera, stream, video file or folder")
    return Source(text, lambda *rest: video_file(text, lambda: opened(text), *rest))


def _live(name: str, opening: Callable[[], Capture]) -> Source:
    return Source(name, lambda *rest: live(name, opening, *rest))


def video_file(
    name: str, opening: Callable[[], Capture], stop: threading.Event, warn: Warn
) -> Iterator[Frame]:
    """Yield every frame of a video file with its own time, as fast as the caller takes them."""
    capture = opening()
    try:
        if not capture.opened:
            raise GateError(f"{name}: cannot be opened as a video file")
        count = 0
        while not stop.is_set() and capture.grab():
            count += 1
            yield Frame(capture.at(), name, capture.decode)
        if not stop.is_set() and count < WHOLE * capture.frames:
            warn(f"{name}: ends after {count} of {capture.frames} frames: is it damaged?")
    finally:
        capture.close()


def live(
    name: str, opening: Callable[[], Capture], stop: threading.Event, warn: Warn
) -> Iterator[Frame]:
    """Yield the newest frame of a camera or stream. If the caller is slow, frames are dropped.

    A camera that is missing or goes away is tried again, with waits of FIRST_RETRY to LAST_RETRY.
    """
    newest: Arrivals = queue.Queue(1)
    ended = threading.Event()

    def offer(item: Load | FacecliError) -> None:
        with suppress(queue.Empty):
            newest.get_nowait()
        newest.put(item)

    def pump() -> None:
        try:
            _pump(name, opening, offer, ended, warn)
        except FacecliError as error:
            offer(error)

    thread = threading.Thread(target=pump, name=name, daemon=True)
    thread.start()
    try:
        yield from _taken(newest, name, stop)
    finally:
        ended.set()
        thread.join(CLOSING_SECONDS)
        if stop.is_set():
            # The program aborts if OpenCV returns while Python is shutting down: exit before that.
            atexit.register(lambda: thread.is_alive() and os._exit(0))


def _pump(
    name: str,
    opening: Callable[[], Capture],
    offer: Callable[[Load], None],
    ended: threading.Event,
    warn: Warn,
) -> None:
    """Offer frame after frame until `ended` is set; open the camera again when it goes away."""
    wait = FIRST_RETRY
    pace = Pace(lambda text: warn(f"{name}: {text}"))
    while not ended.is_set():
        capture = opening()
        pace.begin()
        try:
            while not (ended.is_set() or pace.lost) and capture.opened and _grabbed(capture):
                if wait > FIRST_RETRY:
                    warn(f"{name}: pictures come again")
                wait = FIRST_RETRY
                if capture.timed and not pace.counts(capture.at(), time.monotonic()):
                    continue
                picture = capture.decode()
                if picture is not None:
                    offer(partial(_decoded, picture))
        finally:
            capture.close()
        if pace.lost:
            continue
        if wait == FIRST_RETRY and not ended.is_set():
            why = "no pictures come"
            if not capture.opened and "://" in name:
                why = why_unreachable(name)
            warn(f"{name}: {why}; trying again, after a while every {LAST_RETRY:.0f} s")
        ended.wait(wait)
        wait = min(2 * wait, LAST_RETRY)


def _grabbed(capture: Capture) -> bool:
    """Go to the next frame and return whether it is a new one.

    When a stream falls silent, OpenCV waits for the whole time limit and then returns an old frame
    that the decoder had kept. Such a frame is not new.
    """
    began = time.monotonic()
    return capture.grab() and time.monotonic() - began < WAIT_MILLISECONDS / 1000


def _decoded(picture: Image.Image) -> Image.Image:
    """Return the picture of a frame that is already decoded."""
    return picture


def from_stream(stream: BufferedReader, stop: threading.Event, warn: Warn) -> Iterator[Frame]:
    """Yield every picture of a stream of JPEG and PNG files; the writer waits for a slow caller.

    Damaged pictures are left out, which is said once: a bad line may damage every second one.
    """
    arrived: Arrivals = queue.Queue(1)
    complain = first_only(lambda text: warn(f"{text}; such pictures are left out"))

    def read() -> None:
        try:
            for data in pictures(stream, warn):
                arrived.put(partial(loaded, partial(read_picture, data, "stdin"), complain))
            arrived.put(None)
        except FacecliError as error:
            arrived.put(error)

    threading.Thread(target=read, name="stdin", daemon=True).start()
    return _taken(arrived, "stdin", stop)


def _taken(arrived: Arrivals, name: str, stop: threading.Event) -> Iterator[Frame]:
    """Yield what another thread passes on, and a frame without a picture when nothing arrives."""
    while not stop.is_set():
        try:
            item = arrived.get(timeout=TICK)
        except queue.Empty:
            yield Frame(time.monotonic(), name)
            continue
        if item is None:
            return
        if isinstance(item, FacecliError):
            raise item
        yield Frame(time.monotonic(), name, item)
