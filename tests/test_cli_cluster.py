"""`facecli cluster` as commands: albums that stay, corrections, exports and sidecars."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from fakes import FakeDetector, FakeEncoder, PaintedFace, paint
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from facecli.albums.sidecars.packet import EMPTY
from facecli.cli import cli
from facecli.cli.cluster import COMMANDS, cluster
from facecli.cli.settings import Settings
from facecli.stores.library import Library
from facecli.types import Detection, FloatArray, PixelArray

pytestmark = pytest.mark.base

Run = Callable[..., Result]
HOSTILE = 'Zoë <b>O\'Neil</b> & "Sons"'


@pytest.fixture
def shoebox(tmp_path: Path) -> Path:
    """Return a folder of three photos of Ada (cluster 1), two of Bob (2) and one of Cleo (3)."""
    folder = tmp_path / "shoebox"
    for number in range(3):
        paint(folder / f"a{number}.png", PaintedFace(0, 2 * number))
    for number in range(2):
        paint(folder / f"b{number}.png", PaintedFace(1, 3 * number))
    paint(folder / "c.png", PaintedFace(2))
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a cluster command with the fake networks."""

    def invoke(*arguments: object, library: str = "photos.db") -> Result:
        settings = Settings(detector=FakeDetector(), encoder=FakeEncoder())
        files = ["--db", str(tmp_path / "gallery.db"), "--library", str(tmp_path / library)]
        return CliRunner().invoke(cli, ["cluster", *map(str, arguments), *files], obj=settings)

    return invoke


def sorted_into(result: Result) -> dict[int, list[str]]:
    """Return the photos of each cluster by its number."""
    found: dict[int, list[str]] = {}
    for line in result.stdout.splitlines():
        record = json.loads(line)
        if record["kind"] == "clustered_face":
            found.setdefault(record["cluster"], []).append(Path(record["path"]).stem)
    return {number: sorted(photos) for number, photos in found.items()}


def names(result: Result) -> dict[int, str]:
    records = [json.loads(line) for line in result.stdout.splitlines()]
    return {one["cluster"]: one["name"] for one in records if one.get("name")}


