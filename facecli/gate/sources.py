"""Where frames come from: cameras and streams, films, folders, and pictures on stdin."""

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
from facecli.faces.images import open_picture, read_picture
from facecli.faces.photo_files import find_pictures
from facecli.gate.addresses import checked, trouble
from facecli.gate.capture import WAIT_MILLISECONDS, Capture
from facecli.gate.pace import Pace
from facecli.gate.picturestream import pictures
from facecli.types import Picture

TICK = 0.25
"""Seconds without a picture after which time is said to have passed."""

FIRST_RETRY, LAST_RETRY = 1.0, 30.0
"""Seconds to wait for a camera that went away; the wait doubles up to the last."""

WHOLE = 0.9
"""A film that ends before this share of the frames it promised is said to be cut short."""

CLOSING_SECONDS = 2.0
"""How long to wait for a camera to be let go."""

Say = Callable[[str], None]
Load = Callable[[], Image.Image | None]
Arrivals = queue.Queue[Load | FacecliError | None]
"""What a thread brings: pictures to load, what went wrong, or that there is no more."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One moment of a source: `at` in seconds on its clock, and how to get the picture, if any.

    `load` must be called before the next frame is asked for; it gives None, having said why, for
    a picture that is damaged. `source` is what to call the picture's origin.
    """

    at: float
    source: str
    load: Load | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """A source of frames.

    Where `every` picture counts none is passed over, however fast they come; where they stand
    `apart` each may show somebody else.
    """

    name: str
    frames: Callable[[threading.Event, Say], Iterator[Frame]]
    every: bool = False
    apart: bool = False


def source_of(
    text: str,
    *,
    watch: bool,
    stdin: Callable[[], BufferedReader],
    opened: Callable[[int | str], Capture] = Capture,
) -> Source:
    """Return the source a text means; raise GateError for one there is not.

    A number is a camera, an address a stream, "-" stdin, a folder the pictures in it or, with
    `watch`, those that come into it; all else is a film.
    """
    if watch and not Path(text).is_dir():
        raise GateError(f"{text}: --watch is for folders, and this is none")
    if text == "-":
        return Source("stdin", lambda *how: from_stream(stdin(), *how), every=True)
    if text.isdecimal():
        return _live(f"camera {text}", lambda: opened(int(text)))
    if "://" in text:
        return _live(checked(text), lambda: opened(text))
    path = Path(text)
    if path.is_dir():
        follow = watched if watch else listed
        return Source(text, lambda *how: follow(path, *how), every=True, apart=True)
    if not path.is_file():
        raise GateError(f"{text}: no such camera, stream, film or folder")
    return Source(text, lambda *how: film(text, lambda: opened(text), *how))


def _live(name: str, opening: Callable[[], Capture]) -> Source:
    return Source(name, lambda *how: live(name, opening, *how))


def film(
    name: str, opening: Callable[[], Capture], stop: threading.Event, say: Say
) -> Iterator[Frame]:
    """Yield every frame of a film, at its own times, as fast as they are taken."""
    capture = opening()
    try:
        if not capture.opened:
            raise GateError(f"{name}: cannot be opened as a film")
        count = 0
        while not stop.is_set() and capture.grab():
            count += 1
            yield Frame(capture.at(), name, capture.decode)
        if not stop.is_set() and count < WHOLE * capture.frames:
            say(f"{name}: ends after {count} of {capture.frames} frames: is it damaged?")
    finally:
        capture.close()


def live(
    name: str, opening: Callable[[], Capture], stop: threading.Event, say: Say
) -> Iterator[Frame]:
    """Yield the newest frame of a camera or stream; those that came meanwhile are dropped.

    If it goes away or is not there yet it is opened again, ever less often.
    """
    newest: Arrivals = queue.Queue(1)
    ended = threading.Event()

    def offer(item: Load | FacecliError) -> None:
        with suppress(queue.Empty):
            newest.get_nowait()
        newest.put(item)

    def pump() -> None:
        try:
            _pump(name, opening, offer, ended, say)
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
            # OpenCV aborts the program if it comes back to a Python that is ending.
            atexit.register(lambda: thread.is_alive() and os._exit(0))


