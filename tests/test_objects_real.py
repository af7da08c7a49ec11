"""A checkpoint that looks at whole pictures, in real processes: commands, the service, programs."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from fake_service import ADMIN, ENTRY, real_service, relaying
from PIL import Image
from test_serve import ask

import facecli
from facecli.cli import cli
from facecli.errors import ModelError
from facecli.faces.whole import WholePicture, picture_geometry
from facecli.models import checkpoints, detectors
from facecli.models.encoders import find_model
from facecli.models.subjects import check_detector, detector_for
from facecli.portraits import grace_hopper

pytestmark = pytest.mark.network


def draw(path: Path, seed: int, noise: float = 0.0) -> Path:
    """Write a picture of coloured patches; another one is another thing."""
    random = np.random.default_rng(seed)
    patches = random.integers(0, 256, (5, 7, 3)).astype(np.uint8)
    large = np.asarray(Image.fromarray(patches).resize((280, 200), Image.Resampling.BICUBIC))
    noisy = np.clip(large + noise * random.normal(size=large.shape), 0, 255)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noisy.astype(np.uint8)).save(path)
    return path


@dataclass(frozen=True)
class Shop:
    """A folder with photos of two things, and the model."""

    folder: Path
    model: Path

    def run(self, *words: object, code: int = 0) -> tuple[str, str]:
        """Run a command in a process of its own and return what it wrote."""
        command = [sys.executable, "-P", "-c", ENTRY, *map(str, words)]
        done = subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, check=False,
            env=relaying(self.folder),
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout, done.stderr


@pytest.fixture
def shop(tmp_path: Path, thing_model: Path) -> Shop:
    for number, name in enumerate(("Apple", "Pear")):
        for take in range(2):
            draw(tmp_path / "shop" / name / f"{take}.png", number, noise=2.0 * take)
    return Shop(tmp_path, thing_model)


@pytest.mark.slow
class TestCommands:
    def test_from_enrolling_to_sorting(self, shop: Shop) -> None:
        those = ("--model", shop.model, "--db", "g.db")
        assert "2 of 2" in shop.run("enroll", "Apple", "shop/Apple", *those)[0]
        shop.run("enroll", "Pear", "shop/Pear/0.png", *those)
        shop.run("verify", "shop/Pear/0.png", "shop/Pear/1.png", *those)
        shop.run("verify", "shop/Pear/0.png", "shop/Apple/1.png", *those, code=1)
        out, _ = shop.run("identify", "shop", "--json", *those)
        assert {json.loads(line)["person"] for line in out.splitlines()} == {"Apple", "Pear"}
        out, _ = shop.run("cluster", "shop", *those, "--workers", 2)
        assert "4 pictures in 4 photos: 2 clusters" in out
        out, _ = shop.run("doctor", *those)
        assert "not needed: the model looks at whole pictures" in out

    @pytest.mark.parametrize(
        ("words", "reason"),
        [
            (
                ("--detector", "none"),
                "facecli-128 looks at faces; --detector none needs a model trained on whole "
                "pictures",
            ),
            (
                ("--detector", "yunet-onet", "--model", "{model}"),
                "things looks at whole pictures: leave out --detector",
            ),
        ],
    )
    def test_a_detector_that_does_not_go_with_the_model(
        self, shop: Shop, words: tuple[str, ...], reason: str
    ) -> None:
        given = [word.format(model=shop.model) for word in words]
        for command in (
            ("enroll", "X", "shop/Apple/0.png"),
            ("identify", "shop/Apple/0.png"),
            ("serve", "--port", "0"),
        ):
            _, said = shop.run(*command, *given, "--db", "g.db", code=2)
            assert said == f"facecli: {reason}\n"
        assert not (shop.folder / "g.db").exists()

    def test_the_default_model_says_whose_templates_there_are(self, shop: Shop) -> None:
        shop.run("enroll", "Apple", "shop/Apple/0.png", "--model", shop.model, "--db", "g.db")
        _, said = shop.run("identify", grace_hopper(), "--db", "g.db", code=2)
        assert "holds templates of 'things'" in said
        assert "choose one of those with --model" in said


def test_its_card_says_what_it_looks_at(thing_model: Path) -> None:
    shown = CliRunner().invoke(cli, ["models", "info", str(thing_model)])
    assert shown.exit_code == 0
    assert "looks at" in shown.output
    assert "whole pictures" in shown.output
    assert "looks at" not in CliRunner().invoke(cli, ["models", "info"]).output


@pytest.mark.parametrize("subject", ["pictures", "", None, 1, ["picture"], {"picture": 1}])
def test_a_card_with_another_subject_is_not_read(
    thing_model: Path, tmp_path: Path, subject: Any
) -> None:
    weights, card = checkpoints.load(thing_model)
    path = tmp_path / "odd.safetensors"
    checkpoints.save(
        path, weights, replace(card, architecture={**card.architecture, "subject": subject})
    )
    with pytest.raises(ModelError, match="holds no readable model card"):
        checkpoints.read_card(path)
    result = CliRunner().invoke(cli, ["verify", "a.png", "b.png", "--model", str(path)])
    assert result.exit_code == 2
    assert "holds no readable model card" in result.output


class TestChoice:
    """The card chooses the detector."""

    def test_whole_pictures(self, thing_model: Path) -> None:
        card = checkpoints.read_card(thing_model)
        assert isinstance(detector_for(card), WholePicture)
        assert isinstance(detector_for(card, "mtcnn", device="cuda"), WholePicture)
        check_detector(card, "none")
        with pytest.raises(ModelError, match="leave out --detector"):
            check_detector(card, "mtcnn")

    def test_faces(self) -> None:
        card = checkpoints.read_card(find_model("facecli-128"))
        assert isinstance(detector_for(card), detectors.YuNetONet)
        with pytest.raises(ModelError, match="facecli-128 looks at faces"):
            detector_for(card, "none")

    def test_training_asks_by_name(self) -> None:
        assert isinstance(detectors.load_detector("none"), WholePicture)


class TestPrograms:
    def test_open(self, shop: Shop) -> None:
        photos = shop.folder / "shop"
        with facecli.open(shop.folder / "g.db", model=str(shop.model)) as recognizer:
            recognizer.enroll("Apple", photos / "Apple" / "0.png")
            (found,) = recognizer.identify(photos / "Apple" / "1.png")
            assert (found.person, found.faces) == ("Apple", 1)
            (seen,) = recognizer.embed(photos / "Pear" / "0.png")
            assert isinstance(seen, facecli.EmbeddedPicture)
            assert seen.faces[0].detection.box == (39.5, -0.5, 239.5, 199.5)
            gate = facecli.Gate(recognizer)
            with Image.open(photos / "Apple" / "1.png") as frame:
                sightings = [gate.feed(frame.convert("RGB"), at=float(at)) for at in range(3)]
            (event,) = sightings[-1].events
            assert event.person == "Apple"

    def test_albums(self, shop: Shop) -> None:
        recognizer = facecli.open(shop.folder / "g.db", model=str(shop.model))
        albums = facecli.Albums(shop.folder / "photos.db", recognizer)
        assert [one.photos for one in albums.sort(shop.folder / "shop").people] == [2, 2]


@pytest.mark.slow
class TestService:
    """It searches photos in other processes, and makes other commands faster."""

    @pytest.fixture
    def port(self, shop: Shop) -> Iterator[int]:
        with real_service(shop.folder, "--model", str(shop.model)) as (_, port):
            yield port

    def test_answers(self, shop: Shop, port: int) -> None:
        apple, again, pear = (shop.folder / "shop" / name for name in
                              ("Apple/0.png", "Apple/1.png", "Pear/0.png"))  # fmt: skip
        status, enrolled, _ = ask(port, "/enroll?name=Apple", apple, token=ADMIN)
        assert (status, enrolled["outcome"]) == (200, "accepted")
        blank = shop.folder / "blank.png"
        Image.new("RGB", (99, 70), "teal").save(blank)
        status, refused, _ = ask(port, "/enroll?name=Nothing", blank, token=ADMIN)
        assert (status, refused["reasons"]) == (422, ["blank: all pixels are alike"])
        _, (found,), _ = ask(port, "/identify", again)
        assert (found["status"], found["person"]) == ("match", "Apple")
        _, (stranger,), _ = ask(port, "/identify", pear)
        assert (stranger["status"], stranger["strangers"]) == ("unknown", None)
        sides = {
            side: {"photo": base64.b64encode(path.read_bytes()).decode()}
            for side, path in (("a", apple), ("b", again))
        }
        assert ask(port, "/verify", sides)[1]["same"]
        _, (row,), _ = ask(port, "/embed", pear, token=ADMIN)
        assert len(row["embedding"]) == 128
        assert len(ask(port, f"/gate?session={'0' * 32}", apple)[1]["faces"]) == 1
        line = shop.folder / "line.png"
        Image.new("RGB", (99, 1)).save(line)
        assert ask(port, "/identify", line)[0] == 422

    def test_lends_other_commands_its_networks_but_never_a_wrong_detector(
        self, shop: Shop, port: int
    ) -> None:
        """A face model asked of a service of things finds faces, and the other way round."""
        assert port
        hopper = grace_hopper()
        out, _ = shop.run("verify", hopper, hopper, "--db", "f.db")
        assert "face at" in out
        pair = ("shop/Apple/0.png", "shop/Apple/1.png")
        out, _ = shop.run("verify", *pair, "--db", "f.db", "--model", shop.model)
        assert "the whole picture" in out


@pytest.mark.faces
def test_groceries_one_of_each_is_found_again(
    groceries: Path, thing_model: Path, tmp_path: Path
) -> None:
    """A photo finds itself among those of ten kinds, also when its file was written again."""
    rows = [line.split(",")[0] for line in (groceries / "train.txt").read_text().splitlines()]
    kinds = {Path(row).parent.name: groceries / row.strip() for row in rows}
    with facecli.open(tmp_path / "g.db", model=str(thing_model)) as recognizer:
        chosen = dict(list(kinds.items())[:10])
        outcomes = recognizer.enroll_all(chosen, allow_look_alikes=True)
        assert [one.outcome for one in outcomes] == [facecli.Outcome.ACCEPTED] * 10
        for name, photo in chosen.items():
            with Image.open(photo) as picture:
                picture.save(tmp_path / "again.png")
            (found,) = recognizer.identify(tmp_path / "again.png", gap=0.0)
            assert found.person == name


def test_the_geometry_of_the_checkpoint_is_that_of_whole_pictures(thing_model: Path) -> None:
    """It survives the card's JSON to the last digit, which tells how quality is measured."""
    card = checkpoints.read_card(thing_model)
    assert card.geometry == picture_geometry(150)
