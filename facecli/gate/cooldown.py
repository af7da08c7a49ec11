"""Who was announced lately, so that nobody is announced twice for one appearance."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from facecli.faces.finding import overlap
from facecli.gate.tracking import SAME_PLACE, Track, agree
from facecli.types import Box, FloatArray


@dataclass(slots=True)
class Announced:
    """What was said of a face, and how it looked, where and when it was last seen."""

    person: str | None
    embedding: FloatArray | None
    box: Box
    seen: float


class Cooldown:
    """Everyone announced and seen since, until out of view for `seconds`.

    Two embeddings within `same`, in squared L2, are one face.
    """

    def __init__(self, seconds: float, same: float) -> None:
        self._seconds = seconds
        self._same = same
        self._announced: dict[int, Announced] = {}

    def admits(self, track: Track) -> bool:
        """Tell whether a track's outcome is news, and remember it in either case.

        A match is news unless that person was matched lately. Any other outcome is unless that
        face, or one in that place if it was never seen well, was announced as anything and was
        out of view before this one came.
        """
        assert track.outcome is not None
        now = Announced(track.outcome.person, track.embedding, track.last.box, track.seen)
        own = self._announced.get(track.number)
        lately = self._lately(track.seen)
        if now.person is not None:
            known = any(one.person == now.person for one in lately)
        elif own is not None:
            known = own.person is None
        else:
            known = any(one.seen < track.began and self._alike(one, now) for one in lately)
        self._announced[track.number] = now
        return not known

    def seen(self, track: Track) -> None:
        """Note that a face announced is still in view."""
        announced = self._announced.get(track.number)
        if announced is not None:
            announced.box, announced.seen = track.last.box, track.seen
            announced.embedding = track.embedding

    def forget(self, at: float) -> None:
        """Drop what is over."""
        for number, one in list(self._announced.items()):
            if at - one.seen > self._seconds:
                del self._announced[number]

    def keep(self, people: Container[str]) -> None:
        """Drop whoever was announced as somebody who is not among these people any more."""
        for number, one in list(self._announced.items()):
            if one.person is not None and one.person not in people:
                del self._announced[number]

    def _lately(self, at: float) -> list[Announced]:
        return [one for one in self._announced.values() if at - one.seen <= self._seconds]

    def _alike(self, one: Announced, other: Announced) -> bool:
        if one.embedding is None or other.embedding is None:
            return overlap(one.box, other.box) > SAME_PLACE
        return agree(one.embedding, other.embedding, self._same)
