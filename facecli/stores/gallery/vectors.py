"""Embeddings as they are stored: 128 little-endian float32, 512 bytes, checked both ways."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from facecli.types import DIMENSION, FloatArray
from facecli.vectors.distances import UNIT_TOLERANCE, are_unit

STORED = np.dtype("<f4")
STORED_BYTES = DIMENSION * STORED.itemsize


def encode(embedding: FloatArray) -> bytes:
    """Return the 512 bytes of a float32 unit vector (128,); raise ValueError for anything else."""
    if embedding.dtype != np.float32 or embedding.shape != (DIMENSION,):
        raise ValueError(
            f"expected {DIMENSION} numbers of float32, not {embedding.shape} of {embedding.dtype}"
        )
    length = float(np.linalg.norm(embedding.astype(np.float64)))
    # Not the other way round: NaN compares false.
    if not abs(length - 1.0) <= UNIT_TOLERANCE:
        raise ValueError(f"expected a vector of length 1, not {length:.4g}")
    return embedding.astype(STORED).tobytes()


def decode(stored: Sequence[bytes]) -> FloatArray:
    """Return stored embeddings as read-only float32 (n, 128); raise ValueError for a wrong size."""
    if not stored:
        return np.empty((0, DIMENSION), np.float32)
    if set(map(len, stored)) != {STORED_BYTES}:
        raise ValueError(f"an embedding has not {STORED_BYTES} bytes")
    together = np.frombuffer(b"".join(stored), STORED)
    return together.reshape(-1, DIMENSION).astype(np.float32, copy=False)


def damaged(stored: Sequence[bytes]) -> list[int]:
    """Return the positions of stored embeddings that are not 512 bytes of a finite unit vector."""
    whole = [row for row, one in enumerate(stored) if len(one) == STORED_BYTES]
    unit = are_unit(decode([stored[row] for row in whole]))
    sound = {row for row, good in zip(whole, unit, strict=True) if good}
    return [row for row in range(len(stored)) if row not in sound]
