"""Turn pictures into aligned faces, in order and in limited memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from facecli.errors import FacecliError
from facecli.faces.chips import cut_chip, fit_similarity
from facecli.faces.finding import find_faces, moved
from facecli.faces.images import EncodedPicture, display_name
from facecli.faces.memory import Memory, Places
from facecli.faces.opened import OpenedPicture, opened, search_side
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

Source = Path | Picture | EncodedPicture | OpenedPicture
"""A picture to search: a file, the bytes of a file, or pixels."""


def acquire(
    sources: Iterable[Source],
    detector: Detector,
    geometry: ChipGeometry,
    *,
    memory: Memory | None = None,
) -> Iterator[Acquisition | Failure]:
    """Yield the faces of each source in order, or why it could not be read.

    Pictures that the memory knows are not searched; it learns where the faces of other files are.

    A picture without a face is an Acquisition without faces. A few pictures are decoded ahead, in
    threads; they are searched one at a time. So memory is limited and the first results come early.
    """

    def finish() -> Acquisition | Failure:
        source, opening = waiting.popleft()
        name = str(source) if isinstance(source, Path) else source.source
        recall = None if memory is None else memory.recall
        found = look(name, opening.result, detector, geometry, recall=recall)
        if memory is not None and isinstance(source, Path) and isinstance(found, Acquisition):
            memory.learn(found)
        return found

    least = search_side(detector)
    waiting: deque[tuple[Source, Future[OpenedPicture]]] = deque()
    with ThreadPoolExecutor(DECODERS, thread_name_prefix="decode") as pool:
        try:
            for source in sources:
                waiting.append((source, pool.submit(opened, source, least=least)))
                if len(waiting) > AHEAD:
                    yield finish()
            while waiting:
                yield finish()
        finally:
            if memory is not None:
                memory.store()


def look(
    source: str,
    opening: Callable[[], OpenedPicture],
    detector: Detector,
    geometry: ChipGeometry,
    *,
    recall: Callable[[str], Places | None] | None = None,
) -> Acquisition | Failure:
    """Return the faces of one picture, or why it could not be read.

    `recall` may know by the SHA-256 where the faces are; otherwise they are searched for. All
    places and sizes are in pixels of the full picture, however large it was decoded.
    """
    try:
        picture = opening()
        places = recall(picture.sha256) if recall else None
        places = places or _found(picture, detector)
        chips = _chips(picture, places.detections, geometry)
    except FacecliError as error:
        return failure(source, error)
    return Acquisition(
        source=source,
        sha256=picture.sha256,
        size=picture.size,
        faces=tuple(map(_face, places.detections, chips)),
        chips=chips,
        notes=places.notes,
    )


def _found(picture: OpenedPicture, detector: Detector) -> Places:
    """Search the picture, which need not be decoded whole for it."""
    decoded = picture.at_least(search_side(detector))
    detections, notes = find_faces(decoded.pixels, detector)
    return Places(tuple(moved(one, decoded.to_full) for one in detections), notes)


def _chips(
    picture: OpenedPicture, faces: tuple[Detection, ...], geometry: ChipGeometry
) -> tuple[PixelArray, ...]:
    """Cut the chips of faces.

    Under a chip lie no fewer pixels than it has itself, if the full picture has them: for small
    faces the picture is decoded again, larger.
    """
    if not faces:
        return ()
    step = min(abs(fit_similarity(geometry.landmarks, face.landmarks).turn) for face in faces)
    decoded = picture.at_least(max(picture.size) / max(step, 1.0))
    return tuple(
        cut_chip(decoded.pixels, moved(face, decoded.from_full).landmarks, geometry)
        for face in faces
    )


def failure(source: str, error: FacecliError) -> Failure:
    """Return the failure of a source from an error, without the name of the source."""
    return Failure(source, str(error).removeprefix(f"{display_name(source)}: "))


def _face(detection: Detection, chip: PixelArray) -> Face:
    return Face(detection, measure_quality(detection.landmarks, chip))
