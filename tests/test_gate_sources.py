"""Where frames come from: every picture of a stream, complete files only, cameras that go away."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from fakes import PaintedFace, paint
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from waiting import PATIENT, until

from facecli.errors import GateError, PictureError
from facecli.gate import sources as module
from facecli.gate.capture import WAIT_MILLISECONDS, Capture
from facecli.gate.folder import states_of, watched
from facecli.gate.frames import Frame
from facecli.gate.picturestream import pictures
from facecli.gate.sources import live, source_of, video_file


def encoded(kind: str, size: int = 20, seed: int = 0, **how: object) -> bytes:
    """Return a noisy picture file: noise makes every byte value likely, 0xFF too."""
    noise = np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).save(out, kind, **how)
    return out.getvalue()


def split(data: bytes, step: int = 7, say: Callable[[str], None] = lambda _: None) -> list[bytes]:
    """Read a stream that gives `step` bytes at a time."""

    class Slow(io.RawIOBase):
        place = 0

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: object) -> int:
            some = data[self.place : self.place + min(step, len(cast("bytearray", buffer)))]
            cast("bytearray", buffer)[: len(some)] = some
            self.place += len(some)
            return len(some)

    return list(pictures(io.BufferedReader(Slow(), 16), say))


FILES = [
    encoded("JPEG"),
    encoded("JPEG", 64, quality=100, progressive=True),
    encoded("JPEG", 40, restart_marker_blocks=1, comment=b"\xff\xd9 is no end here \xff\xd8"),
    encoded("PNG"),
    encoded("PNG", 50, seed=1),
]


@settings(max_examples=30)
@given(st.lists(st.sampled_from(FILES), max_size=5), st.integers(1, 400))
def test_a_stream_is_cut_into_the_very_files_that_were_joined(
    files: list[bytes], step: int
) -> None:
    assert split(b"".join(files), step) == files


def without_end(file: bytes) -> bytes:
    """Leave out the end of the image of a JPEG, or the last chunk of a PNG."""
    return file[:-2] if file.startswith(b"\xff\xd8") else file[:-12]


HEAD = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: 1234\r\n\r\n"


@pytest.mark.parametrize("step", [1, 50, 100_000])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"", b""),
        (HEAD, b"\r\n"),
        (HEAD, b""),
        (b"\0\xff" * 9, b"\xff\xd8\xffjunk"),
        (b"\n", b"\n"),
    ],
    ids=["joined", "multipart", "multipart without line end", "junk", "line ends"],
)
def test_what_lies_between_pictures_is_skipped(before: bytes, after: bytes, step: int) -> None:
    said: list[str] = []
    sent = b"".join(before + file + after for file in FILES)
    assert split(sent, step, said.append) == FILES
    assert len(said) == len(set(said))
    assert bool(said) == bool(before + after)


@pytest.mark.parametrize("head", [b"", HEAD])
def test_pictures_without_their_ends_are_cut_where_the_next_begins(head: bytes) -> None:
    files = [without_end(file) for file in FILES]
    line_end, last = (b"\r\n", b"--frame--\r\n") if head else (b"", b"")
    assert split(b"".join(head + file + line_end for file in files) + last) == files


@pytest.mark.parametrize("whole", FILES)
def test_a_picture_cut_short_costs_no_other(whole: bytes) -> None:
    """What is left of it is passed on if pixels are there: decoding tells that some are missing."""
    a, b, c = FILES[0], FILES[3], FILES[1]
    for length in range(2, len(whole), 97):
        said: list[str] = []
        got = split(a + whole[:length] + b + c + whole[:length], 5000, said.append)
        assert [one for one in got if one in (a, b, c)] == [a, b, c]
        assert len(got) <= 5
        assert len(said) <= 2


@given(st.sampled_from(FILES), st.data())
def test_a_damaged_picture_costs_no_other(file: bytes, data: st.DataObject) -> None:
    changed = bytearray(file)
    for _ in range(data.draw(st.integers(1, 5))):
        changed[data.draw(st.integers(0, len(file) - 1))] = data.draw(st.integers(0, 255))
    got = split(FILES[0] + bytes(changed) + FILES[3] + FILES[1] + FILES[4], 5000)
    assert got[0] == FILES[0]
    assert got[-2:] == [FILES[1], FILES[4]]


def test_a_picture_is_passed_on_before_the_next_one_comes() -> None:
    """A camera may send the next picture in an hour."""

    class Waiting(io.RawIOBase):
        sent = False

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: object) -> int:
            if self.sent:
                raise TimeoutError
            self.sent = True
            cast("bytearray", buffer)[: len(FILES[0])] = FILES[0]
            return len(FILES[0])

    assert next(pictures(io.BufferedReader(Waiting(), 100_000))) == FILES[0]


def test_damaged_pictures_of_a_stream_are_said_once(said: list[str], stop: threading.Event) -> None:
    whole = encoded("JPEG", 64, quality=95)
    sent = b"".join([whole, whole[:2000], whole[:2500], whole[:-2], b"\xff\xd8\xff", whole])
    source = source_of("-", watch=False, stdin=lambda: io.BufferedReader(io.BytesIO(sent)))
    loaded = [frame.load() for frame in source.frames(stop, said.append) if frame.load]
    assert [picture is not None for picture in loaded] == [True, False, False, True, True]
    assert len(said) == 3, said
    assert "truncated" in said[0] or "truncated" in said[1]


@given(st.binary(min_size=1, max_size=200))
def test_any_bytes_end_in_pictures_or_one_line(data: bytes) -> None:
    said: list[str] = []
    for start in (b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"):
        try:
            assert split(start + data + b"\0")
        except PictureError as error:
            said.append(str(error))
    assert all(one.startswith("stdin: ") for one in said)


def test_a_film_is_no_stream_of_pictures() -> None:
    with pytest.raises(PictureError, match="neither a JPEG nor a PNG"):
        split(b"\0ftypmp42" * 500_000, 100_000)


def test_a_picture_that_never_ends_is_refused_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facecli.gate.picturestream.MAX_FILE_BYTES", 1000)
    with pytest.raises(PictureError, match="larger than"):
        split(b"\xff\xd8\xff\xda\x00\x02" + bytes(5000))


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def stop() -> threading.Event:
    return threading.Event()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TICK", 0.02)
    monkeypatch.setattr(module, "FIRST_RETRY", 0.01)
    monkeypatch.setattr(module, "LAST_RETRY", 0.04)
    monkeypatch.setattr(module, "WAIT_MILLISECONDS", 1000 * PATIENT)


def next_with_picture(frames: Iterator[Frame]) -> Frame:
    """Return the next frame that has a picture, and pass over those that say that time passes."""
    deadline = time.monotonic() + PATIENT
    for frame in frames:
        if frame.load is not None:
            return frame
        assert time.monotonic() < deadline, "no picture comes"
    raise AssertionError("the source has ended")


def arriving(frames: Iterator[Frame], count: int = 1) -> list[str]:
    """Wait for so many pictures and return the names of those that could be read."""
    arrived = [next_with_picture(frames) for _ in range(count)]
    return [Path(frame.source).name for frame in arrived if frame.load and frame.load()]


def red_of(frame: Frame) -> int:
    """Return the red channel of a frame's picture, where the fake camera numbers its frames."""
    assert frame.load is not None
    picture = frame.load()
    assert picture is not None
    return cast("tuple[int, int, int]", picture.getpixel((0, 0)))[0]


