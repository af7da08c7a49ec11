"""Batch normalisation that exists only during training.

dlib's published trunk has no batch normalisation: it was folded into the convolutions. Without it,
training diverges at learning rates that a normalised network can use. Here each convolution gets a
batch normalisation that changes nothing at first: its scale and shift restore the mean and spread
that it removes. After training it is folded into the convolution again (Jacob et al. 2018, section
3.2), so the saved architecture stays the same.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from facecli.models.networks import FaceNetwork


class NormalisedConvolution(nn.Conv2d):
    """A convolution with batch normalisation after it; its parameters keep their names."""

    def __init__(self, plain: nn.Conv2d, outputs: Tensor, *, restoring: bool) -> None:
        super().__init__(
            plain.in_channels,
            plain.out_channels,
            cast("tuple[int, int]", plain.kernel_size),
            stride=cast("tuple[int, int]", plain.stride),
            padding=cast("tuple[int, int]", plain.padding),
            groups=plain.groups,
        )
        self.load_state_dict(plain.state_dict())
        self.norm = nn.BatchNorm2d(plain.out_channels)
        mean = outputs.mean(dim=(0, 2, 3))
        variance = outputs.var(dim=(0, 2, 3)).clamp(min=1e-4)
        with torch.no_grad():
            self.norm.running_mean = mean.clone()
            self.norm.running_var = variance.clone()
            if restoring:
                self.norm.bias.copy_(mean)
                self.norm.weight.copy_((variance + self.norm.eps).sqrt())

    def forward(self, x: Tensor) -> Tensor:
        """Apply the convolution to (n, c, h, w), then normalise each channel."""
        return cast("Tensor", self.norm(super().forward(x)))

    def folded(self) -> nn.Conv2d:
        """Return a plain convolution that computes the same outside training."""
        plain = nn.Conv2d(
            self.in_channels,
            self.out_channels,
            cast("tuple[int, int]", self.kernel_size),
            stride=cast("tuple[int, int]", self.stride),
            padding=cast("tuple[int, int]", self.padding),
            groups=self.groups,
        )
        mean, variance = self.norm.running_mean, self.norm.running_var
        assert mean is not None
        assert variance is not None
        assert self.bias is not None
        factor = self.norm.weight / (variance + self.norm.eps).sqrt()
        with torch.no_grad():
            plain.weight.copy_(self.weight * factor[:, None, None, None])
            plain.bias.copy_((self.bias - mean) * factor + self.norm.bias)  # type: ignore[union-attr]
        return plain.to(self.weight.device)


class NormalisedHead(nn.Linear):
    """A head whose numbers have mean 0 and variance 1 over a batch. Parameters keep their names.

    Embeddings of random networks all point the same way. The centres of a loss with a margin flee
    from all of them then, and stay away.
    """

    def __init__(self, plain: nn.Linear) -> None:
        super().__init__(plain.in_features, plain.out_features)
        self.load_state_dict(plain.state_dict())
        self.norm = nn.BatchNorm1d(plain.out_features, affine=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map features (n, f) to numbers (n, d)."""
        return cast("Tensor", self.norm(super().forward(x)))

    def folded(self) -> nn.Linear:
        """Return a plain head that computes the same outside training."""
        plain = nn.Linear(self.in_features, self.out_features)
        mean, variance = self.norm.running_mean, self.norm.running_var
        assert mean is not None
        assert variance is not None
        factor = (variance + self.norm.eps).rsqrt()
        with torch.no_grad():
            plain.weight.copy_(self.weight * factor[:, None])
            plain.bias.copy_((self.bias - mean) * factor)
        return plain.to(self.weight.device)


def insert_batch_norm(network: FaceNetwork, pixels: Tensor, *, restoring: bool = True) -> None:
    """Normalise every convolution of the trunk by its statistics over `pixels`, in place.

    `pixels` (n, 3, size, size) are a few hundred chips with values from 0 to 255. Outside training
    mode the network computes the same as before, unless `restoring` is false: then channels begin
    with mean 0 and variance 1, as they should where the weights are random.
    """
    outputs: dict[str, Tensor] = {}
    hooks = []
    convolutions = [
        (name, module)
        for name, module in network.trunk.named_modules()
        if type(module) is nn.Conv2d and module.bias is not None
    ]
    for name, module in convolutions:

        def keep(_: nn.Module, __: object, output: Tensor, name: str = name) -> None:
            outputs[name] = output.float()

        hooks.append(module.register_forward_hook(keep))
    with torch.inference_mode():
        network.eval()(pixels)
    for hook in hooks:
        hook.remove()
    for name, module in convolutions:
        parent, _, child = name.rpartition(".")
        replacement = NormalisedConvolution(module, outputs[name].clone(), restoring=restoring)
        setattr(network.trunk.get_submodule(parent), child, replacement.to(pixels.device))


def fold_batch_norm(network: FaceNetwork) -> None:
    """Fold each batch normalisation into its convolution or into the head, in place."""
    if isinstance(network.head, NormalisedHead):
        network.head = network.head.folded()
    for name, module in list(network.trunk.named_modules()):
        if isinstance(module, NormalisedConvolution):
            parent, _, child = name.rpartition(".")
            setattr(network.trunk.get_submodule(parent), child, module.folded())
