"""Errors that a user can act on: each message is one line that names the input and the reason."""

from __future__ import annotations

import errno
from importlib.util import find_spec

OUT_OF_MEMORY = "out of memory: try fewer or smaller pictures at a time"


class FacecliError(Exception):
    """An error that a user can act on. Commands show its text as it is and exit with 2."""


class PictureError(FacecliError):
    """A file that could not be read as a picture."""


class FaceError(FacecliError):
    """A picture whose faces do not suit the request: none, several, or of too low quality."""


class ModelError(FacecliError):
    """A model or checkpoint that cannot be loaded, trusted or used for this purpose."""


class GalleryError(FacecliError):
    """A database that cannot be opened or read, or a person that is not in it."""


class GalleryUnavailable(GalleryError):
    """The database of a gallery failed, is damaged or is in use. The request was not wrong."""


class FingerprintMismatch(GalleryError):
    """Vectors of two models cannot be compared: their squared L2 would mean nothing."""


class LibraryError(FacecliError):
    """A library, the database of photos already searched, that cannot be opened or read."""


class TrainingError(FacecliError):
    """Data or settings that a network cannot be trained with, or a run that has collapsed."""


class CalibrationError(FacecliError):
    """Data that does not support the requested threshold or verifier."""


class GateError(FacecliError):
    """A source of frames, a command to run or a log of decisions that cannot be used."""


class MissingExtra(FacecliError):
    """An optional package is not installed; the message holds the command that installs it."""


def check_extra(package: str, extra: str, user: str) -> None:
    """Raise MissingExtra, which tells how to install it, if a package that `user` needs is absent.

    The package is not imported.
    """
    if find_spec(package) is None:
        raise MissingExtra(f"{user} needs {package}: pip install 'facecli[{extra}]'")


def known_reason(error: BaseException) -> str | None:
    """Return in one line what went wrong, or None for an error that only a bug can raise."""
    if isinstance(error, FacecliError):
        return str(error)
    # PyTorch has its own error for a full graphics card. It is compared by name, to avoid the
    # import.
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return OUT_OF_MEMORY
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename is not None else ""
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        return where + ("no space left on the disk" if full else error.strerror)
    return None


def reason_of(error: BaseException) -> str:
    """Return in one line what went wrong, whatever was raised."""
    return known_reason(error) or f"{type(error).__name__}: {' '.join(str(error).split())}"
