"""Embeddings as they are stored: little-endian float32, checked both ways."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from facecli.types import FloatArray
from facecli.vectors.distances import UNIT_TOLERANCE, are_unit

STORED = np.dtype("<f4")


def encode(embedding: FloatArray, dimension: int) -> bytes:
    """Return the bytes of a float32 unit vector (dimension,); raise ValueError for others."""
    if embedding.dtype != np.float32 or embedding.shape != (dimension,):
        raise ValueError(
            f"expected {dimension} numbers of float32, not {embedding.shape} of {embedding.dtype}"
        )
    length = float(np.linalg.norm(embedding.astype(np.float64)))
    # Not the other way round: NaN compares false.
    if not abs(length - 1.0) <= UNIT_TOLERANCE:
        raise ValueError(f"expected a vector of length 1, not {length:.4g}")
    return embedding.astype(STORED).tobytes()


def decode(stored: Sequence[bytes], dimension: int) -> FloatArray:
    """Return stored embeddings as read-only float32 (n, dimension).

    Raises ValueError for an embedding of another length.
    """
    if not stored:
        return np.empty((0, dimension), np.float32)
    size = dimension * STORED.itemsize
    if set(map(len, stored)) != {size}:
        raise ValueError(f"an embedding has not {size} bytes")
    together = np.frombuffer(b"".join(stored), STORED)
    return together.reshape(-1, dimension).astype(np.float32, copy=False)


def damaged(stored: Sequence[bytes], dimension: int) -> list[int]:
    """Return the positions of stored embeddings that are not a finite unit vector (dimension,)."""
    whole = [row for row, one in enumerate(stored) if len(one) == dimension * STORED.itemsize]
    unit = are_unit(decode([stored[row] for row in whole], dimension))
    sound = {row for row, good in zip(whole, unit, strict=True) if good}
    return [row for row in range(len(stored)) if row not in sound]
