"""Write files whole or not at all, and find the user's data files."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

PRIVATE = 0o600
"""File mode: only the owner can read and write. For all data about people."""

SHARED = 0o644
"""File mode: everybody can read. For models and the notes of a training run."""


@contextmanager
def replacing(path: Path, *, mode: int) -> Iterator[IO[bytes]]:
    """Open a file that replaces `path` when the block ends without an error.

    Until then, and after any error, the file at `path` stays as it was, and no other file is left.
    Raises OSError if the file cannot be written.
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).chmod(mode)  # before the rename, so that nobody else can ever read `path`
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def data_file(variable: str, name: str) -> Path:
    """Return the path in an environment variable; if it is not set, a file in the data folder."""
    if named := os.environ.get(variable):
        return Path(named)
    import platformdirs

    return platformdirs.user_data_path("facecli") / name


GALLERY = ("FACECLI_DB", "gallery.db")
LIBRARY = ("FACECLI_LIBRARY", "photos.db")
DECISIONS = ("FACECLI_LOG", "decisions.db")
"""The environment variable of each database, and its file name in the user's data folder."""
