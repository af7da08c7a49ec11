"""Tell a JPEG that lacks nothing but its end from one whose pixels are cut off.

A PNG without its last chunk is whole, since its pixels are; a JPEG without the end of the image is
judged by the same rule. JPEG does not say how long its coded data are, but what follows them tells:
where bits are missing, a decoder takes them from there, and the pixels change.
"""

from __future__ import annotations

import hashlib
import re
from io import BytesIO

from PIL import Image

SOI, EOI = b"\xff\xd8", b"\xff\xd9"
"""Start and end of the image (ITU-T T.81, table B.1)."""

_FRAMES = frozenset({0xC0, 0xC1, 0xC2})
"""SOF0 to SOF2: the frame headers of baseline, extended and progressive JPEG with Huffman codes."""

_SCAN = 0xDA
"""SOS, after which coded data follow."""

_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
"""The next marker behind coded data: not a stuffed byte, nor a restart marker."""

_OTHER_BITS = (b"\x55\xaa\x33\xcc\x0f\xf0" * 4, b"\xaa\x55\xcc\x33\xf0\x0f" * 4)
"""Follow the coded data where a decoder would put zeros for missing bits.

There are two, as one may by chance mean the same as zeros.
"""

_RESTART = re.compile(rb"\xff([\xd0-\xd7])")
"""A restart marker: without the next one, a decoder does not look for more intervals."""

_STRIP = 256
"""Rows that are hashed at a time, so that a picture is not in memory twice."""


def with_end(data: bytes) -> bytes | None:
    """Return a JPEG with the end that it lacks; None if it has one, or if pixels are missing too.

    It is decoded several times at its full size. Raises what Pillow raises for a damaged file.
    """
    if not data.startswith(SOI) or data.endswith(EOI) or not _has_all_scans(data):
        return None
    # The last byte may be the first half of the end.
    body = data.removesuffix(EOI[:1])
    mended = body + EOI
    ends = [*_OTHER_BITS, *(_next_restart(body) + bits for bits in _OTHER_BITS)]
    whole = _pixels(mended)
    return mended if all(_pixels(body + end + EOI) == whole for end in ends) else None


def _next_restart(data: bytes) -> bytes:
    """Return the restart marker that would follow in the last scan."""
    scan = data[data.rfind(bytes((0xFF, _SCAN))) :]
    numbers = _RESTART.findall(scan)
    following = (numbers[-1][0] + 1 - 0xD0) % 8 if numbers else 0
    return bytes((0xFF, 0xD0 + following))


def _has_all_scans(data: bytes) -> bool:
    """Tell whether there are scans for all coefficients of all components, to the last bit."""
    place, wanted, bits_left = len(SOI), b"", dict[tuple[int, int], int]()
    try:
        while place + 4 <= len(data):
            code, length = data[place + 1], int.from_bytes(data[place + 2 : place + 4])
            segment = data[place + 4 : place + 2 + length]
            place += 2 + length
            if code in _FRAMES:
                wanted = segment[6 : 6 + 3 * segment[5] : 3]
            if code == _SCAN:
                count = segment[0]
                first, last, bits = segment[1 + 2 * count : 4 + 2 * count]
                for component in segment[1 : 1 + 2 * count : 2]:
                    for number in range(first, last + 1):
                        bits_left[component, number] = bits & 15
                marker = _MARKER.search(data, place)
                place = marker.start() if marker else len(data)
    except (IndexError, ValueError):
        return False
    return bits_left == {(one, number): 0 for one in wanted for number in range(64)}


def _pixels(data: bytes) -> str:
    """Return a hash of the decoded pixels."""
    digest = hashlib.sha256()
    with Image.open(BytesIO(data), formats=("JPEG",)) as image:
        image.load()
        for top in range(0, image.height, _STRIP):
            rows = image.crop((0, top, image.width, min(top + _STRIP, image.height)))
            digest.update(rows.tobytes())
    return digest.hexdigest()
