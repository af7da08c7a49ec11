"""Write files whole or not at all, and find the user's data files."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # not a Unix
    fcntl = None  # type: ignore[assignment]

PRIVATE = 0o600
"""File mode: only the owner can read and write. For all data about people."""

SHARED = 0o644
"""File mode: everybody can read. For models and the notes of a training run."""


@contextmanager
def replacing(path: Path, *, mode: int) -> Iterator[IO[bytes]]:
    """Open a file that replaces `path` when the block ends without an error.

    Until then, and after any error, the file at `path` stays as it was, and no other file is left.
    What a killed program left beside it is removed when the same file is written again.
    A link stays a link: the file it leads to is replaced. A device or a pipe is never replaced:
    all bytes are written to it when the block has ended. Raises OSError, which names `path`, if it
    cannot be written.
    """
    with _named(path):
        if _is_replaceable(path):
            with _written(Path(os.path.realpath(path)), mode, Path.replace) as stream:
                yield stream
            return
        with tempfile.TemporaryFile() as draft:
            yield draft
            draft.seek(0)
            with path.open("wb") as stream:
                shutil.copyfileobj(draft, stream)


@contextmanager
def creating(path: Path, *, mode: int) -> Iterator[IO[bytes]]:
    """Open a file that gets its name when the block ends without an error, if the name is free.

    After any error no file is left; what a killed program left beside it is removed when the same
    file is written again. Raises FileExistsError if something is there already, and OSError, which
    names `path`, if it cannot be written.
    """
    with _named(path):
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), os.fspath(path))
        with _written(path, mode, name_new) as stream:
            yield stream


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Let the error of a draft, and that of a full disk, which names no file, name a path."""
    try:
        yield
    except OSError as error:
        if error.filename is None or Path(error.filename).name.startswith(f".{path.name}."):
            error.filename, error.filename2 = os.fspath(path), None
        raise


def _is_replaceable(path: Path) -> bool:
    """Return whether there is a regular file at a path, or none; raise OSError for a folder."""
    try:
        kind = path.stat().st_mode
    except FileNotFoundError:
        return True
    if stat.S_ISDIR(kind):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    return stat.S_ISREG(kind)


@contextmanager
def _written(path: Path, mode: int, name: Callable[[Path, Path], object]) -> Iterator[IO[bytes]]:
    """Write a draft, and let `name` give it the name of a path."""
    with drafting(path) as (handle, draft):
        with os.fdopen(handle, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        draft.chmod(mode)  # before it has its name, so that nobody else can ever read `path`
        name(draft, path)


@contextmanager
def drafting(path: Path, *, ending: str = "") -> Iterator[tuple[int, Path]]:
    """Make an empty private file beside a path; give its descriptor, to be closed, and its path.

    Give it its name with `name_new` or `Path.replace` in the block. After an error it is removed.
    It has one name for each path, so that the next draft removes one that a killed program left.
    In the block a lock shows that it is not left. Where the name cannot be used, as another program
    writes the same file or the disk knows no locks, the name is one of a kind.
    """
    with ExitStack() as held:
        handle, draft = _open_draft(path, ending, held)
        try:
            yield handle, draft
        except BaseException:
            draft.unlink(missing_ok=True)
            raise


def _open_draft(path: Path, ending: str, held: ExitStack) -> tuple[int, Path]:
    """Open a draft, and lock it until `held` is closed."""
    draft = path.with_name(f".{path.name}.part{ending}")
    if fcntl is not None:
        with suppress(OSError):
            _remove_left(draft)
            handle = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, PRIVATE)
            try:
                if _lock(handle, draft):
                    held.callback(os.close, os.dup(handle))
                    return handle, draft
            except OSError:  # a disk without locks
                draft.unlink()
            os.close(handle)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=ending)
    return handle, Path(name)


def _remove_left(draft: Path) -> None:
    """Remove a draft that nobody holds the lock of: who wrote it was killed."""
    with suppress(FileNotFoundError):
        handle = os.open(draft, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            if _lock(handle, draft):
                draft.unlink()
        finally:
            os.close(handle)


def _lock(handle: int, draft: Path) -> bool:
    """Take the lock of an open file; return whether it was free and the file is still at a path."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(handle), os.lstat(draft))
    except (BlockingIOError, FileNotFoundError):
        return False


NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
"""What file systems without hard links answer, such as that of a memory stick."""


def name_new(draft: Path, file: Path) -> None:
    """Give a draft that is done its name; raise FileExistsError if another file has it."""
    try:
        os.link(draft, file)
        draft.unlink()
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        if file.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(file)) from error
        draft.rename(file)


def data_file(variable: str, name: str) -> Path:
    """Return the path in an environment variable; if it is not set, a file in the data folder."""
    if named := os.environ.get(variable):
        return Path(named)
    import platformdirs

    return platformdirs.user_data_path("facecli") / name


GALLERY = ("FACECLI_DB", "gallery.db")
LIBRARY = ("FACECLI_LIBRARY", "photos.db")
DECISIONS = ("FACECLI_LOG", "decisions.db")
CONFIGURATION = ("FACECLI_CONFIG", "config.toml")
"""The environment variable of each file of the user, and its name in the user's own folder."""