def _pump(
    name: str,
    opening: Callable[[], Capture],
    offer: Callable[[Load], None],
    ended: threading.Event,
    say: Say,
) -> None:
    """Hand on frame after frame until it is `ended`, whatever becomes of the camera."""
    wait = FIRST_RETRY
    pace = Pace(lambda text: say(f"{name}: {text}"))
    while not ended.is_set():
        capture = opening()
        pace.begin()
        try:
            while not (ended.is_set() or pace.lost) and capture.opened and _grabbed(capture):
                if wait > FIRST_RETRY:
                    say(f"{name}: pictures come again")
                wait = FIRST_RETRY
                if capture.dated and not pace.counts(capture.at(), time.monotonic()):
                    continue
                picture = capture.decode()
                if picture is not None:
                    offer(partial(_same, picture))
        finally:
            capture.close()
        if pace.lost:
            continue
        if wait == FIRST_RETRY and not ended.is_set():
            why = "no pictures come"
            if not capture.opened and "://" in name:
                why = trouble(name)
            say(f"{name}: {why}; trying again, after a while every {LAST_RETRY:.0f} s")
        ended.wait(wait)
        wait = min(2 * wait, LAST_RETRY)


def _grabbed(capture: Capture) -> bool:
    """Go on to the next frame; tell whether one came, not what a decoder had kept back of old.

    OpenCV gives that out, a frame at a time, after waiting in vain.
    """
    began = time.monotonic()
    return capture.grab() and time.monotonic() - began < WAIT_MILLISECONDS / 1000


def _same(picture: Image.Image) -> Image.Image:
    return picture


def from_stream(stream: BufferedReader, stop: threading.Event, say: Say) -> Iterator[Frame]:
    """Yield every picture of a stream of JPEG and PNG files; whoever writes it waits meanwhile."""
    arrived: Arrivals = queue.Queue(1)

    def read() -> None:
        try:
            for data in pictures(stream):
                arrived.put(partial(_loaded, partial(read_picture, data, "stdin"), say))
            arrived.put(None)
        except FacecliError as error:
            arrived.put(error)

    threading.Thread(target=read, name="stdin", daemon=True).start()
    return _taken(arrived, "stdin", stop)


def _taken(arrived: Arrivals, name: str, stop: threading.Event) -> Iterator[Frame]:
    """Yield what another thread brings, and say when nothing comes that time passes."""
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


def listed(folder: Path, stop: threading.Event, say: Say) -> Iterator[Frame]:
    """Yield the pictures that are in a folder, by name."""
    for path in find_pictures([folder]):
        if stop.is_set():
            return
        yield _of_file(path, say)


def watched(folder: Path, stop: threading.Event, say: Say) -> Iterator[Frame]:
    """Yield the pictures that come into a folder, or change in it, once they are complete.

    A picture is taken for complete when it has not changed from one look at the folder to the
    next. One that turns out to be damaged is taken again when it changes.
    """
    done = before = _states(folder)
    gone = False
    taken = 0.0
    while not stop.wait(max(TICK, 4 * taken)):  # a large folder must not take all the time
        yield Frame(time.monotonic(), str(folder))
        if folder.is_dir() == gone:
            gone = not gone
            say(f"{folder}: {'there is no such folder any more' if gone else 'it is there again'}")
        began = time.monotonic()
        now = _states(folder)
        taken = time.monotonic() - began
        settled = {path for path, state in now.items() if before.get(path) == state}
        for path in sorted(settled):
            if done.get(path) != now[path]:
                yield _of_file(path, say)
        done = {path: now[path] if path in settled else done.get(path) for path in now}
        before = now


def _states(folder: Path) -> dict[Path, tuple[int, int] | None]:
    """Return the time of change and the size of every picture in a folder."""
    states: dict[Path, tuple[int, int] | None] = {}
    for path in find_pictures([folder]):
        with suppress(OSError):
            state = path.stat()
            states[path] = (state.st_mtime_ns, state.st_size)
    return states


def _of_file(path: Path, say: Say) -> Frame:
    return Frame(time.monotonic(), str(path), partial(_loaded, partial(open_picture, path), say))


def _loaded(opening: Callable[[], Picture], say: Say) -> Image.Image | None:
    try:
        return opening().pixels
    except FacecliError as error:
        say(str(error))
        return None
