"""Who is enrolled now: the gallery, read again when another program has changed it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np

from facecli.errors import FacecliError, FingerprintMismatch
from facecli.recognition.identify import KnownPeople
from facecli.stores.gallery import Gallery
from facecli.types import DIMENSION, TemplateMatrix
from facecli.vectors.index import ExactIndex

EVERY = 0.5
"""Seconds between looks at the gallery: a change has to be seen within one. A look takes 1 ms."""

LOOK_SECONDS = 0.2
"""Seconds to wait for a look before going on with what was known; it ends by itself later."""

WITHIN = 1.0
"""Seconds after which what was known is too old to go on with: then a look is waited for."""

LONGEST = 5.0
"""Seconds to wait at most even so, once a look: a disk that hangs must not stop a gate."""


class GalleryWatch:
    """The templates of one model, up to date within a second; may be used from any thread.

    While the gallery cannot be read, what was known stays, and `say` is told once why and once
    when that is over.
    """

    def __init__(
        self,
        open_gallery: Callable[[], Gallery],
        fingerprint: str,
        *,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Read the gallery; raise GalleryError if that cannot be done.

        It is opened anew for each look, and closed: no lock is held, a gallery put in its place is
        seen, and any thread may look.
        """
        self._open = open_gallery
        self._fingerprint = fingerprint
        self._say = say
        self._generation: int | None = None
        self._trouble: str | None = None
        self._lock = threading.Lock()
        self._looking: threading.Thread | None = None
        self._waited = False
        self._read()
        self._looked = self._seen = time.monotonic()

    def current(self) -> KnownPeople:
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
            self._read()
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

    def _read(self) -> None:
        with self._open() as gallery:
            generation = gallery.generation()
            if generation == self._generation:
                return
            try:
                matrix = gallery.matrix(self._fingerprint)
            except FingerprintMismatch:
                if self._generation is None:
                    raise
                # The last template of this model was forgotten: nobody must match any more.
                matrix = _nobody()
        self._known = KnownPeople(matrix, ExactIndex(matrix.embeddings))
        self._generation = generation


def _nobody() -> TemplateMatrix:
    none = np.empty(0, np.int64)
    return TemplateMatrix(none, none, np.empty((0, DIMENSION), np.float32), {})