def test_only_what_comes_into_a_folder_is_taken(
    tmp_path: Path, stop: threading.Event, said: list[str], quick: None
) -> None:
    paint(tmp_path / "old.png")
    frames = watched(tmp_path, stop, said.append)
    assert next(frames).load is None, "time passes"
    paint(tmp_path / "new.png")
    paint(tmp_path / "deep" / "er.png")
    (tmp_path / "note.txt").write_text("no picture")
    assert arriving(frames, 2) == ["er.png", "new.png"]
    paint(tmp_path / "old.png", PaintedFace())
    assert arriving(frames) == ["old.png"], "a picture written anew is a new one"
    stop.set()
    assert not [frame for frame in frames if frame.load]


def test_what_arrives_as_soon_as_it_is_watched_is_taken(
    tmp_path: Path, stop: threading.Event, said: list[str], quick: None
) -> None:
    """Before, the folder was listed at the first frame, after "watching" was said."""
    paint(tmp_path / "old.png")
    frames = watched(tmp_path, stop, said.append)
    paint(tmp_path / "new.png")
    assert arriving(frames) == ["new.png"]


def test_a_stop_ends_it_at_the_next_picture_and_within_a_scan(
    tmp_path: Path, stop: threading.Event, said: list[str], quick: None
) -> None:
    frames = watched(tmp_path, stop, said.append)
    for number in range(9):
        paint(tmp_path / f"{number}.png")
    assert next(frame for frame in frames if frame.load).source.endswith("0.png")
    stop.set()
    assert list(frames) == []
    assert states_of(tmp_path, stop) == {}


