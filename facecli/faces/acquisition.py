"""Turn pictures into aligned faces, in order and in limited memory."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TypeVar

from facecli.errors import FacecliError
from facecli.faces.budget import Room
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

SEARCHERS = min(os.cpu_count() or 1, 4)
"""Pictures that are searched at once, each in a thread: decoder and detector let others run.

Together they take no more memory than one picture may."""

AHEAD = 4
"""Most files read ahead, which limits the memory."""

Source = Path | Picture | EncodedPicture | OpenedPicture
"""A picture to search: a file, the bytes of a file, or pixels."""

Result = TypeVar("Result")


def acquire(
    sources: Iterable[Source],
    detector: Detector,
    geometry: ChipGeometry,
    *,
    memory: Memory | None = None,
) -> Iterator[Acquisition | Failure]:
    """Yield the faces of each source in order, or why it could not be read.

    Pictures that the memory knows are not searched; it learns where the faces of other files are.

    A picture without a face is an Acquisition without faces. A few files are read ahead, and a
    few pictures are searched at once, in threads and in the room for one large picture. The memory
    is asked and told by the thread that calls.
    """
    room = Room()
    pool = ThreadPoolExecutor(SEARCHERS, thread_name_prefix="faces")

    def search(source: Source, opening: Future[OpenedPicture]) -> Future[Acquisition | Failure]:
        name = str(source) if isinstance(source, Path) else source.source
        places = None
        if memory is not None and opening.exception() is None:
            places = memory.recall(opening.result().sha256)

        def searched() -> Acquisition | Failure:
            return look(name, opening.result, detector, geometry, places=places, room=room)

        return pool.submit(searched)

    try:
        tasks = ((one, pool.submit(opened, one)) for one in sources)
        openings = _in_order(tasks, AHEAD)
        searches = _in_order(((one, search(one, opening)) for one, opening in openings), SEARCHERS)
        for source, searching in searches:
            found = searching.result()
            if memory is not None and isinstance(source, Path) and isinstance(found, Acquisition):
                memory.learn(found)
            yield found
    finally:
        pool.shutdown(cancel_futures=True)
        if memory is not None:
            memory.store()


def _in_order(
    tasks: Iterable[tuple[Source, Future[Result]]], ahead: int
) -> Iterator[tuple[Source, Future[Result]]]:
    """Yield each task when it is done, while `ahead` of those after it are under way."""
    waiting: deque[tuple[Source, Future[Result]]] = deque()
    for task in tasks:
        waiting.append(task)
        if len(waiting) > ahead:
            wait([waiting[0][1]])
            yield waiting.popleft()
    for task in waiting:
        wait([task[1]])
        yield task


def look(
    source: str,
    opening: Callable[[], OpenedPicture],
    detector: Detector,
    geometry: ChipGeometry,
    *,
    places: Places | None = None,
    room: Room,
) -> Acquisition | Failure:
    """Return the faces of one picture, or why it could not be read.

    It begins when there is `room` for the picture.

    `places` are where the faces are, if that is known; otherwise they are searched for. All places
    and sizes are in pixels of the full picture, however large it was decoded.
    """
    try:
        picture = opening()
        with room.held(picture.needed):
            places = places or _found(picture, detector)
            chips = _chips(picture, places.detections, geometry)
            picture.let_go()
    except FacecliError as error:
        return failure(source, error)
    return Acquisition(
        source=source,
        sha256=picture.sha256,
        size=picture.size,
        faces=tuple(
            Face(one, measure_quality(one.landmarks, chip, geometry=geometry))
            for one, chip in zip(places.detections, chips, strict=True)
        ),
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
