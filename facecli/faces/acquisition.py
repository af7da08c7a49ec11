"""Turn pictures into aligned faces, in order and in limited memory."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import TypeGuard, TypeVar

from facecli.errors import OUT_OF_MEMORY, known_reason, reason_of
from facecli.faces.budget import Room
from facecli.faces.chips import cut_chip, fit_similarity
from facecli.faces.finding import find_faces, moved
from facecli.faces.images import EncodedPicture, display_name
from facecli.faces.memory import Memory, Places, keeping
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

_log = logging.getLogger(__name__)

SEARCHERS = min(os.cpu_count() or 1, 4)
"""Pictures that are searched at once, each in a thread: decoder and detector let others run.

Together they take no more memory than one picture may."""

AHEAD = 4
"""Most files read ahead, which limits the memory."""

ENDED = "the process that searched it was ended, maybe for lack of memory: --workers 1 needs less"
"""Why a photo failed whose process died. Another process takes its place for the other photos."""

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

    def learn(source: Source, found: Acquisition | Failure) -> None:
        if memory is not None and isinstance(source, Path) and isinstance(found, Acquisition):
            memory.learn(found)

    def keep() -> None:
        pool.shutdown(cancel_futures=True)
        for source, searching in under_way:
            if not searching.cancelled():
                learn(source, searching.result())
        if memory is not None:
            memory.store()

    under_way: deque[tuple[Source, Future[Acquisition | Failure]]] = deque()
    with keeping(keep):
        tasks = ((one, pool.submit(opened, one)) for one in sources)
        openings = _in_order(tasks, AHEAD, deque())
        searches = ((one, search(one, opening)) for one, opening in openings)
        for source, searching in _in_order(searches, SEARCHERS, under_way):
            found = searching.result()
            if lacked_memory(found):  # perhaps to another picture: once more, by itself
                wait([other for _, other in under_way])
                found = pool.submit(
                    look, found.source, partial(opened, source), detector, geometry, room=room
                ).result()
            learn(source, found)
            yield found


def _in_order(
    tasks: Iterable[tuple[Source, Future[Result]]],
    ahead: int,
    waiting: deque[tuple[Source, Future[Result]]],
) -> Iterator[tuple[Source, Future[Result]]]:
    """Yield each task when it is done, while `ahead` of those after it are under way.

    All of them are in `waiting`, which the caller may look at.
    """
    for task in tasks:
        waiting.append(task)
        if len(waiting) > ahead:
            wait([waiting[0][1]])
            yield waiting[0]
            waiting.popleft()
    while waiting:
        wait([waiting[0][1]])
        yield waiting[0]
        waiting.popleft()


def look(
    source: str,
    opening: Callable[[], OpenedPicture],
    detector: Detector,
    geometry: ChipGeometry,
    *,
    places: Places | None = None,
    room: Room,
) -> Acquisition | Failure:
    """Return the faces of one picture, or why it could not be read, whatever that raised.

    This is where one bad picture becomes a failure of its own, so that it costs no other. It begins
    when there is `room` for the picture. `places` are where the faces are, if that is known;
    otherwise they are searched for. All places and sizes are in pixels of the full picture, however
    large it was decoded.
    """
    try:
        picture = opening()
        with room.held(picture.needed):
            places = places or _found(picture, detector)
            chips = _chips(picture, places.detections, geometry, least=search_side(detector))
            picture.let_go()
        faces = tuple(
            Face(one, measure_quality(one.landmarks, chip, geometry=geometry))
            for one, chip in zip(places.detections, chips, strict=True)
        )
    except Exception as error:
        return failure(source, error)
    return Acquisition(
        source=source,
        sha256=picture.sha256,
        size=picture.size,
        faces=faces,
        chips=chips,
        notes=places.notes,
    )


def _found(picture: OpenedPicture, detector: Detector) -> Places:
    """Search the picture, which need not be decoded whole for it."""
    decoded = picture.at_least(search_side(detector))
    detections, notes = find_faces(decoded.pixels, detector)
    return Places(tuple(moved(one, decoded.to_full) for one in detections), notes)


def _chips(
    picture: OpenedPicture, faces: tuple[Detection, ...], geometry: ChipGeometry, *, least: float
) -> tuple[PixelArray, ...]:
    """Cut the chips of faces.

    Under a chip lie no fewer pixels than it has itself, if the full picture has them: for small
    faces the picture is decoded again, larger. The decode is never smaller than `least`, that of a
    search, so that a chip does not depend on whether it was known where the faces are.
    """
    if not faces:
        return ()
    step = min(abs(fit_similarity(geometry.landmarks, face.landmarks).turn) for face in faces)
    decoded = picture.at_least(max(least, max(picture.size) / max(step, 1.0)))
    return tuple(
        cut_chip(decoded.pixels, moved(face, decoded.from_full).landmarks, geometry)
        for face in faces
    )


def lacked_memory(found: object) -> TypeGuard[Failure]:
    """Return whether a picture failed for want of memory, which another one may have taken."""
    return isinstance(found, Failure) and found.reason in (OUT_OF_MEMORY, ENDED)


def failure(source: str, error: Exception) -> Failure:
    """Return the failure of a source from what was raised, without the name of the source.

    The traceback of an error that no picture should cause goes to the log, for whoever looks for
    the bug.
    """
    if known_reason(error) is None:
        _log.debug("%s", source, exc_info=error)
    return Failure(source, reason_of(error).removeprefix(f"{display_name(source)}: "))
