"""Runs on whole pictures: bad input is refused in one line or counted, and nothing is lost."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn import WORDS, Shop, draw_shop, ended, facecli, refusal, train
from PIL import Image

from facecli.models import encoders
from facecli.training import session
from facecli.training.promotion import ModelComparison

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def own_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return draw_shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture
def own(tmp_path: Path) -> Shop:
    """Return a shop that a test may change."""
    return draw_shop(tmp_path / "own", products=6, pictures=3)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "m.safetensors"


def split(out: Path) -> dict[str, str]:
    """Return the part of each class."""
    with (out.with_suffix(".run") / "split.csv").open() as stream:
        return {row["person"]: row["split"] for row in csv.DictReader(stream)}


# classes


def test_a_class_of_one_picture_is_learned_from_but_never_held_out(own: Shop, out: Path) -> None:
    (own.pictures / "lonely").mkdir()
    own.picture(0).rename(own.pictures / "lonely" / "0.png")
    found = ended(train(own.pictures, out, "--json"))
    assert split(out)["lonely"] == "train"
    assert found["card"]["history"][-1]["people"] == 5
    assert found["card"]["metrics"]["validation"]["classes"] == 2


@pytest.mark.parametrize(("products", "pictures", "count"), [(2, 3, 2), (3, 3, 3), (6, 1, 0)])
def test_too_few_classes_are_counted(
    tmp_path: Path, out: Path, products: int, pictures: int, count: int
) -> None:
    few = draw_shop(tmp_path / "few", products=products, pictures=pictures)
    said = refusal(train(few.pictures, out))
    assert f"{count} people with two or more photos; training and validation need two each" in said
    assert not out.exists()


def test_two_classes_are_enough_with_others_to_measure_on(tmp_path: Path, out: Path) -> None:
    two = draw_shop(tmp_path / "two", products=2)
    others = draw_shop(tmp_path / "others", products=4)
    for place in list(others.pictures.iterdir()):
        place.rename(place.with_name(f"other {place.name}"))
    ended(train(two.pictures, out, "--validation", others.pictures, "--json"))


@pytest.mark.parametrize("trunk", ["small-conv", "efficientnet-lite0"])
def test_classes_of_one_picture_alone_are_refused_before_the_trunk_runs(
    tmp_path: Path, shop: Shop, out: Path, trunk: str
) -> None:
    single = draw_shop(tmp_path / "single", pictures=1)
    for place in list(single.pictures.iterdir()):
        place.rename(place.with_name(f"other {place.name}"))
    words = ("--detector", "none", "--trunk", trunk, "--validation", shop.pictures)
    result = facecli("train", single.pictures, "--out", out, *words)
    assert "0 people with two or more usable photos to train on" in refusal(result)
    assert not (out.with_suffix(".run") / "features.npy").exists()


# pictures


def odd_pictures(picture: Image.Image, folder: Path) -> int:
    """Save a picture in many modes and sizes; return how many there are."""
    folder.mkdir()
    for mode, ending in itertools.product(("1", "P", "RGBA", "LA", "L"), ("png", "tiff")):
        picture.convert(mode).save(folder / f"{mode}.{ending}")
    picture.convert("CMYK").save(folder / "print.jpg")
    deep = np.asarray(picture.convert("L")).astype(np.uint16) * 257
    Image.fromarray(deep).save(folder / "deep.png")
    picture.save(folder / "film.gif", save_all=True, append_images=[picture.rotate(90)])
    picture.resize((333, 70)).save(folder / "wide.png")
    picture.resize((3, 2)).save(folder / "tiny.png")
    return len(list(folder.iterdir()))


def test_pictures_of_any_mode_and_size_are_used(own: Shop, out: Path) -> None:
    with Image.open(own.picture(1)) as picture:
        count = odd_pictures(picture.convert("RGB"), own.pictures / "odd")
    found = ended(train(own.pictures, out, "--json"))
    facts = found["card"]["history"][-1]
    held = found["card"]["metrics"]["validation"]["photos"]
    assert facts["photos"] + held == count + 18
    assert facts["validation_skipped"] == 0


def test_pictures_that_cannot_be_read_are_listed_and_the_others_used(own: Shop, out: Path) -> None:
    odd = own.pictures / "odd"
    odd.mkdir()
    (odd / "text.png").write_text("no picture")
    (odd / "empty.jpg").touch()
    content = own.picture(2).read_bytes()
    (odd / "cut.png").write_bytes(content[: len(content) // 2])
    Image.new("RGB", (1, 90)).save(odd / "line.png")
    result = train(own.pictures, out)
    assert result.exit_code == 2
    assert "4 photos skipped" in result.stderr
    skipped = (out.with_suffix(".run") / "skipped.txt").read_text()
    assert sorted(line.split(": ")[1] for line in skipped.splitlines()) == [
        "damaged",
        "empty file",
        "not a picture in a known format",
        "too small to look at",
    ]
    assert encoders.read_card(str(out)).history[-1]["photos"] == 12


@pytest.mark.parametrize("classes", [1, 2])
def test_held_out_pictures_that_cannot_be_read_cost_no_model(
    own: Shop, out: Path, classes: int
) -> None:
    assert train(own.pictures, out.with_name("first.safetensors")).exit_code == 0
    parts = split(out.with_name("first.safetensors"))
    held = [name for name, part in parts.items() if part == "validation"]
    for name in held[:classes]:
        for picture in (own.pictures / name).iterdir():
            picture.write_bytes(b"")
    result = train(own.pictures, out)
    assert result.exit_code == 2
    assert "a bug" not in result.output
    assert "Warning" not in result.output
    card = encoders.read_card(str(out))
    assert card.threshold == 1.1
    assert card.threshold_source.startswith("a guess: there are 0 impostor pairs of")


# options and settings


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--init", "dlib-128"), "--trunk and --init both name the start: give one of them"),
        (("--loss", "magic"), "there is no loss 'magic'; there are softmax, norm-softmax"),
        (("--people", "1"), "a batch needs at least two photos: people × photos + others"),
        (("--outlines", "{shop.colour}"), "needs the columns file, x0, y0"),
        (("--average", "dlib-128"), "dlib-128: its trunk is not built like that of small-conv"),
        (("--freeze", "trunk.stem"), "no parameter has a name that starts with 'trunk.stem'"),
        (("--targets", "{shop.colour}"), "not an .npz file of plain arrays"),
    ],
)
def test_options_that_cannot_be_are_refused(
    shop: Shop, out: Path, words: tuple[str, ...], said: str
) -> None:
    result = train(shop.pictures, out, *(word.format(shop=shop) for word in words))
    assert said in refusal(result)
    assert not out.exists()


@pytest.mark.parametrize("start", ["--trunk", "--init"])
def test_a_bare_trunk_needs_whole_pictures(shop: Shop, out: Path, start: str) -> None:
    result = facecli("train", shop.pictures, "--out", out, start, "small-conv")
    assert refusal(result) == ("facecli: small-conv looks at whole pictures: add --detector none")


def test_an_unknown_trunk_is_refused_with_those_there_are(shop: Shop, out: Path) -> None:
    result = facecli("train", shop.pictures, "--out", out, "--detector", "none", "--trunk", "vgg")
    assert result.exit_code == 2
    assert "'vgg' is not one of 'efficientnet-lite0', 'small-conv'" in result.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("loss = 'arcface'\n[options]\nglow = 1", "the loss arcface has no option 'glow'; it has"),
        ("loss = 'arcface'\n[options]\nmargin = 100", "must be a number from 0 to 90, not 100"),
        ("loss = 'arcface'\n[options]\nmargin = 'a'", "options: {'margin': 'a'} does not fit"),
        ("options = 3", "options: 3 does not fit"),
        ("[options]\nmargin = 0.3", "the loss triplet has no options: set margin and mining"),
        ("[augmentation]\nglow = 1", "unknown setting: augmentation.glow"),
        ("augmentation = 3", "augmentation must be a table"),
        ("dimension = 1", "dimension is 2 to 4096"),
        ("blend = 0.5", "blend needs a start with a head, and small-conv has none"),
        ("teacher = 'dlib-128'", "a teacher needs steps = 0"),
        ("[taps]\n5 = 1", "taps: only a ResNet-29 has them, not small-conv"),
        ("takes = ['clean']", "takes need at least two people in a batch, and no batch_norm"),
    ],
)
def test_settings_that_cannot_be_are_refused(
    shop: Shop, out: Path, tmp_path: Path, text: str, said: str
) -> None:
    (tmp_path / "c.toml").write_text(text)
    assert said in refusal(train(shop.pictures, out, "--config", tmp_path / "c.toml"))
    assert not out.exists()


@pytest.mark.parametrize("words", [(), ("--task", "colour={shop.colour}:0-63")])
def test_targets_of_another_length_are_refused(
    shop: Shop, out: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    names = sorted(
        one.relative_to(shop.pictures).as_posix() for one in shop.pictures.rglob("*.png")
    )
    rows = np.random.default_rng(0).normal(size=(len(names), 128)).astype(np.float32)
    np.savez(tmp_path / "t.npz", paths=np.array(names), targets=rows)
    (tmp_path / "c.toml").write_text("dimension = 64")
    more = ("--targets", tmp_path / "t.npz", "--config", tmp_path / "c.toml")
    result = train(shop.pictures, out, *more, *(word.format(shop=shop) for word in words))
    assert "targets have 128 numbers, and embeddings 64" in refusal(result)


def test_a_batch_may_be_larger_than_the_data(shop: Shop, out: Path) -> None:
    assert train(shop.pictures, out, "--people", 50, "--photos", 10, "--steps", 1).exit_code == 0


# runs that fail


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_its_state(
    shop: Shop, out: Path, tmp_path: Path
) -> None:
    wild = "learning_rate = 1e30\nclip = 1e30\nwarm_up = 0\nvalidate_every = 1\n"
    (tmp_path / "c.toml").write_text(wild)
    result = train(shop.pictures, out, "--config", tmp_path / "c.toml", "--steps", 30)
    assert "the loss is not a finite number; a lower learning rate may help" in refusal(result)
    assert (out.with_suffix(".run") / "state.safetensors").is_file()
    assert not out.exists()


def blank(own: Shop) -> Path:
    """Make all pictures alike; return a config that does not change them either."""
    for picture in own.pictures.rglob("*.png"):
        Image.new("RGB", (64, 64), (128, 128, 128)).save(picture)
    names = ("mirror", "scale", "rotation", "shift", "light", "saturation", "blur", "occlusion")
    config = own.pictures.parent / "c.toml"
    config.write_text("\n".join(["[augmentation]", *(f"{name} = 0" for name in names)]))
    return config


def test_a_constant_embedding_stops_the_run(own: Shop, out: Path) -> None:
    config = blank(own)
    result = train(own.pictures, out, "--config", config, "--steps", 30)
    assert "the network has collapsed" in refusal(result)
    assert not out.exists()


def test_a_short_run_says_that_all_embeddings_are_the_same(own: Shop, out: Path) -> None:
    assert train(own.pictures, out, "--config", blank(own)).exit_code == 0
    card = encoders.read_card(str(out))
    assert "different classes have the same embedding" in card.threshold_source


# afterwards


def test_a_run_is_not_promoted_without_proof(shop: Shop, out: Path) -> None:
    result = train(shop.pictures, out, "--promote")
    assert result.exit_code == 0
    assert "are too few to tell at FAR 1e-3" in result.stdout
    assert "not promoted, for that reason" in result.stdout
    assert not encoders.user_models().exists()


def test_a_better_run_is_promoted(shop: Shop, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    better = ModelComparison(better=True, reason="better")
    monkeypatch.setattr(session, "compare", lambda *_: better)
    found = ended(train(shop.pictures, out, "--promote", "--json"))
    assert Path(found["promoted"]).read_bytes() == out.read_bytes()
    assert facecli("verify", shop.picture(0), shop.picture(0), "--model", "m").exit_code == 0


def test_a_trained_model_is_trained_further(shop: Shop, out: Path, tmp_path: Path) -> None:
    """Its head is kept, or sliced anew for tasks; the mean of two gets a head like the first's."""
    assert train(shop.pictures, out).exit_code == 0
    words = [*WORDS[:2], *WORDS[4:]]

    def again(name: str, *more: object) -> Callable[[str], bool]:
        path = tmp_path / name
        result = facecli("train", shop.pictures, "--out", path, "--init", out, *words, *more)
        assert result.exit_code == 0, result.output
        assert encoders.read_card(str(path)).subject == "picture"
        return result.stderr.__contains__

    assert again("a.safetensors")("starting from m with the head of m")
    assert again("b.safetensors", "--task", f"c={shop.colour}:0-99")("its principal components")
    other = tmp_path / "a.safetensors"
    assert again("c.safetensors", "--average", other)("a head fitted to the embeddings of m")
    refused = facecli("train", shop.pictures, "--out", tmp_path / "d.safetensors", "--init", out)
    assert refusal(refused) == "facecli: m looks at whole pictures: add --detector none"


def test_steps_are_records(shop: Shop, out: Path) -> None:
    result = train(shop.pictures, out, "--loss", "arcface", "--json")
    steps: list[dict[str, Any]] = [json.loads(line) for line in result.stdout.splitlines()[:-1]]
    assert [one["step"] for one in steps] == [1, 3]
    assert 60 < steps[0]["angle"] < 120, "random centres"
    assert steps[0]["accuracy_with_margin"] <= steps[0]["accuracy"]
