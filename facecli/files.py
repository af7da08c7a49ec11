"""Files that appear whole or not at all, and where a user's files are kept."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

PRIVATE = 0o600
"""Readable by its owner alone: for what is known of people."""

SHARED = 0o644
"""Readable by all, as files usually are: for models and notes of a run."""


@contextmanager
def replacing(path: Path, *, mode: int) -> Iterator[IO[bytes]]:
    """Open a file that takes the place of `path` when the block ends well.

    Until then, and after any error, what was at `path` stays as it was and nothing else is left.
    Raises OSError if the disk does not take it.
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).chmod(mode)  # before it has its name: it never stands there too open
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def data_file(variable: str, name: str) -> Path:
    """Return the path in an environment variable, or else a file in the user's data folder."""
    if named := os.environ.get(variable):
        return Path(named)
    import platformdirs

    return platformdirs.user_data_path("facecli") / name


GALLERY = ("FACECLI_DB", "gallery.db")
LIBRARY = ("FACECLI_LIBRARY", "photos.db")
DECISIONS = ("FACECLI_LOG", "decisions.db")
"""Each database's variable, and its name in the user's data folder."""
