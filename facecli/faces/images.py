"""Read files and bytes as upright RGB pictures: the only place that opens a picture."""

from __future__ import annotations

import hashlib
import math
import os
import re
import stat
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TypeVar

from PIL import Image, UnidentifiedImageError

from facecli.errors import FacecliError, MissingExtra, PictureError, known_reason
from facecli.faces.budget import PICTURE_BYTES, check_webp, plan, upright_size
from facecli.faces.jpeg_end import with_end
from facecli.faces.upright import NEUTRAL_GREY as NEUTRAL_GREY
from facecli.faces.upright import upright_rgb
from facecli.types import Picture, Point

MAX_FILE_BYTES = 256 * 2**20
"""Larger files are refused and not read. The largest camera pictures are below 100 MiB."""

MAX_PIXELS = PICTURE_BYTES // 4
"""Larger pictures are refused and not decoded. Pictures of 102-megapixel cameras are smaller."""

# Pillow reads about forty formats; these are the ones of cameras, phones and scanners. JPEG
# includes MPO. Hostile files cannot reach any other parser.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF")

_HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
"""Brands of ISO/IEC 23008-12, annex B. Pillow itself reads those of AVIF."""

_WEB = re.compile(r"(https?|ftps?|rtsps?|s3|file):/", re.IGNORECASE)
"""The beginning of an address; a path has lost its second slash."""

_warnings_lock = threading.Lock()

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class EncodedPicture:
    """The bytes of a picture file that is not decoded yet, and its name in messages."""

    data: bytes
    source: str


@dataclass(frozen=True, slots=True)
class Decode:
    """A picture as it was decoded: upright RGB pixels, each as wide as `scale` of the full picture.

    `size` is width and height of the full picture, upright. `largest` tells whether no larger
    decode can be had.
    """

    pixels: Image.Image
    size: tuple[int, int]
    scale: int = 1
    largest: bool = True

    def to_full(self, point: Point) -> Point:
        """Return where a point of these pixels is in the full picture."""
        x, y = point
        if self.scale == 1:
            return point
        return (x + 0.5) * self.scale - 0.5, (y + 0.5) * self.scale - 0.5

    def from_full(self, point: Point) -> Point:
        """Return where a point of the full picture is in these pixels."""
        x, y = point
        if self.scale == 1:
            return point
        return (x + 0.5) / self.scale - 0.5, (y + 0.5) / self.scale - 0.5


def display_name(path: Path | str) -> str:
    """Return a path as one printable line, with all unprintable characters escaped.

    Line breaks, terminal escapes, marks that change the reading direction and bytes that are not
    UTF-8 become backslash escapes, so that the name of a file cannot imitate a message.
    """
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in str(path)
    )


def open_picture(path: Path) -> Picture:
    """Read a file as a picture; its source is the path.

    Raises PictureError, or MissingExtra for HEIC if its package is not installed.
    """
    return read_picture(read_file(path), str(path))


def read_file(path: Path) -> bytes:
    """Return the bytes of a picture file, up to a limit; raise PictureError if it is unreadable."""
    try:
        return _read_regular(path)
    except OSError as error:
        raise _refusal(str(path), _why_unread(path, error)) from error
    except (ValueError, MemoryError) as error:
        raise _refusal(str(path), known_reason(error) or str(error)) from error


def read_picture(data: bytes, source: str) -> Picture:
    """Decode the bytes of a picture file; `source` is its name in messages.

    It has its full size, unless so many pixels would take too much memory. Raises as `decode`.
    """
    pixels = decode(data, source).pixels
    return Picture(source=source, pixels=pixels, sha256=hashlib.sha256(data).hexdigest())


def measure(data: bytes, source: str) -> tuple[tuple[int, int], int]:
    """Return width and height of a picture, upright, and the bytes that its decode takes at most.

    Reads no pixels. Raises as `decode`.
    """

    def measured() -> tuple[tuple[int, int], int]:
        image = _opened(data)
        return upright_size(image), plan(image, len(data)).needed

    return _explained(measured, data, source)


