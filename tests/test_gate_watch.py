"""The gate's view of the gallery: changes by others are seen, and trouble forgets nobody."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import AbstractContextManager
from pathlib import Path
from types import SimpleNamespace

import pytest
from fakes import embedding, fake_card, new_template, recognizer_of
from waiting import PATIENT

from facecli.errors import FingerprintMismatch, GalleryError
from facecli.gate.engine import Gate
from facecli.recognition import live as module
from facecli.recognition.live import LivePeople, PeopleReader
from facecli.stores import kind
from facecli.stores.contract import GalleryStore
from facecli.stores.gallery.sqlite.store import SqliteGallery
from facecli.stores.opening import GalleryFile, gallery_at

CARD = fake_card()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    place = tmp_path / "gallery.db"
    with SqliteGallery(place) as gallery:
        gallery.add([new_template("Ada", embedding(0, 0))], CARD)
    return place


def reader_of(path: Path) -> PeopleReader:
    return PeopleReader(gallery_at(path), lambda: CARD)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def watch(path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch) -> LivePeople:
    """Return what looks each time it is asked, and waits until it has seen."""
    monkeypatch.setattr(module, "EVERY", 0.0)
    monkeypatch.setattr(module, "LOOK_SECONDS", PATIENT)
    return LivePeople(reader_of(path), say=said.append)


class Clock:
    """A clock that stands still unless it is told the time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: self.now))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def names(watch: LivePeople) -> set[str]:
    return set(watch.known().matrix.names.values())


def test_the_same_object_comes_back_until_something_changes(watch: LivePeople, path: Path) -> None:
    before = watch.known()
    assert watch.known() is before
    with SqliteGallery(path) as gallery:
        gallery.add([new_template("Bob", embedding(1, 0))], CARD)
    assert watch.known() is not before
    assert names(watch) == {"Ada", "Bob"}


@pytest.mark.slow
def test_another_process_that_forgets_someone_is_seen_within_a_second(
    path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the real intervals: this is the promise itself."""
    monkeypatch.setattr(module, "LONGEST", PATIENT)
    watch = LivePeople(reader_of(path))
    assert names(watch) == {"Ada"}
    code = "from facecli.stores.opening import gallery_at\n"
    code += f"with gallery_at({str(path)!r}).open() as gallery: gallery.forget(['Ada'])"
    subprocess.run([sys.executable, "-c", code], check=True)
    clock.now = 1.0
    assert names(watch) == set(), "a forgotten person is still known"


def test_the_last_person_of_this_model_is_forgotten_although_other_models_remain(
    watch: LivePeople, path: Path
) -> None:
    """A gallery that holds other models only is refused at the start, and empty afterwards."""
    other = fake_card("other-128")
    with SqliteGallery(path) as gallery:
        gallery.add([new_template("Eve", embedding(2, 0))], other)
        gallery.forget(["Ada"])
    assert names(watch) == set()
    with pytest.raises(FingerprintMismatch):
        LivePeople(reader_of(path))


def test_a_gallery_that_goes_away_is_said_once_and_everyone_stays_known(
    watch: LivePeople, path: Path, said: list[str]
) -> None:
    path.rename(path.with_suffix(".away"))
    for _ in range(3):
        assert names(watch) == {"Ada"}
    assert len(said) == 1
    assert "there is none" in said[0]
    path.with_suffix(".away").rename(path)
    assert names(watch) == {"Ada"}
    assert said[1:] == ["the gallery can be read again"]


def test_a_gate_of_a_program_writes_the_trouble_to_the_log_once(
    path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EVERY", 0.0)
    monkeypatch.setattr(module, "LOOK_SECONDS", PATIENT)
    gate = Gate(recognizer_of(gallery_at(path)))
    path.rename(path.with_suffix(".away"))
    for number in range(3):
        gate.feed(None, at=float(number))
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("facecli.gate", "WARNING")
    assert "going on with who was enrolled before" in record.getMessage()


def test_a_locked_gallery_does_not_hold_the_gate_up(
    clock: Clock, watch: LivePeople, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write lock does not hurt readers; a lock of everything costs a moment, once."""
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(module, "LONGEST", PATIENT)
    monkeypatch.setattr(kind, "BUSY_MILLISECONDS", int(100 * PATIENT))
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("PRAGMA locking_mode = EXCLUSIVE")
    holder.execute("BEGIN EXCLUSIVE")
    for _ in range(10):
        assert names(watch) == {"Ada"}
    looks = [thread for thread in threading.enumerate() if thread.name == "gallery"]
    assert len(looks) == 1, "the look was waited for, or nothing was locked"
    holder.close()
    looks[0].join(PATIENT)


def test_after_a_pause_a_slow_look_is_waited_for(
    path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody forgotten while nothing was asked never matches again, slow as reading may be."""
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(module, "LONGEST", PATIENT)
    slow = False

    class SlowGallery(GalleryFile):
        def open(self, *, create: bool = False) -> AbstractContextManager[GalleryStore]:
            time.sleep(0.05 if slow else 0)  # without the wait the answer would be the old one
            return super().open(create=create)

    watch = LivePeople(PeopleReader(SlowGallery(path), lambda: CARD))
    with SqliteGallery(path) as gallery:
        gallery.forget(["Ada"])
    slow = True
    clock.now = module.WITHIN
    assert names(watch) == set()


def test_no_gallery_at_the_start_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(GalleryError):
        LivePeople(reader_of(tmp_path / "none.db"))