def tree(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder with what it holds."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_help_lists_the_corrections_in_their_own_words() -> None:
    result = CliRunner().invoke(cli, ["cluster", "--help"], prog_name="facecli")
    assert "Usage: facecli cluster [OPTIONS] DIR|PHOTO… | COMMAND …" in result.stdout
    assert list(COMMANDS) == cluster.list_commands(None)  # type: ignore[arg-type]
    for name, line in COMMANDS.items():
        command = cluster.get_command(None, name)  # type: ignore[arg-type]
        assert command is not None
        assert (command.help or "").partition("\n")[0] == line


def test_the_word_photos_may_be_left_out_and_options_may_come_first(
    run: Run, shoebox: Path
) -> None:
    expected = {1: ["a0", "a1", "a2"], 2: ["b0", "b1"], 3: ["c"]}
    for arguments in ([shoebox, "--json"], ["photos", shoebox, "--json"], ["--json", shoebox]):
        assert sorted_into(run(*arguments)) == expected


def test_a_second_run_looks_at_new_photos_only(
    run: Run, shoebox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    look, embed = FakeDetector.detect, FakeEncoder.embed

    def looking(self: FakeDetector, pictures: Sequence[Image.Image]) -> list[list[Detection]]:
        seen.append(len(pictures))
        return look(self, pictures)

    def embedding(self: FakeEncoder, chips: Sequence[PixelArray]) -> FloatArray:
        seen.append(len(chips))
        return embed(self, chips)

    monkeypatch.setattr(FakeDetector, "detect", looking)
    monkeypatch.setattr(FakeEncoder, "embed", embedding)
    run(shoebox, "--workers", 1)
    assert sum(seen) == 12
    seen.clear()
    (shoebox / "c.png").rename(shoebox / "renamed.png")
    assert "6 faces in 6 photos: 2 people" in run(shoebox, "--workers", 1).stdout
    assert seen == []
    paint(shoebox / "new.png", PaintedFace(2, 1))
    assert "7 faces in 7 photos: 3 people" in run(shoebox, "--workers", 1).stdout
    assert sum(seen) == 2


def test_every_correction_holds_on_the_next_run_and_can_be_undone(run: Run, shoebox: Path) -> None:
    before = sorted_into(run(shoebox, "--json"))
    steps: list[tuple[list[object], str, dict[int, list[str]]]] = [
        (["merge", 1, 3], "clusters 3 are now 1", {1: ["a0", "a1", "a2", "c"], 2: ["b0", "b1"]}),
        (
            ["split", 1, shoebox / "a0.png", shoebox / "c.png"],
            "2 faces of cluster 1 are now 4",
            {1: ["a1", "a2"], 2: ["b0", "b1"], 4: ["a0", "c"]},
        ),
        (
            ["move", 4, 2, shoebox / "c.png"],
            "1 face of cluster 4 now in 2",
            {1: ["a1", "a2"], 2: ["b0", "b1", "c"], 4: ["a0"]},
        ),
        (
            ["not-same", 1, 4],
            "clusters 1 and 4 are different people",
            {1: ["a1", "a2"], 2: ["b0", "b1", "c"], 4: ["a0"]},
        ),
    ]
    for arguments, said, after in steps:
        result = run(*arguments)
        assert result.exit_code == 0
        assert re.search(said, result.stdout)
        assert sorted_into(run(shoebox, "--json")) == after
    log = run("log", "--json").stdout.splitlines()
    assert [json.loads(line)["said"].split()[0] for line in log] == [
        *("not-same", "move", "split", "merge")
    ]
    for arguments, _, _ in reversed(steps):
        assert str(arguments[0]) in run("undo").stdout
    assert sorted_into(run(shoebox, "--json")) == before
    assert run("undo").exit_code == 2
    assert "no corrections" in run("log").stdout


def test_a_name_shows_wherever_the_cluster_does(run: Run, shoebox: Path, tmp_path: Path) -> None:
    run(shoebox)
    assert HOSTILE in run("name", 1, HOSTILE).stdout
    assert HOSTILE in run(shoebox).stdout
    assert names(run(shoebox, "--json")) == {1: HOSTILE}
    rows = run(shoebox, "--csv").stdout.splitlines()
    assert rows[0].endswith(",squared_l2,name")
    assert sum(row.endswith('"Zoë <b>O\'Neil</b> & ""Sons"""') for row in rows) == 3
    result = run("name", 2, 'ZOË <B>O\'NEIL</B> & "SONS"')
    assert (result.exit_code, "is cluster 1 already" in result.stderr) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["merge", "1"], "Missing argument"),
        (["merge", "1", "9"], "cluster 9: there is none"),
        (["name", "0", "Ada"], "0 is not in the range"),
        (["split", "1", "absent.png"], "does not exist"),
        (["shoebox", "--k", "no"], "neither a number nor auto"),
        (["shoebox", "--copy"], "--copy needs --export"),
    ],
)
def test_mistakes_are_one_line_and_exit_with_2(
    run: Run, shoebox: Path, arguments: list[str], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shoebox.parent)
    run(shoebox)
    result = run(*arguments)
    assert result.exit_code == 2
    assert reason in result.stderr
    assert "Traceback" not in result.output


def test_corrections_need_a_library(run: Run) -> None:
    result = run("undo")
    assert result.exit_code == 2
    assert "there is none" in result.stderr


