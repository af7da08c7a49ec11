"""Errors that a user can act on: each message is one line that names the input and the reason."""

from __future__ import annotations

from importlib.util import find_spec


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
