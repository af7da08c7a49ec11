"""The settings and the results of a gate: faces in view, and decisions."""

from __future__ import annotations

from dataclasses import dataclass

from facecli.calibration import Odds
from facecli.recognition.decisions import Status
from facecli.recognition.identify import CANDIDATES, Candidate
from facecli.types import Box
from facecli.vectors.distances import check_squared_l2

LOOKING = "looking"
"""The state of a face that is not decided yet, or whose name the last look could not confirm."""

CONFIRM = 3
COOLDOWN = 10.0
LOOK_SECONDS = 0.19
"""Short enough that each frame of a source of five frames per second is looked at.

A look takes 90 ms of one core, and 20 ms for each face, on pictures of 640 by 360. At this interval
one core is fast enough.
"""


@dataclass(frozen=True, slots=True)
class GateSettings:
    """How the gate decides.

    Two people whose squared L2 differ by less than `gap`, 0 to 4, are ambiguous; None means 5 % of
    the threshold. `confirm` usable looks that agree make a match. A person who was announced is not
    announced again until out of view for `cooldown` seconds. `candidates` people are listed for
    each decision. A frame less than `look_seconds` after the last look is skipped. Raises
    ValueError for a value out of range.
    """

    gap: float | None = None
    confirm: int = CONFIRM
    cooldown: float = COOLDOWN
    candidates: int = CANDIDATES
    look_seconds: float = LOOK_SECONDS

    def __post_init__(self) -> None:
        if self.gap is not None:
            check_squared_l2(self.gap, "gap")
        least = {"confirm": 1, "candidates": 1, "cooldown": 0, "look_seconds": 0}
        for name, smallest in least.items():
            if not getattr(self, name) >= smallest:
                raise ValueError(f"{name} {getattr(self, name)}: at least {smallest}")


DEFAULTS = GateSettings()
"""The default settings, for one camera at one door."""


@dataclass(frozen=True, slots=True)
class TrackedFace:
    """A face in view: the number of its track, where it is, and what was decided.

    `state` is `match`, `unknown`, `ambiguous` or `looking`. `person` and `squared_l2` come from the
    last look. They are set only for a match that the last look confirms. If the last look did not
    count, `notes` say why.
    """

    track: int
    box: Box
    state: str
    person: str | None = None
    squared_l2: float | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GateEvent:
    """One decision about one appearance.

    `time` is UTC in ISO 8601, `at` is in seconds on the source's own clock. `looks` is the number
    of looks that saw the face, `usable` the number that counted. `person` and `squared_l2` are None
    unless it is a match; `squared_l2` is the largest of the looks that agreed. `candidates` are the
    nearest people in the last usable look. `people` is the number of people enrolled at that time.
    `odds` are computed for the number of templates enrolled at that time.
    """

    time: str
    at: float
    source: str
    track: int
    status: Status
    reason: str
    box: Box
    looks: int
    usable: int
    person: str | None
    squared_l2: float | None
    threshold: float
    model: str
    fingerprint: str
    candidates: tuple[Candidate, ...]
    people: int
    odds: Odds | None


@dataclass(frozen=True, slots=True)
class Sighting:
    """The result of one frame: every face in view, and the new decisions."""

    faces: tuple[TrackedFace, ...]
    events: tuple[GateEvent, ...]
