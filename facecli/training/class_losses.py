"""Losses that sort embeddings into the classes of the training data: softmax, center, ArcFace."""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn import functional

from facecli.training.objective import ClassObjective, Terms, accuracy, class_rows

SINE_FLOOR = 1e-7
"""Least squared sine. The gradient of the root is infinite at 0, where a row is at its centre."""


class Softmax(ClassObjective):
    """Cross entropy of a linear layer (Goodfellow et al. 2016, section 6.2.2.3).

    The logits are `scale` × (w·x + b). Rows are unit vectors, so with a scale of 1 the weights
    would have to grow long before the loss falls.
    """

    def __init__(self, classes: int, dimension: int, *, scale: float) -> None:
        super().__init__()
        self.weight = class_rows(classes, dimension)
        self.bias = nn.Parameter(self.weight.new_zeros(classes))
        self.scale = scale

    def centres(self) -> Tensor:
        """Return the weights, whose directions are the classes'."""
        return self.weight[:, None]

    def terms(self, embeddings: Tensor, labels: Tensor) -> Terms:
        """Return the cross entropy; there is no margin, so both accuracies are the same."""
        logits = self.scale * functional.linear(embeddings, self.weight, self.bias)
        right = accuracy(logits, labels)
        return Terms(
            functional.cross_entropy(logits, labels),
            {"accuracy": right, "accuracy_with_margin": right},
        )


class Center(Softmax):
    """Softmax, and a pull towards a learned centre of each class (Wen et al. 2016, section 3.2).

    The pull is `pull`/2 × ‖x − c‖², in the mean over the batch. The centres are moved by its
    gradient, at the rate the trainer gives them; the paper has a rule of its own with a rate of .5.
    """

    def __init__(self, classes: int, dimension: int, *, scale: float, pull: float) -> None:
        super().__init__(classes, dimension, scale=scale)
        self.places = class_rows(classes, dimension)
        self.pull = pull

    def centres(self) -> Tensor:
        """Return the centres that rows are pulled towards."""
        return self.places[:, None]

    def terms(self, embeddings: Tensor, labels: Tensor) -> Terms:
        """Return cross entropy and pull."""
        softmax = super().terms(embeddings, labels)
        away = (embeddings - self.places[labels]).square().sum(dim=1).mean()
        return Terms(softmax.loss + self.pull / 2.0 * away, softmax.measured)


class ArcFace(ClassObjective):
    """Cross entropy of cosines to the centres, the own angle enlarged (Deng et al. 2019, eq. 3).

    The logits are `scale` × cos θ, and `scale` × cos(θ + margin) for the own class; `margin` is in
    degrees.
    """

    def __init__(self, classes: int, dimension: int, *, scale: float, margin: float) -> None:
        super().__init__()
        self.weight = class_rows(classes, dimension)
        self.scale = scale
        self.margin = math.radians(margin)

    def centres(self) -> Tensor:
        """Return the weights, whose directions are the classes'."""
        return self.weight[:, None]

    def terms(self, embeddings: Tensor, labels: Tensor) -> Terms:
        """Return the cross entropy with the margin, and the accuracy without and with it."""
        cosines = self.cosines(embeddings)
        own = cosines.gather(1, labels[:, None])
        logits = self.scale * cosines.scatter(1, labels[:, None], self._enlarged(own))
        return Terms(
            functional.cross_entropy(logits, labels),
            {
                "accuracy": accuracy(cosines, labels),
                "accuracy_with_margin": accuracy(logits, labels),
            },
        )

    def _enlarged(self, cosine: Tensor) -> Tensor:
        """Return cos(θ + margin), without the arc cosine, whose gradient explodes at ±1.

        Beyond θ = 180° − margin it would rise again: there it is cos θ − margin·sin(margin), as in
        the authors' code.
        """
        sine = (1.0 - cosine.square()).clamp(min=SINE_FLOOR).sqrt()
        enlarged = cosine * math.cos(self.margin) - sine * math.sin(self.margin)
        beyond = cosine - self.margin * math.sin(self.margin)
        return enlarged.where(cosine >= -math.cos(self.margin), beyond)
