"""Pictures to aligned faces, with what it takes to find a face that is cut, tiny or turned."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps

from facecli.chips import cut_chip
from facecli.errors import FacecliError
from facecli.images import display_name, open_picture
from facecli.quality import measure_quality
from facecli.types import (
    Acquisition,
    ChipGeometry,
    Detection,
    Detector,
    Face,
    Failure,
    Picture,
    Point,
)

DECODERS = 2
"""Threads that decode ahead of the detector; Pillow decodes outside Python's lock."""

AHEAD = 4
"""Pictures decoded ahead at most, which bounds the memory."""

BORDER = 0.25
"""Grey border of a second look, as a share of the picture's longer side."""

GREY = (128, 128, 128)

SMALL_SIDE = 320
"""Pictures whose longer side is below this are also looked at in twice their size."""

SURE = 0.998
"""Confidence from which a first look is believed without trying other orientations."""

TURNED_CONFIDENCE = 0.995
"""Least confidence of a face in a turned picture."""


def acquire(
    sources: Iterable[Path | Picture], detector: Detector, geometry: ChipGeometry
) -> Iterator[Acquisition | Failure]:
    """Yield the faces of each source in order, or why it could not be read.

    A picture without a face is an Acquisition without faces. Pictures are decoded a few ahead, in
    threads, and searched one at a time, so that memory stays bounded and results come early.
    """
    with ThreadPoolExecutor(DECODERS, thread_name_prefix="decode") as pool:
        waiting: deque[tuple[str, Future[Picture]]] = deque()
        for source in sources:
            name = source.source if isinstance(source, Picture) else str(source)
            waiting.append((name, pool.submit(_opened, source)))
            if len(waiting) > AHEAD:
                yield _finish(*waiting.popleft(), detector, geometry)
        while waiting:
            yield _finish(*waiting.popleft(), detector, geometry)


def _opened(source: Path | Picture) -> Picture:
    return source if isinstance(source, Picture) else open_picture(source)


def _finish(
    source: str, opening: Future[Picture], detector: Detector, geometry: ChipGeometry
) -> Acquisition | Failure:
    try:
        picture = opening.result()
        detections, notes = find_faces(picture.pixels, detector)
        faces = tuple(_face(picture.pixels, detection, geometry) for detection in detections)
    except FacecliError as error:
        return Failure(source, str(error).removeprefix(f"{display_name(source)}: "))
    return Acquisition(
        source=source,
        sha256=picture.sha256,
        size=picture.pixels.size,
        faces=faces,
        notes=notes,
    )


def _face(pixels: Image.Image, detection: Detection, geometry: ChipGeometry) -> Face:
    chip = cut_chip(pixels, detection.landmarks, geometry)
    return Face(detection, chip, measure_quality(detection.landmarks, chip))


@dataclass(frozen=True, slots=True)
class _Look:
    """One way to show a picture to the detector, and the way back.

    The picture is turned counter-clockwise by `turn` degrees, then enlarged, then bordered.
    """

    turn: int = 0
    enlarge: int = 1
    border: bool = False

    @property
    def note(self) -> str:
        """What this look took, in words."""
        steps = [
            f"turned {self.turn}° counter-clockwise" if self.turn else "",
            f"enlarged {self.enlarge} times" if self.enlarge > 1 else "",
            "given a border" if self.border else "",
        ]
        return "found in the picture " + " and ".join(step for step in steps if step)

    def find(self, picture: Image.Image, detector: Detector) -> list[Detection]:
        """Return the faces of the picture seen this way, in coordinates of the picture."""
        view = picture
        if self.turn:
            view = view.transpose(_TRANSPOSE[self.turn])
        if self.enlarge > 1:
            size = (view.width * self.enlarge, view.height * self.enlarge)
            view = view.resize(size, Image.Resampling.BICUBIC)
        edge = round(max(view.size) * BORDER) if self.border else 0
        if edge:
            view = ImageOps.expand(view, edge, fill=GREY)
        (found,) = detector.detect([view])
        return [self._back(detection, edge, picture.size) for detection in found]

    def _back(self, found: Detection, edge: int, size: tuple[int, int]) -> Detection:
        points = [self._point_back(point, edge, size) for point in found.landmarks]
        left, top, right, bottom = found.box
        x, y = self._point_back((left, top), edge, size)
        u, v = self._point_back((right, bottom), edge, size)
        return Detection(
            box=(min(x, u), min(y, v), max(x, u), max(y, v)),
            landmarks=(points[0], points[1], points[2], points[3], points[4]),
            confidence=found.confidence,
        )

    def _point_back(self, point: Point, edge: int, size: tuple[int, int]) -> Point:
        x, y = ((value - edge + 0.5) / self.enlarge - 0.5 for value in point)
        right, bottom = size[0] - 1, size[1] - 1
        match self.turn:
            case 90:
                return right - y, x
            case 180:
                return right - x, bottom - y
            case 270:
                return y, bottom - x
        return x, y


_TRANSPOSE = {
    90: Image.Transpose.ROTATE_90,
    180: Image.Transpose.ROTATE_180,
    270: Image.Transpose.ROTATE_270,
}


def find_faces(picture: Image.Image, detector: Detector) -> tuple[list[Detection], tuple[str, ...]]:
    """Return the faces of an upright RGB picture, largest first, and notes on what it took.

    A picture that shows no face as it is gets a border, then twice the size if it is small. If
    still nothing is found, or nothing convincing, it is turned by 90, 180 and 270 degrees, and
    the orientation with the most confident face wins, the picture's own in a tie: a face that is
    on its side can look like another, less certain one.
    """
    looks = [_Look(), _Look(border=True)]
    if max(picture.size) < SMALL_SIDE:
        looks.append(_Look(enlarge=2, border=True))
    best: list[Detection] = []
    chosen = looks[0]
    for look in looks:
        if best := look.find(picture, detector):
            chosen = look
            break
    if _confidence(best) < SURE:
        for turn in _TRANSPOSE:
            look = _Look(turn=turn, border=True)
            found = look.find(picture, detector)
            if _confidence(found) > max(_confidence(best), TURNED_CONFIDENCE):
                best, chosen = found, look
    return best, () if chosen == looks[0] else (chosen.note,)


def _confidence(detections: list[Detection]) -> float:
    return max((detection.confidence for detection in detections), default=0.0)
