"""Frames from a folder: the pictures in it, or those that arrive."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from facecli.faces.images import open_picture
from facecli.faces.photo_files import find_pictures
from facecli.gate.frames import TICK, Frame, Warn, loaded

States = dict[Path, tuple[int, int] | None]
"""The modification time and the size of pictures; None for one that was not looked at yet."""


def listed(folder: Path, stop: threading.Event, warn: Warn) -> Iterator[Frame]:
    """Yield the pictures in a folder, in the order of their names."""
    for path in find_pictures([folder]):
        if stop.is_set():
            return
        yield _of_file(path, warn)


def watched(folder: Path, stop: threading.Event, warn: Warn) -> Iterator[Frame]:
    """Yield the pictures that arrive in a folder, or change in it, when they are complete.

    A picture counts as complete if it did not change between two scans of the folder. A damaged
    picture is read again when it changes. The folder is scanned first before this returns, so
    that whatever arrives from then on is new.
    """
    return _arriving(folder, states_of(folder, stop), stop, warn)


def _arriving(folder: Path, before: States, stop: threading.Event, warn: Warn) -> Iterator[Frame]:
    """Yield the pictures that were not in the folder before, or have changed since."""
    done = before
    gone = False
    taken = 0.0
    # The wait is four times as long as a scan: a large folder must not take all the time.
    while not stop.wait(max(TICK, 4 * taken)):
        yield Frame(time.monotonic(), str(folder))
        if folder.is_dir() == gone:
            gone = not gone
            warn(f"{folder}: {'there is no such folder any more' if gone else 'it is there again'}")
        began = time.monotonic()
        now = states_of(folder, stop)
        if stop.is_set():
            return
        taken = time.monotonic() - began
        settled = {path for path, state in now.items() if before.get(path) == state}
        for path in sorted(settled):
            if stop.is_set():
                return
            if done.get(path) != now[path]:
                yield _of_file(path, warn)
        done = {path: now[path] if path in settled else done.get(path) for path in now}
        before = now


def states_of(folder: Path, stop: threading.Event) -> States:
    """Return the modification time and the size of every picture in a folder, until `stop`."""
    states: States = {}
    for path in find_pictures([folder]):
        if stop.is_set():
            break
        with suppress(OSError):
            state = path.stat()
            states[path] = (state.st_mtime_ns, state.st_size)
    return states


def _of_file(path: Path, warn: Warn) -> Frame:
    return Frame(time.monotonic(), str(path), partial(loaded, partial(open_picture, path), warn))
