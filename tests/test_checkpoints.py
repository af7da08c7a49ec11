"""Checkpoints: what is written is what is read, and nothing else is believed."""

from __future__ import annotations

import dataclasses
import json
import pickle
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from facecli.errors import ModelError
from facecli.faces.chips import DLIB_GEOMETRY
from facecli.models import checkpoints
from facecli.types import ModelCard

pytestmark = pytest.mark.base


@pytest.fixture
def card() -> ModelCard:
    return ModelCard(
        name="toy",
        fingerprint="",
        architecture={"network": "toy", "mirror": True},
        geometry=DLIB_GEOMETRY,
        dimension=128,
        threshold=1.1,
        threshold_source="made up",
        licence="CC0",
        description='a toy with "quotes", <b>tags</b> and ü',
        thresholds={"1e-3": 1.3},
        data=({"name": "none", "terms": "none"},),
        history=({"step": 1},),
    )


WEIGHTS = {"a": np.arange(12, dtype=np.float32).reshape(3, 4), "b": np.array([0.1], np.float32)}


def test_card_and_weights_survive_and_the_fingerprint_is_set(
    tmp_path: Path, card: ModelCard
) -> None:
    path = tmp_path / "toy.safetensors"
    saved = checkpoints.save(path, WEIGHTS, card)
    weights, read = checkpoints.load(path)
    assert read == saved == checkpoints.read_card(path)
    assert dataclasses.replace(read, fingerprint="") == card
    np.testing.assert_array_equal(weights["a"], WEIGHTS["a"])
    assert weights["b"].dtype == np.float16


def test_a_transposed_array_is_written_in_its_logical_order(
    tmp_path: Path, card: ModelCard
) -> None:
    path = tmp_path / "toy.safetensors"
    checkpoints.save(path, {"a": WEIGHTS["a"].T}, card)
    np.testing.assert_array_equal(checkpoints.load(path)[0]["a"], WEIGHTS["a"].T)


@pytest.mark.parametrize("change", ["weight", "architecture", "geometry"])
def test_whatever_shapes_an_embedding_changes_the_fingerprint(
    change: str, tmp_path: Path, card: ModelCard
) -> None:
    weights = dict(WEIGHTS)
    changed = card
    if change == "weight":
        weights["a"] = weights["a"] + 1
    elif change == "architecture":
        changed = dataclasses.replace(card, architecture={"network": "toy", "mirror": False})
    else:
        geometry = dataclasses.replace(DLIB_GEOMETRY, size=149)
        changed = dataclasses.replace(card, geometry=geometry)
    one = checkpoints.save(tmp_path / "1.safetensors", WEIGHTS, card)
    two = checkpoints.save(tmp_path / "2.safetensors", weights, changed)
    assert one.fingerprint != two.fingerprint


def test_what_does_not_shape_an_embedding_leaves_the_fingerprint(
    tmp_path: Path, card: ModelCard
) -> None:
    other = dataclasses.replace(card, threshold=0.9, name="renamed", history=())
    one = checkpoints.save(tmp_path / "1.safetensors", WEIGHTS, card)
    two = checkpoints.save(tmp_path / "2.safetensors", WEIGHTS, other)
    assert one.fingerprint == two.fingerprint


def test_weights_that_were_exchanged_are_refused(tmp_path: Path, card: ModelCard) -> None:
    path = tmp_path / "toy.safetensors"
    saved = checkpoints.save(path, WEIGHTS, card)
    metadata = {"card": json.dumps(dataclasses.asdict(saved))}
    save_file(
        {"a": np.array([1], np.float16), "b": np.array([2], np.float16)}, path, metadata=metadata
    )
    with pytest.raises(ModelError, match="not those its model card describes"):
        checkpoints.load(path)


class _Bomb:
    def __reduce__(self) -> tuple[object, ...]:
        return (pytest.fail, ("a pickle was run",))


@pytest.mark.parametrize(
    "content",
    [b"", b"hello", b"\xff" * 64, pickle.dumps(_Bomb()), (2**40).to_bytes(8, "little") + b"{}"],
    ids=["empty", "text", "noise", "pickle", "huge header"],
)
def test_other_files_are_refused_with_one_line_and_never_run(
    content: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "bad.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"bad\.safetensors") as caught:
        checkpoints.load(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"geometry": 3}', '{"geometry": {"size": 1, "landmarks": []}}']
)
def test_a_card_that_makes_no_sense_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.safetensors"
    save_file({"a": np.array([1], np.float16)}, path, metadata={"card": text})
    with pytest.raises(ModelError, match="no readable model card"):
        checkpoints.read_card(path)


def _card_text(card: ModelCard, **changes: object) -> str:
    return json.dumps({**dataclasses.asdict(card), **changes})


@pytest.mark.parametrize("size", [0, -5, 10**6, float("inf"), float("nan"), "large"])
@pytest.mark.parametrize("field", ["size", "dimension"])
def test_impossible_sizes_are_refused(
    field: str, size: object, tmp_path: Path, card: ModelCard
) -> None:
    geometry = dataclasses.asdict(card.geometry)
    change = {"geometry": {**geometry, "size": size}} if field == "size" else {"dimension": size}
    path = tmp_path / "bad.safetensors"
    save_file(WEIGHTS, path, metadata={"card": _card_text(card, **change)})
    with pytest.raises(ModelError, match="no readable model card"):
        checkpoints.read_card(path)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"geometry":' * 50_000, "1" * 10_000])
def test_json_that_is_deep_or_long_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.safetensors"
    save_file(WEIGHTS, path, metadata={"card": text})
    with pytest.raises(ModelError, match="no readable model card"):
        checkpoints.read_card(path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused_in_spite_of_their_fingerprint(
    value: float, tmp_path: Path, card: ModelCard
) -> None:
    weights = {"a": np.array([1, value], np.float16)}
    mark = checkpoints.fingerprint(weights, card.architecture, card.geometry)
    path = tmp_path / "bad.safetensors"
    save_file(weights, path, metadata={"card": _card_text(card, fingerprint=mark)})
    with pytest.raises(ModelError, match="weights a are not finite"):
        checkpoints.load(path)


def test_weights_too_large_for_half_precision_are_refused(tmp_path: Path, card: ModelCard) -> None:
    with pytest.raises(ModelError, match="half precision"):
        checkpoints.save(tmp_path / "x.safetensors", {"a": np.array([1e9], np.float32)}, card)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_the_old_checkpoint(tmp_path: Path, card: ModelCard) -> None:
    path = tmp_path / "toy.safetensors"
    before = checkpoints.save(path, WEIGHTS, card)

    def small_files() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    script = (
        "import sys, numpy as np\n"
        "from pathlib import Path\n"
        "from facecli.models import checkpoints\n"
        "from facecli.errors import ModelError\n"
        "path = Path(sys.argv[1])\n"
        "try:\n"
        "    card = checkpoints.read_card(path)\n"
        "    checkpoints.save(path, {'a': np.ones(100_000, np.float32)}, card)\n"
        "except ModelError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)],
        preexec_fn=small_files,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "toy.safetensors: cannot be written" in done.stdout
    assert checkpoints.load(path)[1] == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["toy.safetensors"]