def test_a_file_being_written_is_left_alone_until_it_stays_as_it_is(
    tmp_path: Path, stop: threading.Event, said: list[str], quick: None
) -> None:
    frames = watched(tmp_path, stop, said.append)
    next(frames)
    with (tmp_path / "slow.png").open("wb") as file:
        for place in range(0, 3000, 200):
            file.write(FILES[4][place : place + 200])
            file.flush()
            assert next(frames).load is None
        file.write(FILES[4][3000:])
    assert arriving(frames) == ["slow.png"]
    assert not said


def test_a_damaged_file_is_said_and_taken_when_it_is_mended(
    tmp_path: Path, stop: threading.Event, said: list[str], quick: None
) -> None:
    frames = watched(tmp_path, stop, said.append)
    next(frames)
    (tmp_path / "x.png").write_bytes(FILES[3][:100])
    assert arriving(frames) == []
    assert len(said) == 1
    assert "x.png: " in said[0]
    (tmp_path / "x.png").write_bytes(FILES[3])
    assert arriving(frames) == ["x.png"]


class FakeCapture:
    """A camera that numbers its frames in the red channel, and fails after some."""

    def __init__(self, frames: list[int]) -> None:
        self.opened = bool(frames)
        self.timed = False
        self.frames = 0
        self._left = list(frames)
        self._current = 0
        self.closed = False

    def grab(self) -> bool:
        if not self._left:
            return False
        self._current = self._left.pop(0)
        return True

    def at(self) -> float:
        return 0.0

    def decode(self) -> Image.Image:
        return Image.new("RGB", (4, 4), (self._current, 0, 0))

    def close(self) -> None:
        self.closed = True


def test_a_camera_that_goes_away_is_opened_again_and_again(
    stop: threading.Event, said: list[str], quick: None
) -> None:
    made = [FakeCapture(frames) for frames in ([1], [], [], [2], [3])]
    given = iter([(0, made[0]), (1, made[1]), (1, made[2]), (1, made[3]), (2, made[4])])
    seen: list[int] = []

    def opening() -> Capture:
        """Open the next once the pictures before it have been taken: none is to be dropped."""
        before, capture = next(given, (3, FakeCapture([])))
        until(lambda: len(seen) >= before)
        return cast("Capture", capture)

    frames = live("camera 0", opening, stop, said.append)
    while len(seen) < 3:
        seen.append(red_of(next_with_picture(frames)))
    frames.close()  # type: ignore[attr-defined]
    assert seen == [1, 2, 3]
    assert all(capture.closed for capture in made)
    assert said[0].startswith("camera 0: no pictures come; trying again")
    assert said[1] == "camera 0: pictures come again"


def test_a_slow_gate_gets_the_newest_frame_and_not_the_next(
    stop: threading.Event, said: list[str], quick: None
) -> None:
    class Stepping(FakeCapture):
        """A camera that gives as many frames as it is told to."""

        asked = 0
        told = threading.Semaphore(0)

        def grab(self) -> bool:
            self.asked += 1
            self.told.acquire(timeout=PATIENT)
            return super().grab()

        def give(self, count: int) -> None:
            """Give so many frames, and return when each has been offered to the gate."""
            before = self.asked
            self.told.release(count)
            until(lambda: self.asked == before + count)

    camera = Stepping(list(range(256)))
    frames = live("camera 0", lambda: cast("Capture", camera), stop, said.append)
    next(frames)  # the thread starts with the first
    until(lambda: camera.asked == 1)
    seen = []
    for count in (1, 20, 1, 30):
        camera.give(count)
        seen.append(red_of(next_with_picture(frames)))
    camera.told.release(300)
    frames.close()  # type: ignore[attr-defined]
    assert seen == [0, 20, 21, 51]


@pytest.mark.parametrize(
    "text", ["nowhere", "file:///etc/passwd", "concat://a|b", "rtsp://", "http://[", "pipe://1"]
)
def test_what_is_no_source_is_refused(text: str) -> None:
    with pytest.raises(GateError):
        source_of(text, watch=False, stdin=lambda: pytest.fail("stdin was touched"))


