"""Remember who was announced recently, so that one appearance is announced only once."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from facecli.faces.finding import overlap
from facecli.gate.tracking import SAME_PLACE, Track, agree
from facecli.types import Box, FloatArray


@dataclass(slots=True)
class Announced:
    """A face that was announced: as whom, and where and when it was last seen.

    `person` is None unless it was a match. `embedding` is None if no look was usable.
    """

    person: str | None
    embedding: FloatArray | None
    box: Box
    seen: float


class Cooldown:
    """The faces that were announced; each is dropped after it was out of view for `seconds`.

    Two embeddings are the same face if their squared L2 is at most `same`.
    """

    def __init__(self, seconds: float, same: float) -> None:
        self._seconds = seconds
        self._same = same
        self._announced: dict[int, Announced] = {}

    def admits(self, track: Track) -> bool:
        """Return whether a track's outcome is new, and remember the outcome in both cases.

        A match is new unless that person was matched recently. For a track announced before,
        another outcome is new only if the track was announced as a match. For a track not announced
        before, it is new unless the same face was announced recently and left before this track
        began. If one of the two faces has no embedding, the place decides: overlapping boxes count
        as the same face.
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
        """Note that a face is still in view, if it was announced."""
        announced = self._announced.get(track.number)
        if announced is not None:
            announced.box, announced.seen = track.last.box, track.seen
            announced.embedding = track.embedding

    def forget(self, at: float) -> None:
        """Drop the faces that have been out of view for too long at this time."""
        for number, one in list(self._announced.items()):
            if at - one.seen > self._seconds:
                del self._announced[number]

    def keep(self, people: Container[str]) -> None:
        """Drop the faces that were announced as a person who is no longer among these people."""
        for number, one in list(self._announced.items()):
            if one.person is not None and one.person not in people:
                del self._announced[number]

    def _lately(self, at: float) -> list[Announced]:
        return [one for one in self._announced.values() if at - one.seen <= self._seconds]

    def _alike(self, one: Announced, other: Announced) -> bool:
        if one.embedding is None or other.embedding is None:
            return overlap(one.box, other.box) > SAME_PLACE
        return agree(one.embedding, other.embedding, self._same)
