"""A whole gallery goes into another place, between any two engines, and is compared there."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from fakes import embedding, fake_card, new_template
from galleries import PLACES, takes
from test_gallery_contract import CALIBRATION

from facecli.cli import cli
from facecli.errors import GalleryError
from facecli.recognition.moving import Copied, copy_gallery
from facecli.stores.contract import GalleryPlace, GalleryStore
from facecli.types import NewTemplate, StoredModel

CARD, OTHER = fake_card(), dataclasses.replace(fake_card("wide"), dimension=512)
OLD = "2020-02-03T04:05:06+00:00"


@pytest.fixture(params=[(one, other) for one in PLACES for other in PLACES], ids="-to-".join)
def places(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[GalleryPlace, GalleryPlace]:
    """A place with a gallery and one without, for each pair of engines."""
    made = []
    for number, engine in enumerate(request.param):
        folder = tmp_path / str(number)
        folder.mkdir()
        made.append(PLACES[engine](folder))
    fill(made[0])
    return made[0], made[1]


def fill(place: GalleryPlace) -> None:
    """Thirty people; every third has two models, and the first an external id and a merge."""
    with place.open(create=True) as gallery:
        for number in range(30):
            gallery.add(old(takes(f"P{number:02}", 2, seed=number)), CARD)
            if number % 3 == 0:
                gallery.add(takes(f"P{number:02}", 1, seed=number, dimension=512), OTHER)
        gallery.set_external_id("P00", "E-0")
        gallery.merge("P01", "P00")
        gallery.forget(["P02"])
        gallery.set_calibration(CALIBRATION)


def old(templates: list[NewTemplate]) -> list[NewTemplate]:
    return [dataclasses.replace(one, created=OLD) for one in templates]


def held(gallery: GalleryStore) -> dict[str, Any]:
    """Return all that a gallery says of each person, without its own numbers."""
    models = gallery.models()
    vectors = {
        (model.fingerprint, int(one)): row.tobytes()
        for model in models
        for matrix in [gallery.matrix(model)]
        for one, row in zip(matrix.template_ids, matrix.embeddings, strict=True)
    }
    return {
        person.name: (
            person.external_id,
            person.created,
            sorted(
                (one.fingerprint, one.image_sha256, one.created, vectors[one.fingerprint, one.id])
                for one in gallery.templates_of(person.name)
            ),
        )
        for person in gallery.people()
    }


def test_everything_is_there_afterwards(places: tuple[GalleryPlace, GalleryPlace]) -> None:
    with places[0].open() as source, places[1].open(create=True) as target:
        copied = copy_gallery(source, target, together=7)
        assert copied == Copied(people=28, templates=68, new=68, calibrations=1)
        assert held(target) == held(source)
        assert held(target)["P05"][1] == OLD
        assert target.calibrations() == [CALIBRATION]
        assert [model.name for model in target.models()] == [CARD.name, "wide"]
        assert target.integrity_check() == []
        assert copy_gallery(source, target).new == 0


class Stopped(Exception):
    """What stops a copy in the middle."""


class Stopping:
    """A gallery that fails at its third change."""

    def __init__(self, gallery: GalleryStore) -> None:
        self._gallery = gallery
        self._left = 3

    def __getattr__(self, name: str) -> Any:
        return getattr(self._gallery, name)

    def add(self, templates: list[NewTemplate], card: StoredModel) -> list[int]:
        self._left -= 1
        if not self._left:
            raise Stopped
        return self._gallery.add(templates, card)


def test_one_that_was_interrupted_goes_on(places: tuple[GalleryPlace, GalleryPlace]) -> None:
    with places[0].open() as source, places[1].open(create=True) as target:
        with pytest.raises(Stopped):
            copy_gallery(source, Stopping(target), together=5)  # type: ignore[arg-type]
        done = sum(one.templates for one in target.people())
        assert 0 < done < 68
        assert copy_gallery(source, target).new == 68 - done
        assert held(target) == held(source)


def test_others_in_the_target_stay(places: tuple[GalleryPlace, GalleryPlace]) -> None:
    with places[0].open() as source, places[1].open(create=True) as target:
        target.add([new_template("Zoë", embedding(3, 0))], CARD)
        copy_gallery(source, target)
        assert len(target.people()) == 29


@pytest.fixture
def two(tmp_path: Path) -> tuple[GalleryPlace, GalleryPlace]:
    """A file with a gallery, and another file without."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    make = PLACES["sqlite-file"]
    fill(make(tmp_path / "a"))
    return make(tmp_path / "a"), make(tmp_path / "b")