def test_what_a_decoder_kept_back_is_not_taken_for_new(
    said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream falls silent, and OpenCV gives old frames, one after each wait."""
    now = 0.0
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now))

    class Silent(FakeCapture):
        def grab(self) -> bool:
            nonlocal now
            now += 0.1 if len(self._left) > 2 else WAIT_MILLISECONDS / 1000
            return super().grab()

    offered: list[object] = []
    ended = threading.Event()
    capture = Silent([1, 2, 3, 4])
    monkeypatch.setattr(ended, "wait", lambda _: ended.set())
    module._pump("camera 0", lambda: cast("Capture", capture), offered.append, ended, said.append)
    assert len(offered) == 2
    assert capture.closed
    assert len(said) == 1


@pytest.mark.parametrize(("target", "few"), [("rtsp://camera.invalid/", True), ("x.mp4", False)])
def test_few_threads_decode_a_stream_as_each_keeps_a_frame_back(
    target: str, few: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A video file may take as many threads as there are: nobody waits for its newest frame."""
    cv2 = pytest.importorskip("cv2")
    real = cv2.VideoCapture
    asked: list[int] = []

    def noted(_: str, backend: int, how: list[int]) -> object:
        asked.extend(how)
        return real()

    monkeypatch.setattr(cv2, "VideoCapture", noted)
    capture = Capture(target)
    assert capture.timed is few
    told = dict(zip(asked[::2], asked[1::2], strict=True))
    assert told.get(cv2.CAP_PROP_N_THREADS) == (2 if few else None)


def test_frames_that_waited_are_not_offered_and_the_stream_is_opened_anew(
    said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock of our own a frame takes three times as long as it lasts."""
    clock = iter(range(1000))
    ours = SimpleNamespace(monotonic=lambda: 0.25 * next(clock))
    monkeypatch.setattr(module, "time", ours)
    ended = threading.Event()
    monkeypatch.setattr(ended, "wait", lambda _: ended.set())

    class Late(FakeCapture):
        def at(self) -> float:
            return self._current / 4

    made = [Late(list(range(60))), FakeCapture([])]
    made[0].timed = True
    waiting = iter(made)
    offered: list[object] = []
    module._pump(
        "rtsp://camera", lambda: cast("Capture", next(waiting)), offered.append, ended, said.append
    )
    assert 2 <= len(offered) <= 4
    assert made[0].closed
    assert "s late" in said[0]


def test_a_camera_that_does_not_let_go_cannot_abort_the_program(
    stop: threading.Event, said: list[str], quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever comes back from OpenCV to a Python that is ending does; so it ends at once."""
    leaving: list[Callable[[], object]] = []
    monkeypatch.setattr(module, "CLOSING_SECONDS", 0.1)
    monkeypatch.setattr(module, "atexit", SimpleNamespace(register=leaving.append))
    monkeypatch.setattr(module, "os", SimpleNamespace(_exit=lambda code: f"left with {code}"))
    held = threading.Event()

    def opening() -> Capture:
        held.wait(PATIENT)
        return cast("Capture", FakeCapture([]))

    frames = live("camera 0", opening, stop, said.append)
    next(frames)
    stop.set()
    assert not list(frames)
    assert [leave() for leave in leaving] == ["left with 0"]
    held.set()


def test_a_film_is_read_whole_at_its_own_times(
    tmp_path: Path, stop: threading.Event, said: list[str]
) -> None:
    """A film of 20 frames at 10 a second, written here by OpenCV itself."""
    cv2 = pytest.importorskip("cv2")
    path = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    for number in range(20):
        writer.write(np.full((48, 64, 3), 12 * number, np.uint8))
    writer.release()
    found = source_of(str(path), watch=False, stdin=lambda: pytest.fail("stdin was touched"))
    times, greys = [], []
    for frame in found.frames(stop, said.append):
        assert frame.load is not None
        picture = frame.load()
        assert picture is not None
        times.append(frame.at)
        greys.append(cast("tuple[int, int, int]", picture.getpixel((9, 9)))[0])
    assert times == pytest.approx([number / 10 for number in range(20)], abs=0.01)
    assert greys == pytest.approx([12 * number for number in range(20)], abs=4)
    assert not said


def test_a_film_cut_short_is_said(stop: threading.Event, said: list[str]) -> None:
    cut = FakeCapture(list(range(80)))
    cut.frames = 100
    assert len(list(video_file("x.mp4", lambda: cast("Capture", cut), stop, said.append))) == 80
    assert said == ["x.mp4: ends after 80 of 100 frames: is it damaged?"]
    assert cut.closed


def test_what_is_no_film_is_refused(tmp_path: Path, stop: threading.Event, said: list[str]) -> None:
    pytest.importorskip("cv2")
    path = tmp_path / "no.mp4"
    path.write_bytes(b"not a film")
    found = source_of(str(path), watch=False, stdin=lambda: pytest.fail("stdin was touched"))
    with pytest.raises(GateError, match="cannot be opened as a video file"):
        list(found.frames(stop, said.append))
