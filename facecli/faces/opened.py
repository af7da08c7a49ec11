"""Pictures that are decoded no larger than needed, and again where more pixels are needed."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

from facecli.faces.images import Decode, EncodedPicture, decode, measure, read_file
from facecli.types import Detector, Picture


class OpenedPicture:
    """One picture, of which no more than one decode is held; not for several threads at once.

    `source` is its name in messages, `sha256` the hash of its file, and `size` width and height of
    the full picture, upright. Until it is decoded, `needed` bytes have to be free for that.
    """

    def __init__(
        self,
        encoded: EncodedPicture | None,
        decoded: Decode | None,
        *,
        source: str,
        sha256: str,
        size: tuple[int, int],
        needed: int = 0,
    ) -> None:
        """Take a file that is not decoded yet, or a decode."""
        self.source = source
        self.sha256 = sha256
        self.size = size
        self.needed = needed
        self._encoded = encoded
        self._decoded = decoded

    def at_least(self, side: float = math.inf) -> Decode:
        """Return the picture with a longer side of `side` pixels, or more, or as large as can be.

        The decode before is let go first, so that two of them are not in memory at a time if the
        caller has let go of it too. Raises PictureError if it cannot be decoded.
        """
        held = self._decoded
        if held is not None and (held.largest or max(held.pixels.size) >= side):
            return held
        held = self._decoded = None
        assert self._encoded is not None
        self._decoded = decode(self._encoded.data, self.source, least=side)
        return self._decoded

    def let_go(self) -> None:
        """Drop the decode; the picture is decoded again when it is needed again."""
        if self._encoded is not None:
            self._decoded = None


def search_side(detector: Detector) -> float:
    """Return the longer side of the picture from which on a detector sees no more in a larger one.

    A detector says so by an attribute `search_side`; the others see the whole picture.
    """
    return float(getattr(detector, "search_side", math.inf))


def opened(source: Path | Picture | EncodedPicture | OpenedPicture) -> OpenedPicture:
    """Read a source and see what it is, without decoding it.

    Raises PictureError, or MissingExtra for HEIC if its package is not installed.
    """
    if isinstance(source, OpenedPicture):
        return source
    if isinstance(source, Picture):
        whole = Decode(source.pixels, source.pixels.size)
        return OpenedPicture(
            None, whole, source=source.source, sha256=source.sha256, size=whole.size
        )
    if isinstance(source, Path):
        source = EncodedPicture(read_file(source), str(source))
    size, needed = measure(source.data, source.source)
    sha256 = hashlib.sha256(source.data).hexdigest()
    return OpenedPicture(
        source, None, source=source.source, sha256=sha256, size=size, needed=needed
    )
