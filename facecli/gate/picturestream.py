"""Split a stream of JPEG and PNG files into single files."""

from __future__ import annotations

from collections.abc import Iterator
from io import BufferedReader

from facecli.errors import PictureError
from facecli.faces.images import MAX_FILE_BYTES

JPEG = b"\xff\xd8"
PNG = b"\x89PNG\r\n\x1a\n"

_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD8)})
"""JPEG markers without a length: TEM and the restart markers (ITU-T T.81, table B.1)."""

_END, _SCAN = 0xD9, 0xDA
"""EOI, the end of the image, and SOS, after which coded data follow."""


def pictures(stream: BufferedReader) -> Iterator[bytes]:
    """Yield the files in a stream, one after the other.

    Raises PictureError for data that is neither JPEG nor PNG, for a file that is too large, and if
    the stream ends in the middle of a file.
    """
    while start := stream.read(2):
        picture = _Picture(stream, start)
        if start == JPEG:
            _read_jpeg(picture)
        elif start + picture.take(len(PNG) - 2) == PNG:
            _read_png(picture)
        else:
            raise PictureError("stdin: neither a JPEG nor a PNG picture")
        yield bytes(picture.data)


class _Picture:
    """The picture that is being read; `data` holds the bytes read so far."""

    def __init__(self, stream: BufferedReader, start: bytes) -> None:
        self._stream = stream
        self.data = bytearray(start)

    def take(self, count: int) -> bytes:
        """Read and return this many bytes."""
        if len(self.data) + count > MAX_FILE_BYTES:
            raise PictureError(f"stdin: a picture larger than {MAX_FILE_BYTES // 2**20} MiB")
        data = self._stream.read(count)
        if len(data) < count:
            raise PictureError("stdin: ends in the middle of a picture")
        self.data += data
        return data

    def take_to_marker(self) -> int:
        """Read up to the next marker and return its code, the byte after 0xFF."""
        place = -1
        while place < 0:
            waiting = self._stream.peek()
            place = waiting.find(b"\xff")
            self.take(place + 1 if place >= 0 else max(1, len(waiting)))
        code = 0xFF
        while code == 0xFF:  # a marker may begin with several of them
            code = self.take(1)[0]
        return code


def _read_jpeg(picture: _Picture) -> None:
    """Read to the end of the image (ITU-T T.81, B.1.1)."""
    coded = False
    while True:
        code = picture.take_to_marker()
        if code == _END:
            return
        # In coded data, 0xFF followed by a zero is data, not a marker.
        if code in _WITHOUT_LENGTH or (coded and code == 0):
            continue
        picture.take(max(0, int.from_bytes(picture.take(2)) - 2))
        coded = code == _SCAN


def _read_png(picture: _Picture) -> None:
    """Read to the end of the IEND chunk (PNG, third edition, 5.3)."""
    kind = b""
    while kind != b"IEND":
        head = picture.take(8)
        kind = head[4:]
        picture.take(int.from_bytes(head[:4]) + 4)
