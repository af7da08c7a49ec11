"""Models that are made out of a trained one: a slice of its embedding, or a shorter embedding.

Only the head changes. Its output is scaled to unit length, so the rows of a slice, and any linear
map of all rows, make a head of their own.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import nn

from facecli.models.networks import FaceNetwork
from facecli.training.head import principal_directions
from facecli.types import FloatArray


def sliced(network: FaceNetwork, numbers: slice) -> FaceNetwork:
    """Return the network whose embedding is a slice of this one's, at unit length."""
    return _with_head(
        network, network.head.weight.detach()[numbers], network.head.bias.detach()[numbers]
    )


def shortened(network: FaceNetwork, embeddings: FloatArray, dimension: int) -> FaceNetwork:
    """Return the network whose embedding keeps the first `dimension` directions of this one's.

    They are the principal directions about the origin of `embeddings` (n, d), since only angles
    count (Eckart & Young 1936: no other linear map keeps products of vectors as well).
    """
    directions = torch.from_numpy(principal_directions(embeddings, dimension)).float()
    directions = directions.to(network.head.weight.device)
    return _with_head(
        network,
        directions @ network.head.weight.detach(),
        directions @ network.head.bias.detach(),
    )


def _with_head(network: FaceNetwork, weight: torch.Tensor, bias: torch.Tensor) -> FaceNetwork:
    made: FaceNetwork = copy.deepcopy(network)
    made.head = nn.Linear(weight.shape[1], weight.shape[0]).to(weight.device)
    with torch.no_grad():
        made.head.weight.copy_(weight)
        made.head.bias.copy_(bias)
    made.shift = torch.zeros(weight.shape[0], device=weight.device)
    return made.eval()


def slice_of(embeddings: FloatArray, numbers: slice) -> FloatArray:
    """Return a slice of embeddings (n, d), each at unit length."""
    part = embeddings[:, numbers]
    lengths = np.linalg.norm(part, axis=1, keepdims=True)
    unit: FloatArray = (part / np.maximum(lengths, 1e-12)).astype(np.float32)
    return unit
