"""Identification against a gallery: names, numbers, order, and photos that give nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from fakes import THRESHOLD, embedded, embedding, squared_l2_of
from hypothesis import given
from hypothesis import strategies as st

from facecli.faces.embedding import EmbeddedPicture
from facecli.models import DIMENSION
from facecli.recognition import identify as module
from facecli.recognition.decisions import Status
from facecli.recognition.identify import Identification, KnownPeople, default_gap, identify
from facecli.types import Failure, FloatArray, TemplateMatrix
from facecli.vectors.distances import normalize, squared_l2
from facecli.vectors.index import ExactIndex

pytestmark = pytest.mark.base


def known(people: Mapping[str, Sequence[FloatArray]]) -> KnownPeople:
    """Return a gallery; people are numbered from 1 in the order given."""
    ids = [number for number, rows in enumerate(people.values(), start=1) for _ in rows]
    rows = [row for rows in people.values() for row in rows]
    embeddings = np.stack(rows) if rows else np.empty((0, DIMENSION), np.float32)
    matrix = TemplateMatrix(
        template_ids=np.arange(len(ids), dtype=np.int64),
        person_ids=np.array(ids, dtype=np.int64),
        embeddings=embeddings,
        names=dict(enumerate(people, start=1)),
    )
    return KnownPeople(matrix, ExactIndex(embeddings))


def identified(
    people: Mapping[str, Sequence[FloatArray]], *pictures: EmbeddedPicture | Failure, k: int = 3
) -> list[Identification]:
    return list(identify(pictures, known(people), threshold=THRESHOLD, k=k))


ADA, BOB = embedding(0, 0), embedding(1, 0)
TWO = {"Ada": [ADA], "Bob": [BOB]}


def test_a_match_names_the_person_with_squared_l2() -> None:
    (answer,) = identified(TWO, embedded("x.jpg", embedding(1, 10)))
    assert (answer.source, answer.face, answer.faces) == ("x.jpg", 0, 1)
    assert (answer.status, answer.person) == (Status.MATCH, "Bob")
    assert answer.squared_l2 == pytest.approx(squared_l2_of(10))
    assert [one.name for one in answer.candidates] == ["Bob", "Ada"]
    assert answer.candidates[1].squared_l2 == pytest.approx(2.0)


def test_14_steps_are_the_same_person_and_15_are_not() -> None:
    near, far = identified(TWO, embedded("x", embedding(0, 14)), embedded("y", embedding(0, 15)))
    assert (near.status, near.person) == (Status.MATCH, "Ada")
    assert (far.status, far.person, far.squared_l2) == (Status.UNKNOWN, None, None)
    assert far.candidates[0].name == "Ada"


def test_an_empty_gallery_knows_nobody() -> None:
    (answer,) = identified({}, embedded("x.jpg", ADA))
    assert (answer.status, answer.candidates) == (Status.UNKNOWN, ())


def test_photos_without_a_face_and_unreadable_ones_are_answered_in_their_place() -> None:
    answers = identified(
        TWO, embedded("a", ADA), Failure("b", "is empty"), embedded("c"), embedded("d", BOB)
    )
    assert [(one.source, one.status) for one in answers] == [
        ("a", Status.MATCH),
        ("b", Status.ERROR),
        ("c", Status.NO_FACE),
        ("d", Status.MATCH),
    ]
    assert answers[1].reason == "is empty"
    assert answers[1].face is answers[2].face is None


def test_the_nearest_template_of_a_person_counts() -> None:
    people = {"Ada": [embedding(0, 40), embedding(0, 5)], "Bob": [BOB]}
    (answer,) = identified(people, embedded("x", embedding(0, 0)))
    assert answer.squared_l2 == pytest.approx(squared_l2_of(5), abs=1e-6)
    assert answer.candidates[0].votes == 1, "a template beyond the threshold has no vote"


def test_people_closer_than_the_gap_are_ambiguous_and_both_are_named() -> None:
    assert default_gap(THRESHOLD) == pytest.approx(0.025)
    twins = {"Ada": [embedding(0, 0)], "Eve": [embedding(0, 20)]}
    (answer,) = identified(twins, embedded("x", embedding(0, 10)))
    assert (answer.status, answer.person) == (Status.AMBIGUOUS, None)
    assert {one.name for one in answer.candidates} == {"Ada", "Eve"}


def test_a_gap_of_zero_leaves_only_ties_ambiguous() -> None:
    twins = known({"Ada": [embedding(0, 0)], "Eve": [embedding(0, 20)]})
    faces = [embedded("x", embedding(0, 9.9))]
    (default,) = identify(faces, twins, threshold=THRESHOLD)
    (strict,) = identify(faces, twins, threshold=THRESHOLD, gap=0.0)
    assert (default.status, strict.status) == (Status.AMBIGUOUS, Status.MATCH)


def test_many_clear_templates_outvote_one_that_is_a_little_nearer() -> None:
    """Ada's one template at 6 steps against Eve's four at 8: nobody is named."""
    people = {"Ada": [embedding(0, 6)], "Eve": [embedding(0, -8)] * 4}
    (answer,) = identified(people, embedded("x", embedding(0, 0)))
    assert answer.status is Status.AMBIGUOUS
    assert answer.reason.endswith("someone else: Eve")
    assert {one.name: one.votes for one in answer.candidates} == {"Ada": 1, "Eve": 4}


def test_many_doubtful_templates_do_not_outvote_a_clear_one() -> None:
    """Eve's four templates just under the threshold weigh less than Ada's one near 0."""
    people = {"Ada": [embedding(0, 1)], "Eve": [embedding(0, -14)] * 4}
    (answer,) = identified(people, embedded("x", embedding(0, 0)))
    assert (answer.status, answer.person) == (Status.MATCH, "Ada")


def test_nobody_is_named_twice_in_a_photo_but_may_be_in_two_photos() -> None:
    both = embedded("both", embedding(0, 1), embedding(0, 12))
    answers = identified(TWO, both, embedded("again", embedding(0, 2)))
    assert [(one.status, one.person) for one in answers] == [
        (Status.MATCH, "Ada"),
        (Status.UNKNOWN, None),
        (Status.MATCH, "Ada"),
    ]
    assert answers[1].reason.endswith("another face of the photo: Ada")


def test_k_people_are_candidates_even_behind_hundreds_of_templates_of_one() -> None:
    people = {"Ada": [embedding(0, place / 100) for place in range(300)], "Bob": [BOB]}
    (answer,) = identified(people, embedded("x", ADA), k=2)
    assert [one.name for one in answer.candidates] == ["Ada", "Bob"]
    assert (answer.status, answer.candidates[0].votes) == (Status.MATCH, module.VOTERS)


def test_k_limits_candidates_and_not_the_decision() -> None:
    twins = {"Ada": [embedding(0, 0)], "Eve": [embedding(0, 20)]}
    (answer,) = identified(twins, embedded("x", embedding(0, 10)), k=1)
    assert len(answer.candidates) == 1
    assert answer.status is Status.AMBIGUOUS


def test_any_name_survives() -> None:
    name = "Zoë <b>O'Neil</b>; DROP TABLE person\u202e"
    (answer,) = identified({name: [ADA]}, embedded("x", ADA))
    assert answer.person == name


@given(st.integers(1, 8), st.integers(1, 60), st.integers(0, 5000), st.floats(0.1, 2.5))
def test_lone_faces_agree_with_comparing_everybody(
    people: int, templates: int, seed: int, threshold: float
) -> None:
    """The widening search finds what a full comparison finds: who, how near, and how many."""
    random = np.random.default_rng(seed)
    rows = normalize(random.normal(size=(templates, DIMENSION)) + 1.0)
    ids = random.integers(1, people + 1, size=templates)
    probe = normalize(random.normal(size=(1, DIMENSION)) + 1.0)
    matrix = TemplateMatrix(
        np.arange(templates), ids, rows, {person: str(person) for person in range(1, people + 1)}
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "FIRST_SEARCH", 2)
        (answer,) = identify(
            [embedded("x", probe[0])],
            KnownPeople(matrix, ExactIndex(rows)),
            threshold=threshold,
            k=people,
        )
    squared = squared_l2(probe, rows)[0]
    nearest = {str(person): float(squared[ids == person].min()) for person in set(ids.tolist())}
    found = {one.name: one.squared_l2 for one in answer.candidates}
    assert found == pytest.approx(nearest, abs=1e-5)
    assert list(found.values()) == sorted(found.values())
    if min(nearest.values()) > threshold + 1e-5:
        assert answer.status is Status.UNKNOWN
