"""Read files and bytes as upright RGB pictures: the only place that opens a picture."""

from __future__ import annotations

import hashlib
import os
import stat
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from facecli.errors import FacecliError, MissingExtra, PictureError
from facecli.types import Picture

MAX_FILE_BYTES = 256 * 2**20
"""Larger files are refused and not read. The largest camera pictures are below 100 MiB."""

MAX_PIXELS = 128 * 2**20
"""Larger pictures are refused and not decoded. Pictures of 102-megapixel cameras are smaller."""

# Pillow reads about forty formats; these are the ones of cameras, phones and scanners. JPEG
# includes MPO. Hostile files cannot reach any other parser.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF")

_HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
"""Brands of ISO/IEC 23008-12, annex B. Pillow itself reads those of AVIF."""

_ORIENTATION_TAG = 0x0112
_EXIF, _TAKEN = 0x8769, 0x9003
"""Exif 2.32: the block of the camera's tags, and the tag with the time (section 4.6.5)."""

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""The turn that makes each EXIF orientation upright (Exif 2.32, section 4.6.4)."""

NEUTRAL_GREY = (128, 128, 128)
"""The colour that fills the area outside a picture."""

BACKGROUND = NEUTRAL_GREY
"""The colour behind transparent pixels.

For portraits cut out along the head, the embedding changed least on mid-grey: by a squared L2 of
0.007, and by 0.010 on white and on black.
"""

_warnings_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class EncodedPicture:
    """The bytes of a picture file that is not decoded yet, and its name in messages."""

    data: bytes
    source: str


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
        raise _refusal(str(path), (error.strerror or str(error)).lower()) from error
    except ValueError as error:
        raise _refusal(str(path), str(error)) from error


def read_picture(data: bytes, source: str) -> Picture:
    """Decode the bytes of a picture file; `source` is its name in messages.

    Only the first frame of an animation or a burst is read. Raises PictureError, or MissingExtra
    for HEIC if its package is not installed.
    """
    if not data:
        raise _refusal(source, "empty file")
    try:
        pixels = _upright_rgb(_decode(data))
    except FacecliError as error:
        raise type(error)(f"{display_name(source)}: {error}") from error
    # Hostile bytes can raise any exception, and every picture must give pixels or one line.
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise _refusal(source, f"damaged: {display_name(reason)}") from error
    return Picture(source=source, pixels=pixels, sha256=hashlib.sha256(data).hexdigest())


def picture_of(image: Image.Image, source: str) -> Picture:
    """Return a picture from an image that is already decoded, upright by its EXIF orientation.

    Its hash is that of its pixels, because there is no file.
    """
    pixels = _upright_rgb(image)
    return Picture(source, pixels, hashlib.sha256(pixels.tobytes()).hexdigest())


def day_taken(path: Path) -> date | None:
    """Return the day a photo was taken, by its Exif DateTimeOriginal, or None.

    Reads no pixels. Returns None too if the file cannot be read or the text is no date.
    """
    said = _from_header(path, lambda image: str(image.getexif().get_ifd(_EXIF)[_TAKEN]))
    try:
        return date.fromisoformat(said[:10].replace(":", "-"))
    except (TypeError, ValueError):
        return None


def stored_orientation(path: Path) -> int:
    """Return the EXIF orientation of a photo, 1 to 8; 1 if there is none."""
    found = _from_header(path, _orientation)
    return found if found in _UPRIGHT else 1


def own_xmp(path: Path) -> bytes | None:
    """Return the XMP packet inside a photo, or None if there is none."""
    found = _from_header(path, lambda image: image.info.get("xmp"))
    return found if isinstance(found, bytes) else None


def _from_header(path: Path, read: Callable[[Image.Image], Any]) -> Any:
    """Return what `read` takes from a picture's header, without decoding it; None if it fails."""
    try:
        if _is_heif(_start(path)):
            _register_heif()
        with _warnings_lock, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=(*_FORMATS, "HEIF")) as image:
                return read(image)
    # Hostile bytes can raise any exception, and the answer is optional.
    except Exception:
        return None


def _refusal(source: str, reason: str) -> PictureError:
    return PictureError(f"{display_name(source)}: {reason}")


def _read_regular(path: Path) -> bytes:
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        readable = os.access(path, os.R_OK | os.X_OK)
        raise ValueError("a folder, not a picture" if readable else "a folder that may not be read")
    # Reading a pipe or a device could wait forever.
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("not a regular file")
    with path.open("rb") as file:
        data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise ValueError(f"larger than {MAX_FILE_BYTES // 2**20} MiB")
    return data


def _start(path: Path) -> bytes:
    """Return enough of a regular file to tell its format; raise OSError for other files."""
    if not path.is_file():
        raise OSError("not a regular file")
    with path.open("rb") as file:
        return file.read(64)


def _decode(data: bytes) -> Image.Image:
    """Open and load the first frame; errors contain no file name."""
    if _is_heif(data):
        _register_heif()
        formats: tuple[str, ...] = ("HEIF",)
    else:
        formats = _FORMATS
    limit = f"more than {MAX_PIXELS / 1e6:.0f} million pixels"
    try:
        # Pillow warns about odd headers; nobody needs that here. Warning filters are global, so a
        # lock is needed.
        with _warnings_lock, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(BytesIO(data), formats=formats)
    except UnidentifiedImageError as error:
        raise PictureError("not a picture in a known format") from error
    except Image.DecompressionBombError as error:
        raise PictureError(limit) from error
    if image.width * image.height > MAX_PIXELS:
        raise PictureError(f"{limit}: {image.width}×{image.height}")
    image.load()
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


def _upright_rgb(image: Image.Image) -> Image.Image:
    orientation = _orientation(image)
    rgb = _to_rgb(image)
    turn = _UPRIGHT.get(orientation)
    return rgb if turn is None else rgb.transpose(turn)


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    # A broken EXIF block is common, and the pixels can still be good.
    except Exception:
        return 1


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        return _eight_bits(image).convert("RGB")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        ground = Image.new("RGBA", layer.size, (*BACKGROUND, 255))
        return Image.alpha_composite(ground, layer).convert("RGB")
    return image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Scale a grey picture of more than 8 bits to 8 bits; Pillow's conversion would clip it.

    In 16-bit modes white is 65535. In modes I and F the value of white is not known: take the
    smallest of 1, 255 and 65535 that is at least the brightest pixel.
    """
    values = np.nan_to_num(np.asarray(image, dtype=np.float32))
    white = 65535.0
    if image.mode in ("I", "F"):
        peak = float(values.max(initial=0.0))
        white = next((level for level in (1.0, 255.0, 65535.0) if peak <= level), max(peak, 1.0))
    return Image.fromarray(np.clip(values * (255.0 / white) + 0.5, 0, 255).astype(np.uint8))
