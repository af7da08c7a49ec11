"""Embed the faces of many pictures, a batch of chips at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from facecli.errors import FacecliError
from facecli.faces.acquisition import failure
from facecli.faces.prominence import MainFace, main_face
from facecli.types import Acquisition, Encoder, Face, Failure, FloatArray

BATCH = 8
"""Chips, or pictures if they have fewer faces, that are collected before the encoder runs.

A small batch gives the first answers sooner. More at once would not be faster: an encoder takes
about as long for each chip of a batch as for one alone.
"""


@dataclass(frozen=True, slots=True)
class EmbeddedPicture:
    """A picture with its faces, all or the main one, and their embeddings, float32 (faces, d).

    `size` is width and height of the upright picture.
    """

    source: str
    sha256: str
    size: tuple[int, int]
    faces: tuple[Face, ...]
    embeddings: FloatArray
    notes: tuple[str, ...]

    @property
    def main(self) -> MainFace:
        """Which of the faces is meant; raises ValueError if there is none."""
        return main_face(self.faces, self.size)


def embed_pictures(
    acquired: Iterable[Acquisition | EmbeddedPicture | Failure],
    encoder: Encoder,
    *,
    main_only: bool,
) -> Iterator[EmbeddedPicture | Failure]:
    """Yield each picture with its embeddings, in the order given.

    With `main_only` a picture keeps its main face only, and its notes say so. Failures are yielded
    unchanged, and pictures that are embedded already are not embedded again.
    """
    waiting: list[Acquisition | EmbeddedPicture | Failure] = []
    chips = 0
    for item in acquired:
        waiting.append(_with_main_face(item) if main_only else item)
        chips += len(waiting[-1].chips) if isinstance(waiting[-1], Acquisition) else 0
        if max(chips, len(waiting)) >= BATCH:
            yield from _embedded(waiting, encoder)
            waiting, chips = [], 0
    yield from _embedded(waiting, encoder)


def _with_main_face(
    item: Acquisition | EmbeddedPicture | Failure,
) -> Acquisition | EmbeddedPicture | Failure:
    """Leave out all faces of a picture but the main one."""
    if isinstance(item, Failure) or len(item.faces) < 2:
        return item
    main = main_face(item.faces, item.size)
    number, notes = main.number, (*item.notes, *main.notes)
    faces = (item.faces[number],)
    if isinstance(item, Acquisition):
        return replace(item, faces=faces, chips=(item.chips[number],), notes=notes)
    return replace(item, faces=faces, embeddings=item.embeddings[[number]], notes=notes)


def _embedded(
    items: list[Acquisition | EmbeddedPicture | Failure], encoder: Encoder
) -> Iterator[EmbeddedPicture | Failure]:
    """Embed the chips of all items in one call, and yield each with its vectors.

    If that fails for want of memory or for another reason than the model's, each item is embedded
    by itself, so that it becomes the failure of one picture.
    """
    chips = [chip for item in items if isinstance(item, Acquisition) for chip in item.chips]
    try:
        none = np.empty((0, encoder.card.dimension), np.float32)
        vectors = encoder.embed(chips) if chips else none
    except FacecliError:
        raise
    except Exception as error:
        if len(items) == 1:
            yield failure(items[0].source, error)
        for item in items if len(items) > 1 else ():
            yield from _embedded([item], encoder)
        return
    start = 0
    for item in items:
        if not isinstance(item, Acquisition):
            yield item
            continue
        rows = vectors[start : start + len(item.faces)]
        start += len(item.faces)
        yield EmbeddedPicture(item.source, item.sha256, item.size, item.faces, rows, item.notes)
