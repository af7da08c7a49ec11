"""A model whose card says that it looks at whole pictures works with every command."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner, Result
from fakes import (
    FakeDetector,
    FakeEncoder,
    PaintedFace,
    fake_card,
    paint,
    paint_thing,
    picture_card,
    recognizer_of,
    squared_l2_of,
)
from PIL import Image

from facecli.albums.sidecars import read_regions
from facecli.albums.xmp import ENDING
from facecli.cli import cli
from facecli.cli.options import training_detector_option
from facecli.cli.settings import Settings, pass_settings
from facecli.faces.whole import WholePicture
from facecli.portraits import grace_hopper
from facecli.stores.gallery.sqlite.store import SqliteGallery
from facecli.stores.library import Library
from facecli.stores.library.clusters import AlbumStore
from facecli.stores.opening import gallery_at
from facecli.types import ModelCard

pytestmark = pytest.mark.base

APPLE, PEAR, NUT = 0, 1, 7
"""The planes of three things."""

Run = Callable[..., Result]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "db" / "gallery.db"


@pytest.fixture
def run(database: Path) -> Run:
    """Run a command with a model of whole pictures, or with one of faces."""

    def invoke(*arguments: object, faces: bool = False, stdin: bytes | None = None) -> Result:
        encoder = FakeEncoder(fake_card() if faces else picture_card())
        settings = Settings(detector=FakeDetector() if faces else None, encoder=encoder)
        texts = [*map(str, arguments), "--db", str(database)]
        return CliRunner().invoke(cli, texts, obj=settings, input=stdin)

    return invoke


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Return a folder of two things, three photos each."""
    for name, plane in (("Apple", APPLE), ("Pear", PEAR)):
        for angle in range(3):
            paint_thing(tmp_path / "shop" / name / f"{angle}.png", plane, angle)
    return tmp_path / "shop"


@pytest.fixture
def stocked(run: Run, shop: Path) -> None:
    """Enroll an apple and a pear, a photo each."""
    for name in ("Apple", "Pear"):
        assert run("enroll", name, shop / name / "0.png").exit_code == 0


def records(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


class TestEnroll:
    def test_a_folder_of_things(self, run: Run, shop: Path) -> None:
        result = run("enroll", "--from", shop)
        assert result.exit_code == 0, result.output
        assert "6 of 6 photos enrolled, 2 people" in result.output
        shown = run("people", "show", "Apple")
        assert shown.exit_code == 0
        assert " px" not in shown.output, "it has no eyes"

    def test_a_table_of_things(self, run: Run, shop: Path) -> None:
        table = shop / "things.csv"
        table.write_text("name,path\nApple,Apple/0.png\nPear,Pear/0.png\n")
        result = run("enroll", "--from", table)
        assert result.exit_code == 0, result.output
        assert "2 of 2 photos enrolled" in result.output

    def test_what_is_too_poor_for_a_face_will_do(self, run: Run, tmp_path: Path) -> None:
        """It is dark, blurred, and its landmarks are a few pixels apart."""
        grey = Image.linear_gradient("L").resize((24, 24)).point(lambda value: value // 12)
        grey.convert("RGB").save(tmp_path / "dim.png")
        result = run("enroll", "Dim", tmp_path / "dim.png")
        assert result.exit_code == 0, result.output

    @pytest.mark.parametrize("size", [(120, 120), (333, 217), (2001, 1503)])
    @pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (90, 17, 203)])
    def test_a_blank_picture_is_refused(
        self, run: Run, tmp_path: Path, size: tuple[int, int], colour: tuple[int, int, int]
    ) -> None:
        Image.new("RGB", size, colour).save(tmp_path / "blank.png")
        result = run("enroll", "Nothing", tmp_path / "blank.png")
        assert result.exit_code == 2
        assert "blank: all pixels are alike" in result.output

    def test_a_thing_in_the_corner_is_not_blank(self, run: Run, tmp_path: Path) -> None:
        picture = Image.new("RGB", (120, 120), "white")
        picture.paste("black", (10, 10, 20, 20))
        picture.save(tmp_path / "corner.png")
        assert run("enroll", "Corner", tmp_path / "corner.png").exit_code == 0

    def test_a_line_of_pixels_is_too_small(self, run: Run, tmp_path: Path) -> None:
        Image.new("RGB", (120, 1)).save(tmp_path / "line.png")
        result = run("enroll", "Line", tmp_path / "line.png")
        assert result.exit_code == 2
        assert "too small to look at: 120 by 1 pixels" in result.output

    def test_a_dry_run_stores_nothing(self, run: Run, shop: Path, database: Path) -> None:
        assert run("enroll", "--from", shop, "--dry-run").exit_code == 0
        assert not database.exists()


