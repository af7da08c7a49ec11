"""Train on drawn characters with and without symmetrical synthesis, three seeds each.

Run by hand, with the folder that holds the two zip files of the small background sets of Omniglot
(Lake et al. 2015):

    python tests/benchmarks/omniglot.py OMNIGLOT OUT

A quarter of the 242 characters is held back in each run. OUT keeps what is done, so an interrupted
benchmark goes on.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

LOSSES = ("triplet", "symm-triplet", "n-pair", "symm-npair")
SEEDS = (1, 2, 3)

CONFIG = """\
steps = 400
[augmentation]
mirror = 0.0  # a mirrored character is another one
occlusion = 0.0
"""


def main(omniglot: Path, out: Path) -> None:
    """Run what is not done yet, and print a row for each run."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.toml").write_text(CONFIG, encoding="utf-8")
    write_table(omniglot, out)
    say("loss", "seed", "Recall@1", "MAP@R", "VAL@1e-2", "synthetic at step 10, 100, 400", "s")
    for loss in LOSSES:
        for seed in SEEDS:
            told = out / f"{loss}-{seed}.jsonl"
            if not told.exists():
                train(out, loss, seed, told)
            records = [json.loads(line) for line in told.read_text("utf-8").splitlines()]
            say(loss, seed, *figures(records))


def write_table(omniglot: Path, out: Path) -> None:
    """Unpack the drawings, and list each with its alphabet and character."""
    for archive in sorted(omniglot.glob("*.zip")):
        with zipfile.ZipFile(archive) as drawings:
            drawings.extractall(out)
    rows = {}
    for drawing in sorted(out.glob("images_background_small*/*/*/*.png")):
        character = drawing.parent
        rows[character.parent.name, character.name, drawing.name] = drawing
    with (out / "omniglot.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["path", "person"])
        for (alphabet, name, _), drawing in rows.items():
            writer.writerow([str(drawing.resolve()), f"{alphabet} {name}"])


def train(out: Path, loss: str, seed: int, told: Path) -> None:
    """Train one network; keep the records of the command."""
    command = [
        *(sys.executable, "-m", "facecli", "train", str(out / "omniglot.csv"), "--json"),
        *("--detector", "none", "--trunk", "small-conv", "--loss", loss, "--seed", str(seed)),
        *("--config", str(out / "config.toml"), "--library", str(out / "library.db")),
        *("--out", str(out / f"{loss}-{seed}.safetensors")),
    ]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    told.write_bytes(done.stdout)


def figures(records: list[dict[str, Any]]) -> list[str]:
    """Return the figures of a run."""
    steps = [one for one in records if one["kind"] == "training_step"]
    card = next(one for one in records if one["kind"] == "training")["card"]
    found = card["metrics"]["retrieval"]["after"]
    shares = {one["step"]: one["synthetic"] for one in steps if one["synthetic"] is not None}
    synthetic = ", ".join(f"{shares[step]:.3f}" for step in (10, 100, 400)) if shares else ""
    val = card["metrics"]["VAL at FAR 1e-2"]["after"]
    numbers = [found["Recall@1"], found["MAP@R"], val]
    return [*(f"{one:.4f}" for one in numbers), synthetic, f"{steps[-1]['seconds']:.0f}"]


def say(*cells: object) -> None:
    """Print a row."""
    sys.stdout.write("\t".join(map(str, cells)) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
