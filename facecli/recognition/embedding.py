"""Embed the faces of many pictures, a batch of chips at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from facecli.types import DIMENSION, Acquisition, Encoder, Face, Failure, FloatArray

BATCH = 8
"""Chips, or pictures if they show fewer, gathered before the encoder runs.

On one thread a batch of 8 chips took 4.1 ms a chip, of 32 as much, a single one 9.2 ms; a small
batch gives the answer sooner, while finding a face takes a hundred times as long.
"""


@dataclass(frozen=True, slots=True)
class EmbeddedPicture:
    """A picture with the faces kept of it and their embeddings, float32 (faces, 128)."""

    source: str
    sha256: str
    faces: tuple[Face, ...]
    embeddings: FloatArray
    notes: tuple[str, ...]


def embed_pictures(
    acquired: Iterable[Acquisition | Failure], encoder: Encoder, *, largest_only: bool
) -> Iterator[EmbeddedPicture | Failure]:
    """Yield each picture with its embeddings, in the order given; failures pass through."""
    waiting: list[Acquisition | Failure] = []
    chips = 0
    for item in acquired:
        waiting.append(item)
        chips += len(_kept(item, largest_only=largest_only))
        if max(chips, len(waiting)) >= BATCH:
            yield from _embedded(waiting, encoder, largest_only=largest_only)
            waiting, chips = [], 0
    yield from _embedded(waiting, encoder, largest_only=largest_only)


def _kept(item: Acquisition | Failure, *, largest_only: bool) -> tuple[Face, ...]:
    if isinstance(item, Failure):
        return ()
    return item.faces[:1] if largest_only else item.faces


def _embedded(
    items: list[Acquisition | Failure], encoder: Encoder, *, largest_only: bool
) -> Iterator[EmbeddedPicture | Failure]:
    """Embed all chips of the items in one call and deal the vectors out again."""
    kept = [_kept(item, largest_only=largest_only) for item in items]
    chips = [face.chip for faces in kept for face in faces]
    vectors = encoder.embed(chips) if chips else np.empty((0, DIMENSION), np.float32)
    start = 0
    for item, faces in zip(items, kept, strict=True):
        if isinstance(item, Failure):
            yield item
            continue
        rows = vectors[start : start + len(faces)]
        start += len(faces)
        yield EmbeddedPicture(item.source, item.sha256, faces, rows, item.notes)
