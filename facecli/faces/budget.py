"""The memory that pictures may take: one budget of bytes, and what each picture needs of it."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from facecli.errors import PictureError
from facecli.faces.upright import SIDEWAYS, UPRIGHT, is_ready, orientation

PICTURE_BYTES = 512 * 2**20
"""Most bytes for one picture: its file, its decoder's memory, and its pixels as decoded and as RGB.

Enough for 102-megapixel cameras. What is made of the pixels later (copies that are searched, turned
and bordered, and chips) is reduced first and made in parts: some 130 MB more, whatever the shape.
"""

MOST_REDUCED = 4
"""Pictures of which only a still smaller copy would fit are refused."""

_SMALL_PIXELS = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16L": 2, "I;16B": 2, "I;16N": 2}
"""Bytes of a pixel in Pillow's memory by mode; 4 in all other modes, RGB too."""

_LOADING = {"WEBP": (16, 12), "AVIF": (14, 10), "HEIF": (10, 5)}
"""Bytes of a pixel while it is loaded, and afterwards, in formats whose decoders keep memory.

Measured: 16.3 and 12.3, 9.5 and 6.5, 7.4 and 4.4; AVIF and HEIF may have twice the colour.
"""

_COEFFICIENT = 2
"""Bytes: a JPEG in several scans is held as coefficients, one for each sample."""

_SCALES = (1, 2, 4, 8)
"""How many times smaller a JPEG can be decoded."""


class Room:
    """Bytes that pictures may take together. May be used from any thread."""

    def __init__(self, size: int = PICTURE_BYTES) -> None:
        self._size = self._free = size
        self._changed = threading.Condition()

    @contextmanager
    def held(self, needed: int) -> Iterator[None]:
        """Wait until there are so many bytes, and hold them. More than all there are means all."""
        needed = min(needed, self._size)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= needed)
            self._free -= needed
        try:
            yield
        finally:
            with self._changed:
                self._free += needed
                self._changed.notify_all()


@dataclass(frozen=True, slots=True)
class Plan:
    """How to decode a picture within the budget.

    A JPEG is decoded `scale` times smaller; the pixels are reduced `factor` times after that.
    `largest` tells whether no larger decode would fit. `needed` are the bytes that it takes.
    """

    scale: int
    factor: int
    largest: bool
    needed: int


def plan(image: Image.Image, file_bytes: int, *, least: float = math.inf) -> Plan:
    """Plan the decode of a picture that is opened but not loaded, from a file of so many bytes.

    The longer side has `least` pixels, or more, or as many as fit. Raises PictureError if it would
    have to be reduced more than MOST_REDUCED times.
    """
    fitting = 1
    if isinstance(image, JpegImageFile):
        fitting = next((one for one in _SCALES if _fits(image, file_bytes, one)), _SCALES[-1])
    scale = max(fitting, _enough(image, least))
    loading, held = _bytes(image, scale)
    rgb = 4 * _pixels(image, scale)
    factor = 1
    while (needed := file_bytes + max(loading, held + _copied(image, rgb, factor))) > PICTURE_BYTES:
        factor += 1
        if factor > MOST_REDUCED:
            raise too_large(needed)
    return Plan(scale, factor, scale == fitting, needed)


def too_large(needed: int) -> PictureError:
    """Return the error of a picture that needs more bytes than the budget."""
    most = PICTURE_BYTES // 2**20
    return PictureError(f"needs {needed / 2**20:,.0f} MiB to be decoded, more than {most}")


def check_webp(data: bytes) -> None:
    """Raise PictureError if a WebP file is too large: its decoder takes memory when it is opened.

    The places are those of the WebP container specification and of RFC 6386 and RFC 9649.
    """
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        return

    def number(start: int, bits: int, *, skip: int = 0) -> int:
        return int.from_bytes(data[start : start + 4], "little") >> skip & (1 << bits) - 1

    sizes = {
        b"VP8X": (number(24, 24) + 1, number(27, 24) + 1),
        b"VP8L": (number(21, 14) + 1, number(21, 14, skip=14) + 1),
        b"VP8 ": (number(26, 14), number(28, 14)),
    }
    width, height = sizes.get(data[12:16], (0, 0))
    needed = len(data) + width * height * _LOADING["WEBP"][0]
    if needed > PICTURE_BYTES:
        raise too_large(needed)


