"""Split a stream of JPEG and PNG files into single files, as cameras and FFmpeg really send them.

A camera's answer to HTTP has a header before each picture (multipart), some cameras send no end of
the image, and a lost packet damages a picture. What lies between pictures is skipped.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator
from io import BufferedReader

from facecli.errors import PictureError
from facecli.faces.images import MAX_FILE_BYTES

JPEG = b"\xff\xd8\xff"
PNG = b"\x89PNG\r\n\x1a\n"

MAX_LEAD = 2**20
"""So many bytes may come before the first picture: more than any header, far less than a film."""

_START = re.compile(re.escape(JPEG) + b"|" + re.escape(PNG))
_BOUNDARY = re.compile(rb"\r?\n--[\x20-\x7e\r\n\t]+\Z")
"""The header of the next part of a multipart stream, after a picture without an end."""

_CHUNK = re.compile(rb"[A-Za-z]{4}")
"""The type of a PNG chunk (PNG, third edition, 5.3)."""

_BEFORE_LENGTH = frozenset({*range(0xC0, 0xD0), *range(0xDA, 0xF0), 0xFE})
"""JPEG markers of segments, which begin with their length (ITU-T T.81, table B.1)."""

_END, _SCAN = 0xD9, 0xDA
"""EOI, the end of the image, and SOS, after which coded data follow."""

Say = Callable[[str], None]


def pictures(stream: BufferedReader, say: Say = lambda _: None) -> Iterator[bytes]:
    """Yield the files in a stream, one after the other, as soon as each is complete.

    A picture without an end is complete when the next one begins or the stream ends; whether all of
    it is there, decoding tells. What is neither JPEG nor PNG is skipped, and what is left of a
    picture that is damaged before its pixels; `say` is told, once of each. Raises PictureError for
    a stream without any picture, and for a picture that is too large.
    """
    window = _Window(stream)
    say_skipped, say_damaged = first_only(say), first_only(say)
    count = 0
    while window.to_start(most=MAX_FILE_BYTES if count else MAX_LEAD):
        if window.skipped:
            say_skipped("stdin: what is no picture is skipped")
        try:
            end = _jpeg_end(window) if window.data.startswith(JPEG) else _png_end(window)
        except _Damaged as damage:
            say_damaged("stdin: a damaged picture is skipped")
            window.drop(damage.place)
            continue
        count += 1
        yield window.take(end)
    if not count and window.skipped:
        raise PictureError("stdin: neither a JPEG nor a PNG picture")


def first_only(say: Say) -> Say:
    """Return what passes on the first text that it is told, and no other."""
    said: list[str] = []

    def once(text: str) -> None:
        if not said:
            said.append(text)
            say(text)

    return once


class _Damaged(Exception):
    """A picture is no file of its kind from `place` on: the next one may begin there."""

    def __init__(self, place: int) -> None:
        self.place = place


class _Ended(Exception):
    """The stream ends before what is asked for."""


class _Window:
    """The bytes of a stream that were read and not yet taken; `skipped` counts those dropped."""

    def __init__(self, stream: BufferedReader) -> None:
        self._stream = stream
        self.data = bytearray()
        self.skipped = 0

    def reach(self, size: int) -> None:
        """Read until there are so many bytes; raise _Ended if the stream has fewer."""
        if size > MAX_FILE_BYTES:
            raise PictureError(f"stdin: a picture larger than {MAX_FILE_BYTES // 2**20} MiB")
        while len(self.data) < size:
            self._read()

    def find(self, wanted: bytes, start: int) -> int:
        """Return where a byte comes next; raise _Ended if it does not come again."""
        while (place := self.data.find(wanted, start)) < 0:
            start = len(self.data)
            self.reach(start + 1)
        return place

    def to_start(self, *, most: int) -> bool:
        """Drop what comes before a picture; return whether there is one.

        Raises PictureError if more than `most` bytes come before it.
        """
        before = self.skipped
        while not (found := _START.search(self.data)):
            # The last bytes may be the beginning of a beginning.
            self.drop(max(0, len(self.data) - len(PNG) + 1))
            if self.skipped - before > most:
                raise PictureError("stdin: neither a JPEG nor a PNG picture")
            try:
                self._read()
            except _Ended:
                self.drop(len(self.data))
                return False
        self.drop(found.start())
        return True

    def drop(self, count: int) -> None:
        """Pass over so many bytes."""
        del self.data[:count]
        self.skipped += count

    def take(self, count: int) -> bytes:
        """Take a picture of so many bytes, without the header of the next one."""
        data = bytes(self.data[:count])
        del self.data[:count]
        return _BOUNDARY.sub(b"", data)

    def _read(self) -> None:
        more = self._stream.read1()
        if not more:
            raise _Ended
        self.data += more


def _jpeg_end(window: _Window) -> int:
    """Return where a JPEG ends (ITU-T T.81, B.1.1), or where it breaks off in its pixels.

    `segment` is where the segment before begins. If that has a wrong length, the next picture may
    begin inside it.
    """
    data = window.data
    place = segment = 2
    coded = pixels = False
    try:
        while True:
            if coded:
                marker = window.find(b"\xff", place)
                if (other := data.find(PNG, place, marker)) >= 0:
                    return other
                place = marker
            window.reach(place + 2)
            code = data[place + 1]
            if data[place] != 0xFF:
                return _broken_off(window, segment, pixels=pixels)
            if code == _END:
                return place + 2  # without waiting for more: a camera may send nothing for long
            window.reach(place + 3)
            if data[place : place + 3] == JPEG:
                return _broken_off(window, segment, pixels=pixels)
            if code == 0xFF:  # a marker may begin with several of them
                place += 1
            elif code in _BEFORE_LENGTH:
                window.reach(place + 4)
                segment = place
                place += 2 + int.from_bytes(data[place + 2 : place + 4])
                coded = code == _SCAN
                pixels = pixels or coded
            elif coded:
                # 0xFF followed by a zero is data, and so are restart markers and what is damaged.
                place += 2
            else:
                return _broken_off(window, segment, pixels=pixels)
    except _Ended:
        return _broken_off(window, segment, pixels=pixels)


def _png_end(window: _Window) -> int:
    """Return where a PNG ends (PNG, third edition, 5.3), or where it breaks off in its pixels."""
    data = window.data
    place, kind, pixels = len(PNG), b"", False
    try:
        while kind != b"IEND":
            window.reach(place + 8)
            kind = bytes(data[place + 4 : place + 8])
            end = place + 12 + int.from_bytes(data[place : place + 4])
            if not _CHUNK.fullmatch(kind) or end > MAX_FILE_BYTES:
                return _broken_off(window, place, pixels=pixels)
            window.reach(end)
            if zlib.crc32(data[place + 4 : end - 4]) != int.from_bytes(data[end - 4 : end]):
                return _broken_off(window, place, pixels=pixels)
            pixels = pixels or kind == b"IDAT"
            place = end
    except _Ended:
        return _broken_off(window, place, pixels=pixels)
    return place


def _broken_off(window: _Window, place: int, *, pixels: bool) -> int:
    """Return where a picture ends that breaks off behind a place; raise _Damaged before its pixels.

    It ends where another picture begins, or with what was read.
    """
    if not pixels:
        raise _Damaged(place)
    following = _START.search(window.data, place)
    return following.start() if following else len(window.data)