class TestDetector:
    @pytest.mark.parametrize(
        "words",
        [
            ("enroll", "X", "{photo}"),
            ("verify", "{photo}", "{photo}"),
            ("identify", "{photo}"),
            ("embed", "{photo}"),
            ("cluster", "{photo}"),
            ("serve", "--port", "0"),
            ("doctor",),
            ("evaluate", "folders", "{shop}"),
            ("evaluate", "identification", "{shop}"),
            ("evaluate", "clustering", "{shop}"),
            ("calibrate", "--far", "0.1", "--from", "{shop}"),
        ],
    )
    @pytest.mark.parametrize(
        ("faces", "name", "reason"),
        [
            (False, "yunet-onet", "things-128 looks at whole pictures: leave out --detector"),
            (False, "mtcnn", "things-128 looks at whole pictures: leave out --detector"),
            (
                True,
                "none",
                "fake-128 looks at faces; --detector none needs a model trained on whole pictures",
            ),
        ],
    )
    def test_one_that_does_not_go_with_the_model_is_refused_in_a_line(
        self,
        run: Run,
        shop: Path,
        database: Path,
        words: tuple[str, ...],
        faces: bool,
        name: str,
        reason: str,
    ) -> None:
        photo = shop / "Apple" / "0.png"
        if words[0] == "serve":
            pytest.importorskip("fastapi")
        given = [word.format(photo=photo, shop=shop) for word in words]
        result = run(*given, "--detector", name, faces=faces)
        assert result.exit_code == 2
        assert result.output.splitlines()[-1] == f"facecli: {reason}"
        assert "Usage" not in result.output
        assert not database.exists()

    def test_none_goes_with_a_model_of_whole_pictures(self, run: Run, shop: Path) -> None:
        photo = shop / "Apple" / "0.png"
        assert run("verify", photo, photo, "--detector", "none").exit_code == 0

    def test_none_is_not_offered(self, run: Run) -> None:
        assert "yunet-onet|mtcnn]" in run("verify", "--help").output
        unknown = run("verify", "a", "b", "--detector", "haar")
        assert unknown.exit_code == 2
        assert "none" not in unknown.output

    def test_a_configured_detector_of_faces_is_not_used(
        self, run: Run, shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        configuration = tmp_path / "config.toml"
        configuration.write_text('detector = "mtcnn"\n')
        monkeypatch.setenv("FACECLI_CONFIG", str(configuration))
        photo = shop / "Apple" / "0.png"
        assert run("verify", photo, photo).exit_code == 0


class TestVerify:
    def test_says_same_and_different_but_neither_person_nor_face(
        self, run: Run, shop: Path
    ) -> None:
        apple, other, pear = shop / "Apple/0.png", shop / "Apple/2.png", shop / "Pear/0.png"
        same, different = run("verify", apple, other), run("verify", apple, pear)
        assert (same.exit_code, different.exit_code) == (0, 1)
        assert same.output.startswith(f"same: squared L2 {squared_l2_of(2):.3f}")
        assert different.output.startswith("different: squared L2 2.000")
        for result in (same, different):
            assert "person" not in result.output
            assert "face" not in result.output.replace("facecli", "")
            assert "strangers" not in result.output, "nothing is known of them"

    def test_a_thing_enrolled(self, run: Run, shop: Path, stocked: None) -> None:
        assert run("verify", "person:Apple", shop / "Apple/1.png").exit_code == 0
        assert run("verify", "person:Pear", shop / "Apple/1.png").exit_code == 1

    def test_a_blank_side_is_named(self, run: Run, shop: Path, tmp_path: Path) -> None:
        Image.new("RGB", (50, 50)).save(tmp_path / "blank.png")
        assert "blank" in run("verify", shop / "Apple/0.png", tmp_path / "blank.png").output


class TestIdentify:
    def test_names_what_is_enrolled(self, run: Run, shop: Path, stocked: None) -> None:
        nut = paint_thing(shop / "nut.png", NUT)
        result = run("identify", shop / "Apple/1.png", shop / "Pear/2.png", nut, "--json")
        assert result.exit_code == 1
        found = records(result)
        assert [one["status"] for one in found] == ["match", "match", "unknown"]
        assert [one["person"] for one in found] == ["Apple", "Pear", None]
        assert all(one["strangers"] is None for one in found), "the card has no impostors"

    def test_a_broken_file_is_an_error(self, run: Run, shop: Path, stocked: None) -> None:
        (shop / "broken.png").write_bytes(b"no picture")
        assert run("identify", shop / "broken.png").exit_code == 2

    def test_odds_come_from_the_gallery_once_it_is_calibrated(
        self, run: Run, tmp_path: Path
    ) -> None:
        for plane in range(8):
            for kind in range(3):
                for angle in range(3):
                    folder = tmp_path / "all" / f"kind {plane} {kind}"
                    paint_thing(folder / f"{angle}.png", plane, 18 * kind + angle)
        assert run("enroll", "--from", tmp_path / "all").exit_code == 0
        result = run("calibrate", "--far", "0.03", "--from", tmp_path / "all", "--force")
        assert result.exit_code == 0, result.output
        probe = tmp_path / "all" / "kind 3 1" / "0.png"
        (found,) = records(run("identify", probe, "--json"))
        assert found["person"] == "kind 3 1"
        assert found["strangers"] is not None

    def test_annotates_the_whole_picture(
        self, run: Run, shop: Path, stocked: None, tmp_path: Path
    ) -> None:
        out = tmp_path / "out.png"
        assert run("identify", shop / "Apple/1.png", "--annotate", out).exit_code == 0
        assert out.exists()


def test_embed_gives_one_row_for_each_photo(run: Run, shop: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.npz"
    result = run("embed", shop, "--out", out)
    assert result.exit_code == 0, result.output
    assert "6 pictures of 6 photos" in result.output
    with np.load(out) as arrays:
        assert arrays["embeddings"].shape == (6, 128)
        assert arrays["boxes"][0].tolist() == [-0.5, -0.5, 119.5, 119.5]


class TestCluster:
    def test_sorts_things(self, run: Run, shop: Path, tmp_path: Path) -> None:
        result = run("cluster", shop, "--export", tmp_path / "out", "--report", tmp_path / "x.html")
        assert result.exit_code == 0, result.output
        assert "6 pictures in 6 photos: 2 clusters, 0 seen once" in result.output
        assert "photos seen are remembered in" in result.output
        assert sorted(one.name for one in (tmp_path / "out").iterdir() if one.is_dir()) == [
            "person-1",
            "person-2",
        ]
        page = (tmp_path / "x.html").read_text("utf-8")
        assert "3 pictures in 3 photos" in page
        assert "It shows pictures" in page

    def test_the_gallery_names_them(self, run: Run, shop: Path, stocked: None) -> None:
        found = records(run("cluster", shop, "--json"))
        assert {one["name"] for one in found if one["kind"] == "clustered_face"} == {
            "Apple",
            "Pear",
        }

    def test_a_cluster_is_enrolled(self, run: Run, shop: Path, database: Path) -> None:
        assert run("cluster", shop).exit_code == 0
        result = run("enroll", "--from-cluster", "1", "Apple")
        assert result.exit_code == 0, result.output
        with SqliteGallery(database) as gallery:
            assert [(one.name, one.templates) for one in gallery.people()] == [("Apple", 3)]

    def test_names_of_things_are_tags_and_no_faces(self, run: Run, shop: Path) -> None:
        assert run("cluster", shop).exit_code == 0
        assert run("cluster", "name", "1", "Apple").exit_code == 0
        assert run("cluster", shop, "--xmp").exit_code == 0
        sidecar = shop / "Apple" / f"0.png{ENDING}"
        text = sidecar.read_text("utf-8")
        assert text.count(">Apple<") == 2
        assert "PersonInImage" not in text
        assert read_regions(sidecar.read_bytes()) == []
        assert "0 sidecars written" in run("cluster", shop, "--xmp").output
        assert run("cluster", "name", "1", "Fruit").exit_code == 0
        assert run("cluster", shop, "--xmp").exit_code == 0
        assert ">Apple<" not in sidecar.read_text("utf-8")

    def test_names_of_faces_are_not_read(self, run: Run, shop: Path) -> None:
        result = run("cluster", shop, "--from-xmp")
        assert result.exit_code == 2
        reason = "facecli: sidecars name faces, and things-128 looks at whole pictures\n"
        assert result.output.endswith(reason)


class TestEvaluate:
    @pytest.mark.parametrize("protocol", ["folders", "identification", "clustering"])
    def test_on_folders(self, run: Run, tmp_path: Path, protocol: str) -> None:
        for plane in range(12):
            for angle in range(3):
                paint_thing(tmp_path / "all" / f"kind {plane}" / f"{angle}.png", plane, angle)
        result = run("evaluate", protocol, tmp_path / "all")
        assert result.exit_code == 0, result.output

    def test_by_the_quality_that_pictures_have(self, run: Run, tmp_path: Path) -> None:
        for plane in range(8):
            for angle in range(6):
                paint_thing(tmp_path / "all" / f"kind {plane}" / f"{angle}.png", plane, angle)
        result = run("evaluate", "folders", tmp_path / "all", "--by", "quality")
        assert result.exit_code == 0, result.output
        assert "brightness" in result.output
        assert "eye distance" not in result.output


def test_doctor_needs_no_detector(run: Run) -> None:
    result = run("doctor")
    assert result.exit_code == 0, result.output
    assert "detector: not needed: the model looks at whole pictures" in result.output


class TestFacesAndThingsTogether:
    """One gallery and one library for both kinds of model, in both orders."""

    @pytest.fixture
    def photos(self, tmp_path: Path) -> Path:
        """Return photos of a face whose box is more than half of the central square."""
        for number in range(3):
            face = PaintedFace(2, number, left=40, top=20, side=120)
            paint(tmp_path / "both" / f"{number}.png", face, size=(200, 160))
        return tmp_path / "both"

    def embedded(self, run: Run, photos: Path, *, faces: bool) -> list[tuple[float, ...]]:
        result = run("embed", photos, faces=faces)
        assert result.exit_code == 0, result.output
        return [tuple(one["box"]) for one in records(result)]

    @pytest.mark.parametrize("first", [False, True])
    def test_what_was_found_is_not_mixed_up(self, run: Run, photos: Path, first: bool) -> None:
        seen: dict[bool, list[object]] = {}
        for faces in (first, not first, first, not first):
            seen.setdefault(faces, []).append(self.embedded(run, photos, faces=faces))
        assert seen[True] == [[(40.0, 20.0, 160.0, 140.0)] * 3] * 2
        assert seen[False] == [[(19.5, -0.5, 179.5, 159.5)] * 3] * 2

    @pytest.mark.parametrize("first", [False, True])
    def test_clusters_have_nothing_in_common(self, run: Run, photos: Path, first: bool) -> None:
        """Nor do the names given to them, though the boxes overlap."""
        assert run("cluster", photos, faces=first).exit_code == 0
        assert run("cluster", "name", "1", "Cleo").exit_code == 0
        (summary,) = self.clusters(run, photos, faces=not first)
        assert summary == (2, None)
        (again,) = self.clusters(run, photos, faces=first)
        assert again == (1, "Cleo")

    def clusters(self, run: Run, photos: Path, *, faces: bool) -> set[tuple[int, str | None]]:
        result = run("cluster", photos, "--json", faces=faces)
        assert result.exit_code == 0, result.output
        return {
            (one["cluster"], one["name"])
            for one in records(result)
            if one["kind"] == "clustered_face"
        }

    @pytest.mark.parametrize("first", [False, True])
    def test_a_cluster_is_not_enrolled_with_a_model_of_another_kind(
        self, run: Run, photos: Path, first: bool, database: Path
    ) -> None:
        assert run("cluster", photos, faces=first).exit_code == 0
        assert run("cluster", photos, faces=not first).exit_code == 0
        result = run("enroll", "--from-cluster", "1", "Cleo", faces=not first)
        assert result.exit_code == 2
        assert "the cluster is not of what" in result.output
        assert run("enroll", "--from-cluster", "1", "Cleo", faces=first).exit_code == 0

    def test_corrections_do_not_mix_them(self, run: Run, photos: Path, tmp_path: Path) -> None:
        paint_thing(tmp_path / "nuts" / "0.png", NUT)
        assert run("cluster", photos, faces=True).exit_code == 0
        assert run("cluster", tmp_path / "nuts", "--min-photos", "1").exit_code == 0
        assert run("cluster", "name", "1", "Cleo").exit_code == 0
        for words in (
            ("merge", "1", "2"),
            ("name", "2", "Cleo"),
            ("move", "1", "2", photos / "0.png"),
        ):
            result = run("cluster", *words)
            assert result.exit_code == 2, words
            assert "faces and whole pictures are never in one cluster" in result.output

    @pytest.mark.parametrize("first", [False, True])
    def test_a_sheet_shows_what_was_sorted(
        self, run: Run, photos: Path, tmp_path: Path, first: bool
    ) -> None:
        """And not what was seen last in the same photos."""
        pages: list[list[str]] = []
        for faces in (first, not first, first):
            out = tmp_path / f"{len(pages)}.html"
            assert run("cluster", photos, "--report", out, faces=faces).exit_code == 0
            pages.append(
                [part for part in out.read_text("utf-8").split('"') if part[:5] == "data:"]
            )
        assert pages[0] == pages[2] != pages[1]

    def test_faces_named_by_a_sidecar_are_not_whole_pictures(
        self, run: Run, photos: Path, database: Path
    ) -> None:
        assert run("cluster", photos, faces=True).exit_code == 0
        assert run("cluster", "name", "1", "Cleo").exit_code == 0
        assert run("cluster", photos, "--xmp", faces=True).exit_code == 0
        sidecar = photos / f"0.png{ENDING}"
        written = sidecar.read_bytes()
        assert run("cluster", photos, "--xmp").exit_code == 0
        assert sidecar.read_bytes() == written, "nameless things change nothing"
        assert run("cluster", "name", "2", "Portrait").exit_code == 0
        assert run("cluster", photos, "--xmp").exit_code == 0
        assert run("cluster", photos, "--xmp", faces=True).exit_code == 0
        assert "Portrait" in sidecar.read_text("utf-8")
        assert [one.name for one in read_regions(sidecar.read_bytes())] == ["Cleo"]
        assert run("cluster", photos, "--from-xmp", faces=True).exit_code == 0
        (again,) = self.clusters(run, photos, faces=False)
        assert again == (2, "Portrait")

    @pytest.mark.parametrize("first", [False, True])
    def test_one_gallery(self, run: Run, photos: Path, first: bool) -> None:
        photo = photos / "0.png"
        assert run("enroll", "Cleo", photo, faces=first).exit_code == 0
        refused = run("identify", photo, faces=not first)
        assert refused.exit_code == 2
        assert "choose one of those with --model, or enroll" in refused.output
        assert ("things-128" if not first else "fake-128") in refused.output
        assert run("enroll", "Cleo", photo, faces=not first).exit_code == 0
        for faces in (True, False):
            (found,) = records(run("identify", photo, "--json", faces=faces))
            assert found["person"] == "Cleo"


class TestPrograms:
    def test_a_recognizer_of_things(self, database: Path, shop: Path) -> None:
        recognizer = recognizer_of(
            gallery_at(database), detector=WholePicture(), encoder=FakeEncoder(picture_card())
        )
        (outcome,) = recognizer.enroll("Apple", shop / "Apple/0.png")
        assert outcome.template is not None
        (found,) = recognizer.identify(shop / "Apple/2.png")
        assert (found.person, found.box) == ("Apple", (-0.5, -0.5, 119.5, 119.5))
        blank = Image.new("RGB", (64, 64), "teal")
        (refused,) = recognizer.enroll("Nothing", blank)
        assert refused.reasons == ("blank: all pixels are alike",)
        assert recognizer.verify(blank, shop / "Apple/0.png").sides[0].notes == (
            "blank: all pixels are alike",
        )


def test_sightings_of_a_picture_are_kept_by_kind(run: Run, tmp_path: Path) -> None:
    """The same photo has a face and a whole picture, both stored."""
    library = tmp_path / "library.db"
    photo = paint(tmp_path / "a.png", PaintedFace(2, 0, left=40, top=20), size=(200, 160))
    for faces in (True, False, True):
        result = run("cluster", photo, "--library", library, "--min-photos", "1", faces=faces)
        assert result.exit_code == 0, result.output
    with Library(library) as opened:
        assert len(AlbumStore(opened).sightings()) == 2


class TestTraining:
    """It has no card yet: --detector alone says what the model will look at."""

    @pytest.fixture
    def train(self) -> click.Command:
        @click.command()
        @training_detector_option
        @pass_settings
        def train(settings: Settings) -> None:
            click.echo(settings.named_detector().version)
            click.echo(settings.memory() is not None)

        return train

    def test_none_is_the_whole_picture(self, train: click.Command) -> None:
        result = CliRunner().invoke(train, ["--detector", "none"], obj=Settings())
        assert result.stdout == "whole-picture-1\nTrue\n"

    def test_none_is_offered(self, train: click.Command) -> None:
        assert "[yunet-onet|mtcnn|none]" in CliRunner().invoke(train, ["--help"]).output


def test_a_cold_command_reads_the_card_once_beside_the_loader(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from facecli.models import checkpoints

    read: list[Path] = []
    read_card = checkpoints.read_card

    def counted(path: Path) -> ModelCard:
        read.append(path)
        return read_card(path)

    monkeypatch.setattr(checkpoints, "read_card", counted)
    hopper = grace_hopper()
    words = ["verify", str(hopper), str(hopper), "--db", str(tmp_path / "g.db")]
    assert CliRunner().invoke(cli, words).exit_code == 0
    assert len(read) == 2
