"""Turn pictures into aligned faces, in order and in limited memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from facecli.errors import FacecliError
from facecli.faces.chips import cut_chip
from facecli.faces.finding import find_faces
from facecli.faces.images import EncodedPicture, display_name, open_picture, read_picture
from facecli.faces.quality import measure_quality
from facecli.types import (
    Acquisition,
    ChipGeometry,
    Detection,
    Detector,
    Face,
    Failure,
    Picture,
    PixelArray,
)

DECODERS = 2
"""Threads that decode pictures before they are searched; Pillow releases the GIL for it."""

AHEAD = 4
"""Most pictures decoded ahead, which limits the memory."""

Source = Path | Picture | EncodedPicture
"""A picture to search: a file, the bytes of a file, or pixels."""


def acquire(
    sources: Iterable[Source], detector: Detector, geometry: ChipGeometry
) -> Iterator[Acquisition | Failure]:
    """Yield the faces of each source in order, or why it could not be read.

    A picture without a face is an Acquisition without faces. A few pictures are decoded ahead, in
    threads; they are searched one at a time. So memory is limited and the first results come early.
    """

    def finish() -> Acquisition | Failure:
        name, opening = waiting.popleft()
        return look(name, opening.result, detector, geometry)

    waiting: deque[tuple[str, Future[Picture]]] = deque()
    with ThreadPoolExecutor(DECODERS, thread_name_prefix="decode") as pool:
        for source in sources:
            name = str(source) if isinstance(source, Path) else source.source
            waiting.append((name, pool.submit(_opened, source)))
            if len(waiting) > AHEAD:
                yield finish()
        while waiting:
            yield finish()


def _opened(source: Source) -> Picture:
    if isinstance(source, EncodedPicture):
        return read_picture(source.data, source.source)
    return source if isinstance(source, Picture) else open_picture(source)


def look(
    source: str, opened: Callable[[], Picture], detector: Detector, geometry: ChipGeometry
) -> Acquisition | Failure:
    """Return the faces of one picture, or why it could not be read."""
    try:
        picture = opened()
        detections, notes = find_faces(picture.pixels, detector)
        chips = tuple(cut_chip(picture.pixels, one.landmarks, geometry) for one in detections)
    except FacecliError as error:
        return failure(source, error)
    return Acquisition(
        source=source,
        sha256=picture.sha256,
        size=picture.pixels.size,
        faces=tuple(map(_face, detections, chips)),
        chips=chips,
        notes=notes,
    )


def failure(source: str, error: FacecliError) -> Failure:
    """Return the failure of a source from an error, without the name of the source."""
    return Failure(source, str(error).removeprefix(f"{display_name(source)}: "))


def _face(detection: Detection, chip: PixelArray) -> Face:
    return Face(detection, measure_quality(detection.landmarks, chip))
