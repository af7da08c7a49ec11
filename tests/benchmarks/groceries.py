"""Compare losses on photos of groceries, train with the best one, and measure it on other classes.

Run by hand, with the folder of the Grocery Store Dataset (Klasson et al. 2019):

    python tests/benchmarks/groceries.py GROCERY OUT

Everything is done by commands of facecli, and each is printed before it runs. Half of the 81
classes are in no fold and in no training, until the end. OUT keeps what is done, so an interrupted
run goes on.
"""

from __future__ import annotations

import csv
import json
import shlex
import subprocess
import sys
from pathlib import Path

LOSSES = """\
[[losses]]
loss = "triplet"

[[losses]]
loss = "symm-npair"

[[losses]]
loss = "arcface"
"""


def main(groceries: Path, out: Path) -> None:
    """Run all commands."""
    out.mkdir(parents=True, exist_ok=True)
    table, losses = out / "groceries.csv", out / "losses.toml"
    write_table(groceries, table)
    losses.write_text(LOSSES, encoding="utf-8")
    report, model = out / "compare.html", out / "shop.safetensors"
    options = ["--library", str(out / "library.db")]
    compare = ["train", str(table), "--detector", "none", "--compare", str(losses), "--folds", "4"]
    found = run([*compare, "--report", str(report), *options])
    folder = out / "compare.run"
    if not model.exists():
        # Half of the classes measure the threshold: with few, it would hold for them alone.
        settings = out / "config.toml"
        settings.write_text("validation_share = 0.5\n", encoding="utf-8")
        data = ["train", str(folder / "training.csv"), "--detector", "none"]
        run(
            [
                *data,
                "--loss",
                found["best"],
                "--config",
                str(settings),
                "--out",
                str(model),
                *options,
            ]
        )
    run(["evaluate", "folders", str(folder / "test.csv"), "--model", str(model), *options])


def write_table(groceries: Path, table: Path) -> None:
    """List all photos of the three lists with their fine class, the name of their folder."""
    lists = [groceries / f"{part}.txt" for part in ("train", "val", "test")]
    lines = [line for one in lists for line in one.read_text("utf-8").splitlines() if line]
    photos = [groceries.resolve() / line.split(",")[0] for line in lines]
    with table.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["path", "person"])
        writer.writerows((str(photo), photo.parent.name) for photo in photos)


def run(arguments: list[str]) -> dict[str, str]:
    """Run a command, print it and what it says, and return its record of the kind with `best`."""
    sys.stdout.write(f"$ facecli {shlex.join(arguments)}\n")
    sys.stdout.flush()
    program = [sys.executable, "-m", "facecli"]
    subprocess.run([*program, *arguments], check=False)
    if "--compare" not in arguments:
        return {}
    again = subprocess.run([*program, *arguments, "--json"], check=True, capture_output=True)
    records = map(json.loads, again.stdout.splitlines())
    return next(one for one in records if one["kind"] == "losses_compared")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
