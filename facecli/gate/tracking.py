"""Which face of a look is which face of the looks before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from facecli.faces.finding import overlap
from facecli.faces.frames import Glimpse
from facecli.gate.confirmation import Conclusion, Vote
from facecli.recognition.identify import FaceAnswer
from facecli.types import Box, FloatArray
from facecli.vectors.distances import squared_l2

SAME_PLACE = 0.3
"""Least overlap, intersection over union, of a face with itself a look ago, by place alone."""

LOST_SECONDS = 1.0
"""An appearance is over when the face has not been seen for so long."""


@dataclass(slots=True, eq=False)
class Track:
    """One face in view: where it was last seen and when, and what the looks said of it.

    `embedding` is that of the last usable look, `answer` what it said; `votes` are of all usable
    looks. `velocity` is how fast the middle of the box moves, in pixels a second. It is
    `displaced` when another face has taken its place.
    """

    number: int
    source: str
    last: Glimpse
    began: float
    seen: float
    looks: int = 1
    velocity: tuple[float, float] = (0.0, 0.0)
    embedding: FloatArray | None = None
    answer: FaceAnswer | None = None
    votes: list[Vote] = field(default_factory=list)
    outcome: Conclusion | None = None
    displaced: bool = False

    def box(self, at: float) -> Box:
        """Return where the face is at a time, if it moves on as it did."""
        right, down = (speed * (at - self.seen) for speed in self.velocity)
        left, top, far, bottom = self.last.box
        return left + right, top + down, far + right, bottom + down

    def follow(self, glimpse: Glimpse, at: float) -> None:
        """Take in the next look at the face."""
        if at > self.seen:
            (x, y), (u, v) = _middle(self.last.box), _middle(glimpse.box)
            self.velocity = ((u - x) / (at - self.seen), (v - y) / (at - self.seen))
        self.last = glimpse
        self.seen = at
        self.looks += 1

    def reconsider(self) -> None:
        """Drop what was decided, to decide anew."""
        self.outcome = self.answer = None
        self.votes.clear()


def link(
    tracks: Sequence[Track], glimpses: Sequence[Glimpse], at: float, *, same: float
) -> list[Track | None]:
    """Return the track each face belongs to, None for a new face; the best overlap goes first.

    Where both embeddings are known they must be within `same`, in squared L2, and the boxes need
    only touch: another face in the same place is another track. A face too poor to be embedded
    goes by its place.
    """
    pairs = []
    for row, glimpse in enumerate(glimpses):
        for column, track in enumerate(tracks):
            shared = overlap(track.box(at), glimpse.box)
            if shared > _least(track, glimpse, same):
                pairs.append((shared, row, column))
    linked: list[Track | None] = [None] * len(glimpses)
    taken: set[int] = set()
    for _, row, column in sorted(pairs, reverse=True):
        if linked[row] is None and column not in taken:
            linked[row] = tracks[column]
            taken.add(column)
    return linked


def _least(track: Track, glimpse: Glimpse, same: float) -> float:
    """Return the overlap above which a face may belong to a track; 1, which none has, for never."""
    if track.embedding is None or glimpse.embedding is None:
        return SAME_PLACE
    return 0.0 if agree(track.embedding, glimpse.embedding, same) else 1.0


def agree(a: FloatArray, b: FloatArray, same: float) -> bool:
    """Tell whether two embeddings, float32 (d,), are within `same` in squared L2."""
    return bool(squared_l2(a[None], b[None])[0, 0] <= same)


def _middle(box: Box) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
