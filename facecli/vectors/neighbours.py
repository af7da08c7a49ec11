"""Compare many embeddings with a pool whose rows have owners, in limited memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facecli.types import FloatArray, IntArray
from facecli.vectors.distances import COMPARISONS_HELD, squared_l2


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The nearest rows of the pool for each probe: of another owner, and of the same owner.

    `other` is the position of the nearest row of another owner, int64 (n,), and `other_squared` its
    squared L2, float32 (n,). `own_squared` is that of the nearest other row of the same owner. Both
    are infinite if there is no such row.
    """

    other: IntArray
    other_squared: FloatArray
    own_squared: FloatArray


def nearest_by_owner(pool: FloatArray, owners: IntArray, first_probe: int) -> Neighbours:
    """Compare the rows of `pool` (n, d) from `first_probe` on with all; `owners` is int64 (n,)."""
    probes = len(pool) - first_probe
    other = np.zeros(probes, np.int64)
    other_squared = np.full(probes, np.inf, np.float32)
    own_squared = np.full(probes, np.inf, np.float32)
    block = max(1, COMPARISONS_HELD // max(1, len(pool)))
    for start in range(0, probes, block):
        here = slice(start, min(start + block, probes))
        rows = np.arange(first_probe + here.start, first_probe + here.stop)
        squared = squared_l2(pool[rows], pool)
        own = owners[rows, None] == owners[None, :]
        elsewhere = np.where(own, np.float32(np.inf), squared)
        other[here] = elsewhere.argmin(axis=1)
        other_squared[here] = elsewhere.min(axis=1)
        own[np.arange(len(rows)), rows] = False
        own_squared[here] = np.where(own, squared, np.float32(np.inf)).min(axis=1)
    return Neighbours(other, other_squared, own_squared)
