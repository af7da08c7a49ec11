"""Write a film with boxes and names, where each answer stands on the frames it belongs to."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from PIL import Image

from facecli.errors import FacecliError, check_extra
from facecli.faces.images import display_name
from facecli.files import drafting, name_new
from facecli.gate.capture import Capture
from facecli.gate.types import TrackedFace
from facecli.report.annotation import check_new_file
from facecli.report.drawing import AMBER, BLUE, GREEN, RED, Colour, Mark, draw
from facecli.types import Box

ENDING, CODEC = ".mp4", "mp4v"
"""MPEG-4 part 2: every build of OpenCV for Python writes it and every player plays it."""

LONGEST_SIDE = 1920
"""Pixels: larger frames are made smaller. Up to a fifth of a second of them is kept in memory."""

MOST_WAITING = 64
"""Frames kept in memory until the next look. Looks are a fifth of a second apart."""

LONGEST_GAP = 10.0
"""Seconds that one frame stays at most, whatever the times in the file say."""

COLOURS: dict[str, Colour] = {"match": GREEN, "unknown": RED, "ambiguous": AMBER}


@dataclass(frozen=True, slots=True)
class Look:
    """The faces of a frame that was looked at, by track, and its time in seconds."""

    at: float
    faces: dict[int, TrackedFace]

    def until(self, later: Look, at: float) -> list[TrackedFace]:
        """Return the faces at a time between two looks: those with the same answer in both.

        They are on a line between the two boxes. So no name stays where its face has left.
        """
        share = (at - self.at) / max(later.at - self.at, 1e-9)
        return [
            replace(face, box=_between(face.box, then.box, share))
            for track, face in self.faces.items()
            if (then := later.faces.get(track)) and _answer(face) == _answer(then)
        ]


class Film:
    """An annotated film, written whole or not at all; use it in a `with` block.

    It has no sound. `frames` is how many were written.
    """

    def __init__(self, out: Path, source: str) -> None:
        """Take a file that does not exist yet, and the video that it is the annotated form of.

        Raises FacecliError for another file, and MissingExtra without OpenCV.
        """
        check_extra("cv2", "gate", "an annotated video")
        check_new_file(out, [ENDING])
        capture = Capture(source)
        self._rate = capture.rate
        capture.close()
        self.out = out
        self._held = ExitStack()
        self._draft = out
        self._video: Any = None
        self._size = (0, 0)
        self._waiting: list[tuple[float, Image.Image]] = []
        self._last: Look | None = None
        self._began = 0.0
        self.frames = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: Any
    ) -> None:
        try:
            if kind is None:
                with self._held:
                    self._finish()
        finally:
            if self._video is not None:
                self._video.release()
            self._held.__exit__(kind, error, trace)

    def add(self, at: float, frame: Image.Image, faces: Sequence[TrackedFace] | None) -> None:
        """Take the next frame, at a time in seconds; faces only if this frame was looked at."""
        scale = min(1.0, LONGEST_SIDE / max(frame.size))
        if self._video is None:
            self._open(at, tuple(max(2, round(side * scale) // 2 * 2) for side in frame.size))
        picture = frame.resize(self._size) if frame.size != self._size else frame.copy()
        if faces is None:
            self._waiting.append((at, picture))
            if len(self._waiting) > MOST_WAITING:
                self._let_go(None)
            return
        across, down = (new / old for new, old in zip(self._size, frame.size, strict=True))
        look = Look(at, {face.track: _scaled(face, across, down) for face in faces})
        self._let_go(look)
        self._write(at, picture, list(look.faces.values()))
        self._last = look

    def _let_go(self, look: Look | None) -> None:
        """Write the frames that waited for the next look."""
        for at, picture in self._waiting:
            self._write(at, picture, self._last.until(look, at) if self._last and look else [])
        self._waiting.clear()

    def _write(self, at: float, picture: Image.Image, faces: Sequence[TrackedFace]) -> None:
        """Draw on a frame and write it as often as its time asks for, which may be never."""
        draw(picture, list(map(_mark, faces)))
        due = (at - self._began) * self._rate - self.frames
        if due > LONGEST_GAP * self._rate:
            self._began += due / self._rate - LONGEST_GAP
            due = LONGEST_GAP * self._rate
        pixels = np.ascontiguousarray(np.asarray(picture)[..., ::-1])
        for _ in range(round(due) + 1):
            self._video.write(pixels)
            self.frames += 1

    def _open(self, at: float, size: tuple[int, ...]) -> None:
        import cv2

        handle, self._draft = self._held.enter_context(drafting(self.out, ending=ENDING))
        os.close(handle)
        self._began, self._size = at, (size[0], size[1])
        code = cv2.VideoWriter.fourcc(*CODEC)
        self._video = cv2.VideoWriter(
            str(self._draft), cv2.CAP_FFMPEG, code, self._rate, self._size
        )
        if not self._video.isOpened():
            raise self._failure("OpenCV cannot write it")

    def _finish(self) -> None:
        """Write the rest, check that all is there, and give the film its name."""
        if self._video is None:
            return
        self._let_go(None)
        self._video.release()
        made = Capture(str(self._draft))
        made.close()
        if made.frames < self.frames:
            raise self._failure("it could not be written: is the disk full?")
        try:
            name_new(self._draft, self.out)
        except OSError as error:
            raise self._failure(str(error.strerror)) from error

    def _failure(self, reason: str) -> FacecliError:
        return FacecliError(f"{display_name(self.out)}: {reason}")


def _answer(face: TrackedFace) -> tuple[str, str | None]:
    return face.state, face.person


def _between(first: Box, second: Box, share: float) -> Box:
    left, top, right, bottom = (a + share * (b - a) for a, b in zip(first, second, strict=True))
    return left, top, right, bottom


def _scaled(face: TrackedFace, across: float, down: float) -> TrackedFace:
    left, top, right, bottom = face.box
    return replace(face, box=(left * across, top * down, right * across, bottom * down))


def _mark(face: TrackedFace) -> Mark:
    lines = [face.person or face.state]
    if face.squared_l2 is not None:
        lines.append(f"squared L2 {face.squared_l2:.3f}")
    return Mark(tuple(lines), COLOURS.get(face.state, BLUE), face.box)
