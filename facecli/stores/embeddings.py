"""Embeddings as they are stored: little-endian float32, checked when written and when read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from facecli.types import FloatArray
from facecli.vectors.distances import UNIT_TOLERANCE, are_unit

STORED = np.dtype("<f4")


def check_unit(embedding: FloatArray, dimension: int) -> None:
    """Raise ValueError unless this is a unit vector of float32 (dimension,)."""
    if embedding.dtype != np.float32 or embedding.shape != (dimension,):
        raise ValueError(
            f"expected {dimension} numbers of float32, not {embedding.shape} of {embedding.dtype}"
        )
    length = float(np.linalg.norm(embedding.astype(np.float64)))
    # Not `>`: a comparison with NaN is always false.
    if not abs(length - 1.0) <= UNIT_TOLERANCE:
        raise ValueError(f"expected a vector of length 1, not {length:.4g}")


def encode(embedding: FloatArray) -> bytes:
    """Return the 4 d bytes of an embedding, float32 (d,)."""
    return embedding.astype(STORED).tobytes()


def decode(stored: Sequence[bytes], dimension: int) -> FloatArray:
    """Return stored embeddings as read-only float32 (n, dimension).

    Raises ValueError if one has another size.
    """
    size = dimension * STORED.itemsize
    if not stored:
        return np.empty((0, dimension), np.float32)
    if set(map(len, stored)) != {size}:
        raise ValueError(f"an embedding does not have {size} bytes")
    together = np.frombuffer(b"".join(stored), STORED)
    return together.reshape(-1, dimension).astype(np.float32, copy=False)


def damaged(stored: Sequence[bytes], dimension: int) -> list[int]:
    """Return the positions of stored embeddings that are not unit vectors of this dimension."""
    size = dimension * STORED.itemsize
    whole = [row for row, one in enumerate(stored) if len(one) == size]
    unit = are_unit(decode([stored[row] for row in whole], dimension))
    sound = {row for row, good in zip(whole, unit, strict=True) if good}
    return [row for row in range(len(stored)) if row not in sound]
