"""Compute the one score between unit vectors: squared L2 in [0, 4], lower is more alike.

For unit vectors |a - b|² = 2 - 2 a·b, as expanding the square shows. Comparing faces in this way is
from Schroff, Kalenichenko & Philbin, "FaceNet", CVPR 2015, section 3.1.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from facecli.types import BoolArray, FloatArray

MAXIMUM = 4.0
"""Squared L2 of opposite unit vectors, the largest possible value."""

UNIT_TOLERANCE = 1e-3
"""Largest error of a unit length: rounding is below 1e-6, the effect of a wrong byte rarely is."""


COMPARISONS_HELD = 2**22
"""Squared L2 kept in memory at a time when many are computed: 16 MB of float32."""


def check_squared_l2(value: float, called: str) -> None:
    """Raise ValueError unless a number is between 0 and 4; the message calls it `called`."""
    if not 0 <= value <= MAXIMUM:
        raise ValueError(f"{called} {value}: a squared L2 is between 0 and 4")


def are_unit(embeddings: FloatArray) -> BoolArray:
    """Tell for each row (n, d) if its length is 1; false for NaN and infinity."""
    # A square that overflows to infinity gives the right answer.
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.sqrt(np.vecdot(embeddings, embeddings))
        unit: BoolArray = np.abs(lengths - 1.0) <= UNIT_TOLERANCE
    return unit


def normalize(vectors: npt.ArrayLike) -> FloatArray:
    """Scale each row of (n, d), or one vector (d,), to unit length, as float32 of the same shape.

    Raises ValueError for a row that is zero or has NaN or infinity: it has no direction.
    """
    # Lengths in float64: the square of a large or tiny float32 is out of the range of float32.
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

    Rows must be unit vectors. Every value is a multiple of 2^-23 in [0, 4], with an error of about
    2e-7. Near 0 that is a large relative error; `paired_squared_l2` is exact there.
    """
    # Why a multiple of 2^-23: this, or twice this, is the spacing of float32 in [1, 4]. Results
    # below 1 are 2 minus a number in (1, 2], which has this spacing; there subtraction is exact.
    # `metrics` relies on it to count comparisons exactly.
    squared: FloatArray = np.asarray(a, np.float32) @ np.asarray(b, np.float32).T
    squared *= -2.0
    squared += 2.0
    return np.clip(squared, 0.0, MAXIMUM, out=squared)


def paired_squared_l2(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return squared L2 float32 (n,) between row i of `a` and row i of `b`, both (n, d).

    It is computed from the difference, so the relative error is small even near 0. Raises
    ValueError if the shapes differ.
    """
    left, right = np.asarray(a, np.float32), np.asarray(b, np.float32)
    if left.shape != right.shape or left.ndim != 2:
        raise ValueError(f"expected two equal (n, d) shapes, not {left.shape} and {right.shape}")
    difference = left - right
    squared: FloatArray = np.einsum("nd,nd->n", difference, difference)
    return np.minimum(squared, np.float32(MAXIMUM), out=squared)
