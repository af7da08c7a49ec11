"""Photo sets are read as they lie, split without mixing people, and dealt out in equal batches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facecli.datasets import UNKNOWN, BatchSampler, PhotoSet, read_photo_set, split_by_person
from facecli.errors import FacecliError, TrainingError


def touch(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def photo_set(counts: list[int], unknown: int = 0) -> PhotoSet:
    labels = [person for person, count in enumerate(counts) for _ in range(count)]
    labels += [UNKNOWN] * unknown
    return PhotoSet(
        root=Path("set"),
        paths=tuple(map(str, range(len(labels)))),
        labels=np.array(labels, np.int64),
        people=tuple(f"p{number}" for number in range(len(counts))),
        validation=np.zeros(len(labels), bool),
    )


def test_all_photos_below_a_folder_are_of_one_person(tmp_path: Path) -> None:
    """As for enroll: also those in subfolders, and a photo beside the folders is of its name."""
    names = ("ada/1.gif", "ada/2.PNG", "bob/old/1.jpeg", "cleo.jpg", "ada/.x.jpg", "ada/notes.txt")
    photos = read_photo_set(touch(tmp_path, *names, "nobody/a/1.jpg"), unlabelled=["nobody"])
    assert photos.paths == (
        "ada/1.gif",
        "ada/2.PNG",
        "bob/old/1.jpeg",
        "cleo.jpg",
        "nobody/a/1.jpg",
    )
    assert photos.people == ("ada", "bob", "cleo")
    assert photos.labels.tolist() == [0, 0, 1, 2, UNKNOWN]
    assert photos.said == (
        f"{tmp_path}: 5 photos of 4 people; "
        "2 passed over: 1 hidden (.x.jpg), 1 without a picture's ending (.txt)"
    )


def test_a_linked_folder_of_a_person_is_followed(tmp_path: Path) -> None:
    touch(tmp_path, "elsewhere/1.jpg", "people/bob/1.jpg")
    (tmp_path / "people" / "ada").symlink_to(tmp_path / "elsewhere")
    assert read_photo_set(tmp_path / "people").paths == ("ada/1.jpg", "bob/1.jpg")


def test_a_folder_that_may_not_be_read_is_a_photo_that_will_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tests may run as root, whom no mode keeps out."""
    touch(tmp_path, "ada/1.jpg", "bob/1.jpg")
    listed = Path.iterdir

    def locked(folder: Path) -> Iterator[Path]:
        if folder.name == "bob":
            raise PermissionError
        return listed(folder)

    monkeypatch.setattr(Path, "iterdir", locked)
    photos = read_photo_set(tmp_path)
    assert (photos.paths, photos.people) == (("ada/1.jpg", "bob"), ("ada", "bob"))


def test_a_manifest_names_people_and_parts(tmp_path: Path) -> None:
    table = tmp_path / "m.csv"
    table.write_text("path,person,split\na.jpg,Ada,train\nb.jpg,,\nc.jpg,Bob,validation\n")
    photos = read_photo_set(table)
    assert (photos.root, photos.people) == (tmp_path, ("Ada", "Bob"))
    assert photos.labels.tolist() == [0, UNKNOWN, 1]
    assert photos.validation.tolist() == [False, False, True]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"file,name\na,b\n", "needs the columns path and person"),
        (b"path,person,split\na.jpg,Ada,test\n", "line 2: split is 'test'"),
        (b"path,person\n,Ada\n", "line 2: no path"),
        (b"path,person\n\xff\xfe,Ada\n", "not UTF-8 text"),
        (b"path,person\n", "no photos in it"),
        (b"", "needs the columns path and person"),
    ],
)
def test_a_bad_manifest_is_refused_in_one_line(tmp_path: Path, content: bytes, reason: str) -> None:
    table = tmp_path / "m.csv"
    table.write_bytes(content)
    with pytest.raises(FacecliError, match=reason) as caught:
        read_photo_set(table)
    assert str(table) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_or_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no such folder"):
        read_photo_set(tmp_path / "absent")
    with pytest.raises(TrainingError, match="no photos"):
        read_photo_set(tmp_path)


@given(
    counts=st.lists(st.integers(1, 6), min_size=4, max_size=30),
    share=st.floats(0.05, 0.9),
    seed=st.integers(0, 99),
)
def test_a_split_divides_people_and_not_photos(counts: list[int], share: float, seed: int) -> None:
    """Whoever is held back has two photos at least; the same seed holds back the same people."""
    photos = photo_set(counts, unknown=3)
    if sum(count >= 2 for count in counts) < 4:
        with pytest.raises(TrainingError, match="people with two or more photos"):
            split_by_person(photos, share=share, seed=seed)
        return
    held = split_by_person(photos, share=share, seed=seed)
    back, kept = set(photos.labels[held]), set(photos.labels[~held])
    assert not back & kept
    assert len(back) >= 2
    assert UNKNOWN not in back
    assert all(counts[person] >= 2 for person in back)
    assert np.array_equal(held, split_by_person(photos, share=share, seed=seed))


def test_some_with_pairs_always_remain_to_train_on() -> None:
    held = split_by_person(photo_set([2] * 5), share=0.9, seed=0)
    assert (~held).sum() >= 4


def test_a_given_split_is_kept_and_must_not_share_people() -> None:
    photos = photo_set([2, 2, 2])
    photos.validation[:2] = True
    assert split_by_person(photos, share=0.5, seed=1) is photos.validation
    photos.validation[2] = True
    with pytest.raises(TrainingError, match="p1 is in both"):
        split_by_person(photos, share=0.5, seed=1)


@given(
    counts=st.lists(st.integers(1, 9), min_size=2, max_size=12),
    people=st.integers(1, 6),
    photos=st.integers(2, 5),
    others=st.integers(0, 7),
    step=st.integers(0, 1000),
)
def test_batches_have_one_size_and_at_most_k_of_the_p_people(
    counts: list[int], people: int, photos: int, others: int, step: int
) -> None:
    labels = photo_set(counts, unknown=2).labels
    if sum(count >= 2 for count in counts) < 2:
        with pytest.raises(TrainingError, match="two people"):
            BatchSampler(labels, people=people, photos=photos, others=others, seed=1)
        return
    sampler = BatchSampler(labels, people=people, photos=photos, others=others, seed=1)
    batch = sampler.batch(step)
    assert len(batch) == people * photos + others
    drawn = min(people, sum(count >= 2 for count in counts))
    start = 0
    seen = set()
    for _ in range(drawn):
        person = labels[batch[start]]
        size = min(photos, counts[person])
        group = batch[start : start + size]
        assert set(labels[group]) == {person}
        assert len(set(group.tolist())) == size >= 2
        seen.add(person)
        start += size
    assert len(seen) == drawn


def test_a_batch_depends_on_seed_and_step_alone() -> None:
    labels = photo_set([3] * 9).labels
    one, same, other = (
        BatchSampler(labels, people=3, photos=2, others=4, seed=seed) for seed in (1, 1, 2)
    )
    one.batch(0)
    assert np.array_equal(one.batch(7), same.batch(7))
    assert not np.array_equal(one.batch(7), one.batch(8))
    assert not np.array_equal(one.batch(7), other.batch(7))
