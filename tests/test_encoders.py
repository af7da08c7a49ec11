"""The table of models and the encoder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from facecli.errors import ModelError
from facecli.models import encoders


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
    monkeypatch.setattr(encoders, "BATCH", 2)
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
    if device == "cuda" and torch.cuda.is_available():
        pytest.skip("this machine has one")
    if device == "mps" and torch.backends.mps.is_available():
        pytest.skip("this machine has one")
    with pytest.raises(ModelError, match=f"--device {device}"):
        encoders.resolve_device(device)


def test_auto_takes_a_device_that_is_there() -> None:
    assert encoders.resolve_device("auto") in ("cpu", "cuda", "mps")
