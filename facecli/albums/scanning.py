"""The faces of many photos with their embeddings; no photo is searched twice."""

from __future__ import annotations

import hashlib
import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

from facecli.errors import LibraryError
from facecli.faces.acquisition import failure, lacked_memory
from facecli.faces.chips import ALIGNMENT_VERSION
from facecli.faces.embedding import EmbeddedPicture, embed_pictures
from facecli.faces.finding import search_of
from facecli.faces.images import read_file
from facecli.faces.memory import Places, keeping
from facecli.faces.workers import Searchers
from facecli.stores.library import FileState, Library
from facecli.stores.library.looks import PhotoMemory
from facecli.types import (
    Acquisition,
    ChipGeometry,
    Detector,
    Encoder,
    Failure,
    FloatArray,
    ModelCard,
)

READERS = 2
"""Threads that read and hash new files before they are searched."""

AHEAD = 8
"""At most this many files are read before they are needed."""

SEARCHES = 4
"""Photos waiting for each worker, so that a large photo does not hold up the others."""

WINDOW = 256
"""At most this many photos are held at a time, so that memory stays limited."""

STORE_SECONDS = 2.0
STORE_PICTURES = 64
"""Results are stored this often, and after this many pictures; a kill loses no more than that."""


def scan(
    paths: Sequence[Path], *, library: Library, detector: Detector, encoder: Encoder, workers: int
) -> Generator[EmbeddedPicture | Failure, None, None]:
    """Yield each photo with all its faces, or the reason why it cannot be read, in the order given.

    Photos that the library knows are not read, searched or embedded again; new ones are added to
    it. `workers` processes search for faces.
    """
    card = encoder.card
    searchers = Searchers(detector, card.geometry, workers)
    learning = _Learning(library, detector.version, card)
    looking = _Looking(learning, searchers, workers)
    with keeping(looking.keep), searchers:  # what is found until the searches have ended is kept
        for result in embed_pictures(looking.at(paths), encoder, main_only=False):
            if isinstance(result, EmbeddedPicture):
                learning.embedded(result)
            yield result


def finder_of(detector: str, geometry: ChipGeometry) -> str:
    """Return a name for the way in which faces are found, and chips of this geometry are cut.

    `detector` is the detector's version.
    """
    places = hashlib.sha256(repr(geometry.landmarks).encode()).hexdigest()[:12]
    return f"{search_of(detector)} {ALIGNMENT_VERSION} {geometry.size} {places}"


@dataclass(frozen=True, slots=True)
class _Photo:
    """A photo whose hash is known, but not yet its faces."""

    path: Path
    sha256: str


@dataclass(slots=True)
class _Lesson:
    """The results that are not stored yet."""

    files: dict[FileState, str] = field(default_factory=dict)
    pictures: dict[str, Acquisition] = field(default_factory=dict)
    embeddings: dict[str, FloatArray] = field(default_factory=dict)


class _Learning:
    """The library during one scan: it is asked about photos, and stores new results in between."""

    def __init__(self, library: Library, detector: str, card: ModelCard) -> None:
        self._library = library
        self._finder = finder_of(detector, card.geometry)
        self._card = card
        self._memory = PhotoMemory(library, search_of(detector))
        self._lesson = _Lesson()
        self._stored = time.monotonic()
        self._unembedded: set[str] = set()
        self._seen: set[str] = set()

    def content(self, file: FileState) -> str | None:
        """Return the SHA-256 of a file if it has not changed since it was read; otherwise None."""
        return self._library.content(file)

    def read(self, file: FileState, sha256: str) -> None:
        """Keep the SHA-256 of a file."""
        self._lesson.files[file] = sha256
        self._store_now_and_then()

    def seen(self, picture: Acquisition) -> None:
        """Keep the faces of a picture, unless they are kept already."""
        if picture.sha256 in self._seen:
            return
        self._seen.add(picture.sha256)
        self._lesson.pictures[picture.sha256] = picture
        self._unembedded.add(picture.sha256)
        self._store_now_and_then()

    def embedded(self, picture: EmbeddedPicture) -> None:
        """Keep the embeddings of a picture's faces, unless they came from the library."""
        if picture.sha256 in self._unembedded:
            self._unembedded.discard(picture.sha256)
            self._lesson.embeddings[picture.sha256] = picture.embeddings
            self._store_now_and_then()

    def recall(self, photo: _Photo) -> EmbeddedPicture | Acquisition | None:
        """Return what is known of a photo: its embeddings, or only its chips, or None."""
        if photo.sha256 in self._lesson.pictures:
            self.store()
        key, source = photo.sha256, str(photo.path)
        known = self._library.recall(key, finder=self._finder, card=self._card)
        if known is None:
            return None
        if known.embeddings is not None:
            return EmbeddedPicture(
                source, key, known.size, known.faces, known.embeddings, known.notes
            )
        try:
            places = [(key, number) for number in range(len(known.faces))]
            chips = tuple(self._library.chips(places, finder=self._finder))
        except LibraryError:
            return None
        self._unembedded.add(key)
        return Acquisition(source, key, known.size, known.faces, chips, known.notes)

    def places(self, sha256: str) -> Places | None:
        """Return where the faces of a photo are, if another command or geometry found them."""
        return self._memory.recall(sha256)

    def store(self) -> None:
        """Store the new results."""
        lesson = self._lesson
        self._stored = time.monotonic()
        if lesson.files or lesson.pictures or lesson.embeddings:
            self._library.remember(
                finder=self._finder,
                card=self._card,
                files=lesson.files,
                pictures=lesson.pictures.values(),
                embeddings=lesson.embeddings,
            )
        self._lesson = _Lesson()  # only now: Ctrl-C in between must lose nothing

    def _store_now_and_then(self) -> None:
        long = time.monotonic() - self._stored >= STORE_SECONDS
        if long or len(self._lesson.pictures) >= STORE_PICTURES:
            self.store()