def test_strangers_beyond_a_screenful_are_counted(run: Run, tmp_path: Path) -> None:
    for number in range(22):
        side = PaintedFace(number % 16, 40 * (number // 16))
        paint(tmp_path / "crowd" / f"{number:02}.png", side)
    result = run(tmp_path / "crowd")
    assert "19.png" in result.stdout
    assert "20.png" not in result.stdout
    assert "  and 2 more, whom --csv and --report list" in result.stdout
    assert len(run(tmp_path / "crowd", "--csv").stdout.splitlines()) == 23


# Exports


def test_a_dry_run_writes_nothing_and_says_what_would_be(
    run: Run, shoebox: Path, tmp_path: Path
) -> None:
    result = run(shoebox, "--export", tmp_path / "out", "--dry-run")
    assert result.exit_code == 0
    assert "person-1/a0.png" in result.stdout
    assert "6 links to write" in result.stdout
    assert not (tmp_path / "out").exists()


def test_people_with_names_have_folders_of_their_names(
    run: Run, shoebox: Path, tmp_path: Path
) -> None:
    run(shoebox)
    for number, name in ((1, "../../evil/x"), (2, "person-1"), (3, "Cleo.")):
        assert run("name", number, name).exit_code == 0
    run(shoebox, "--export", tmp_path / "out")
    folders = {path.name for path in (tmp_path / "out").iterdir() if path.is_dir()}
    assert folders == {"_.._evil_x", "_person-1", "Cleo"}


def test_copies_are_written_once_and_edited_ones_are_not_overwritten(
    run: Run, shoebox: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert "6 copies written" in run(shoebox, "--export", out, "--copy").stdout
    copy = out / "person-1" / "a0.png"
    assert not copy.is_symlink()
    before = copy.stat().st_ino
    run(shoebox, "--export", out, "--copy")
    assert copy.stat().st_ino == before, "not written again"
    copy.write_bytes(b"edited by hand")
    result = run(shoebox, "--export", out, "--copy")
    assert result.exit_code == 2
    assert "a0.png: exists and is not from an export" in result.stderr
    assert copy.read_bytes() == b"edited by hand"


# Sidecars


def test_a_full_disk_is_named_with_the_export(
    run: Run, shoebox: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What fails while it writes does not say by itself where."""

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    result = run(shoebox, "--export", tmp_path / "out")
    assert result.exit_code == 2
    assert f"{tmp_path / 'out'}: No space left on device" in result.stderr


def test_names_go_to_sidecars_and_come_back(run: Run, shoebox: Path) -> None:
    run(shoebox)
    run("name", 1, HOSTILE)
    assert "3 sidecars to write" in run(shoebox, "--xmp", "--dry-run").stdout
    assert not list(shoebox.glob("*.xmp"))
    assert "3 sidecars written" in run(shoebox, "--xmp").stdout
    written = tree(shoebox)
    assert {name for name in written if name.endswith(".xmp")} == {
        f"a{number}.png.xmp" for number in range(3)
    }
    assert "0 sidecars written" in run(shoebox, "--xmp").stdout
    assert tree(shoebox) == written
    result = run(shoebox, "--from-xmp", "--json", library="another.db")
    assert names(result) == {1: HOSTILE}
    assert "3 faces named by sidecars" in result.stderr
    again = run(shoebox, "--from-xmp", library="another.db")
    assert "0 faces named by sidecars" in again.stderr
    run("undo", library="another.db")
    assert names(run(shoebox, "--json", library="another.db")) == {}


def test_a_new_sidecar_keeps_what_the_photo_itself_says(run: Run, shoebox: Path) -> None:
    """Beside a sidecar digiKam no longer looks for a title or a rating in the photo."""
    photo = shoebox / "a0.png"
    text = PngInfo()
    text.add_itxt("XML:com.adobe.xmp", EMPTY.replace("<rdf:RDF", "<!-- kept --><rdf:RDF"))
    Image.open(photo).save(photo, pnginfo=text)
    run(shoebox)
    run("name", 1, "Ada")
    run(shoebox, "--xmp")
    kept = {path.stem: "kept" in path.read_text() for path in shoebox.glob("*.xmp")}
    assert kept == {"a0.png": True, "a1.png": False, "a2.png": False}


def test_names_by_sidecars_bind_and_part_faces(run: Run, shoebox: Path) -> None:
    """Two alike are said to be different people, and two unlike ones to be one."""
    run(shoebox)
    run("split", 1, shoebox / "a2.png")
    run("name", 1, "Ada")
    run("name", 4, "Her twin")
    run("merge", 2, 3)
    run("name", 2, "Bob")
    run(shoebox, "--xmp")
    result = run(shoebox, "--from-xmp", "--json", library="another.db")
    assert sorted(sorted_into(result).values()) == [["a0", "a1"], ["a2"], ["b0", "b1", "c"]]


def test_a_photo_that_cannot_be_read_is_named_even_where_nobody_is_found(
    run: Run, tmp_path: Path
) -> None:
    for command in ((), ("review",)):
        result = run(*command, tmp_path / "nowhere")
        assert result.exit_code == 2
        assert "nowhere: no such file or directory" in result.stderr
        assert "no face in 1 photo\n" in result.stderr


def test_a_folder_called_photos_is_told_from_the_command(run: Run) -> None:
    result = run("photos")
    assert result.exit_code == 2
    assert "A folder called photos is written ./photos." in result.stderr


def test_what_facecli_wrote_itself_overrules_no_correction(run: Run, shoebox: Path) -> None:
    """Sidecars written before a correction still say otherwise; what others changed counts."""
    run(shoebox)
    run("name", 1, "Ada")
    run("name", 2, "Bob")
    run(shoebox, "--xmp")
    run("split", 1, shoebox / "a2.png")
    run("name", 2, "Robert")
    result = run(shoebox, "--from-xmp", "--json")
    assert "0 faces named by sidecars" in result.stderr
    assert names(result) == {1: "Ada", 2: "Robert"}
    assert sorted(sorted_into(result).values()) == [["a0", "a1"], ["a2"], ["b0", "b1"], ["c"]]
    sidecar = shoebox / "a2.png.xmp"
    sidecar.write_text(sidecar.read_text().replace(">Ada<", ">Eve<", 1))
    result = run(shoebox, "--from-xmp", "--json")
    assert "Eve" in names(result).values()


def test_a_sideways_photo_is_described_as_it_is_stored(run: Run, shoebox: Path) -> None:
    with Image.open(paint(shoebox / "d.png", PaintedFace(3))) as picture:
        turned = picture.transpose(Image.Transpose.ROTATE_90)
    turned.getexif()[0x0112] = 6
    turned.save(shoebox / "d.png", exif=turned.getexif())
    run(shoebox)
    numbers = sorted_into(run(shoebox, "--json"))
    (number,) = [number for number, photos in numbers.items() if photos == ["d"]]
    run("name", number, "Dot")
    run(shoebox, "--xmp")
    text = (shoebox / "d.png.xmp").read_text()
    shares = {key: float(re.search(rf"<stArea:{key} [^>]*>([^<]*)", text)[1]) for key in "xywh"}  # type: ignore[index]
    # Upright 400 by 240, the face at 40 to 160 both ways; stored it lies on its left side.
    expected = {"x": 100 / 240, "y": 1 - 100 / 400, "w": 120 / 240, "h": 120 / 400}
    assert shares == pytest.approx(expected, abs=0.02)
    assert "<stDim:w xmlns:stDim=" in text
    assert re.search(r"<stDim:w [^>]*>240<", text)
    result = run(shoebox, "--from-xmp", "--json", library="another.db")
    assert list(names(result).values()) == ["Dot"]


def test_sidecars_that_cannot_be_used_are_named_and_never_fatal(run: Run, shoebox: Path) -> None:
    run(shoebox)
    run("name", 1, "Ada")
    run(shoebox, "--xmp")
    (shoebox / "a0.png.xmp").write_bytes(b"<!DOCTYPE x><x/>")
    result = run(shoebox, "--from-xmp")
    assert result.exit_code == 0
    assert "a0.png.xmp: holds a document type" in result.stderr
    result = run(shoebox, "--xmp")
    assert result.exit_code == 2
    assert (shoebox / "a0.png.xmp").read_bytes() == b"<!DOCTYPE x><x/>"


def test_a_photo_with_no_room_for_a_sidecar_s_name_keeps_no_other_from_one(
    run: Run, shoebox: Path
) -> None:
    """File names have 255 bytes at most, and a sidecar's is four longer than the photo's."""
    long = (shoebox / "a0.png").rename(shoebox / f"{'a' * 248}.png")
    run(shoebox)
    run("name", 1, "Ada")
    result = run(shoebox, "--xmp")
    assert result.exit_code == 2
    assert "2 sidecars written" in result.stdout
    assert f"{long}.xmp: " in result.stderr
    assert "0 faces named by sidecars" in run(shoebox, "--from-xmp").stderr


def test_a_name_twice_in_a_photo_and_one_without_a_face_are_reported(
    run: Run, shoebox: Path
) -> None:
    paint(shoebox / "e.png", PaintedFace(4), PaintedFace(5, left=220))
    numbers = sorted_into(run(shoebox, "--json"))
    for name, number in zip(
        ("Ada", "Eve"), [one for one, photos in numbers.items() if photos == ["e"]], strict=True
    ):
        run("name", number, name)
    run(shoebox, "--xmp")
    sidecar = shoebox / "e.png.xmp"
    sidecar.write_text(sidecar.read_text().replace("Eve", "Ada"))
    result = run(shoebox, "--from-xmp", "--json", library="another.db")
    assert names(result) == {}
    assert result.stderr.count("Ada is in it 2 times") == 2
    paint(shoebox / "e.png", PaintedFace(4, left=260))
    result = run(shoebox, "--from-xmp", "--json", library="third.db")
    assert names(result) == {}


def test_the_other_way_to_name_a_sidecar_is_kept_where_it_is_clear(run: Run, shoebox: Path) -> None:
    run(shoebox)
    run("name", 1, "Ada")
    run(shoebox, "--xmp")
    (shoebox / "a0.png.xmp").rename(shoebox / "a0.xmp")
    assert "0 sidecars written" in run(shoebox, "--xmp").stdout
    paint(shoebox / "a0.bmp", PaintedFace(9))
    assert "1 sidecar written" in run(shoebox, "--xmp").stdout
    assert (shoebox / "a0.png.xmp").exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_a_sidecar_keeps_its_mode(run: Run, shoebox: Path) -> None:
    run(shoebox)
    run("name", 1, "Ada")
    run(shoebox, "--xmp")
    (shoebox / "a0.png.xmp").chmod(0o600)
    run("name", 1, "Countess")
    assert "3 sidecars written" in run(shoebox, "--xmp").stdout
    assert (shoebox / "a0.png.xmp").stat().st_mode & 0o777 == 0o600


def test_forgetting_photos_forgets_what_was_said_of_them(
    run: Run, shoebox: Path, tmp_path: Path
) -> None:
    run(shoebox)
    run("name", 1, "Ada")
    run("merge", 2, 3)
    with Library(tmp_path / "photos.db") as library:
        library.forget([shoebox])
        tables = ("sighting", "fact", "correction", "move")
        with library.reading() as connection:
            counts: list[Any] = [
                connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
                for table in tables
            ]
    assert counts == [0, 0, 0, 0]
    assert b"Ada" not in (tmp_path / "photos.db").read_bytes()


# Enrolling from a cluster


def enroll(tmp_path: Path, *arguments: object) -> Result:
    settings = Settings(detector=FakeDetector(), encoder=FakeEncoder())
    files = ["--db", str(tmp_path / "gallery.db"), "--library", str(tmp_path / "photos.db")]
    texts = ["enroll", *map(str, arguments), *files]
    return CliRunner().invoke(cli, texts, obj=settings)


def test_a_cluster_is_enrolled_and_then_names_itself(
    run: Run, shoebox: Path, tmp_path: Path
) -> None:
    paint(shoebox / "blurred.png", PaintedFace(0, 3, blurred=True))
    for number in range(4):
        paint(shoebox / f"more{number}.png", PaintedFace(0, 1 + number))
    run(shoebox)
    result = enroll(tmp_path, "--from-cluster", 1, "Ada Lovelace")
    assert result.exit_code == 0
    assert "5 of 5 photos enrolled, 1 person" in result.stdout
    assert "blurred" not in result.stdout
    records = [json.loads(line) for line in run(shoebox, "--json").stdout.splitlines()]
    named = {one["cluster"]: one["enrolled"] for one in records if one.get("name")}
    assert named == {1: True}
    again = enroll(tmp_path, "--from-cluster", 1, "Ada Lovelace")
    assert (again.exit_code, "0 of 5 photos enrolled" in again.stdout) == (0, True)


def test_enrolling_from_a_cluster_says_why_not(run: Run, shoebox: Path, tmp_path: Path) -> None:
    paint(shoebox / "dim.png", PaintedFace(6, dark=True))
    assert "there is none" in enroll(tmp_path, "--from-cluster", 1, "Ada").stderr
    assert not (tmp_path / "gallery.db").exists()
    numbers = sorted_into(run(shoebox, "--json"))
    (dim,) = [number for number, photos in numbers.items() if photos == ["dim"]]
    for arguments, reason in (
        (["--from-cluster", dim, "Dot"], "dark: mean grey"),
        (["--from-cluster", 99, "Dot"], "cluster 99: there is none"),
        (["--from-cluster", 1], "takes NAME"),
        (["--from-cluster", 1, "Ada", shoebox / "a0.png"], "takes NAME, and no photos"),
    ):
        result = enroll(tmp_path, *arguments)
        assert result.exit_code == 2
        assert reason in result.stderr


def test_a_look_alike_is_not_enrolled_from_a_cluster(
    run: Run, shoebox: Path, tmp_path: Path
) -> None:
    enroll(tmp_path, "Eve", paint(tmp_path / "eve.png", PaintedFace(0, 4)))
    run(shoebox)
    result = enroll(tmp_path, "--from-cluster", 1, "Ada")
    assert result.exit_code == 2
    assert "looks like Eve" in result.stdout