def _enough(image: Image.Image, least: float) -> int:
    """Return the largest scale at which the longer side of a JPEG has `least` pixels.

    The last pixel of a side that cannot be divided reaches out of the picture. In a picture that
    has to be turned it may become the first one: such a picture is reduced only without remainder.
    """
    if not isinstance(image, JpegImageFile):
        return 1
    width, height = image.size
    upright = orientation(image) not in UPRIGHT
    for scale in reversed(_SCALES):
        whole = width % scale == 0 and height % scale == 0
        if max(width, height) >= scale * least and (upright or whole):
            return scale
    return 1


def _fits(image: Image.Image, file_bytes: int, scale: int) -> bool:
    loading, held = _bytes(image, scale)
    copied = _copied(image, 4 * _pixels(image, scale), 1)
    return file_bytes + max(loading, held + copied) <= PICTURE_BYTES


def _pixels(image: Image.Image, scale: int) -> int:
    # A narrow strip is reduced less than it was asked to.
    scale = min(scale, *image.size)
    return math.ceil(image.width / scale) * math.ceil(image.height / scale)


def _copied(image: Image.Image, rgb: int, factor: int) -> int:
    """Return the bytes of the upright RGB copy of a picture; 0 if it needs none."""
    return 0 if factor == 1 and is_ready(image) else math.ceil(rgb / factor**2)


def _bytes(image: Image.Image, scale: int) -> tuple[int, int]:
    """Return the bytes that a picture takes while it is loaded, and those it takes afterwards."""
    pixels = _pixels(image, scale)
    own = pixels * _SMALL_PIXELS.get(image.mode, 4)
    if image.format in _LOADING:
        loading, held = _LOADING[image.format]
        return pixels * loading, pixels * held
    if isinstance(image, JpegImageFile):
        return own + _coefficients(image), own
    if image.format == "TIFF":
        turned = own if orientation(image) in UPRIGHT else 0
        return own + max(turned, _piece(image)), own
    if image.format == "BMP":
        return own + pixels, own  # runs are unpacked before they become pixels
    return own, own


def _coefficients(image: JpegImageFile) -> int:
    """Return the bytes of a JPEG's coefficients, if its decoder keeps them: 0 for a single scan."""
    several = "progressive" in image.info or _first_scan(image) < image.layers
    if not several or not image.layer:
        return 0
    across, down = (max(1, *(one[place] for one in image.layer)) for place in (2, 1))
    samples = sum(one[1] * one[2] for one in image.layer) / (across * down)
    return math.ceil(image.width * image.height * samples) * _COEFFICIENT


def _first_scan(image: JpegImageFile) -> int:
    """Return how many components the first scan has; Pillow has read up to its header."""
    file: Any = image.fp
    place = file.tell()
    head = file.read(3)
    file.seek(place)
    return head[2] if len(head) == 3 else 0


def _piece(image: Any) -> int:
    """Return the bytes of a strip or tile of a TIFF, which is unpacked in one piece."""
    from PIL import TiffImagePlugin  # slow to import, and there already where there is a TIFF

    tags = image.tag_v2
    bits = tags.get(TiffImagePlugin.BITSPERSAMPLE, (1,))
    samples = max(int(tags.get(TiffImagePlugin.SAMPLESPERPIXEL, 1)), len(bits))
    rows = min(int(tags.get(TiffImagePlugin.ROWSPERSTRIP, image.height)), image.height)
    pixels = image.width * rows
    if TiffImagePlugin.TILEWIDTH in tags:
        width, height = (
            int(tags[one]) for one in (TiffImagePlugin.TILEWIDTH, TiffImagePlugin.TILELENGTH)
        )
        pixels = width * height
    return int(pixels * samples * max(map(int, bits)) // 8)


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Return width and height of a picture that is not loaded, as they are when it is upright."""
    # Pillow has turned those of a TIFF already.
    turned = orientation(image) in SIDEWAYS and image.format != "TIFF"
    return image.size[::-1] if turned else image.size
