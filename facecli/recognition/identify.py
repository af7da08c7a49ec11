"""Say who the faces in photos are, among the people enrolled: match, ambiguous or unknown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facecli.calibration import Odds
from facecli.faces.embedding import EmbeddedPicture
from facecli.recognition.decisions import Decision, Status, decide
from facecli.types import NO_FACE_FOUND, Box, Failure, FloatArray, Index, IntArray, TemplateMatrix
from facecli.vectors.index import ExactIndex

GAP_SHARE = 0.05
"""Two people whose squared L2 differ by less than this share of the threshold are ambiguous.

Of one photo each of 1,711 people and 1,050 other photos of them (LFW's development people, the mean
of 20 draws of the photos enrolled), with the start weights of facecli-128 at 1.1, 0.41 % were named
wrongly without a gap and 0.33 % with this one, at the price of 0.2 % that had been right. Twice the
gap makes it 0.31 %, at the price of 0.4 %; four times 0.17 %, at 2.9 %.
"""

CANDIDATES = 3
"""People named for a face unless told otherwise."""

VOTERS = 5
"""Nearest templates that vote on who a face is: Cover & Hart (1967), k-nearest neighbours."""

FIRST_SEARCH = 32
"""Templates asked of the index at first; the search widens until it has seen enough people."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A person a face may be, by the nearest of the person's templates.

    `votes` counts the person's templates among the nearest VOTERS at or under the threshold.
    """

    person_id: int
    name: str
    squared_l2: float
    votes: int


@dataclass(frozen=True, slots=True)
class FaceAnswer:
    """The answer for one face among the faces of its picture.

    `person` and `squared_l2` are set only for a match. `candidates` are the nearest people, nearest
    first, within the threshold or not. `reason` says what decided.
    """

    status: Status
    reason: str
    person: str | None
    squared_l2: float | None
    candidates: tuple[Candidate, ...]

    @property
    def nearest(self) -> float | None:
        """The squared L2 of the match, or of the nearest person, or None if nobody is enrolled."""
        return _nearest(self.squared_l2, self.candidates)


def _nearest(squared_l2: float | None, candidates: tuple[Candidate, ...]) -> float | None:
    if squared_l2 is None and candidates:
        return candidates[0].squared_l2
    return squared_l2


@dataclass(frozen=True, slots=True)
class Identification:
    """The answer for one face, or for a photo in which no face could be examined.

    `face` counts from 0, the largest first, among `faces`; both describe the photo's faces, and
    `face`, `box` and `confidence` are None for a photo without one. `person` and `squared_l2` are
    set only for a match. `candidates` are the nearest people, nearest first, within the threshold
    or not. `reason` says what decided. `odds` say how many strangers come as close as the nearest
    person, where that is known.
    """

    source: str
    status: Status
    faces: int
    reason: str
    face: int | None = None
    box: Box | None = None
    confidence: float | None = None
    person: str | None = None
    squared_l2: float | None = None
    candidates: tuple[Candidate, ...] = ()
    notes: tuple[str, ...] = ()
    odds: Odds | None = None

    @property
    def nearest(self) -> float | None:
        """The squared L2 of the match, or of the nearest person, or None if nobody is enrolled."""
        return _nearest(self.squared_l2, self.candidates)


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """The people near one face, nearest first, and their weights in the vote."""

    candidates: list[Candidate]
    weights: dict[int, float]


class KnownPeople:
    """The gallery's templates of one model behind an index."""

    def __init__(self, matrix: TemplateMatrix, index: Index | None = None) -> None:
        """Take the templates, and an index of their embeddings if not the exact one."""
        self.matrix = matrix
        self.index = ExactIndex(matrix.embeddings) if index is None else index

    @property
    def templates(self) -> int:
        """Number of templates."""
        return len(self.matrix.template_ids)

    @property
    def people(self) -> int:
        """Number of people."""
        return len(self.matrix.names)

    def look(self, probes: FloatArray, *, threshold: float, people: int) -> list[Neighbourhood]:
        """Compare probes float32 (n, d) with everyone.

        Each answer holds everyone at or under the threshold, and at least the `people` nearest
        where there are that many.
        """
        templates = len(self.matrix.template_ids)
        wanted = min(FIRST_SEARCH, templates)
        while wanted:
            rows, squared = self.index.search(probes, wanted)
            if wanted == templates or self._enough(rows, squared, threshold, people):
                return [
                    self._neighbourhood(row, distances, threshold)
                    for row, distances in zip(rows, squared, strict=True)
                ]
            wanted = min(4 * wanted, templates)
        return [Neighbourhood([], {}) for _ in probes]

    def _enough(self, rows: IntArray, squared: FloatArray, threshold: float, people: int) -> bool:
        """Tell whether nobody within the threshold, or among the `people` nearest, is missing."""
        return all(
            distances[-1] > threshold and len(set(self.matrix.person_ids[row].tolist())) >= people
            for row, distances in zip(rows, squared, strict=True)
        )

    def _neighbourhood(
        self, rows: IntArray, squared: FloatArray, threshold: float
    ) -> Neighbourhood:
        """Turn neighbouring templates, nearest first, into people.

        A template's vote weighs how far under the threshold it is: two doubtful templates of one
        person do not outvote a clear one of another.
        """
        ids = self.matrix.person_ids[rows].tolist()
        distances = [float(value) for value in squared]
        nearest: dict[int, float] = {}
        for person, distance in zip(ids, distances, strict=True):
            nearest.setdefault(person, distance)
        votes: dict[int, int] = {}
        weights: dict[int, float] = {}
        for person, distance in list(zip(ids, distances, strict=True))[:VOTERS]:
            if distance <= threshold:
                votes[person] = votes.get(person, 0) + 1
                weights[person] = weights.get(person, 0.0) + threshold - distance
        candidates = [
            Candidate(person, self.matrix.names[person], distance, votes.get(person, 0))
            for person, distance in nearest.items()
        ]
        return Neighbourhood(candidates, weights)


