"""The networks: a chip goes in, a unit vector of 128 numbers or so comes out.

An architecture is a small dictionary, stored in every model card, from which `build` makes the
module; the weights then come from the checkpoint.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from facecli.errors import ModelError
from facecli.models import sface, torchvision_standin
from facecli.models.block_networks import BlockTrunk
from facecli.models.block_trunks import ROWS
from facecli.models.dlib_format import STAGES

INCEPTION_DIMENSION = 512


class Residual(nn.Module):
    """Two 3x3 convolutions around a shortcut (He et al. 2016, section 3), without batch norm."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, channels, h, w) to the same shape."""
        return functional.relu(self.second(functional.relu(self.first(x))) + x)


class Downsample(nn.Module):
    """Halve the side: a strided convolution path plus an average-pooled shortcut.

    dlib pads strided layers by nothing and adds maps of unequal size by padding the smaller with
    zeros at the end of each axis: the shortcut in channels always, and the convolution path in
    rows and columns where its input has an even side. Leaving the latter out would broadcast a
    1x1 map over 2x2 in the last block without any error; a golden-embedding test pins it.
    """

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels_in, channels_out, 3, stride=2)
        self.second = nn.Conv2d(channels_out, channels_out, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, channels_in, h, w) to (n, channels_out, h // 2, w // 2)."""
        shortcut = functional.avg_pool2d(x, 2)
        path = self.second(functional.relu(self.first(x)))
        rows, columns = (shortcut.shape[axis] - path.shape[axis] for axis in (2, 3))
        path = functional.pad(path, (0, columns, 0, rows))
        extra = path.shape[1] - shortcut.shape[1]
        return functional.relu(path + functional.pad(shortcut, (0, 0, 0, 0, 0, extra)))


class ResNet29(nn.Module):
    """dlib's 29-layer face network (King 2017) with its affine layers folded into convolutions.

    `taps` names the stages, 1 to 5, whose maps feed the head and the side they are pooled to:
    {"5": 1} is dlib's own global average of 256 numbers, {"5": 2} keeps the four corners apart.
    `deeper` adds that many residual blocks at the end of a stage; a new block changes nothing
    until it is trained.
    """

    def __init__(self, taps: dict[str, int], deeper: dict[str, int] | None = None) -> None:
        super().__init__()
        self.taps = {int(stage): side for stage, side in taps.items()}
        more = {int(stage): blocks for stage, blocks in (deeper or {}).items()}
        self.stem = nn.Conv2d(3, 32, 7, stride=2)
        self.stages = nn.ModuleList()
        channels = 32
        for number, (width, plain, down) in enumerate(STAGES, start=1):
            blocks: list[nn.Module] = [Downsample(channels, width)] if down else []
            blocks += [Residual(width) for _ in range(plain)]
            blocks += [_idle(Residual(width)) for _ in range(more.get(number, 0))]
            self.stages.append(nn.Sequential(*blocks))
            channels = width

    @property
    def features(self) -> int:
        """Length of the feature vector that `forward` returns."""
        return sum(STAGES[stage - 1][0] * side**2 for stage, side in self.taps.items())

    def forward(self, x: Tensor) -> Tensor:
        """Map normalised chips (n, 3, 150, 150) to features (n, `features`)."""
        x = functional.max_pool2d(functional.relu(self.stem(x)), 3, stride=2)
        taken = []
        for number, stage in enumerate(self.stages, start=1):
            x = stage(x)
            if number in self.taps:
                pooled = functional.adaptive_avg_pool2d(x, self.taps[number])
                taken.append(pooled.flatten(1))
        return torch.cat(taken, dim=1)


def _idle(block: Residual) -> Residual:
    """Return the block as an identity: on the positive maps it sees, relu(x + 0) is x."""
    nn.init.zeros_(block.second.weight)
    nn.init.zeros_(cast("Tensor", block.second.bias))
    return block


class SFaceLayer(nn.Module):
    """A convolution and a PReLU."""

    def __init__(self, layer: sface.Layer) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(
            layer.channels_in,
            layer.channels_out,
            layer.kernel,
            stride=layer.stride,
            padding=layer.kernel // 2,
            groups=layer.channels_in if layer.depthwise else 1,
        )
        self.activation = nn.PReLU(layer.channels_out)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, channels_in, h, w) to (n, channels_out, h / stride, w / stride)."""
        return cast("Tensor", self.activation(self.convolution(x)))


class SFaceTrunk(nn.Module):
    """SFace's network up to the last map, its batch normalisation folded into convolutions."""

    features = sface.FEATURES
    size = sface.SFACE_GEOMETRY.size

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(*map(SFaceLayer, sface.layers()))

    def forward(self, x: Tensor) -> Tensor:
        """Map normalised chips (n, 3, 112, 112) to features (n, 50176)."""
        return cast("Tensor", self.layers(x)).flatten(1)


