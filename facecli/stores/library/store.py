"""The photo library: what was seen in which photo. A photo is known by the content of its file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from facecli.errors import LibraryError
from facecli.stores.database import Store
from facecli.stores.library import rows
from facecli.stores.library.migrations import LIBRARY
from facecli.stores.library.pixels import decompress
from facecli.stores.library.types import (
    FileState,
    LibraryStatistics,
    PhotosForgotten,
    RememberedPhoto,
)
from facecli.stores.times import now
from facecli.types import Acquisition, FloatArray, ModelCard, PixelArray


class Library(Store):
    """What was seen in photos, in one SQLite file.

    A `finder` names what found the faces; what one finder saw is kept apart from what another saw.
    Every method raises LibraryError for a file that cannot be used.
    """

    def __init__(self, path: Path | None, *, create: bool = True) -> None:
        """Open the library at a path; None is memory. With `create` a missing file is made."""
        super().__init__(path, LIBRARY, create=create)

    @classmethod
    def memory(cls) -> Self:
        """Return an empty library in memory, which is gone when it is closed."""
        return cls(None)

    def content(self, file: FileState) -> str | None:
        """Return the SHA-256 of a file, or None if it is new or has changed since it was read."""
        query = "SELECT sha256 FROM file WHERE path = ? AND size = ? AND mtime_ns = ?"
        with self.reading() as connection:
            row = connection.execute(query, rows.of_file(file)).fetchone()
        return None if row is None else str(row[0])

    def recall(self, sha256: str, *, finder: str, card: ModelCard) -> RememberedPhoto | None:
        """Return what is remembered of a picture, with the embeddings of a model, or None.

        A damaged embedding counts as one that is missing, and a damaged row as none.
        """
        with self.reading() as connection:
            try:
                return rows.known(connection, sha256, finder=finder, card=card)
            except (ValueError, TypeError):
                return None

    def chips(
        self, keys: Sequence[tuple[str, int]], *, finder: str | None = None
    ) -> list[PixelArray]:
        """Return the chips, uint8 (size, size, 3), of faces given by picture and number.

        None means the finder that last searched the picture. Raises LibraryError for a face that is
        not in the library and for a damaged chip.
        """
        with self.reading() as connection:
            stored = [connection.execute(rows.CHIP, (*key, finder)).fetchone() for key in keys]
        return [self._chip(key, row) for key, row in zip(keys, stored, strict=True)]

    def remember(
        self,
        *,
        finder: str,
        card: ModelCard,
        files: Mapping[FileState, str],
        pictures: Iterable[Acquisition],
        embeddings: Mapping[str, FloatArray],
    ) -> None:
        """Store what was seen, all of it or nothing.

        `files` maps files to their SHA-256. A picture replaces what its finder saw in it before.
        `embeddings` maps a picture's SHA-256 to float32 (faces, d) of unit rows.
        """
        with self.writing() as database:
            for file, sha256 in files.items():
                database.execute(rows.ADD_FILE, (*rows.of_file(file), sha256))
            for picture in pictures:
                rows.add_picture(database, picture, finder)
            rows.add_embeddings(database, finder, card, embeddings)

    def forget(self, paths: Iterable[Path]) -> PhotosForgotten:
        """Erase all that is known of photos that were ever seen at or below these paths.

        Copies of the same pictures elsewhere are forgotten too. SQLite overwrites the freed space
        and the write-ahead log is emptied, as when a gallery forgets.
        """
        with self.writing() as database:
            contents = {
                sha256
                for path in paths
                for (sha256,) in database.execute(rows.SEEN_AT, rows.at_or_below(path)).fetchall()
            }
            faces = rows.erase(database, contents)
        return self._receipt(len(contents), faces)

    def clear(self) -> PhotosForgotten:
        """Erase all photos."""
        with self.writing() as database:
            found = database.execute(rows.ALL_CONTENTS)
            contents = {sha256 for (sha256,) in found.fetchall()}
            faces = rows.erase(database, contents)
            database.execute("DELETE FROM model")
        return self._receipt(len(contents), faces)

    def statistics(self) -> LibraryStatistics:
        """Return what the library holds."""
        with self.reading() as connection:
            counts = [connection.execute(query).fetchone()[0] for query in rows.COUNTS]
            models = dict(connection.execute(rows.MODELS).fetchall())
        size, private = self._disk_use()
        return LibraryStatistics(
            path=self.location,
            size=size,
            private=private,
            files=counts[0],
            photos=counts[1],
            faces=counts[2],
            models=models,
        )

    def _chip(self, key: tuple[str, int], row: tuple[Any, ...] | None) -> PixelArray:
        where = f"{self._where}: face {key[1]} of photo {key[0][:12]!r}"
        if row is None:
            raise LibraryError(f"{where} is not in it: look at the photo again")
        try:
            return decompress(row[0])
        except ValueError as error:
            raise LibraryError(
                f"{where} is damaged: forget the photo and look at it again"
            ) from error

    def _receipt(self, photos: int, faces: int) -> PhotosForgotten:
        return PhotosForgotten(photos=photos, faces=faces, at=now(), scrubbed=self._empty_log())
