"""All pairs of a labelled set: counted without being kept, and the nearest impostors listed.

Labels are one per row: text or whole numbers. The empty text and numbers below 0 say that the
person is unknown; such rows are left out, since they could be anyone and would count as strangers.
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
"""`squared_l2` gives whole multiples of 1/GRID, so that counting per step loses nothing."""


@dataclass(frozen=True, slots=True)
class AllPairs:
    """Every pair of a labelled set once.

    `genuine` is float32 (g,) with the person of each pair beside it, int64 (g,), numbered in the
    order of the sorted labels; `impostor` holds all impostor comparisons.
    """

    genuine: FloatArray
    genuine_person: IntArray
    impostor: Comparisons


@dataclass(frozen=True, slots=True)
class ListedPairs:
    """Pairs, nearest first: rows int64 (m,) of each side and squared L2 float32 (m,)."""

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
    """Compare every two unit rows of `embeddings` (n, d), about `block` comparisons at a time.

    `watch` is handed the blocks and hands them on: a place for a progress bar. Impostors are
    counted per step of the grid of `squared_l2`: exact for any number of pairs, in at most 270 MB
    and what `Comparisons` takes. Genuine pairs are kept, 12 bytes each.
    """
    known, person = number_people(labels, len(embeddings))
    order = np.argsort(person, kind="stable")
    rows, person = np.asarray(embeddings)[known[order]], person[order]
    counts = np.zeros(int(MAXIMUM) * GRID + 1, dtype=np.int64)
    genuine, owner = [np.empty(0, np.float32)], [np.empty(0, np.int64)]
    for some in watch(_blocks(len(rows), block)):
        start, own = some.start, person[some]
        squared = squared_l2(rows[some], rows[start:])
        # Rows are sorted by person: everything beyond the last one of this block is a stranger.
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
    """List the impostor pairs at or below `threshold`, 20 bytes each; rows as in `embeddings`.

    With a `share` below 1 each is listed with that chance only, in the same way every time.
    """
    known, person = number_people(labels, len(embeddings))
    chance = np.random.default_rng(0)
    parts = [(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))]
    rows = np.asarray(embeddings)[known]
    # The threshold rounded to float32 could be larger than it is, and admit a value more.
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
    """Return the rows whose person is known, int64 (k,), and their person as 0, 1, … int64 (k,).

    People are numbered in the order of their sorted labels. Raise ValueError where there is not
    one label per row, and for labels that are neither text nor whole numbers.
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
    """Cut rows into parts, each to be compared with itself and all rows that follow."""
    blocks, start = [], 0
    while start < rows:
        height = max(1, block // (rows - start))
        blocks.append(slice(start, min(start + height, rows)))
        start += height
    return blocks


def _from_grid(counts: IntArray) -> Comparisons:
    """Turn counts per grid step into comparisons."""
    steps = np.flatnonzero(counts)
    below = np.cumsum(np.append(0, counts[steps]), dtype=np.int64)
    return Comparisons((steps / GRID).astype(np.float32), below, int(below[-1]))
