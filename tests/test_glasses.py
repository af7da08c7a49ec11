"""Drawn glasses: the same seed draws the same, tables match folders, no other file is touched."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from facecli.cli import cli
from facecli.errors import FacecliError
from facecli.faces.people_folders import read_people_folder
from facecli.faces.tables import read_table
from facecli.training import glasses
from facecli.training.glasses import (
    FRAMES,
    LENSES,
    MARKER,
    PRODUCTS,
    SHAPES,
    SIDE,
    Collection,
    draw_collection,
    draw_product,
)
from facecli.types import PixelArray

pytestmark = pytest.mark.base


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    return draw_collection(tmp_path_factory.mktemp("drawn"), pictures=4)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(one) for one in arguments])


def contents(folder: Path) -> dict[str, bytes]:
    files = (one for one in folder.rglob("*") if one.is_file())
    return {one.relative_to(folder).as_posix(): one.read_bytes() for one in files}


def pixels(path: Path) -> PixelArray:
    with Image.open(path) as picture:
        return np.asarray(picture)


def test_sixty_products_are_folders_of_people_to_the_reader(drawn: Collection) -> None:
    found = read_people_folder(drawn.pictures)
    assert len(SHAPES) * len(LENSES) * len(FRAMES) == len(PRODUCTS) == 60
    assert Counter(found.names) == {product.name: 4 for product in PRODUCTS}
    assert not found.empty
    assert not found.passed
    for path in found.photos[:8]:
        with Image.open(path) as picture:
            assert (picture.format, picture.mode, picture.size) == ("PNG", "RGB", (SIDE, SIDE))


@pytest.mark.parametrize(("name", "part"), [("colour", "lens"), ("shape", "shape")])
def test_a_table_names_every_folder_once_with_its_label(
    drawn: Collection, name: str, part: str
) -> None:
    table = read_table(getattr(drawn, name), ("person", "label"))
    labels = {row["person"]: row["label"] for row in table.whole_rows()}
    assert len(table.rows) == len(labels)
    assert labels == {product.name: getattr(product, part) for product in PRODUCTS}
    assert set(labels) == {one.name for one in drawn.pictures.iterdir()}
    assert getattr(drawn, name).read_text().startswith("person,label\n")


def test_a_seed_draws_the_same_and_another_seed_does_not(tmp_path: Path, drawn: Collection) -> None:
    again = draw_collection(tmp_path / "again", pictures=2)
    first = contents(drawn.pictures)
    second = contents(again.pictures)
    assert len(second) == 120
    assert {name: first[name] for name in second} == second, "whatever the number of pictures"
    assert len(set(first.values())) == len(first), "no picture occurs twice"
    other = contents(draw_collection(tmp_path / "other", pictures=1, seed=1).pictures)
    assert not set(other.values()) & set(first.values())


def test_one_of_four_lies_on_a_light_ground(drawn: Collection) -> None:
    """The corners of a product shot are of one light grey; a drawn face has a coloured ground."""
    for product in PRODUCTS[::7]:
        shots = [pixels(drawn.picture(product, number)) for number in range(4)]
        spread = [np.ptp(one[:6, :6].mean(axis=(0, 1))) for one in shots]
        assert spread[0] < 5
        assert shots[0][:6, :6].mean() > 170
        assert max(spread[1:]) > 10


def mean_picture(name: str, part: str) -> npt.NDArray[np.float64]:
    """Return the mean of many product shots of one shape, lens or frame."""
    shots = [
        draw_product(product, np.random.default_rng(number), worn=False)
        for product in PRODUCTS
        if getattr(product, part) == name
        for number in range(8)
    ]
    mean: npt.NDArray[np.float64] = np.stack(shots).mean(axis=0)
    return mean


@pytest.mark.parametrize(
    ("part", "names"), [("shape", SHAPES), ("lens", LENSES), ("frame", FRAMES)]
)
def test_shapes_and_colours_differ(part: str, names: dict[str, object]) -> None:
    """Where the glasses are, the mean pictures of two kinds are far apart, compared with noise."""
    means = [mean_picture(name, part)[20:48, 8:56] for name in names]
    for place, one in enumerate(means):
        for other in means[:place]:
            assert np.abs(one - other).max() > 20


def test_what_is_drawn_again_leaves_no_picture_of_before(tmp_path: Path) -> None:
    made = draw_collection(tmp_path, pictures=2)
    mine = made.picture(PRODUCTS[0], 0).with_name("mine.png")
    mine.write_text("mine")
    draw_collection(tmp_path, pictures=1)
    assert mine.read_text() == "mine"
    assert not made.picture(PRODUCTS[0], 1).exists()
    assert sum(one.suffix == ".png" for one in made.pictures.rglob("*")) == 61


def test_every_picture_is_told(tmp_path: Path) -> None:
    told: list[None] = []
    draw_collection(tmp_path, pictures=1, on_picture=lambda: told.append(None))
    assert len(told) == 60


def test_a_folder_of_somebody_else_is_refused_untouched(tmp_path: Path) -> None:
    (tmp_path / "colour.csv").write_text("mine")
    with pytest.raises(FacecliError, match="holds files that are not drawn glasses") as caught:
        draw_collection(tmp_path)
    assert "\n" not in str(caught.value)
    assert contents(tmp_path) == {"colour.csv": b"mine"}
    outcome = run("demo", "--glasses", tmp_path)
    assert outcome.exit_code == 2
    assert outcome.stderr.count("\n") == 1


def test_a_file_in_the_place_of_the_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(FacecliError, match="taken"):
        draw_collection(tmp_path / "taken")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_one_line(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(FacecliError, match="Permission denied"):
        draw_collection(tmp_path / "new")


FULL_DISK = """
import resource, signal
from pathlib import Path
from facecli.errors import FacecliError
from facecli.training.glasses import draw_collection
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    draw_collection(Path({folder!r}), pictures=1)
except FacecliError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits the size of files as Unix does")
def test_a_picture_that_the_disk_does_not_take_is_named(tmp_path: Path) -> None:
    script = FULL_DISK.format(folder=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stderr == ""
    assert done.stdout.startswith(f"{tmp_path / 'pictures' / PRODUCTS[0].name / '00.png'}: ")
    assert (tmp_path / MARKER).exists(), "so that it can be drawn again"
    draw_collection(tmp_path, pictures=1)


def test_drawing_needs_no_torch() -> None:
    script = "import sys, facecli.training.glasses\nprint('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "False\n"


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the command draw two pictures of each product."""
    draw = draw_collection
    monkeypatch.setattr(glasses, "PICTURES", 2)
    monkeypatch.setattr(
        glasses,
        "draw_collection",
        lambda folder, on_picture: draw(folder, pictures=2, on_picture=on_picture),
    )


def test_the_command_draws_and_says_how_to_go_on(few: None, tmp_path: Path) -> None:
    folder = tmp_path / "my glasses"
    outcome = run("demo", "--glasses", folder)
    assert outcome.exit_code == 0, outcome.output
    assert f"{folder / 'pictures'}: 2 pictures of each of 60 products" in outcome.stdout
    typed = [line[2:] for line in outcome.stdout.splitlines() if line.startswith("$ ")]
    train, enroll, identify = map(shlex.split, typed)
    assert train[:3] == ["facecli", "train", str(folder / "pictures")]
    assert train[-6:-4] == ["--task", f"colour={folder / 'colour.csv'}:0-127"]
    assert train[-4:] == [
        "--task",
        f"shape={folder / 'shape.csv'}:128-255",
        "--out",
        "glasses.safetensors",
    ]
    assert enroll[1:3] == ["enroll", "round-clear-black"]
    assert Path(enroll[3]).is_file()
    assert Path(identify[2]).is_file()
    assert enroll[3] != identify[2]


def test_with_json_it_writes_one_record(few: None, tmp_path: Path) -> None:
    outcome = run("demo", "--json", "--glasses", tmp_path)
    assert outcome.exit_code == 0, outcome.output
    (record,) = map(json.loads, outcome.stdout.splitlines())
    assert record["kind"] == "glasses"
    assert (record["products"], record["pictures"]) == (60, 120)
    assert Path(record["folder"], "oval-blue-red", "01.png").is_file()
    assert Path(record["colour"]).is_file()
    assert Path(record["shape"]).is_file()
    assert [one.split()[1] for one in record["commands"]] == ["train", "enroll", "identify"]


def test_two_folders_at_once_are_refused(tmp_path: Path) -> None:
    outcome = run("demo", "--dir", tmp_path / "a", "--glasses", tmp_path / "b")
    assert outcome.exit_code == 2
    assert "leave out --dir" in outcome.stderr
    assert list(tmp_path.iterdir()) == []
