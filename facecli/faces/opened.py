"""Pictures that are decoded no larger than needed, and again where more pixels are needed."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

from facecli.faces.images import Decode, EncodedPicture, decode, read_file
from facecli.types import Picture

SEARCH_SIDE = 1600
"""Faces are searched for on a decode whose longer side has at least this many pixels.

The detector searches a copy of that size, so it sees no more in a larger decode. Photos of 6 to 24
megapixels are decoded at half their size, larger ones at a quarter.
"""


class OpenedPicture:
    """One picture, of which no more than one decode is held; not for several threads at once.

    `source` is its name in messages, `sha256` the hash of its file, and `size` width and height of
    the full picture, upright.
    """

    def __init__(self, source: str, sha256: str, decoded: Decode, data: bytes | None) -> None:
        """Take a first decode, and the bytes of the file unless the decode is whole already."""
        self.source = source
        self.sha256 = sha256
        self.size = decoded.size
        self._decoded: Decode | None = decoded
        self._data = data

    def at_least(self, side: float = math.inf) -> Decode:
        """Return the picture with a longer side of `side` pixels or more, or the whole picture.

        The decode before is let go first, so that two of them are not in memory at a time if the
        caller has let go of it too. Raises PictureError if it cannot be decoded any more.
        """
        held = self._decoded
        if held is not None and (held.scale == 1 or max(held.pixels.size) >= side):
            return held
        held = self._decoded = None
        assert self._data is not None
        self._decoded = decode(self._data, self.source, least=side)
        if self._decoded.scale == 1:
            self._data = None
        return self._decoded


def open_encoded(encoded: EncodedPicture, *, least: float = SEARCH_SIDE) -> OpenedPicture:
    """Decode the bytes of a picture as large as the search needs; raise as `decode`."""
    decoded = decode(encoded.data, encoded.source, least=least)
    sha256 = hashlib.sha256(encoded.data).hexdigest()
    data = None if decoded.scale == 1 else encoded.data
    return OpenedPicture(encoded.source, sha256, decoded, data)


def opened(source: Path | Picture | EncodedPicture | OpenedPicture) -> OpenedPicture:
    """Decode a source as large as the search needs, if that is still to be done.

    Raises PictureError, or MissingExtra for HEIC if its package is not installed.
    """
    if isinstance(source, OpenedPicture):
        return source
    if isinstance(source, Picture):
        whole = Decode(source.pixels, source.pixels.size)
        return OpenedPicture(source.source, source.sha256, whole, None)
    if isinstance(source, Path):
        source = EncodedPicture(read_file(source), str(source))
    return open_encoded(source)