class InceptionBody(nn.Module):
    """facenet-pytorch's InceptionResnetV1 up to its 512 numbers."""

    features = INCEPTION_DIMENSION

    def __init__(self) -> None:
        super().__init__()
        torchvision_standin.install()
        from facenet_pytorch import InceptionResnetV1

        self.body = InceptionResnetV1(classify=False, pretrained=None)

    def forward(self, x: Tensor) -> Tensor:
        """Map normalised chips (n, 3, 160, 160) to features (n, 512)."""
        return cast("Tensor", self.body(x))


class FaceNetwork(nn.Module):
    """Normalisation, trunk, linear head and unit length, in one module.

    The last step is a calibration: `shift` (128,) is added to the unit vector, which is then
    brought back to unit length. A vector that is the same for everybody draws all embeddings
    together, and so sets the squared L2 at which a chosen false match rate lies, while hardly
    changing who is nearer to whom. It is zero unless training sets it.

    A `joined` network imitates two others. Its head's numbers unfold into a vector for each, and
    those fold, both at unit length, into one of `dimension` - 1 numbers.
    """

    mean: Tensor
    shift: Tensor
    unfold: Tensor
    unfold_bias: Tensor
    fold: Tensor
    fold_bias: Tensor

    def __init__(self, architecture: dict[str, Any]) -> None:
        super().__init__()
        self.trunk = _trunk(architecture)
        self.head = nn.Linear(self.trunk.features, architecture["dimension"])
        self.scale = float(architecture["scale"])
        mean = torch.tensor(architecture["mean"], dtype=torch.float32)
        self.register_buffer("mean", mean.view(1, 3, 1, 1), persistent=False)
        dimension = architecture["dimension"]
        self.register_buffer("shift", torch.zeros(dimension))
        self.joined = bool(architecture.get("joined"))
        if self.joined:
            self.register_buffer("unfold", torch.zeros(2 * dimension, dimension))
            self.register_buffer("unfold_bias", torch.ones(2 * dimension))
            self.register_buffer("fold", torch.zeros(dimension - 1, 2 * dimension))
            self.register_buffer("fold_bias", torch.zeros(dimension - 1))

    def forward(self, chips: Tensor) -> Tensor:
        """Map RGB chips (n, 3, size, size) of values 0 to 255 to unit vectors (n, dimension)."""
        features = self.trunk((chips - self.mean) / self.scale)
        return self.embed_features(features)

    def embed_maps(self, maps: Tensor, cut: int) -> Tensor:
        """Map what the first `cut` layers of the trunk gave to unit vectors (n, dimension)."""
        assert isinstance(self.trunk, SFaceTrunk | BlockTrunk)
        return self.embed_features(self.trunk.layers[cut:](maps).flatten(1))

    def embed_features(self, features: Tensor) -> Tensor:
        """Map trunk features (n, f) to unit vectors (n, dimension), always in float32."""
        with torch.autocast(features.device.type, enabled=False):
            raw = self.head(features.float())
            if self.joined:
                raw = lifted(functional.linear(self.unfolded(raw), self.fold, self.fold_bias))
            return functional.normalize(functional.normalize(raw) + self.shift)

    def unfolded(self, raw: Tensor) -> Tensor:
        """Map a joined head's output (n, d) to two unit vectors end to end, (n, 2d)."""
        both = functional.linear(raw, self.unfold, self.unfold_bias).chunk(2, dim=1)
        return torch.cat([functional.normalize(one) for one in both], dim=1)


def lifted(low: Tensor) -> Tensor:
    """Lift vectors (…, d - 1) onto the unit sphere, (…, d), by their height over the equator.

    What lies within it keeps its distances, nearly; scaling everything to unit length instead
    would bring typical faces, which lie near the middle, apart as far as others, and cost VAL at
    a low FAR. What lies without comes out longer than 1, barely off the equator.
    """
    height = (1 - low.square().sum(dim=-1, keepdim=True)).clamp(min=1e-6).sqrt()
    return torch.cat([low, height], dim=-1)


def _trunk(architecture: dict[str, Any]) -> ResNet29 | SFaceTrunk | InceptionBody | BlockTrunk:
    if architecture["network"] == "resnet29":
        return ResNet29(architecture["taps"], architecture.get("deeper"))
    if architecture["network"] == "sface":
        return SFaceTrunk()
    if architecture["network"] == "inception-resnet-v1":
        return InceptionBody()
    if architecture["network"] in ROWS:
        return BlockTrunk(architecture["network"])
    raise ModelError(f"unknown network {architecture['network']!r}")


def build(architecture: dict[str, Any]) -> FaceNetwork:
    """Make the module an architecture describes, with untrained weights.

    Keys: `network`, `taps` (resnet29 only), `dimension`, `mean` and `scale` (a pixel becomes
    (pixel - mean) / scale), `mirror` (whether the encoder averages a chip and its mirror image)
    and `joined` (whether the head imitates two networks). Raises ModelError for anything malformed.
    """
    try:
        return FaceNetwork(architecture).eval()
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise ModelError(f"malformed architecture: {error}") from error
