"""--annotate: boxes and names on pictures and films, in their places, over no other file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from click.testing import CliRunner, Result
from fakes import FakeDetector, FakeEncoder, PaintedFace, paint, pixels_of
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageChops

from facecli.cli import cli
from facecli.cli.settings import Settings
from facecli.errors import FacecliError
from facecli.gate.types import TrackedFace
from facecli.report.annotation import Annotations
from facecli.report.drawing import BLUE, GREEN, RED, Mark, colour_of, draw, spelled
from facecli.report.film import Film
from facecli.types import Box

pytestmark = pytest.mark.base

Run = Callable[..., Result]
BOX: Box = (40.0, 100.0, 160.0, 220.0)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def invoke(*arguments: object, stdin: bytes | None = None) -> Result:
        settings = Settings(detector=FakeDetector(), encoder=FakeEncoder())
        texts = [*map(str, arguments), "--db", str(tmp_path / "gallery.db")]
        return CliRunner().invoke(cli, texts, obj=settings, input=stdin)

    return invoke


@pytest.fixture
def enrolled(run: Run, tmp_path: Path) -> None:
    paint(tmp_path / "people" / "Ada.png", PaintedFace(0))
    assert run("enroll", "--from", tmp_path / "people").exit_code == 0


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    face = PaintedFace(0, 3, top=100)
    paint(folder / "ada.png", face, PaintedFace(7, left=220, top=100, side=100))
    paint(folder / "below" / "ada.png", face)
    paint(folder / "nobody.png")
    (folder / "broken.png").write_bytes(b"no picture")
    return folder


def pixel(picture: Image.Image, x: float, y: float) -> tuple[int, int, int]:
    return cast("tuple[int, int, int]", picture.getpixel((round(x), round(y))))


def opened(path: Path) -> Image.Image:
    return Image.open(path).convert("RGB")


def hashes(folder: Path) -> dict[Path, str]:
    return {
        path: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


class TestDrawing:
    def test_a_box_is_around_its_face_and_the_label_above_it(self) -> None:
        picture = Image.new("RGB", (400, 300), "white")
        draw(picture, [Mark(("Ada", "squared L2 0.100"), GREEN, BOX)])
        for x, y in ((40, 150), (160, 150), (100, 100), (100, 220)):
            assert pixel(picture, x, y) == GREEN
        assert pixel(picture, 100, 150) == (255, 255, 255)
        label = picture.crop((40, 60, 160, 100))
        assert {GREEN, (255, 255, 255)} <= set(_pixels(label))
        assert pixel(picture, 100, 240) == (255, 255, 255)

    def test_without_room_above_it_is_below(self) -> None:
        picture = Image.new("RGB", (400, 300), "white")
        draw(picture, [Mark(("Ada",), RED, (40.0, 5.0, 160.0, 120.0))])
        assert pixel(picture, 42, 130) == RED

    @given(
        size=st.tuples(st.integers(1, 300), st.integers(1, 300)),
        corners=st.lists(st.floats(-1e4, 1e4), min_size=4, max_size=4),
        name=st.text(max_size=300),
    )
    def test_no_box_and_no_name_breaks_it(
        self, size: tuple[int, int], corners: list[float], name: str
    ) -> None:
        left, right = sorted(corners[:2])
        top, bottom = sorted(corners[2:])
        picture = Image.new("RGB", size)
        draw(picture, [Mark((name, "squared L2 0.1"), BLUE, (left, top, right, bottom))])
        draw(picture, [Mark((name,), BLUE)])
        assert picture.size == size

    @pytest.mark.parametrize(
        ("name", "drawn"),
        [
            ("Zoë O'Neil", "Zoe O'Neil"),
            ("Łukasz Søren Weiß", "Lukasz Soren Weiss"),
            ("王小明", r"\u738b\u5c0f\u660e"),
            ("a\u202eb\nc", r"a\u202eb\nc"),
            ("😀", r"\U0001f600"),
        ],
    )
    def test_text_is_text(self, name: str, drawn: str) -> None:
        """Two names that the font cannot tell apart would be worse than an escape."""
        assert spelled(name) == drawn

    def test_a_long_name_does_not_hide_the_picture(self) -> None:
        picture = Image.new("RGB", (400, 300), "white")
        draw(picture, [Mark(("x" * 5000,), GREEN, BOX)])
        assert pixel(picture, 200, 250) == (255, 255, 255)

    def test_numbers_have_colours_of_their_own(self) -> None:
        assert len({colour_of(number) for number in range(100)}) == 100


class TestPlaces:
    def test_one_photo_goes_to_a_file_of_the_users_own(
        self, run: Run, enrolled: None, photos: Path, tmp_path: Path
    ) -> None:
        before, out = hashes(photos), tmp_path / "out.png"
        done = run("identify", photos / "ada.png", "--annotate", out)
        assert done.exit_code == 1, done.output
        picture = opened(out)
        assert picture.size == opened(photos / "ada.png").size
        assert pixel(picture, 40, 150) == GREEN
        assert pixel(picture, 220, 150) == RED
        assert out.stat().st_mode & 0o777 == 0o600
        assert hashes(photos) == before

    def test_a_folder_goes_to_a_folder(
        self, run: Run, enrolled: None, photos: Path, tmp_path: Path
    ) -> None:
        """Photos of one name get names of their own; one that cannot be read costs no other."""
        done = run("identify", photos, "--annotate", tmp_path / "out")
        assert done.exit_code == 2
        made = {path.name for path in (tmp_path / "out").iterdir()}
        assert made == {"ada.png", "ada (2).png", "nobody.png"}
        same = opened(photos / "nobody.png")
        assert ImageChops.difference(opened(tmp_path / "out" / "nobody.png"), same).getbbox()

    def test_a_photo_that_is_given_twice_is_there_twice(
        self, run: Run, enrolled: None, photos: Path, tmp_path: Path
    ) -> None:
        photo = photos / "ada.png"
        assert run("identify", photo, photo, "--annotate", tmp_path / "out").exit_code == 1
        assert len(list((tmp_path / "out").iterdir())) == 2

    @pytest.mark.parametrize("command", ["identify", "embed", "cluster"])
    @pytest.mark.parametrize(
        ("out", "said"),
        [
            ("photos/ada.png", "exists already"),
            ("link.png", "exists already"),
            ("out.gif", "must end in"),
            ("none/out.png", "there is no folder"),
        ],
    )
    def test_no_file_is_overwritten(
        self, command: str, out: str, said: str, run: Run, enrolled: None, photos: Path
    ) -> None:
        (photos.parent / "link.png").symlink_to(photos / "ada.png")
        before = hashes(photos)
        given = photos / "below" / "ada.png"
        done = run(command, given, "--annotate", photos.parent / out)
        assert done.exit_code == 2
        assert done.stderr.count("\n") == 1
        assert said in done.stderr
        assert hashes(photos) == before

    @pytest.mark.parametrize("command", ["identify", "embed", "cluster"])
    @pytest.mark.parametrize(
        ("out", "said"),
        [
            ("photos", "whose photos are read"),
            ("photos/out", "whose photos are read"),
            ("people", "not empty"),
            ("gallery.db", "it is a file"),
        ],
    )
    def test_no_folder_with_anything_in_it_is_written_to(
        self, command: str, out: str, said: str, run: Run, enrolled: None, photos: Path
    ) -> None:
        before = hashes(photos.parent)
        done = run(command, photos, "--annotate", photos.parent / out)
        assert done.exit_code == 2
        assert said in done.stderr
        assert hashes(photos.parent) == before

    def test_a_turned_photo_comes_out_upright(
        self, run: Run, enrolled: None, tmp_path: Path
    ) -> None:
        upright = Image.fromarray(pixels_of(PaintedFace(0, top=100)))
        exif = Image.Exif()
        exif[0x0112] = 6
        stored = upright.transpose(Image.Transpose.ROTATE_90)
        stored.save(tmp_path / "turned.png", exif=exif)
        out = tmp_path / "out.png"
        assert run("identify", tmp_path / "turned.png", "--annotate", out).exit_code == 0
        picture = Image.open(out)
        assert picture.size == upright.size
        assert picture.getexif().get(0x0112, 1) == 1
        assert pixel(picture.convert("RGB"), 40, 150) == GREEN

    def test_a_picture_on_stdin(self, run: Run, enrolled: None, photos: Path) -> None:
        out = photos.parent / "out.webp"
        data = (photos / "below" / "ada.png").read_bytes()
        assert run("identify", "-", "--annotate", out, stdin=data).exit_code == 0
        assert Image.open(out).size == (400, 240)

    def test_a_format_that_is_not_written_becomes_jpeg(self, tmp_path: Path) -> None:
        source = tmp_path / "a.gif"
        Image.new("RGB", (60, 40)).save(source)
        annotations = Annotations(tmp_path / "out", [tmp_path / "a.gif", tmp_path / "b.gif"])
        assert annotations.write(source, []).name == "a.jpg"

    def test_a_photo_too_large_for_its_format_is_one_line(
        self, run: Run, enrolled: None, tmp_path: Path
    ) -> None:
        Image.new("RGB", (20_000, 10)).save(tmp_path / "wide.png")
        done = run("embed", tmp_path / "wide.png", "--annotate", tmp_path / "out.webp")
        assert done.exit_code == 2
        assert "no WEBP can have 20000×10 pixels" in done.stderr
        assert not (tmp_path / "out.webp").exists()


def test_embed_numbers_faces_as_its_records_do(run: Run, photos: Path, tmp_path: Path) -> None:
    done = run("embed", photos / "ada.png", "--annotate", tmp_path / "out.png")
    assert done.exit_code == 0
    assert pixel(opened(tmp_path / "out.png"), 220, 150) == BLUE


def test_cluster_gives_each_person_a_colour(run: Run, photos: Path, tmp_path: Path) -> None:
    done = run("cluster", photos, "--annotate", tmp_path / "out")
    assert done.exit_code == 2
    assert pixel(opened(tmp_path / "out" / "ada.png"), 40, 150) == colour_of(1)
    assert pixel(opened(tmp_path / "out" / "ada.png"), 220, 150) == colour_of(2)
    assert pixel(opened(tmp_path / "out" / "ada (2).png"), 40, 150) == colour_of(1)


def test_a_dry_run_of_cluster_writes_no_pictures(run: Run, photos: Path, tmp_path: Path) -> None:
    done = run("cluster", photos, "--xmp", "--dry-run", "--annotate", tmp_path / "out")
    assert done.exit_code == 2
    assert "excludes --annotate" in done.stderr


def face(track: int, left: float, state: str = "match", person: str | None = "Ada") -> TrackedFace:
    return TrackedFace(track, (left, 50.0, left + 60, 110.0), state, person, 0.1)


class TestFilm:
    """Frames of 320 by 240 at 10 a second, of which every fifth is looked at."""

    @pytest.fixture
    def source(self, tmp_path: Path) -> Path:
        cv2 = pytest.importorskip("cv2")
        path = tmp_path / "source.avi"
        # Every pixel is kept.
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"PNG "), 10, (400, 240))
        for number in range(20):
            moved = PaintedFace(0, left=40 + 4 * number, top=100)
            writer.write(pixels_of(*([moved] if number < 14 else []))[..., ::-1])
        writer.release()
        return path

    def frames_of(self, path: Path) -> list[Image.Image]:
        import cv2

        capture = cv2.VideoCapture(str(path))
        found = []
        while (read := capture.read())[0]:
            found.append(Image.fromarray(np.ascontiguousarray(read[1][..., ::-1])))
        capture.release()
        return found

    def made(self, source: Path, looks: dict[int, list[TrackedFace]]) -> list[Image.Image]:
        out = source.with_name("out.mp4")
        with Film(out, str(source)) as film:
            for number in range(12):
                film.add(number / 10, Image.new("RGB", (320, 240), "white"), looks.get(number))
        assert out.stat().st_mode & 0o777 == 0o600
        assert sorted(path.name for path in out.parent.iterdir()) == ["out.mp4", source.name]
        return self.frames_of(out)

    def test_boxes_move_with_the_face_between_two_looks(self, source: Path) -> None:
        frames = self.made(source, {0: [face(1, 20)], 5: [face(1, 120)], 10: [face(1, 120)]})
        assert len(frames) == 12
        for number, left in ((0, 20), (3, 80), (5, 120), (7, 120), (10, 120)):
            assert near(pixel(frames[number], left + 1, 90), GREEN), number

    def test_no_name_stays_where_its_face_has_left(self, source: Path) -> None:
        """The face is gone, or the answer is another one: nothing is drawn between the looks."""
        other = face(2, 20, "unknown", None)
        for after in ([], [other], [face(1, 20, "ambiguous", None)]):
            frames = self.made(source, {0: [face(1, 20)], 5: after})
            assert near(pixel(frames[0], 21, 90), GREEN)
            for number in (1, 2, 3, 4, 6, 11):
                assert near(pixel(frames[number], 21, 90), (255, 255, 255)), number
            source.with_name("out.mp4").unlink()

    def test_a_failure_leaves_no_film(self, source: Path) -> None:
        def fail() -> None:
            with Film(source.with_name("out.mp4"), str(source)) as film:
                film.add(0.0, Image.new("RGB", (320, 240)), [])
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail()
        assert [path.name for path in source.parent.iterdir()] == [source.name]

    def test_a_film_that_appeared_meanwhile_is_kept(self, source: Path) -> None:
        out = source.with_name("out.mp4")

        def meet() -> None:
            with Film(out, str(source)) as film:
                film.add(0.0, Image.new("RGB", (320, 240)), [])
                out.write_text("mine")

        with pytest.raises(FacecliError, match="exists"):
            meet()
        assert out.read_text() == "mine"

    def test_strange_times_make_no_endless_film(self, source: Path) -> None:
        out = source.with_name("out.mp4")
        with Film(out, str(source)) as film:
            for at in (0.0, 0.1, 0.1001, 1e9, 1e9 + 0.1):
                film.add(at, Image.new("RGB", (321, 241)), [])
        assert film.frames <= 110
        assert self.frames_of(out)[0].size == (320, 240)

    def test_the_gate_annotates_a_video(self, run: Run, enrolled: None, source: Path) -> None:
        out = source.with_name("out.mp4")
        log = source.with_name("log.db")
        words = ["identify", "--source", source, "--confirm", 1, "--log", log, "--annotate", out]
        done = run(*words)
        assert done.exit_code == 0, done.output
        assert "20 frames" in done.stderr
        frames = self.frames_of(out)
        assert len(frames) == 20
        assert near(pixel(frames[2], 49, 150), GREEN)
        assert near(pixel(frames[3], 53, 150), GREEN)
        assert near(pixel(frames[18], 100, 150), (90, 90, 90))
        assert run(*words).exit_code == 2

    @pytest.mark.parametrize("other", [".", "-", "0", "rtsp://localhost/x"])
    def test_only_a_video_has_an_end(self, other: str, run: Run, tmp_path: Path) -> None:
        done = run("identify", "--source", other, "--annotate", tmp_path / "out.mp4")
        assert done.exit_code == 2
        assert "needs a video file" in done.stderr


def near(one: tuple[int, int, int], other: tuple[int, int, int]) -> bool:
    """Tell whether two colours are the same but for what a film's compression does."""
    return max(abs(a - b) for a, b in zip(one, other, strict=True)) < 60


def _pixels(picture: Image.Image) -> list[tuple[int, int, int]]:
    return [(r, g, b) for r, g, b in np.asarray(picture).reshape(-1, 3).tolist()]
