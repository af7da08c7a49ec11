"""Targets: the embeddings of the photos by another network, read from a file."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from facecli.errors import TrainingError
from facecli.models import DIMENSION
from facecli.types import FloatArray

MAX_BYTES = 4 * 2**30
"""A file of targets larger than this when unpacked is refused: 8 million float32 targets."""

UNREADABLE = (
    *(OSError, ValueError, EOFError, MemoryError, SyntaxError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error),
)
"""The errors of NumPy and zipfile for files that are damaged, encrypted or malicious."""


def read_targets(path: Path, paths: tuple[str, ...]) -> FloatArray:
    """Return the target of each of `paths`, float32 (n, 128) unit rows, NaN if there is none.

    The file is a NumPy .npz with `paths` (m,), text relative to the root of the photo set, and
    `targets` (m, 128), which are scaled to unit length. Raises TrainingError for any other file,
    and if it has none of the photos. Pickled objects in it are never loaded.
    """
    names, rows = _read(path)
    place = {name: index for index, name in enumerate(names)}
    result = np.full((len(paths), DIMENSION), np.nan, np.float32)
    found = [(index, place[name]) for index, name in enumerate(paths) if name in place]
    if not found:
        raise TrainingError(f"{path}: none of its {len(names)} paths is a photo of this set")
    mine, theirs = np.array(found).T
    vectors = rows[theirs].astype(np.float64)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not (np.isfinite(lengths) & (lengths > 1e-6)).all():
        raise TrainingError(f"{path}: some targets are zero or not finite")
    result[mine] = vectors / lengths
    return result


def _read(path: Path) -> tuple[list[str], FloatArray]:
    """Return paths and targets as they are in the file, checked for type and shape."""
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(item.file_size for item in archive.infolist()) > MAX_BYTES:
                raise TrainingError(f"{path}: larger than {MAX_BYTES // 2**30} GiB unpacked")
        with np.load(path, allow_pickle=False) as arrays:
            names, rows = arrays["paths"], arrays["targets"]
    except KeyError as error:
        raise TrainingError(f"{path}: lacks an array named paths, or one named targets") from error
    except UNREADABLE as error:
        reason = getattr(error, "strerror", None) or "not an .npz file of plain arrays"
        raise TrainingError(f"{path}: {reason}") from error
    if names.dtype.kind != "U" or names.ndim != 1:
        raise TrainingError(f"{path}: paths must be text, one a row")
    if rows.dtype.kind != "f" or rows.shape != (len(names), DIMENSION):
        raise TrainingError(
            f"{path}: targets must be floats of shape ({len(names)}, {DIMENSION}), not "
            f"{rows.dtype} {rows.shape}"
        )
    return names.tolist(), rows