_Waiting = Failure | EmbeddedPicture | Acquisition | _Photo | Future[Acquisition | Failure]


class _Looking:
    """From paths to faces, in order: hash each file, ask the library, search new photos."""

    def __init__(self, learning: _Learning, searchers: Searchers, workers: int) -> None:
        self._learning = learning
        self._searchers = searchers
        self._searches = SEARCHES * workers
        self._begun: set[str] = set()
        self._waiting: deque[_Waiting] = deque()

    def keep(self) -> None:
        """Store what was seen, also in photos whose turn has not come."""
        for item in self._waiting:
            if isinstance(item, Future) and item.done() and not item.cancelled():
                self._see(item.result())
        self._learning.store()

    def at(self, paths: Sequence[Path]) -> Iterator[Acquisition | EmbeddedPicture | Failure]:
        """Yield the faces of each photo, or the reason why it cannot be read."""
        waiting = self._waiting
        searching = 0

        def is_due() -> bool:
            first = waiting[0]
            if isinstance(first, Future) and not first.done():
                return searching > self._searches or len(waiting) > WINDOW
            return True

        for photo in self._photos(paths):
            waiting.append(photo if isinstance(photo, Failure) else self._begin(photo))
            searching += isinstance(waiting[-1], Future)
            while waiting and is_due():
                searching -= isinstance(waiting[0], Future)
                yield self._finish(waiting[0])
                waiting.popleft()
        while waiting:
            yield self._finish(waiting[0])
            waiting.popleft()

    def _begin(self, photo: _Photo) -> _Waiting:
        """Ask the library for a photo, or start to search it, unless a copy is being searched."""
        if photo.sha256 in self._begun:
            return photo
        known = self._learning.recall(photo)
        if known is not None:
            return known
        self._begun.add(photo.sha256)
        return self._searchers.submit(photo.path, self._learning.places(photo.sha256))

    def _finish(self, begun: _Waiting) -> Acquisition | EmbeddedPicture | Failure:
        if isinstance(begun, _Photo):
            known = self._learning.recall(begun)
            # The library knows nothing of a picture that cannot be read.
            begun = known or self._searchers.submit(begun.path)
        if not isinstance(begun, Future):
            return begun
        found = begun.result()
        if lacked_memory(found):  # perhaps to another photo: once more, by itself
            wait([one for one in self._waiting if isinstance(one, Future)])
            found = self._searchers.submit(Path(found.source)).result()
        self._see(found)
        return found

    def _see(self, found: Acquisition | Failure) -> None:
        if isinstance(found, Acquisition):
            self._learning.seen(found)

    def _photos(self, paths: Sequence[Path]) -> Iterator[_Photo | Failure]:
        """Yield each file with its hash. New and changed files are read, in threads."""
        waiting: deque[_Photo | tuple[Path, FileState | None, Future[str]]] = deque()
        with ThreadPoolExecutor(READERS, thread_name_prefix="read") as pool:
            for path in paths:
                file = _state(path)
                sha256 = file and self._learning.content(file)
                if sha256:
                    waiting.append(_Photo(path, sha256))
                else:
                    waiting.append((path, file, pool.submit(_hash, path)))
                if len(waiting) > AHEAD:
                    yield self._read(waiting.popleft())
            while waiting:
                yield self._read(waiting.popleft())

    def _read(self, item: _Photo | tuple[Path, FileState | None, Future[str]]) -> _Photo | Failure:
        if isinstance(item, _Photo):
            return item
        path, file, hashing = item
        try:
            sha256 = hashing.result()
        except Exception as error:
            return failure(str(path), error)
        if file is not None:
            self._learning.read(file, sha256)
        return _Photo(path, sha256)


def _state(path: Path) -> FileState | None:
    """Describe a file before it is read; None if that fails: reading it will give the reason."""
    try:
        return FileState.of(path)
    except (OSError, ValueError):
        return None


def _hash(path: Path) -> str:
    return hashlib.sha256(read_file(path)).hexdigest()
