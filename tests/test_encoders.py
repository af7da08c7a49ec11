"""The table of models and the encoder."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from facecli import errors
from facecli.errors import MissingExtra, ModelError
from facecli.models import checkpoints, encoders, graph_encoder, openvino_runtime, runtime
from facecli.models.onnx_format import Graph


@pytest.fixture
def chips() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (5, 150, 150, 3), dtype=np.uint8)


@pytest.fixture
def own_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    monkeypatch.setattr(encoders, "user_models", lambda: folder)
    return folder


@pytest.mark.network
def test_a_mirrored_chip_has_the_same_embedding_and_all_are_unit_float32(
    chips: np.ndarray,
) -> None:
    encoder = encoders.load_encoder("dlib-128")
    vectors = encoder.embed(chips)
    assert vectors.dtype == np.float32
    assert vectors.shape == (5, 128)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(vectors, encoder.embed(chips[:, :, ::-1].copy()), atol=1e-5)


@pytest.mark.network
def test_a_chip_embeds_alike_alone_and_in_a_batch(
    chips: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = encoders.load_encoder("dlib-128")
    together = encoder.embed(chips)
    monkeypatch.setattr(graph_encoder, "BATCH", 2)
    np.testing.assert_allclose(together, encoder.embed(chips), atol=1e-5)
    np.testing.assert_allclose(together[3:4], encoder.embed([chips[3]]), atol=1e-5)


@pytest.mark.network
def test_no_chips_give_no_vectors_and_wrong_chips_are_refused() -> None:
    encoder = encoders.load_encoder("dlib-128")
    assert encoder.embed([]).shape == (0, 128)
    with pytest.raises(ValueError, match="chips must be"):
        encoder.embed(np.zeros((1, 112, 112, 3), np.uint8))


def test_the_table_lists_ours_and_facenet_pytorchs() -> None:
    names = [card.name for card in encoders.model_cards()]
    assert names == sorted(names)
    assert {"dlib-128", "inception-vggface2", "inception-casia-webface"} <= set(names)


def test_a_damaged_model_is_named_and_the_others_are_listed(own_models: Path) -> None:
    (own_models / "bad.safetensors").write_bytes(b"no model")
    told: list[ModelError] = []
    names = [card.name for card in encoders.model_cards(on_damage=told.append)]
    assert "dlib-128" in names
    assert "bad" not in names
    assert [str(error).startswith(str(own_models / "bad.safetensors")) for error in told] == [True]


def test_an_unknown_model_names_those_there_are() -> None:
    with pytest.raises(ModelError, match=r"no such model; there are: .*dlib-128"):
        encoders.load_encoder("nothing")


@pytest.mark.parametrize("name", list(encoders.INCEPTION))
def test_an_inception_model_says_how_to_bring_its_weights(name: str, own_models: Path) -> None:
    with pytest.raises(ModelError) as caught:
        encoders.load_encoder(name)
    assert encoders.INCEPTION[name].file in str(caught.value)
    assert str(own_models) in str(caught.value)


def test_an_inception_file_with_another_hash_is_refused(own_models: Path) -> None:
    (own_models / encoders.INCEPTION["inception-vggface2"].file).write_bytes(b"not the weights")
    with pytest.raises(ModelError, match="is not the published"):
        encoders.load_inception("inception-vggface2")


class _Bomb:
    def __reduce__(self) -> tuple[object, ...]:
        return (pytest.fail, ("a pickle was run",))


def test_an_inception_file_that_is_a_pickle_is_not_run(own_models: Path) -> None:
    path = own_models / encoders.INCEPTION["inception-casia-webface"].file
    torch.save({"weights": _Bomb()}, path)
    with pytest.raises(ModelError, match="cannot be read as weights"):
        encoders.load_inception("inception-casia-webface")


@pytest.mark.network
def test_real_inception_weights_load_but_need_a_head_before_a_gallery(own_models: Path) -> None:
    body = encoders_inception_body()
    state = {**body, "logits.weight": torch.zeros(1)}
    torch.save(state, own_models / encoders.INCEPTION["inception-casia-webface"].file)
    loaded = encoders.load_inception("inception-casia-webface")
    assert set(loaded) == {f"trunk.body.{name}" for name in body}
    with pytest.raises(ModelError, match="gives 512 numbers, without a head"):
        encoders.load_encoder("inception-casia-webface")


def encoders_inception_body() -> dict[str, torch.Tensor]:
    from facecli.models.networks import InceptionBody

    state = InceptionBody().state_dict()
    return {name.removeprefix("body."): value for name, value in state.items()}


def test_the_users_model_comes_before_ours_of_the_same_name(own_models: Path) -> None:
    copy = own_models / "dlib-128.safetensors"
    copy.write_bytes((encoders.SHIPPED / "dlib-128.safetensors").read_bytes())
    assert encoders.find_model("dlib-128") == copy


@pytest.mark.parametrize("device", ["cuda", "mps", "toaster"])
def test_a_device_that_is_not_there_is_refused(device: str) -> None:
    if runtime.PROVIDERS.get(device) in onnxruntime.get_available_providers():
        pytest.skip("this machine has one")
    with pytest.raises(ModelError, match=f"--device {device}"):
        encoders.load_encoder("dlib-128", device=device)


def test_auto_takes_a_device_that_is_there() -> None:
    assert runtime.resolve_device("auto") in ("cpu", "cuda", "mps")


@pytest.mark.network
def test_many_chips_go_to_openvino_and_stay_where_they_were(
    chips: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = encoders.load_encoder("dlib-128")
    before = encoder.embed(chips)
    started: list[str] = []

    class Watched(openvino_runtime.Compiled):
        def __init__(self, graph: Graph, *, precision: str) -> None:
            started.append(precision)
            super().__init__(graph, precision=precision)

    monkeypatch.setattr(openvino_runtime, "Compiled", Watched)
    monkeypatch.setattr(graph_encoder, "MANY", 12)
    encoder.embed(chips)
    assert started == []
    after = encoder.embed(chips)
    assert started == ["float32"]
    assert np.square(after - before).sum(axis=1).max() < 1e-8


@pytest.mark.network
def test_half_the_precision_moves_an_embedding_a_little(
    chips: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph_encoder, "MANY", 1)
    exact, rough = (
        encoders.load_encoder("facecli-128", precision=precision).embed(chips[:, :112, :112])
        for precision in ("float32", "bf16")
    )
    assert np.square(exact - rough).sum(axis=1).max() < 0.01


def test_without_openvino_many_chips_are_embedded_all_the_same(
    chips: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino_runtime, "is_installed", lambda: False)
    monkeypatch.setattr(graph_encoder, "MANY", 1)
    assert encoders.load_encoder("dlib-128").embed(chips).shape == (5, 128)


def test_bf16_without_openvino_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino_runtime, "is_installed", lambda: False)
    with pytest.raises(MissingExtra, match=r"pip install 'facecli\[openvino\]'"):
        encoders.load_encoder("dlib-128", precision="bf16")


@pytest.mark.network
def test_an_encoder_may_be_asked_from_several_threads(chips: np.ndarray) -> None:
    encoder = encoders.load_encoder("dlib-128")
    alone = encoder.embed(chips)
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(encoder.embed, [chips] * 8))
    for vectors in together:
        np.testing.assert_array_equal(vectors, alone)


@pytest.mark.network
@pytest.mark.slow
def test_memory_of_a_warm_encoder_does_not_grow() -> None:
    """After all batch sizes have been seen once, another round needs nothing more."""
    code = """
import resource
import numpy as np
from facecli.models.encoders import load_encoder

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

encoder = load_encoder("dlib-128")
for round in range(2):
    for count in (1, 8, 3, 5, 2, 7, 4, 6, 8, 1):
        encoder.embed(np.zeros((count, 150, 150, 3), np.uint8))
    if round == 0:
        before = peak()
print((peak() - before) / 1024)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 8


def test_a_network_that_only_pytorch_runs_says_so_without_it(
    own_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights, card = checkpoints.load(encoders.SHIPPED / "dlib-128.safetensors")
    other = replace(card, architecture={**card.architecture, "network": "inception-resnet-v1"})
    checkpoints.save(own_models / "mine.safetensors", weights, other)
    monkeypatch.setattr(errors, "find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match=r"dlib-128 needs torch: pip install 'facecli\[train\]'"):
        encoders.load_encoder("mine")
