"""What can go wrong for a user: each message is one line that names the input and the reason."""

from __future__ import annotations


class FacecliError(Exception):
    """Anything a user can act on; its text is shown as it is, and the exit code is 2."""


class PictureError(FacecliError):
    """A file that could not be read as a picture."""


class FaceError(FacecliError):
    """A picture whose faces do not suit what was asked: none, several, or of too low quality."""


class ModelError(FacecliError):
    """A model or checkpoint that cannot be loaded, trusted or used for this purpose."""


class GalleryError(FacecliError):
    """A database that cannot be opened or read, or a person that is not in it."""


class GalleryUnavailable(GalleryError):
    """The database of a gallery failed, is damaged or is in use: what was asked was not wrong."""


class FingerprintMismatch(GalleryError):
    """Vectors of two different models met: their squared L2 would mean nothing."""


class LibraryError(FacecliError):
    """A database of photos seen that cannot be opened or read."""


class TrainingError(FacecliError):
    """Data or settings that cannot train a network, or a run that has collapsed."""


class CalibrationError(FacecliError):
    """Data that cannot support the threshold or verifier asked for."""


class GateError(FacecliError):
    """A source of frames, a command to run or a log of decisions that cannot be used."""


class MissingExtra(FacecliError):
    """An optional package is not installed; the message holds the command that installs it."""
