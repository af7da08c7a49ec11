"""Follow faces from one look to the next."""

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
"""If only the place can decide, a face belongs to a track if their boxes overlap by more than this.

The overlap is intersection over union, 0 to 1.
"""

LOST_SECONDS = 1.0
"""An appearance is over when the face has not been seen for this many seconds."""


@dataclass(slots=True, eq=False)
class Track:
    """One face in view: where and when it was last seen, and the results of the looks at it.

    `began` and `seen` are the times of the first and the last look, in seconds. `embedding` and
    `answer` come from the last usable look, `votes` from all usable looks. `velocity` is the speed
    of the middle of the box, in pixels per second. `displaced` is true if another face has taken
    the place of this one.
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
        """Return where the face should be at a time, if its speed stays the same."""
        right, down = (speed * (at - self.seen) for speed in self.velocity)
        left, top, far, bottom = self.last.box
        return left + right, top + down, far + right, bottom + down

    def follow(self, glimpse: Glimpse, at: float) -> None:
        """Add the next look at the face."""
        if at > self.seen:
            (x, y), (u, v) = _middle(self.last.box), _middle(glimpse.box)
            self.velocity = ((u - x) / (at - self.seen), (v - y) / (at - self.seen))
        self.last = glimpse
        self.seen = at
        self.looks += 1

    def reconsider(self) -> None:
        """Drop the decision and the votes, so that the face is decided again."""
        self.outcome = self.answer = None
        self.votes.clear()


def link(
    tracks: Sequence[Track], glimpses: Sequence[Glimpse], at: float, *, same: float
) -> list[Track | None]:
    """Return the track of each face, or None for a new face; the largest overlap is linked first.

    If both embeddings are known, their squared L2 must be at most `same` and the boxes must touch.
    Another face in the same place is therefore another track. A face that was too poor to be
    embedded is linked by its place alone.
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
    """Return the overlap above which a face may belong to a track; 1 means never."""
    if track.embedding is None or glimpse.embedding is None:
        return SAME_PLACE
    return 0.0 if agree(track.embedding, glimpse.embedding, same) else 1.0


def agree(a: FloatArray, b: FloatArray, same: float) -> bool:
    """Return whether the squared L2 of two embeddings, float32 (d,), is at most `same`."""
    return bool(squared_l2(a[None], b[None])[0, 0] <= same)


def shows_another(track: Track, answer: FaceAnswer) -> bool:
    """Return whether a look at a whole frame shows another thing than the track is about.

    A face does not turn into another one, but in a frame one thing takes the place of another, and
    the two may be much alike. So a look that names something else begins another appearance.
    """
    if answer.person is None:
        return False
    if track.outcome is not None:
        return answer.person != track.outcome.person
    return any(vote.person not in (None, answer.person) for vote in track.votes)


def _middle(box: Box) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
