"""Compare all pairs of a labelled set: count them without keeping them, list the nearest impostors.

There is one label per row: text or a whole number. The empty text and numbers below 0 mean that the
person is unknown. Such rows are left out: they would count as impostors, and could be anybody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facecli.metrics.verification import Comparisons
from facecli.types import FloatArray, IntArray
from facecli.vectors.distances import COMPARISONS_HELD, MAXIMUM, squared_l2

GRID = 2**23
"""`squared_l2` returns whole multiples of 1/GRID, so counting by multiples is exact."""


@dataclass(frozen=True, slots=True)
class AllPairs:
    """Every pair of a labelled set, once.

    `genuine` are the squared L2 of the genuine pairs, float32 (g,). `genuine_person` is the person
    of each, int64 (g,), numbered in the order of the sorted labels. `impostor` holds all impostor
    comparisons.
    """

    genuine: FloatArray
    genuine_person: IntArray
    impostor: Comparisons


@dataclass(frozen=True, slots=True)
class ListedPairs:
    """Pairs, nearest first: the two rows of each, int64 (m,), and its squared L2, float32 (m,)."""

    first: IntArray
    second: IntArray
    squared: FloatArray


def all_pairs(
    embeddings: FloatArray,
    labels: npt.ArrayLike,
    *,
    block: int = COMPARISONS_HELD,
    watch: Callable[[Sequence[slice]], Iterable[slice]] = iter,
) -> AllPairs:
    """Compare all pairs of unit rows of `embeddings` (n, d), about `block` comparisons at a time.

    `watch` wraps the list of blocks, for a progress bar. Impostor pairs are counted by their
    squared L2, which is exact for any number of pairs; this takes at most 270 MB, and the memory of
    `Comparisons`. Genuine pairs are kept, 12 bytes each.
    """
    known, person = number_people(labels, len(embeddings))
    order = np.argsort(person, kind="stable")
    rows, person = np.asarray(embeddings)[known[order]], person[order]
    counts = np.zeros(int(MAXIMUM) * GRID + 1, dtype=np.int64)
    genuine, owner = [np.empty(0, np.float32)], [np.empty(0, np.int64)]
    for some in watch(_blocks(len(rows), block)):
        start, own = some.start, person[some]
        squared = squared_l2(rows[some], rows[start:])
        # Rows are sorted by person: all rows after the block's last person are impostors.
        near = int(np.searchsorted(person, own[-1], side="right")) - start
        same = own[:, None] == person[start : start + near]
        unseen = np.arange(near) > np.arange(len(own))[:, None]
        genuine.append(squared[:, :near][same & unseen])
        owner.append(own[np.nonzero(same & unseen)[0]])
        for strangers in (squared[:, :near][~same & unseen], squared[:, near:].ravel()):
            np.add.at(counts, (strangers * np.float32(GRID)).astype(np.intp), 1)
    return AllPairs(
        genuine=np.concatenate(genuine),
        genuine_person=np.concatenate(owner),
        impostor=_from_grid(counts),
    )


def nearest_impostors(
    embeddings: FloatArray,
    labels: npt.ArrayLike,
    *,
    threshold: float,
    share: float = 1.0,
    block: int = COMPARISONS_HELD,
) -> ListedPairs:
    """List the impostor pairs at or below `threshold`; rows are those of `embeddings`.

    Each pair takes 20 bytes. With a `share` below 1, each pair is listed with that probability, and
    every call lists the same ones.
    """
    known, person = number_people(labels, len(embeddings))
    chance = np.random.default_rng(0)
    parts = [(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))]
    rows = np.asarray(embeddings)[known]
    # Rounded to float32, the threshold could be larger and match one more value.
    limit = np.float32(threshold)
    if float(limit) > threshold:
        limit = np.nextafter(limit, np.float32(-1))
    for some in _blocks(len(rows), block):
        start, squared = some.start, squared_l2(rows[some], rows[some.start :])
        row, column = np.divmod(np.flatnonzero(squared <= limit), squared.shape[1])
        kept = (column > row) & (person[start + row] != person[start + column])
        if share < 1:
            kept &= chance.random(len(kept)) < share
        row, column = row[kept], column[kept]
        parts.append((known[start + row], known[start + column], squared[row, column]))
    first, second, values = (np.concatenate(part) for part in zip(*parts, strict=True))
    order = np.argsort(values, kind="stable")
    return ListedPairs(first[order], second[order], values[order])


def number_people(labels: npt.ArrayLike, rows: int) -> tuple[IntArray, IntArray]:
    """Return the rows whose person is known, int64 (k,), and the person of each, int64 (k,).

    People are numbered from 0 in the order of their sorted labels. Raises ValueError if there is
    not one label per row, or if labels are neither text nor whole numbers.
    """
    array = np.asarray(labels)
    if array.shape != (rows,):
        raise ValueError(f"{rows} embeddings need as many labels, not shape {array.shape}")
    if array.dtype.kind not in "iuU" and rows:
        raise ValueError(f"labels are text or whole numbers, not {array.dtype}")
    known = np.flatnonzero(array != "" if array.dtype.kind == "U" else array >= 0)
    _, person = np.unique(array[known], return_inverse=True)
    return known, person.astype(np.int64)


def _blocks(rows: int, block: int) -> list[slice]:
    """Cut the rows into blocks; each is compared with itself and with all rows after it."""
    blocks, start = [], 0
    while start < rows:
        height = max(1, block // (rows - start))
        blocks.append(slice(start, min(start + height, rows)))
        start += height
    return blocks


def _from_grid(counts: IntArray) -> Comparisons:
    """Turn the counts of each multiple of 1/GRID into comparisons."""
    steps = np.flatnonzero(counts)
    below = np.cumsum(np.append(0, counts[steps]), dtype=np.int64)
    return Comparisons((steps / GRID).astype(np.float32), below, int(below[-1]))
