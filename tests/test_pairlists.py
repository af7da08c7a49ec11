"""Lists of pairs: LFW's two formats, CSV, and every way they can be broken."""

from __future__ import annotations

from pathlib import Path

import pytest

from facecli.errors import FacecliError
from facecli.evaluation.pairlists import read_pairs

VIEW_2 = """2\t2
Ann\t1\t2
Ann\t1\t3
Ann\t1\tBob\t1
Ann\t2\tCleo\t1
Bob\t1\t2
Bob\t2\t3
Bob\t1\tCleo\t1
Bob\t2\tCleo\t1
"""


@pytest.fixture
def lfw(tmp_path: Path) -> Path:
    """Return a folder of three people whose photos are empty files."""
    for person, photos in (("Ann", 3), ("Bob", 3), ("Cleo", 1)):
        for number in range(1, photos + 1):
            path = tmp_path / "lfw" / "images" / person / f"{person}_{number:04d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    return tmp_path / "lfw"


def test_view_2_has_folds_of_genuine_pairs_then_impostor_pairs(lfw: Path) -> None:
    (lfw / "pairs.txt").write_text(VIEW_2)
    pairs = read_pairs(lfw)
    assert pairs.same.tolist() == [True, True, False, False] * 2
    assert pairs.folds.tolist() == [0] * 4 + [1] * 4
    names = [(a.name, b.name) for a, b in zip(pairs.first, pairs.second, strict=True)]
    assert names[0] == ("Ann_0001.jpg", "Ann_0002.jpg")
    assert names[3] == ("Ann_0002.jpg", "Cleo_0001.jpg")
    assert len(pairs.photos) == 7


def test_the_development_list_is_one_fold(lfw: Path) -> None:
    (lfw / "pairsDevTest.txt").write_text("1\nAnn\t1\t2\nAnn\t1\tBob\t3\n")
    pairs = read_pairs(lfw)
    assert (pairs.same.tolist(), pairs.folds.tolist()) == ([True, False], [0, 0])


def test_the_list_for_results_comes_before_that_for_development_and_beside_the_folder(
    lfw: Path,
) -> None:
    (lfw / "pairsDevTest.txt").write_text("1\nAnn\t1\t2\nAnn\t1\tBob\t3\n")
    assert read_pairs(lfw / "images").source.name == "pairsDevTest.txt"
    (lfw / "pairs.txt").write_text(VIEW_2)
    assert read_pairs(lfw).source.name == "pairs.txt"
    assert read_pairs(lfw, lfw / "pairsDevTest.txt").source.name == "pairsDevTest.txt"


def test_csv_paths_are_relative_to_the_file(lfw: Path) -> None:
    csv = lfw / "mine.csv"
    csv.write_text(
        "\ufeffa,b,same\nimages/Ann/Ann_0001.jpg,images/Bob/Bob_0001.jpg,0\n"
        "images/Ann/Ann_0001.jpg,images/Ann/Ann_0002.jpg,True\n"
    )
    pairs = read_pairs(csv)
    assert pairs.same.tolist() == [False, True]
    assert pairs.first[0] == lfw / "images/Ann/Ann_0001.jpg"
    assert read_pairs(lfw, csv).photos == pairs.photos


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "line 1: not the numbers"),
        ("ten\n", "line 1: not the numbers"),
        ("0\n", "0 pairs, not twice"),
        ("2\nAnn\t1\t2\n", "1 pairs, not twice 1 × 2"),
        ("1\nAnn\t1\nAnn\t1\tBob\t1\n", "line 2: not name, number, number"),
        ("1\nAnn\t1\t2\nAnn\t1\t2\n", "line 3: not name, number, name, number"),
        ("1\nAnn\tx\t2\nAnn\t1\tBob\t1\n", "line 2: a photo has no number"),
        ("1\nAnn\t1\t7\nAnn\t1\tBob\t1\n", "1 of its 3 photos are missing"),
    ],
)
def test_a_broken_list_says_where(lfw: Path, text: str, reason: str) -> None:
    (lfw / "pairs.txt").write_text(text)
    with pytest.raises(FacecliError, match=reason):
        read_pairs(lfw)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "needs the columns"),
        ("a,b\nx,y\n", "needs the columns"),
        ("a,b,same\n", "no pairs in it"),
        ("a,b,same\nx,y,maybe\n", "line 2: not two paths"),
        ("a,b,same\nx\n", "line 2: not two paths"),
        ("a,b,same\n" + "x" * 200_000, "line 2: field larger"),
    ],
)
def test_a_broken_csv_says_where(lfw: Path, text: str, reason: str) -> None:
    (lfw / "mine.csv").write_text(text)
    with pytest.raises(FacecliError, match=reason):
        read_pairs(lfw / "mine.csv")


@pytest.mark.parametrize("name", ["two\nlines.jpg", "a\u2028b.jpg", "a\x0bb.jpg"])
def test_a_name_may_hold_whatever_breaks_lines(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    (tmp_path / "mine.csv").write_text(f'a,b,same\n"{name}","{name}",1\n')
    assert read_pairs(tmp_path / "mine.csv").first == (tmp_path / name,)


def test_no_list_and_no_folder_are_named(lfw: Path) -> None:
    with pytest.raises(FacecliError, match=r"neither pairs\.txt nor"):
        read_pairs(lfw)
    with pytest.raises(FacecliError, match="no such folder"):
        read_pairs(lfw / "nowhere")
    (lfw / "pairs.txt").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(FacecliError, match="not UTF-8 text"):
        read_pairs(lfw)
