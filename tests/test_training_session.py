"""From a folder of people to a model that loads: the whole run, and what may interrupt it."""

from __future__ import annotations

import csv
import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from safetensors.numpy import load_file
from synthetic import write_people
from waiting import PATIENT, until

from facecli.cli import cli, output
from facecli.metrics import all_pairs, threshold_at_fmr
from facecli.models import checkpoints, encoders
from facecli.models.encoders import load_encoder
from facecli.vectors.distances import normalize

pytestmark = pytest.mark.slow

SMALL = """
steps = 6
people = 3
photos = 2
others = 2
warm_up = 2
validate_every = 3
learning_rate = 1e-5
ema = 0.5
seed = 3
frozen = ["trunk.stem", "trunk.stages.0", "trunk.stages.1", "trunk.stages.2"]
"""


@pytest.fixture
def people(tmp_path: Path) -> Path:
    return write_people(tmp_path / "people", 8, 3)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(SMALL)
    return path


@pytest.fixture(autouse=True)
def own_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the user's model folder out of it."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data" / "facecli" / "models"


def facecli(*words: object) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words])


def train(data: Path, config: Path, out: Path, *more: object) -> Result:
    return facecli("train", data, "--chips", "--config", config, "--out", out, *more)


def records(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_a_run_leaves_a_model_its_card_and_its_traces(
    people: Path, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broken image is skipped and listed; who is in which part is stored; the model loads."""
    monkeypatch.setattr(output, "QUIET_SECONDS", 0.0)
    (people / "person0-00" / "broken.png").write_bytes(b"no picture")
    (people / "alone").mkdir()
    (people / "person0-01" / "0.png").rename(people / "alone" / "0.png")
    about = tmp_path / "about.toml"
    about.write_text('licence = "CC0"\n[[data]]\nname = "noise"\nterms = "free"\n')
    out = tmp_path / "mine.safetensors"
    result = train(people, config, out, "--json", "--data-card", about)
    assert result.exit_code == 2, result.output
    assert "Reading chips: 24/25" in result.stderr
    assert "1 photo skipped" in result.stderr
    assert "broken.png" in (tmp_path / "mine.run" / "skipped.txt").read_text()
    assert [one["kind"] for one in records(result)] == ["training_step"] * 2 + ["training"]
    assert records(result)[-1]["report"] is None
    assert not {*(tmp_path / "mine.run").glob("moment-*"), *(tmp_path / "mine.run").glob("*.html")}
    steps = [json.loads(line) for line in (tmp_path / "mine.run" / "log.jsonl").open()]
    assert [step["step"] for step in steps] == [3, 6]
    with (tmp_path / "mine.run" / "split.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    parts = {part: {row["person"] for row in rows if row["split"] == part} for part in
             ("train", "validation")}  # fmt: skip
    assert not parts["train"] & parts["validation"]
    assert len(parts["validation"]) == 2
    assert "alone" in parts["train"]
    assert (tmp_path / "mine.run" / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert stat.S_IMODE((tmp_path / "mine.run").stat().st_mode) == 0o700  # faces lie in it
    card = load_encoder(str(out)).card
    assert (card.name, card.licence, card.config["seed"]) == ("mine", "CC0", 3)
    assert card.data[-1] == {"name": "noise", "terms": "free"}
    assert card.history[-1]["photos"] == 18
    assert "too few" in card.threshold_source
    shown = facecli("models", "info", out)
    assert shown.exit_code == 0
    assert "CC0" in shown.output


def test_the_kept_head_starts_where_the_first_model_is(
    people: Path, config: Path, tmp_path: Path
) -> None:
    """With a learning rate of next to nothing the result is dlib-128, to half precision."""
    out = tmp_path / "same.safetensors"
    result = train(people, config, out, "--learning-rate", "1e-30", "--steps", 1)
    assert result.exit_code == 0, result.output
    old, new = load_file(encoders.find_model("dlib-128")), load_file(out)
    assert all(np.array_equal(old[name], new[name]) for name in old)


def test_new_taps_start_from_the_first_models_own_embeddings(
    people: Path, config: Path, tmp_path: Path
) -> None:
    config.write_text(SMALL + "[taps]\n4 = 1\n5 = 2\n[deeper]\n5 = 1\n")
    out = tmp_path / "wide.safetensors"
    result = train(people, config, out, "--learning-rate", "1e-30")
    assert result.exit_code == 0, result.output
    assert "a head fitted to the embeddings of dlib-128" in result.stderr
    chips = np.load(tmp_path / "wide.run" / "chips" / "chips.npy")
    here, there = (load_encoder(name).embed(chips) for name in (str(out), "dlib-128"))
    assert float((here * there).sum(axis=1).mean()) > 0.98


def test_without_steps_the_model_is_the_mean_of_trunks_with_a_solved_head(
    people: Path, config: Path, tmp_path: Path
) -> None:
    trained, out = tmp_path / "trained.safetensors", tmp_path / "mean.safetensors"
    config.write_text(SMALL.replace("frozen", "#") + "[taps]\n5 = 2\n")
    result = train(people, config, trained, "--learning-rate", "1e-3")
    assert result.exit_code == 0, result.output
    paths = [path.relative_to(people).as_posix() for path in sorted(people.rglob("*.png"))]
    goals = np.random.default_rng(0).normal(size=(len(paths), 128)).astype(np.float32)
    targets = tmp_path / "targets.npz"
    np.savez(targets, paths=np.array(paths), targets=goals)
    solved = SMALL.replace("steps = 6", "steps = 0") + 'teacher = "dlib-128"\nwhitening = 0.1\n'
    config.write_text(solved + "[taps]\n5 = 2\n")
    refused = train(people, config, out)
    assert refused.exit_code == 2
    assert "teacher dlib-128 needs targets, and none were given" in refused.stderr
    more = ("--average", trained, "--targets", targets)
    result = train(people, config, out, *more)
    assert result.exit_code == 0, result.output
    assert "a head fitted to the targets and dlib-128" in result.stderr
    old, new, mean = (load_file(path) for path in (encoders.find_model("dlib-128"), trained, out))
    for name in [name for name in mean if name.startswith("trunk.")]:
        expected = (old[name].astype(np.float32) + new[name]) / 2
        np.testing.assert_allclose(mean[name], expected, rtol=2e-3, atol=1e-6)
    card = load_encoder(str(out)).card
    assert card.config["average"] == ["trained.safetensors"]
    assert str(tmp_path).encode() not in out.read_bytes()
    assert card.history[-1]["steps"] == 0
    config.write_text(SMALL)
    result = train(people, config, tmp_path / "on.safetensors", "--init", out, "--steps", 1)
    assert result.exit_code == 0, result.output
    assert "starting from mean with the head of mean" in result.stderr
    kept = load_file(tmp_path / "on.safetensors")
    np.testing.assert_array_equal(kept["unfold"], mean["unfold"])


def test_trunks_of_two_kinds_have_no_mean(people: Path, config: Path, tmp_path: Path) -> None:
    deeper = tmp_path / "deeper.safetensors"
    config.write_text(SMALL + "[deeper]\n5 = 1\n")
    assert train(people, config, deeper, "--steps", 1).exit_code == 0
    config.write_text(SMALL)
    result = train(people, config, tmp_path / "x.safetensors", "--average", deeper)
    assert result.exit_code == 2
    assert "deeper.safetensors: its trunk is not built like that of dlib-128" in result.stderr


def test_targets_far_from_the_head_give_it_a_new_start(
    people: Path, config: Path, tmp_path: Path
) -> None:
    random = np.random.default_rng(0)
    paths = sorted(path.relative_to(people).as_posix() for path in people.rglob("*.png"))
    goals = normalize(random.normal(size=(len(paths), 128)).astype(np.float32))
    np.savez(tmp_path / "t.npz", paths=np.array(paths), targets=goals)
    result = train(
        people, config, tmp_path / "m.safetensors", "--targets", tmp_path / "t.npz", "--json"
    )
    assert result.exit_code == 0, result.output
    assert "a head fitted to the targets" in result.stderr
    assert records(result)[0]["target"] < 0.6  # 1 for vectors that have nothing in common


@pytest.mark.parametrize("wanted", [0.03, 1.1])
def test_given_validation_people_set_the_threshold_where_it_is_wanted(
    people: Path, config: Path, tmp_path: Path, wanted: float
) -> None:
    """The threshold on the card is what the saved model does on them, encoder and all.

    Noise people lie within 0.1 of each other for dlib-128: 1.1 is out of reach, and the card says
    so and where the threshold lies instead.
    """
    config.write_text(SMALL + f"threshold_fmr = 1e-2\nthreshold = {wanted}\n")
    others = write_people(tmp_path / "others", 40, 2, seed=1)
    out = tmp_path / "m.safetensors"
    more = ("--validation", others, "--validation-chips", "--promote", "--json")
    result = train(people, config, out, *more)
    assert result.exit_code == 0, result.output
    encoder = load_encoder(str(out))
    reached = encoder.card.threshold == wanted
    assert reached is (wanted < 1)
    assert ("not calibrated" in encoder.card.threshold_source) is not reached
    assert encoder.card.metrics["validation"]["impostor pairs"] == 80 * 79 // 2 - 40
    assert encoder.card.impostors["pairs"] == 80 * 79 // 2 - 40
    chips = np.load(tmp_path / "m.run" / "validation" / "chips.npy")
    pairs = all_pairs(encoder.embed(chips), np.repeat(np.arange(40), 2))
    assert threshold_at_fmr(pairs.impostor, 1e-2) == pytest.approx(encoder.card.threshold, rel=0.02)
    final = records(result)[-1]
    assert not final["better"]
    assert final["promoted"] is None
    assert "30,000 are needed" in final["verdict"]
    leak = train(people, config, tmp_path / "n.safetensors", "--validation", people)
    assert leak.exit_code == 2
    assert "is also in" in leak.output


def test_a_better_model_is_promoted(
    people: Path,
    config: Path,
    tmp_path: Path,
    own_models: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Better than what stands in its place; that verdict has tests of its own."""
    from facecli.training import session
    from facecli.training.promotion import ModelComparison

    monkeypatch.setattr(
        session, "compare", lambda *_: ModelComparison(better=True, reason="better")
    )
    result = train(people, config, tmp_path / "mine.safetensors", "--promote")
    assert result.exit_code == 0, result.output
    promoted = checkpoints.read_card(own_models / "mine.safetensors")
    assert promoted == checkpoints.read_card(tmp_path / "mine.safetensors")
    assert "promoted" in result.stdout
    assert facecli("models", "info", "mine").exit_code == 0


def test_another_network_trains_by_the_same_loop(
    tmp_path: Path, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """InceptionResnetV1 with random weights, whose 128 numbers start as principal components."""
    from facecli.models.networks import build

    def random_trunk(name: str) -> dict[str, torch.Tensor]:
        torch.manual_seed(0)
        state = build(encoders.read_card(name).architecture).state_dict()
        return {key: value for key, value in state.items() if key.startswith("trunk.")}

    monkeypatch.setattr(encoders, "load_inception", random_trunk)
    people = write_people(tmp_path / "people", 5, 2, size=160)
    config.write_text(SMALL.replace("frozen", "# frozen"))
    out = tmp_path / "inception.safetensors"
    result = train(people, config, out, "--init", "inception-vggface2", "--steps", 2)
    assert result.exit_code == 0, result.output
    assert "principal components" in result.stderr
    chips = np.load(tmp_path / "inception.run" / "chips" / "chips.npy")
    vectors = load_encoder(str(out)).embed(chips)
    assert vectors.shape == (10, 128)
    assert np.isfinite(vectors).all()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--steps", "-1"], "-1 is not in the range"),
        (["--margin", "nan"], "margin: nan"),
        (["--freeze", "trunk.stam"], "trunk.stam"),
        (["--init", "nonesuch"], "nonesuch: no such model"),
        (["--data-card", "config.toml"], "steps is unknown"),
        (["--model", "dlib-128"], "--init"),
        (["--unlabelled", "person0-00", "--targets", "absent.npz"], "No such file"),
    ],
)
def test_what_cannot_be_trained_is_one_line(
    people: Path, config: Path, tmp_path: Path, words: list[str], reason: str
) -> None:
    words = [
        str(tmp_path / word) if "." in word and "trunk" not in word else word for word in words
    ]
    result = train(people, config, tmp_path / "m.safetensors", *words)
    assert result.exit_code == 2
    assert reason in result.stderr.splitlines()[-1]
    assert not (tmp_path / "m.safetensors").exists()


def test_too_few_people_are_refused(tmp_path: Path, config: Path) -> None:
    lonely = write_people(tmp_path / "lonely", 1, 3)
    result = train(lonely, config, tmp_path / "m.safetensors")
    assert result.exit_code == 2
    assert "1 people with two or more photos" in result.stderr
    others = write_people(tmp_path / "others", 3, 2, seed=1)
    more = ("--validation", others, "--validation-chips")
    result = train(lonely, config, tmp_path / "m.safetensors", *more)
    assert result.exit_code == 2
    assert "need at least two" in result.stderr


def test_an_earlier_run_is_not_lost_and_other_settings_do_not_continue_it(
    people: Path, config: Path, tmp_path: Path
) -> None:
    out = tmp_path / "m.safetensors"
    assert train(people, config, out).exit_code == 0
    first = out.read_bytes()
    again = train(people, config, out)
    assert again.exit_code == 2
    assert "holds an earlier run" in again.stderr
    changed = train(people, config, out, "--resume", "--margin", "0.3", "--steps", "7")
    assert changed.exit_code == 2
    assert "other settings (margin, steps)" in changed.stderr
    finished = train(people, config, out, "--resume")
    assert finished.exit_code == 0, finished.output
    assert load_file(out).keys() == checkpoints.load(out)[0].keys()
    assert checkpoints.read_card(out).fingerprint in first.decode("latin-1")


def start(*words: object, limit: str = "") -> subprocess.Popen[bytes]:
    """Start facecli as a process of its own, under a limit of the shell's."""
    code = "from facecli.cli import main; main()"
    command = [sys.executable, "-c", code, *map(str, words)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    if limit:
        command = ["bash", "-c", f'{limit}; exec "$@"', "bash", *command]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def test_killed_and_resumed_a_run_gives_the_same_weights(
    people: Path, config: Path, tmp_path: Path
) -> None:
    """kill -9 as soon as a state is saved, then --resume, against a run left alone."""

    def words(name: str, *more: str) -> tuple[object, ...]:
        out = tmp_path / f"{name}.safetensors"
        return ("train", people, "--chips", "--config", config, "--out", out, *more)

    config.write_text(SMALL.replace("steps = 6", "steps = 24"))
    assert start(*words("whole")).wait() == 0
    killed = start(*words("cut"))
    state = tmp_path / "cut.run" / "state.safetensors"
    until(state.exists, seconds=5 * PATIENT)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert not (tmp_path / "cut.safetensors").exists()
    resumed = start(*words("cut", "--resume"))
    _, said = resumed.communicate()
    assert resumed.returncode == 0, said
    assert b"continuing after step" in said
    whole, cut = (load_file(tmp_path / f"{name}.safetensors") for name in ("whole", "cut"))
    assert all(np.array_equal(whole[name], cut[name]) for name in whole)
    logs = [(tmp_path / f"{name}.run" / "log.jsonl").read_text() for name in ("whole", "cut")]
    losses = [[json.loads(line)["loss"] for line in log.splitlines()] for log in logs]
    assert losses[0] == losses[1]


def test_a_full_disk_ends_the_run_in_one_line(people: Path, config: Path, tmp_path: Path) -> None:
    """No file may grow beyond 8 MB: the chips fit, the state does not."""
    out = tmp_path / "m.safetensors"
    words = ("train", people, "--chips", "--config", config, "--out", out)
    process = start(*words, limit="ulimit -f 8192")
    _, said = process.communicate()
    assert process.returncode == 2
    assert b"state.safetensors: cannot be written: File too large" in said.splitlines()[-1]
    assert not out.exists()
    assert not list((tmp_path / "m.run").glob(".*"))
