"""The graph of a model computes what its PyTorch network computes, and takes only its weights."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from facecli.errors import ModelError
from facecli.faces.chips import geometry_at
from facecli.models.block_trunks import ROWS
from facecli.models.dlib_format import resnet29_architecture
from facecli.models.graphs import CHIPS, EMBEDDINGS, encoder_graph, has_graph
from facecli.models.networks import FaceNetwork, build
from facecli.models.onnx_format import write
from facecli.models.openvino_runtime import Compiled
from facecli.models.runtime import Session
from facecli.models.sface import SFACE_GEOMETRY
from facecli.models.sface_import import ARCHITECTURE
from facecli.types import ChipGeometry, FloatArray, ModelCard

TOLERANCE = 1e-8
"""Squared L2 between the embeddings of two runtimes; measured: below 1e-11."""


def card(architecture: dict[str, Any], geometry: ChipGeometry) -> ModelCard:
    return ModelCard(
        name="test",
        fingerprint="",
        architecture=architecture,
        geometry=geometry,
        dimension=architecture["dimension"],
        threshold=1.1,
        threshold_source="none",
        licence="none",
        description="random weights",
    )


def network_of(architecture: dict[str, Any]) -> FaceNetwork:
    """Return a network with random weights whose maps neither vanish nor grow."""
    torch.manual_seed(1)
    network = build(architecture)
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if value.ndim == 4:
                torch.nn.init.kaiming_normal_(value)
            elif name.endswith("activation.weight"):
                value.uniform_(-0.5, 1.2)
            elif name.startswith(("shift", "fold", "unfold")):
                value.normal_(std=0.1)
    return network


ARCHITECTURES = {
    "sface": (ARCHITECTURE, SFACE_GEOMETRY),
    "sface mirrored": ({**ARCHITECTURE, "mirror": True}, SFACE_GEOMETRY),
    "dlib": (resnet29_architecture({"5": 1}), geometry_at(150)),
    "joined": ({**resnet29_architecture({"3": 4, "5": 2}), "joined": True}, geometry_at(150)),
    **{name: (row.architecture(name, 32), row.geometry) for name, row in ROWS.items()},
    "deeper, uneven": (
        {**resnet29_architecture({"2": 5, "3": 3}), "deeper": {"2": 1, "5": 2}, "dimension": 17},
        geometry_at(150),
    ),
}


@pytest.fixture(params=ARCHITECTURES)
def model(request: pytest.FixtureRequest) -> tuple[FaceNetwork, ModelCard]:
    architecture, geometry = ARCHITECTURES[request.param]
    return network_of(architecture), card(architecture, geometry)


def weights_of(network: FaceNetwork) -> dict[str, FloatArray]:
    return {name: value.numpy() for name, value in network.state_dict().items()}


def reference(network: FaceNetwork, chips: FloatArray, *, mirror: bool) -> FloatArray:
    with torch.inference_mode():
        vectors = network(torch.from_numpy(chips))
        if mirror:
            vectors = vectors + network(torch.from_numpy(chips).flip(3))
        result: FloatArray = torch.nn.functional.normalize(vectors).numpy()
    return result


@pytest.mark.parametrize("runtime", ["runtime's form", "plain form", "OpenVINO"])
def test_a_graph_computes_what_the_network_computes(
    model: tuple[FaceNetwork, ModelCard], runtime: str
) -> None:
    network, about = model
    size = about.geometry.size
    chips = np.random.default_rng(2).integers(0, 256, (3, 3, size, size)).astype(np.float32)
    graph = encoder_graph(about, weights_of(network), for_runtime=runtime == "runtime's form")
    run = Compiled(graph).run if runtime == "OpenVINO" else Session(graph).run
    vectors = run({CHIPS: chips})[EMBEDDINGS]
    expected = reference(network, chips, mirror=about.architecture["mirror"])
    assert np.square(vectors - expected).sum(axis=1).max() < TOLERANCE
    assert np.square(expected[0] - expected[1]).sum() > 10_000 * TOLERANCE


def test_the_file_is_valid_for_the_onnx_package(model: tuple[FaceNetwork, ModelCard]) -> None:
    network, about = model
    for for_runtime in (True, False):
        graph = encoder_graph(about, weights_of(network), for_runtime=for_runtime)
        onnx.checker.check_model(onnx.load_from_string(write(graph)), full_check=True)


def test_half_precision_stays_half_in_the_file(model: tuple[FaceNetwork, ModelCard]) -> None:
    network, about = model
    half = {name: value.astype(np.float16) for name, value in weights_of(network).items()}
    single = {name: value.astype(np.float32) for name, value in half.items()}
    size = about.geometry.size
    chips = np.random.default_rng(2).integers(0, 256, (2, 3, size, size)).astype(np.float32)
    graphs = [encoder_graph(about, weights) for weights in (half, single)]
    first, second = (Session(graph).run({CHIPS: chips})[EMBEDDINGS] for graph in graphs)
    np.testing.assert_array_equal(first, second)
    assert len(write(graphs[0])) < 0.6 * len(write(graphs[1]))


def test_weights_that_do_not_fit_are_named(model: tuple[FaceNetwork, ModelCard]) -> None:
    network, about = model
    weights = weights_of(network)
    with pytest.raises(ModelError, match=r"weights head\.bias are missing"):
        encoder_graph(about, {n: v for n, v in weights.items() if n != "head.bias"})
    with pytest.raises(ModelError, match=r"weights head\.bias have the shape \(1,\)"):
        encoder_graph(about, {**weights, "head.bias": np.zeros(1, np.float32)})
    with pytest.raises(ModelError, match="weights more belong to no part of the network"):
        encoder_graph(about, {**weights, "more": np.zeros(1, np.float32)})


@pytest.mark.parametrize(
    "change",
    [
        {"network": "inception-resnet-v1"},
        {"network": ["sface"]},
        {"mean": "grey"},
        {"mean": [1.0]},
        {"scale": None},
        {"dimension": "128"},
    ],
)
def test_an_architecture_that_is_malformed_is_refused(change: dict[str, Any]) -> None:
    network = network_of(ARCHITECTURE)
    about = card(ARCHITECTURE, SFACE_GEOMETRY)
    damaged = dataclasses.replace(about, architecture={**ARCHITECTURE, **change})
    with pytest.raises(ModelError):
        encoder_graph(damaged, weights_of(network))


def test_only_networks_with_a_graph_run_without_pytorch() -> None:
    assert has_graph(ARCHITECTURE)
    assert has_graph(resnet29_architecture({"5": 1}))
    assert not has_graph({"network": "inception-resnet-v1"})
    assert not has_graph({})
    assert not has_graph({"network": []})
