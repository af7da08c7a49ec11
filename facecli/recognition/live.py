"""Who is enrolled now: the templates in memory, read again when the gallery has changed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from facecli.calibration.operating import OperatingPoint
from facecli.errors import FacecliError, FingerprintMismatch
from facecli.recognition.identify import KnownPeople
from facecli.stores.contract import GalleryPlace, GalleryStore
from facecli.types import ModelCard, TemplateMatrix

EVERY = 0.5
"""Seconds between looks at the gallery: a change has to be seen within one. A look takes 1 ms."""

LOOK_SECONDS = 0.2
"""Seconds to wait for a look before going on with what was known; it ends by itself later."""

WITHIN = 1.0
"""Seconds after which what was known is too old to go on with: then a look is waited for."""

LONGEST = 5.0
"""Seconds to wait at most even so, once a look: a disk that hangs must not stop a gate."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Who is enrolled and how to decide, read from the gallery together."""

    known: KnownPeople
    point: OperatingPoint


class PeopleReader:
    """Reads the templates of one model; may be used from any thread."""

    def __init__(self, place: GalleryPlace, card: Callable[[], ModelCard]) -> None:
        """Take where the gallery is, and what returns the card of the model in use."""
        self._place = place
        self._card = card
        self._lock = threading.Lock()
        self._known: KnownPeople | None = None
        self._generation: int | None = None

    def read(self) -> KnownPeople:
        """Return everyone enrolled now: the same object as long as nothing has changed.

        Raises GalleryError, and FingerprintMismatch if only other models have templates.
        """
        with self._place.open() as gallery:
            return self.read_in(gallery)

    def read_in(self, gallery: GalleryStore) -> KnownPeople:
        """Return everyone enrolled in a gallery that is open; otherwise as `read`."""
        generation = gallery.generation()
        with self._lock:
            if self._known is None or generation != self._generation:
                self._known = KnownPeople(gallery.matrix(self._card()))
                self._generation = generation
            return self._known

    def forget(self) -> None:
        """Drop what is held in memory."""
        with self._lock:
            self._known = self._generation = None


class LivePeople:
    """Everyone enrolled, up to date within a second; may be used from any thread.

    It serves a gate, which must not stop. While the gallery cannot be read, the people read before
    stay known. `say` is told once why, and once when the gallery can be read again.
    """

    def __init__(
        self, reader: PeopleReader, *, say: Callable[[str], None] = lambda _: None
    ) -> None:
        """Read the gallery; raise GalleryError if that fails.

        The gallery is opened and closed for every look. So no lock is held, a gallery that replaces
        this one is noticed, and any thread may look.
        """
        self._reader = reader
        self._say = say
        self._trouble: str | None = None
        self._lock = threading.Lock()
        self._looking: threading.Thread | None = None
        self._waited = False
        self._known = reader.read()
        self._looked = self._seen = time.monotonic()

    def known(self) -> KnownPeople:
        """Return everyone enrolled; the same object as long as nothing has changed."""
        with self._lock:
            now = time.monotonic()
            old = now - self._seen >= WITHIN
            over = self._looking is None or not self._looking.is_alive()
            if over and now - self._looked >= EVERY:
                self._looked = now
                self._looking = threading.Thread(target=self._look, name="gallery", daemon=True)
                self._looking.start()
                self._looking.join(LONGEST if old else LOOK_SECONDS)
                self._waited = old
            elif old and self._looking is not None and not self._waited:
                self._looking.join(LONGEST)
                self._waited = True
            return self._known

    def _look(self) -> None:
        began = time.monotonic()
        try:
            self._known = self._read()
        except FacecliError as error:
            if self._trouble is None:
                self._say(f"{error}; going on with who was enrolled before")
            self._trouble = str(error)
            return
        finally:
            self._seen = began
        if self._trouble is not None:
            self._trouble = None
            self._say("the gallery can be read again")

    def _read(self) -> KnownPeople:
        try:
            return self._reader.read()
        except FingerprintMismatch:
            # The last template of this model was forgotten: nobody must match any more.
            known = self._known
            return known if not known.templates else KnownPeople(_nobody(known.matrix))


def _nobody(before: TemplateMatrix) -> TemplateMatrix:
    """Return an empty matrix with the dimension of another."""
    none = np.empty(0, np.int64)
    return TemplateMatrix(none, none, before.embeddings[:0], {})
