"""What may be remembered of a picture, so that it is not searched again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from facecli.types import Acquisition, Detection


@dataclass(frozen=True, slots=True)
class Places:
    """Where the faces of a picture are, and notes on how they were found.

    They say neither who is there nor what a face looks like.
    """

    detections: tuple[Detection, ...]
    notes: tuple[str, ...]


class Memory(Protocol):
    """Remembers where faces are in pictures, by the SHA-256 of their files."""

    def recall(self, sha256: str) -> Places | None:
        """Return where the faces of a picture are, None if that is not known."""
        ...

    def learn(self, found: Acquisition) -> None:
        """Take in what was found in a picture."""
        ...

    def store(self) -> None:
        """Keep what was learnt."""
        ...


@contextmanager
def keeping(store: Callable[[], None]) -> Iterator[None]:
    """Call `store` at the end of the block, however it ends.

    If Ctrl-C comes while `store` is at work, it is called again: it must lose nothing that it has
    not stored, and may store a thing twice.
    """
    try:
        try:
            yield
        finally:
            store()
    except KeyboardInterrupt:
        store()
        raise
