"""A gallery looked over: against a slow oracle, and as `facecli doctor gallery` shows it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from fakes import FakeEncoder, embedding, fake_card, new_template, squared_l2_of
from hypothesis import given
from hypothesis import strategies as st

from facecli.calibration import impostor_table
from facecli.cli import cli
from facecli.cli.settings import Settings
from facecli.recognition.survey import Survey, survey
from facecli.stores.gallery.sqlite.store import SqliteGallery
from facecli.types import ModelCard, TemplateMatrix
from facecli.vectors.distances import normalize

HOSTILE = "Eve <b>O'Neil</b>"

TEMPLATES = [
    new_template("Ada", embedding(0, 0), "ada"),
    new_template(HOSTILE, embedding(0, 10), "eve"),
    new_template("Bob", embedding(1, 0), "bob 1"),
    new_template("Bob", embedding(1, 4), "bob 2"),
    new_template("Cleo", embedding(2, 0), "cleo 1"),
    new_template("Cleo", embedding(2, 30), "cleo 2"),
]
"""Ada and Eve are alike; Bob is himself; Cleo's two photos are 30 steps apart."""


def matrix_of(templates: list[tuple[int, list[float]]]) -> TemplateMatrix:
    ids = np.array([person for person, _ in templates], np.int64)
    rows = normalize(np.array([row for _, row in templates]) if templates else np.empty((0, 3)))
    return TemplateMatrix(np.arange(len(ids)) + 100, ids, rows, {int(i): f"P{i}" for i in ids})


@pytest.fixture
def found(empty_gallery: SqliteGallery, encoder: FakeEncoder) -> Survey:
    empty_gallery.add(TEMPLATES, encoder.card)
    return survey(empty_gallery.matrix(encoder.card), threshold=0.5)


def test_two_people_alike_are_one_pair(found: Survey) -> None:
    (pair,) = found.look_alikes
    assert {pair.person, pair.other} == {"Ada", HOSTILE}
    assert pair.squared_l2 == pytest.approx(squared_l2_of(10), abs=1e-6)


def test_photos_of_one_person_that_disagree_are_strays(found: Survey) -> None:
    assert {(one.person, one.template) for one in found.strays} == {("Cleo", 5), ("Cleo", 6)}
    assert found.strays[0].own_squared_l2 == pytest.approx(squared_l2_of(30), abs=1e-6)


def test_who_has_one_photo_is_named_the_most_endangered_first(found: Survey) -> None:
    assert found.second_photo == ("Ada", HOSTILE)
    assert found.standings[0].squared_l2 == pytest.approx(squared_l2_of(10), abs=1e-6)
    bob = next(one for one in found.standings if one.person == "Bob")
    assert bob.spread == pytest.approx(squared_l2_of(4), abs=1e-6)
    assert bob.squared_l2 == pytest.approx(2.0)


@given(
    st.lists(
        st.tuples(
            st.integers(1, 6),
            st.lists(st.floats(-1, 1).map(lambda x: round(x, 3)), min_size=3, max_size=3).filter(
                any
            ),
        ),
        max_size=14,
    ),
    st.floats(0, 4),
)
def test_it_agrees_with_comparing_everybody(
    templates: list[tuple[int, list[float]]], threshold: float
) -> None:
    matrix = matrix_of(templates)
    gram = 2 - 2 * matrix.embeddings.astype(float) @ matrix.embeddings.astype(float).T
    people = matrix.person_ids
    result = survey(matrix, threshold=threshold)
    standings = {one.person: one for one in result.standings}
    assert set(standings) == set(matrix.names.values())
    for person in set(people.tolist()):
        mine = people == person
        others = gram[np.ix_(mine, ~mine)]
        one = standings[f"P{person}"]
        assert one.templates == mine.sum()
        assert (one.squared_l2 is None) == (not others.size)
        if one.squared_l2 is not None:
            assert one.squared_l2 == pytest.approx(others.min(), abs=1e-5)
        if mine.sum() > 1:
            own = gram[np.ix_(mine, mine)] + np.diag([np.inf] * int(mine.sum()))
            assert one.spread == pytest.approx(own.min(axis=1).max(), abs=1e-5)
    for pair in result.look_alikes:
        assert pair.squared_l2 <= threshold + 1e-5
    alike = {name for pair in result.look_alikes for name in (pair.person, pair.other)}
    for one in result.standings:
        if one.squared_l2 is not None and one.squared_l2 < threshold - 1e-5:
            assert one.person in alike


# as a command


def run(path: Path, *arguments: str, card: ModelCard | None = None) -> Result:
    settings = Settings(encoder=FakeEncoder(card))
    texts = ["doctor", "gallery", "--db", str(path), *arguments]
    return CliRunner().invoke(cli, texts, obj=settings)


@pytest.fixture
def database(tmp_path: Path, encoder: FakeEncoder) -> Path:
    path = tmp_path / "gallery.db"
    with SqliteGallery(path) as gallery:
        gallery.add(TEMPLATES, encoder.card)
    return path


def test_the_command_shows_what_to_look_at_and_exits_with_1(database: Path) -> None:
    result = run(database)
    assert result.exit_code == 1, result.output
    assert "4 people, 6 templates, compared by squared L2 (threshold 0.5)" in result.stdout
    assert "3 things to look at" in result.stdout
    assert "2 people have one photo; a second one would help most: Ada, Eve" in result.stdout
    assert "run facecli calibrate" in result.stdout


def test_a_gallery_without_doubts_exits_with_0(tmp_path: Path, encoder: FakeEncoder) -> None:
    path = tmp_path / "g.db"
    with SqliteGallery(path) as gallery:
        gallery.add([TEMPLATES[0], *TEMPLATES[2:4]], encoder.card)
    result = run(path)
    assert result.exit_code == 0
    assert "Nothing to look at." in result.stdout
    assert run(path, "--threshold", "3").exit_code == 1


def test_an_empty_gallery_is_in_order(tmp_path: Path) -> None:
    SqliteGallery(tmp_path / "g.db").close()
    assert run(tmp_path / "g.db").exit_code == 0
    assert "0 people, 0 templates" in run(tmp_path / "g.db").stdout


def test_json_has_everyone_and_the_false_accepts_of_a_day(database: Path) -> None:
    """Expected: strangers a day times the chance of one to match one of six templates."""
    random = np.random.default_rng(0)
    rows = normalize(np.eye(1, 128) * 1.5 + random.normal(size=(120, 128)) * 0.1)
    table = impostor_table(rows, np.arange(120), source="made up")
    middle = table["squared_l2"][5]
    share = table["counts"][5] / table["pairs"]
    card = dataclasses.replace(fake_card(), impostors=table)
    result = run(
        database, "--json", "--probes-per-day", "500", "--threshold", str(middle), card=card
    )
    *rest, last = [json.loads(line) for line in result.stdout.splitlines()]
    assert {one["kind"] for one in rest} <= {"standing", "look_alikes", "stray"}
    assert sum(one["kind"] == "standing" for one in rest) == last["people"] == 4
    expected = last["false_accepts_per_day"]
    assert expected["share"] == pytest.approx(500 * (1 - (1 - share) ** 6))
    assert expected["low"] < expected["share"] < expected["high"]
    assert last["strangers"]["source"] == "made up"
    human = run(database, "--probes-per-day", "500", "--threshold", str(middle), card=card).stdout
    assert "Of 500 strangers a day about " in human
