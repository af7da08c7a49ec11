"""Reference targets: where an independent network puts the photos, read from a file of figures."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from facecli.errors import TrainingError
from facecli.models import DIMENSION
from facecli.types import FloatArray

MAX_BYTES = 4 * 2**30
"""Unpacked size beyond which a file of targets is refused unread: 8 million of float32."""

UNREADABLE = (
    *(OSError, ValueError, EOFError, MemoryError, SyntaxError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error),
)
"""What NumPy and zipfile raise for files that are damaged, encrypted or made to do harm."""


def read_targets(path: Path, paths: tuple[str, ...]) -> FloatArray:
    """Return the target of each of `paths`, float32 (n, 128) unit rows, NaN where there is none.

    The file is NumPy's .npz with `paths` (m,), text relative to the photo set's root, and
    `targets` (m, 128) of any length, which is brought to 1. Raises TrainingError if it is
    anything else, or names none of the photos. Pickled objects in it are never loaded.
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
        raise TrainingError(f"{path}: holds targets that are not finite or zero")
    result[mine] = vectors / lengths
    return result


def _read(path: Path) -> tuple[list[str], FloatArray]:
    """Return names and targets as they stand in the file, checked for type and shape."""
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(item.file_size for item in archive.infolist()) > MAX_BYTES:
                raise TrainingError(f"{path}: larger than {MAX_BYTES // 2**30} GiB unpacked")
        with np.load(path, allow_pickle=False) as arrays:
            names, rows = arrays["paths"], arrays["targets"]
    except KeyError as error:
        raise TrainingError(f"{path}: lacks an array named paths or targets") from error
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
