"""`facecli embed` and the use-case under it: every face once, in order, nothing half written."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from fakes import FakeDetector, FakeEncoder, PaintedFace, embedding, paint

from facecli.cli import cli
from facecli.cli.settings import Settings
from facecli.faces.chips import DLIB_GEOMETRY
from facecli.faces.embedding import BATCH, EmbeddedPicture, embed_pictures
from facecli.types import Acquisition, Detection, Face, Failure, Quality

pytestmark = pytest.mark.base


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return a folder: Ada alone, Bob with a smaller Ada, nobody, and a file that is no picture."""
    folder = tmp_path / "photos"
    paint(folder / "1.png", PaintedFace(plane=0))
    paint(folder / "2.png", PaintedFace(plane=1, side=140), PaintedFace(plane=0, left=240, side=90))
    paint(folder / "3.png")
    (folder / "4.png").write_bytes(b"not a picture")
    return folder


def embed(*arguments: object) -> Result:
    settings = Settings(detector=FakeDetector(), encoder=FakeEncoder())
    return CliRunner().invoke(cli, ["embed", *map(str, arguments)], obj=settings)


def test_a_json_line_a_face_with_or_without_json(photos: Path) -> None:
    outcome = embed(photos / "1.png", photos / "2.png")
    assert outcome.exit_code == 0, outcome.output
    assert embed(photos / "1.png", photos / "2.png", "--json").stdout == outcome.stdout
    records = [json.loads(line) for line in outcome.stdout.splitlines()]
    assert [(Path(one["path"]).name, one["face"]) for one in records] == [
        ("1.png", 0),
        ("2.png", 0),
        ("2.png", 1),
    ]
    for record, plane in zip(records, (0, 1, 0), strict=True):
        assert record["embedding"] == pytest.approx(embedding(plane, 0).tolist())
        assert record["fingerprint"] == FakeEncoder().card.fingerprint


def test_largest_keeps_one_face_a_photo(photos: Path) -> None:
    outcome = embed(photos / "2.png", "--faces", "largest")
    [record] = [json.loads(line) for line in outcome.stdout.splitlines()]
    assert np.argmax(record["embedding"]) == 2


def test_a_photo_without_a_face_exits_with_1_and_is_named(photos: Path) -> None:
    outcome = embed(photos / "1.png", photos / "3.png")
    assert outcome.exit_code == 1
    assert "3.png: no face found" in outcome.stderr
    assert json.loads(outcome.stdout.splitlines()[1])["reason"] == "no face found"


def test_an_unreadable_photo_exits_with_2_and_the_rest_is_done(photos: Path) -> None:
    outcome = embed(photos)
    assert outcome.exit_code == 2
    kinds = [json.loads(line)["kind"] for line in outcome.stdout.splitlines()]
    assert kinds.count("embedding") == 3
    assert kinds.count("failure") == 2
    assert outcome.stderr.count("4.png") == 1


def test_the_summary_of_a_file_adds_up_to_the_photos(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "faces.npz"
    text = f"{out}: 3 faces of 4 photos, 1 without a face, 1 not read\n"
    assert embed(photos, "--out", out).stdout == text
    made = json.loads(embed(photos, "--out", out, "--json").stdout)
    assert (made["faces"], made["photos"], made["without_face"], made["failures"]) == (3, 4, 1, 1)


def test_arrays_are_float32_in_step_and_private(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "faces.npz"
    outcome = embed(photos / "1.png", photos / "2.png", "--out", out)
    assert outcome.exit_code == 0, outcome.output
    assert outcome.stdout == f"{out}: 3 faces of 2 photos\n"
    with np.load(out, allow_pickle=False) as arrays:
        assert sorted(arrays) == ["boxes", "confidence", "embeddings", "paths"]
        assert [Path(str(path)).name for path in arrays["paths"]] == ["1.png", "2.png", "2.png"]
        assert arrays["embeddings"].dtype == np.float32
        expected = [embedding(plane, 0) for plane in (0, 1, 0)]
        np.testing.assert_allclose(arrays["embeddings"], expected, atol=1e-6)
        assert arrays["boxes"].shape == (3, 4)
        assert arrays["confidence"].shape == (3,)
    assert stat.S_IMODE(out.stat().st_mode) == 0o600


def test_arrays_of_no_faces_have_their_shapes(photos: Path, tmp_path: Path) -> None:
    assert embed(photos / "3.png", "--out", tmp_path / "faces.npz").exit_code == 1
    with np.load(tmp_path / "faces.npz", allow_pickle=False) as arrays:
        assert arrays["embeddings"].shape == (0, 128)
        assert arrays["boxes"].shape == (0, 4)
        assert arrays["paths"].shape == (0,)


def test_a_write_that_fails_leaves_the_old_file_and_no_other(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "faces.npz").write_text("old")

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", fail)
    outcome = embed(photos / "1.png", "--out", folder / "faces.npz")
    assert outcome.exit_code == 2
    assert "no space left" in outcome.stderr
    assert [path.read_text() for path in folder.iterdir()] == ["old"]


def test_a_folder_that_is_not_there_is_refused_before_any_work(
    photos: Path, tmp_path: Path
) -> None:
    outcome = embed(photos / "1.png", "--out", tmp_path / "nowhere" / "faces.npz")
    assert outcome.exit_code == 2
    assert "there is no folder" in outcome.stderr


def acquired(source: str, planes: list[int]) -> Acquisition:
    quality = Quality(eye_distance=50, sharpness=100, brightness=100, turn=0)
    face = Face(Detection((0, 0, 1, 1), DLIB_GEOMETRY.landmarks, 0.99), quality)
    chips = tuple(np.full((150, 150, 3), 128 + plane, np.uint8) for plane in planes)
    return Acquisition(source, source, (1, 1), (face,) * len(planes), chips)


def test_batches_do_not_change_what_belongs_to_which_picture(encoder: FakeEncoder) -> None:
    """Pictures of 0 to 4 faces and failures between them come out in order, each with its own."""
    items: list[Acquisition | Failure] = [
        Failure(str(number), "broken")
        if number % 7 == 3
        else acquired(str(number), [(number + face) % 16 for face in range(number % 5)])
        for number in range(100)
    ]
    results = list(embed_pictures(items, encoder, main_only=False))
    assert [result.source for result in results] == [str(number) for number in range(100)]
    for number, result in enumerate(results):
        if isinstance(result, EmbeddedPicture):
            planes = [int(np.abs(row).argmax()) // 2 for row in result.embeddings]
            assert planes == [(number + face) % 16 for face in range(number % 5)]
    assert max(encoder.batches) < BATCH + 5
    assert len(encoder.batches) > 1
