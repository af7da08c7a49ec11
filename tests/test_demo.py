"""`facecli demo` works as the README says, and notices when something comes out wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from facecli.cli import cli
from facecli.cli import demo as command
from facecli.cli.settings import Settings
from facecli.demo import SITTERS, TAKES, Stage, set_the_stage
from facecli.errors import FacecliError

pytestmark = [pytest.mark.network, pytest.mark.base]


NUMBER = re.compile(r"\d+\.\d+")
TOLERANCE = 0.02
"""Squared L2 by which two machines may differ: detectors round differently on tiny pictures."""


@pytest.fixture(scope="module")
def shared_networks() -> Settings:
    settings = Settings()
    settings.detector()
    settings.encoder()
    return settings


@pytest.fixture
def settings(shared_networks: Settings) -> Settings:
    return shared_networks.for_another_command(hear=lambda _: None)


@pytest.fixture(scope="module")
def showing(
    shared_networks: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, Result]]:
    """Run the demo as the README says, in an empty folder, and return the folder it made."""
    settings = shared_networks.for_another_command(hear=lambda _: None)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("elsewhere"))
        yield Path("facecli-demo").absolute(), CliRunner().invoke(cli, ["demo"], obj=settings)


def test_the_demo_comes_out_right_and_leaves_the_gallery_where_it_says(
    showing: tuple[Path, Result],
) -> None:
    folder, outcome = showing
    assert outcome.exit_code == 0, outcome.output
    assert "All of it came out right. The gallery is facecli-demo/gallery.db" in outcome.stdout
    listed = CliRunner().invoke(cli, ["people", "list", "--json", "--db", f"{folder}/gallery.db"])
    names = [json.loads(line)["name"] for line in listed.stdout.splitlines()]
    assert names == ["Eileen Collins", "Grace Hopper"]
    commands = [line for line in outcome.stdout.splitlines() if line.startswith("$ facecli")]
    assert len(commands) == 8 + 1


def test_the_readme_shows_what_the_demo_prints(showing: tuple[Path, Result]) -> None:
    readme = Path(__file__).resolve().parents[1].joinpath("README.md").read_text(encoding="utf-8")
    excerpt = readme.split("```text\n")[1].split("```")[0].splitlines()
    printed = {NUMBER.sub("#", line): line for line in showing[1].stdout.splitlines()}
    for line in filter(None, excerpt):
        assert NUMBER.sub("#", line) in printed
        for ours, theirs in zip(
            NUMBER.findall(line), NUMBER.findall(printed[NUMBER.sub("#", line)]), strict=True
        ):
            assert float(ours) == pytest.approx(float(theirs), abs=TOLERANCE), line


def test_the_picture_shows_what_the_demo_prints(showing: tuple[Path, Result]) -> None:
    """If this fails: python docs/images/draw_demo.py."""
    drawing = Path(__file__).resolve().parents[1] / "docs" / "images" / "demo.svg"
    texts = {
        element.get("id", ""): element.text or ""
        for element in ElementTree.parse(drawing).iter("{http://www.w3.org/2000/svg}text")
    }
    printed = showing[1].stdout
    shown = {
        name: rf"{name}\.\w+: [\w ]+, squared L2 ([\d.]+)"
        for name in (Path(path).stem for path in Stage(Path("facecli-demo")).sitters_by_take())
    }
    shown["different"] = r"different people: squared L2 ([\d.]+)"
    for name, line in shown.items():
        found = re.search(line, printed)
        assert found is not None
        drawn = float(NUMBER.findall(texts[name])[0])
        assert drawn == pytest.approx(float(found[1]), abs=TOLERANCE), name


def test_run_again_in_its_own_folder_and_with_json_it_writes_json_lines_alone(
    showing: tuple[Path, Result], settings: Settings
) -> None:
    folder, _ = showing
    outcome = CliRunner().invoke(cli, ["demo", "--json", "--dir", str(folder)], obj=settings)
    assert outcome.exit_code == 0, outcome.output
    records = [json.loads(line) for line in outcome.stdout.splitlines()]
    assert all(record["schema"] == 1 for record in records)
    assert records[-1]["kind"] == "demo"
    assert records[-1]["right"] is True
    assert sum(record["kind"] == "demo_step" for record in records) == 8


def test_a_wrong_answer_ends_the_demo_with_1(tmp_path: Path, settings: Settings) -> None:
    """With a threshold of 0 nothing but the very same picture matches."""
    outcome = CliRunner().invoke(
        cli, ["demo", "--dir", str(tmp_path), "--threshold", "0"], obj=settings
    )
    assert outcome.exit_code == 1
    assert "came out wrong: identify" in outcome.stderr
    assert "All of it came out right." not in outcome.stdout


def test_takes_are_what_their_names_say(tmp_path: Path) -> None:
    stage = set_the_stage(tmp_path)
    for sitter in SITTERS:
        with Image.open(stage.portrait(sitter)) as portrait:
            sizes = {}
            for name in TAKES:
                with Image.open(stage.take(sitter, name)) as take:
                    sizes[name] = take.size
                    assert take.mode == "RGB"
        assert sizes.pop("80px") == (80, 80)
        assert set(sizes.values()) == {portrait.size}
    assert len(stage.sitters_by_take()) == 10


def test_a_folder_with_someone_elses_files_is_refused_untouched(tmp_path: Path) -> None:
    precious = tmp_path / "takes" / "grace-tilted.png"
    precious.parent.mkdir()
    precious.write_text("mine")
    with pytest.raises(FacecliError, match="--dir"):
        set_the_stage(tmp_path)
    assert precious.read_text() == "mine"


def test_setting_the_stage_again_keeps_files_that_are_not_the_demos(tmp_path: Path) -> None:
    set_the_stage(tmp_path)
    (tmp_path / "takes" / "my-own.jpg").write_text("mine")
    (tmp_path / "gallery.db").write_text("of the last run")
    stage = set_the_stage(tmp_path)
    assert (tmp_path / "takes" / "my-own.jpg").read_text() == "mine"
    assert not stage.database.exists()


def faces(stage: Stage, labels: Callable[[str, str], int]) -> list[dict[str, Any]]:
    return [
        {"kind": "clustered_face", "path": path, "cluster": labels(path, name)}
        for path, name in stage.sitters_by_take().items()
    ]


@pytest.mark.parametrize(
    ("labels", "right"),
    [
        (lambda path, name: int("Grace" in name), True),
        (lambda path, name: 0, False),
        (lambda path, name: int("80px" in path), False),
        (lambda path, name: int("Grace" in name) + 2 * ("80px" in path), False),
    ],
    ids=["one each", "all in one", "mixed", "split"],
)
def test_only_one_group_a_sitter_is_right(
    labels: Callable[[str, str], int], right: bool, tmp_path: Path
) -> None:
    stage = Stage(tmp_path)
    assert command._sorted_right(stage, faces(stage, labels)) is right


def test_a_missing_take_or_a_wrong_name_is_not_right(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    records = [{"path": path, "person": name} for path, name in stage.sitters_by_take().items()]
    assert command._named_right(stage, records)
    assert not command._named_right(stage, records[1:])
    assert not command._named_right(stage, [records[0] | {"person": None}, *records[1:]])
    assert not command._sorted_right(stage, faces(stage, lambda _, name: len(name))[1:])