@pytest.mark.parametrize(
    "change",
    [
        lambda target: target.add([new_template("P05", embedding(3, 0))], CARD),
        lambda target: target.add(takes("p05", 1, seed=5), CARD),
        lambda target: target.add(
            [dataclasses.replace(takes("P05", 1, seed=5)[0], external_id="E-9")], CARD
        ),
    ],
    ids=["other-photos", "other-spelling", "other-id"],
)
def test_a_person_who_is_known_otherwise_stops_it(
    two: tuple[GalleryPlace, GalleryPlace], change: Callable[[GalleryStore], object]
) -> None:
    with two[0].open() as source, two[1].open(create=True) as target:
        change(target)
        with pytest.raises(GalleryError, match="knows 'P05' with other photos"):
            copy_gallery(source, target)


def test_another_calibration_stops_it(two: tuple[GalleryPlace, GalleryPlace]) -> None:
    with two[0].open() as source, two[1].open(create=True) as target:
        target.set_calibration(dataclasses.replace(CALIBRATION, threshold=0.25))
        with pytest.raises(GalleryError, match="another calibration of model 'fake-128'"):
            copy_gallery(source, target)
        assert target.people() == []


def test_a_change_meanwhile_is_noticed(two: tuple[GalleryPlace, GalleryPlace]) -> None:
    with two[0].open() as source, two[0].open() as desk, two[1].open(create=True) as target:

        def meanwhile(people: Any) -> Any:
            yield from people
            desk.rename("P05", "Q05")

        with pytest.raises(GalleryError, match=r"no person .P05|was changed while"):
            copy_gallery(source, target, follow=meanwhile, together=1)


def test_a_difference_afterwards_is_noticed(two: tuple[GalleryPlace, GalleryPlace]) -> None:
    with two[0].open() as source, two[1].open(create=True) as target:
        copy_gallery(source, target)

        def meanwhile(people: Any) -> Any:
            yield from people
            target.forget(["P05"])

        with pytest.raises(GalleryError, match="'P05' is not as in the original"):
            copy_gallery(source, target, follow=meanwhile, together=1)


class TestCommand:
    def run(self, *words: str) -> Result:
        return CliRunner().invoke(cli, ["people", "copy", *words])

    def test_it_tells_what_is_there(self, places: tuple[GalleryPlace, GalleryPlace]) -> None:
        urls = [getattr(one, "_address", None) for one in places]
        texts = [url.url if url else one.location for url, one in zip(urls, places, strict=True)]
        done = self.run("--db", texts[0], "--to", texts[1], "--json")
        assert done.exit_code == 0, done.output
        record = json.loads(done.stdout)
        assert (record["kind"], record["people"], record["new"]) == ("people_copied", 28, 68)
        assert [record["source"], record["gallery"]] == [one.location for one in places]

    def test_it_fails_in_one_line(
        self, two: tuple[GalleryPlace, GalleryPlace], tmp_path: Path
    ) -> None:
        source = two[0].location
        for target, said in (
            (source, "it is the gallery itself"),
            ("mysql://a:s3cret@host/db", "no gallery can be at mysql://"),
        ):
            done = self.run("--db", source, "--to", target)
            assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1)
            assert said in done.stderr
            assert "s3cret" not in done.stderr
