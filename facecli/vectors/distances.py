"""Unit vectors and the one score between them: squared L2 in [0, 4], lower is more alike.

For unit vectors |a - b|² = 2 - 2 a·b: expand the square. Comparing faces by it on the unit sphere
is from Schroff, Kalenichenko & Philbin, "FaceNet", CVPR 2015, section 3.1.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from facecli.types import BoolArray, FloatArray

MAXIMUM = 4.0
"""Squared L2 of opposite unit vectors, the largest there is."""

UNIT_TOLERANCE = 1e-3
"""How far a length may be from 1: rounding stays below 1e-6, a changed byte rarely does."""


COMPARISONS_HELD = 2**22
"""Squared L2 held at a time where many are computed: 16 MB of float32."""


def check_squared_l2(value: float, called: str) -> None:
    """Raise ValueError unless a number is between 0 and 4; the message calls it `called`."""
    if not 0 <= value <= MAXIMUM:
        raise ValueError(f"{called} {value}: a squared L2 is between 0 and 4")


def are_unit(embeddings: FloatArray) -> BoolArray:
    """Tell of each row (n, d) whether its length is 1; NaN and infinity are not."""
    # The square may overflow to infinity, which is the right answer.
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.sqrt(np.vecdot(embeddings, embeddings))
        unit: BoolArray = np.abs(lengths - 1.0) <= UNIT_TOLERANCE
    return unit


def normalize(vectors: npt.ArrayLike) -> FloatArray:
    """Scale each row of (n, d), or one vector (d,), to unit length, as float32 of the same shape.

    Raise ValueError for a row that is all zeros or holds NaN or infinity: it has no direction.
    """
    # Lengths in float64, since the square of a large or tiny float32 leaves the range of float32.
    wide = np.asarray(vectors, dtype=np.float64)
    length = np.linalg.norm(wide, axis=-1, keepdims=True)
    usable = np.isfinite(length) & (length > 0)
    if not usable.all():
        row = int(np.argmin(usable.ravel()))
        raise ValueError(f"vector {row} has no direction: it is zero or holds NaN or infinity")
    unit: FloatArray = (wide / length).astype(np.float32)
    return unit


def squared_l2(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return squared L2 float32 (n, m) between every row of `a` (n, d) and of `b` (m, d).

    Rows must be unit vectors. Every value is a multiple of 2^-23 in [0, 4], about 2e-7 from the
    exact one; near 0 that is a coarse answer, see `paired_squared_l2`.
    """
    # Why a multiple of 2^-23: that or twice that is the spacing of float32 in [1, 4]. Results below
    # 1 come from 2x in (1, 2], which has that spacing, and there the subtraction is exact.
    # Counting comparisons in `metrics` without losing any relies on this grid.
    squared: FloatArray = np.asarray(a, np.float32) @ np.asarray(b, np.float32).T
    squared *= -2.0
    squared += 2.0
    return np.clip(squared, 0.0, MAXIMUM, out=squared)


def paired_squared_l2(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return squared L2 float32 (n,) between row i of `a` and row i of `b`, both (n, d).

    Computed from the difference, hence with a small relative error even near 0. Raise ValueError
    where the shapes differ.
    """
    left, right = np.asarray(a, np.float32), np.asarray(b, np.float32)
    if left.shape != right.shape or left.ndim != 2:
        raise ValueError(f"expected two equal (n, d) shapes, not {left.shape} and {right.shape}")
    difference = left - right
    squared: FloatArray = np.einsum("nd,nd->n", difference, difference)
    return np.minimum(squared, np.float32(MAXIMUM), out=squared)