def decode(data: bytes, source: str, *, least: float = math.inf) -> Decode:
    """Decode the bytes of a picture file, a JPEG no larger than needed, within the budget.

    A JPEG is decoded at the smallest of 1/1, 1/2, 1/4 and 1/8 of its size whose longer side has
    `least` pixels. Other formats are decoded whole. What would take more memory than PICTURE_BYTES
    is reduced or, if that does not help, refused. Only the first frame of an animation or a burst
    is read. Raises PictureError, or MissingExtra for HEIC if its package is not installed.
    """

    def decoded(data: bytes) -> Decode:
        image = _opened(data)
        size = upright_size(image)
        way = plan(image, len(data), least=least)
        if way.scale > 1:
            smaller = [max(1, side // way.scale) for side in image.size]
            whole = max(image.size)
            image.draft("RGB", (smaller[0], smaller[1]))
            # Pillow reduces a narrow strip less than it was asked to.
            return Decode(
                upright_rgb(_loaded(image)), size, round(whole / max(image.size)), way.largest
            )
        return Decode(upright_rgb(_loaded(image), way.factor), size, way.factor, way.largest)

    def mended() -> Decode:
        try:
            return decoded(data)
        except OSError:
            # It is told from a damaged one at full size, for which there must be room.
            fits = plan(_opened(data), len(data)).scale == 1
            if not fits or (whole := with_end(data)) is None:
                raise
            return decoded(whole)

    return _explained(mended, data, source)


def _loaded(image: Image.Image) -> Image.Image:
    if image.width * image.height <= (Image.MAX_IMAGE_PIXELS or math.inf):
        image.load()
    else:
        with _no_warnings():
            image.load()
    return image


def _explained(work: Callable[[], Result], data: bytes, source: str) -> Result:
    """Return the result of work on a picture, or raise why it cannot be done, in one line."""
    if not data:
        raise _refusal(source, "empty file")
    try:
        return work()
    except FacecliError as error:
        raise type(error)(f"{display_name(source)}: {error}") from error
    # Hostile bytes can raise any exception, and every picture must give pixels or one line.
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        reason = known_reason(error) or f"damaged: {reason}"
        raise _refusal(source, display_name(reason)) from error


def picture_of(image: Image.Image, source: str) -> Picture:
    """Return a picture from an image that is already decoded, upright by its EXIF orientation.

    Its hash is that of its pixels, because there is no file.
    """
    pixels = upright_rgb(image)
    return Picture(source, pixels, hashlib.sha256(pixels.tobytes()).hexdigest())


@contextmanager
def _no_warnings() -> Iterator[None]:
    """Drop what Pillow says of odd headers and many pixels; nobody needs that here.

    Warning filters are global, so a lock is needed.
    """
    with _warnings_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def with_header(path: Path, read: Callable[[Image.Image], Result]) -> Result:
    """Return what `read` makes of a picture that is opened but not decoded; raise what it raises.

    Pillow and `read` may raise anything for a damaged file, and OSError for one that is no file.
    """
    if not path.is_file():
        raise OSError("not a regular file")
    with path.open("rb") as file:
        if _is_heif(file.read(64)):
            _register_heif()
    with _no_warnings(), Image.open(path, formats=(*_FORMATS, "HEIF")) as image:
        return read(image)


def _refusal(source: str, reason: str) -> PictureError:
    return PictureError(f"{display_name(source)}: {reason}")


def _why_unread(path: Path, error: OSError) -> str:
    if isinstance(error, FileNotFoundError) and _WEB.match(str(path)):
        return "an address, not a file: facecli loads nothing from the web, so download it first"
    return (error.strerror or str(error)).lower()


def _read_regular(path: Path) -> bytes:
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        readable = os.access(path, os.R_OK | os.X_OK)
        raise ValueError("a folder, not a picture" if readable else "a folder that may not be read")
    # Reading a pipe or a device could wait forever.
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("not a regular file")
    with path.open("rb") as file:
        # Python takes the memory before it reads: no more than the file needs, if it does not grow.
        data = file.read(min(status.st_size, MAX_FILE_BYTES) + 1)
        if len(data) > status.st_size:
            data += file.read(MAX_FILE_BYTES)
    if len(data) > MAX_FILE_BYTES:
        raise ValueError(f"larger than {MAX_FILE_BYTES // 2**20} MiB")
    return data


def _opened(data: bytes) -> Image.Image:
    """Open the first frame without loading it; errors contain no file name."""
    if _is_heif(data):
        _register_heif()
        formats: tuple[str, ...] = ("HEIF",)
    else:
        formats = _FORMATS
    check_webp(data)
    limit = f"more than {MAX_PIXELS / 1e6:.0f} million pixels"
    try:
        with _no_warnings():
            image = Image.open(BytesIO(data), formats=formats)
    except UnidentifiedImageError as error:
        raise PictureError("not a picture in a known format") from error
    except Image.DecompressionBombError as error:
        raise PictureError(limit) from error
    if image.width * image.height > MAX_PIXELS:
        raise PictureError(f"{limit}: {image.width}×{image.height}")
    return image


def _is_heif(data: bytes) -> bool:
    brands = data[8 : int.from_bytes(data[:4])]
    return data[4:8] == b"ftyp" and brands[:4] in _HEIF_BRANDS and b"avif" not in brands


def _register_heif() -> None:
    try:
        import pillow_heif
    except ImportError as error:
        raise MissingExtra("HEIC needs pillow-heif: pip install 'facecli[heic]'") from error
    pillow_heif.register_heif_opener()
