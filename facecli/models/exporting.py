"""Write a model as an ONNX file that other programs open."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from facecli.errors import ModelError
from facecli.files import SHARED, replacing
from facecli.models import checkpoints
from facecli.models.encoders import INCEPTION, find_model
from facecli.models.graphs import encoder_graph
from facecli.models.onnx_format import write
from facecli.types import ModelCard


def export_onnx(name_or_path: str, out: Path) -> ModelCard:
    """Write the graph of a model, with its card as metadata, and return the card.

    The file appears whole or not at all. Raises ModelError for a model without a graph and for a
    file that cannot be written.
    """
    if name_or_path in INCEPTION:
        raise ModelError(f"{name_or_path}: only PyTorch runs this network, so it is not exported")
    weights, card = checkpoints.load(find_model(name_or_path))
    metadata = {"card": json.dumps(dataclasses.asdict(card), sort_keys=True)}
    data = write(encoder_graph(card, weights, for_runtime=False), metadata)
    try:
        with replacing(out, mode=SHARED) as stream:
            stream.write(data)
    except OSError as error:
        raise ModelError(f"{out}: cannot be written: {error.strerror or error}") from error
    return card
