"""Measure retrieval: every row of a labelled set asks which of the others are nearest to it.

Recall@K is the share of queries with at least one row of their own class among the K nearest (in
metric learning: Oh Song et al., "Deep metric learning via lifted structured feature embedding",
CVPR 2016). R-precision and MAP@R are those of Musgrave, Belongie & Lim, "A metric learning reality
check", ECCV 2020: with R other rows of the query's class, R-precision is the share of that class
among the R nearest, and

    MAP@R = 1/R · the sum over i = 1 … R of P(i), if the i-th nearest is of the class, else 0

where P(i) is the share of the class among the i nearest. Unlike mean average precision, ranks
beyond R do not count. All three are means over queries, in [0, 1]; higher is better.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facecli.metrics.pairs import GRID, number_people
from facecli.metrics.verification import RateArray
from facecli.types import BoolArray, FloatArray, IntArray
from facecli.vectors.distances import COMPARISONS_HELD, are_unit, squared_l2

KS = (1, 2, 4, 8)
"""The numbers of neighbours for which papers on metric learning report Recall@K."""

ROW_BITS = 32
"""Low bits of a key that hold a row; the squared L2 takes the 26 bits above them."""

NOBODY = np.iinfo(np.int64).max
"""The key of a row that is no neighbour: it comes after all others."""


@dataclass(frozen=True, slots=True)
class Retrieval:
    """What each query found, q queries in the order of their rows, and the means over them.

    `hits` is bool (q, len(ks)): a row of the query's class is among the k nearest.
    `average_precision_at_r` and `precision_at_r` are float64 (q,) in [0, 1]. `query_rows` are the
    rows of the embeddings that asked, int64 (q,), and `query_classes` the classes of these, int64
    (q,), numbered from 0 in the order of the sorted labels of all known rows.
    """

    ks: tuple[int, ...]
    hits: BoolArray
    average_precision_at_r: RateArray
    precision_at_r: RateArray
    query_rows: IntArray
    query_classes: IntArray

    @property
    def recall(self) -> dict[int, float]:
        """Recall@K for each k: the share of queries with a row of their class among the nearest."""
        return dict(zip(self.ks, self.hits.mean(axis=0).tolist(), strict=True))

    @property
    def map_at_r(self) -> float:
        """MAP@R, the mean over queries."""
        return float(self.average_precision_at_r.mean())

    @property
    def r_precision(self) -> float:
        """R-precision, the mean over queries."""
        return float(self.precision_at_r.mean())


@dataclass(frozen=True, slots=True)
class _Known:
    """The rows with a label: unit vectors (n, d), and the class of each, int64 (n,).

    Rows with the same number in `group`, int64 (n,), are not neighbours of each other. `relevant`
    counts the neighbours of each row that are of its class: R, int64 (n,).
    """

    rows: FloatArray
    classes: IntArray
    group: IntArray
    relevant: IntArray


def retrieve(
    embeddings: FloatArray,
    labels: npt.ArrayLike,
    *,
    ks: Sequence[int] = KS,
    apart: npt.ArrayLike | None = None,
    block: int = COMPARISONS_HELD,
    watch: Callable[[Sequence[IntArray]], Iterable[IntArray]] = iter,
) -> Retrieval:
    """Search for each unit row of `embeddings` (n, d) among the others, nearest first.

    Rows at the same squared L2, which is a multiple of 2^-23, are in the order of the rows. Labels
    (n,) are as in `metrics.pairs`: rows whose label is -1 or empty neither ask nor are found. A row
    alone in its class does not ask, but others find it.

    Rows with the same value in `apart` (n,), numbers or text, do not find each other. With colours
    as labels and products in `apart`, a query asks for another product of its colour; R counts only
    rows that can be found. About `block` comparisons are held at a time, 12 bytes each. `watch`
    wraps the list of blocks, for a progress bar.

    Raises ValueError for rows that are not unit vectors, a k below 1, labels or `apart` of another
    length, and if no row has another one to find.
    """
    if not ks or min(ks) < 1:
        raise ValueError(f"the numbers of neighbours are 1 or more, not {list(ks)}")
    rows, known = _known(embeddings, labels, apart)
    queries = np.flatnonzero(known.relevant)
    if not len(queries):
        raise ValueError("no row has another one of its class to find")
    hits = np.empty((len(queries), len(ks)), np.bool_)
    average, share = np.empty(len(queries)), np.empty(len(queries))
    for some in watch(_blocks(known.relevant[queries], max(1, block // len(rows)))):
        asked = queries[some]
        right = _right(known, asked, depth=max(*ks, int(known.relevant[asked].max())))
        hits[some] = np.stack([right[:, :k].any(axis=1) for k in ks], axis=1)
        average[some], share[some] = _precisions(right, known.relevant[asked])
    return Retrieval(tuple(ks), hits, average, share, rows[queries], known.classes[queries])


def _known(
    embeddings: FloatArray, labels: npt.ArrayLike, apart: npt.ArrayLike | None
) -> tuple[IntArray, _Known]:
    """Return the numbers of the rows with a label, int64 (k,), and these rows with their R."""
    known, classes = number_people(labels, len(embeddings))
    rows = np.asarray(embeddings, np.float32)[known]
    if not are_unit(rows).all():
        raise ValueError("the embeddings are not unit vectors")
    group = np.arange(len(known))
    if apart is not None:
        values = np.asarray(apart)
        if values.shape != (len(embeddings),):
            raise ValueError(f"{len(embeddings)} embeddings, but `apart` has {values.shape}")
        group = np.unique(values[known], return_inverse=True)[1].astype(np.int64)
    cells = classes * (group.max(initial=0) + 1) + group
    _, cell, sizes = np.unique(cells, return_inverse=True, return_counts=True)
    relevant = np.bincount(classes)[classes] - sizes[cell]
    return known, _Known(rows, classes, group, relevant)


def _blocks(relevant: IntArray, height: int) -> list[IntArray]:
    """Return places of queries, at most `height` at a time, those of a similar R together.

    A block sorts as many neighbours as its largest R, so one large class must not slow down all.
    """
    order = np.argsort(relevant, kind="stable")
    return [order[start : start + height] for start in range(0, len(order), height)]


def _right(known: _Known, queries: IntArray, *, depth: int) -> BoolArray:
    """Tell for the `depth` nearest of each query if they are of its class, bool (q, depth').

    depth' is at most the number of rows. Places without a neighbour are false.
    """
    # A key holds the squared L2 as a whole number, then the row. So keys differ, and a partial sort
    # that is not stable still keeps rows at the same squared L2 in order.
    keys = (squared_l2(known.rows[queries], known.rows) * np.float32(GRID)).astype(np.int64)
    keys <<= ROW_BITS
    keys |= np.arange(len(known.rows))
    keys[known.group[queries, None] == known.group] = NOBODY
    if depth < len(known.rows):
        keys.partition(depth - 1, axis=1)
    nearest = np.sort(keys[:, :depth], axis=1)
    found = nearest != NOBODY
    rows = np.where(found, nearest & (2**ROW_BITS - 1), 0)
    right: BoolArray = found & (known.classes[rows] == known.classes[queries, None])
    return right


def _precisions(right: BoolArray, relevant: IntArray) -> tuple[RateArray, RateArray]:
    """Return average precision at R and precision at R of each query, float64 (q,) each.

    `right` (q, depth) tells which neighbours, nearest first, are of the query's class; `relevant`
    is R, int64 (q,), at most depth.
    """
    ranks = np.arange(1, right.shape[1] + 1)
    counted = right & (ranks <= relevant[:, None])
    so_far = np.cumsum(counted, axis=1)
    average = (np.where(counted, so_far, 0) / ranks).sum(axis=1) / relevant
    return average, so_far[:, -1] / relevant