def default_gap(threshold: float) -> float:
    """Return the squared L2 within which two people are not told apart."""
    return GAP_SHARE * threshold


def identify(
    pictures: Iterable[EmbeddedPicture | Failure],
    known: KnownPeople,
    *,
    threshold: float,
    gap: float | None = None,
    k: int = CANDIDATES,
) -> Iterator[Identification]:
    """Yield one answer per face, photo by photo in the order given.

    A photo without a face and one that could not be read yield one answer each. `gap` is in
    squared L2. Within a photo no person is named twice.
    """
    for picture in pictures:
        if isinstance(picture, Failure):
            yield Identification(picture.source, Status.ERROR, 0, picture.reason)
        elif not picture.faces:
            yield Identification(
                picture.source, Status.NO_FACE, 0, NO_FACE_FOUND, notes=picture.notes
            )
        else:
            faces = answer_faces(picture.embeddings, known, threshold=threshold, gap=gap, k=k)
            for place, answer in enumerate(faces):
                yield _identification(picture, place, answer)


def answer_faces(
    embeddings: FloatArray,
    known: KnownPeople,
    *,
    threshold: float,
    gap: float | None = None,
    k: int = CANDIDATES,
) -> list[FaceAnswer]:
    """Identify the faces of one picture together, float32 (n, d); no person is named twice."""
    gap = default_gap(threshold) if gap is None else gap
    near = known.look(embeddings, threshold=threshold, people=k)
    names, squared, votes = _table(near, threshold)
    return [
        FaceAnswer(
            status=decision.status,
            reason=_reason(decision, names),
            person=None if decision.person is None else names[decision.person],
            squared_l2=None if decision.person is None else float(squared[row, decision.person]),
            candidates=tuple(near[row].candidates[:k]),
        )
        for row, decision in enumerate(decide(squared, votes, threshold=threshold, gap=gap))
    ]


def _identification(picture: EmbeddedPicture, place: int, answer: FaceAnswer) -> Identification:
    detection = picture.faces[place].detection
    return Identification(
        source=picture.source,
        status=answer.status,
        faces=len(picture.faces),
        reason=answer.reason,
        face=place,
        box=detection.box,
        confidence=detection.confidence,
        person=answer.person,
        squared_l2=answer.squared_l2,
        candidates=answer.candidates,
        notes=picture.notes,
    )


def _table(
    neighbourhoods: Sequence[Neighbourhood], threshold: float
) -> tuple[list[str], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the names of the people near any face, and squared L2 and votes (faces, people)."""
    near: dict[int, str] = {}
    for around in neighbourhoods:
        for candidate in around.candidates:
            if candidate.squared_l2 <= threshold:
                near.setdefault(candidate.person_id, candidate.name)
    columns = {person: place for place, person in enumerate(near)}
    squared = np.full((len(neighbourhoods), len(near)), np.inf)
    votes = np.zeros_like(squared)
    for row, around in enumerate(neighbourhoods):
        for candidate in around.candidates:
            if candidate.person_id in columns:
                squared[row, columns[candidate.person_id]] = candidate.squared_l2
        for person, weight in around.weights.items():
            votes[row, columns[person]] = weight
    return list(near.values()), squared, votes


def _reason(decision: Decision, names: Sequence[str]) -> str:
    """Name who and which face the reason is about."""
    text = str(decision.why)
    if decision.other_face is not None:
        text += f": face {decision.other_face}"
    elif decision.rival is not None:
        text += f": {names[decision.rival]}"
    return text
