"""What the frozen part of a trunk makes of all takes: computed once, and stored in half precision.

Only networks whose trunk is a row of layers can be cut. Everything before the first layer that
learns is the front; its maps lie in the run folder, and training goes on from them.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from facecli.errors import TrainingError
from facecli.models import openvino_runtime
from facecli.models.block_networks import BlockTrunk
from facecli.models.networks import FaceNetwork, SFaceTrunk
from facecli.text import read_json_object
from facecli.training.config import TrainingConfig
from facecli.training.takes import inside, make_takes
from facecli.types import FloatArray, IntArray, PixelArray

Maps = npt.NDArray[np.float16]
Run = Callable[[Tensor], Tensor]

BLOCK = 32
"""Photos whose takes are made and stored together. A run that is cut off loses no more than that.

It is also the batch of the network; larger ones were not faster.
"""


class Front(nn.Module):
    """The normalisation and the first `cut` layers of a trunk."""

    mean: Tensor

    def __init__(self, network: FaceNetwork, cut: int) -> None:
        super().__init__()
        self.layers = layers_of(network)[:cut]
        self.register_buffer("mean", network.mean.clone())
        self.scale = network.scale
        self.size = _row_of(network).size

    def forward(self, pixels: Tensor) -> Tensor:
        """Map chips (n, 3, size, size) with values from 0 to 255 to maps (n, c, h, w).

        If all of the trunk is in front, the maps are its features (n, f).
        """
        maps: Tensor = self.layers((pixels - self.mean) / self.scale)
        return maps


def layers_of(network: FaceNetwork) -> nn.Sequential:
    """Return the layers of the trunk; raise TrainingError if it is not a row of layers."""
    return _row_of(network).layers


def _row_of(network: FaceNetwork) -> SFaceTrunk | BlockTrunk:
    """Return the trunk; raise TrainingError if it is not a row of layers."""
    if not isinstance(network.trunk, SFaceTrunk | BlockTrunk):
        raise TrainingError("takes need a network like SFace, whose trunk can be cut")
    return network.trunk


def cut_of(network: FaceNetwork, frozen: tuple[str, ...]) -> int:
    """Return the number of layers before the first that learns; `frozen` are prefixes of names."""
    layers = layers_of(network)
    for place in range(len(layers)):
        names = [f"trunk.layers.{place}.{name}" for name, _ in layers[place].named_parameters()]
        if not all(name.startswith(frozen) for name in names):
            return place
    return len(layers)


def front_of(network: FaceNetwork, cut: int, *, precision: str, device: torch.device) -> Run:
    """Return what computes the maps: OpenVINO on a CPU where it is installed, else PyTorch.

    `precision` is bf16 or float32. OpenVINO takes less than half of PyTorch's time.
    """
    front = Front(network, cut).to(device).eval()
    if device.type == "cpu" and cut and openvino_runtime.is_installed():
        return _openvino(front, precision)

    def run(pixels: Tensor) -> Tensor:
        with (
            torch.inference_mode(),
            torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"),
        ):
            maps: Tensor = front(pixels.to(device).contiguous(memory_format=torch.channels_last))
        return maps.cpu()

    return run


def _openvino(front: Front, precision: str) -> Run:
    import openvino

    side = front.size
    example = torch.zeros(1, 3, side, side)
    model = openvino.convert_model(front, example_input=example, input=[(-1, 3, side, side)])
    hints = {"INFERENCE_PRECISION_HINT": openvino_runtime.HINTS[precision]}
    request = openvino.Core().compile_model(model, "CPU", hints).create_infer_request()

    def run(pixels: Tensor) -> Tensor:
        result = request.infer({0: np.ascontiguousarray(pixels.numpy())})
        return torch.from_numpy(result[0].copy())

    return run


@dataclass(frozen=True, slots=True)
class Job:
    """All that decides the maps: photos, their paddings, the takes, and the front.

    `rows` (n,) are those of `chips` (m, side, side, 3) to use, `outlines` (n, 4, 2) are the corners
    of what is photo and not padding, and `identity` is text that names the photos and the model.
    """

    chips: PixelArray
    rows: IntArray
    outlines: FloatArray | None
    config: TrainingConfig
    cut: int
    identity: str

    def key(self) -> str:
        """Return a hash that changes if the maps would."""
        config = self.config
        text = f"{self.identity} {config.takes} {config.border} {config.seed} {config.precision}"
        digest = hashlib.sha256(f"{text} {self.cut}".encode())
        digest.update(self.rows.tobytes())
        digest.update(b"" if self.outlines is None else self.outlines.tobytes())
        return digest.hexdigest()

    def blocks(self) -> list[IntArray]:
        """Return the places in `rows` that are made together."""
        places = np.arange(len(self.rows))
        return [places[start : start + BLOCK] for start in range(0, len(places), BLOCK)]

    def takes(self, block: IntArray) -> Tensor:
        """Return all takes of some photos, uint8 (photos, takes, 3, size, size)."""
        chips = torch.from_numpy(self.chips[self.rows[block]]).permute(0, 3, 1, 2).float()
        photo = None
        if self.outlines is not None:
            photo = inside(torch.from_numpy(self.outlines[block]), chips.shape[-1])
        random = torch.Generator().manual_seed(self.config.seed * 1_000_003 + int(block[0]))
        made = [
            make_takes(chips, kind, random, border=self.config.border, photo=photo)
            for kind in self.config.takes
        ]
        return torch.stack(made, dim=1)


def load_features(
    job: Job, folder: Path, front: Callable[[], Run], *, on_photo: Callable[[], None]
) -> Maps:
    """Return the maps of all takes, float16 (photos, takes, c, h, w), computed where missing.

    `front` makes what computes them. Blocks that an earlier run stored in `folder` are kept.
    Raises TrainingError if the folder cannot be written.
    """
    path, notes = folder / "features.npy", folder / "features.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not _is_for(notes, job.key()):
            path.unlink(missing_ok=True)
            notes.write_text(json.dumps({"key": job.key()}), encoding="utf-8")
        _compute(job, path, front, on_photo)
        maps: Maps = np.load(path, mmap_mode="r")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise TrainingError(f"{folder}: features cannot be stored: {reason}") from error
    return maps


def _is_for(notes: Path, key: str) -> bool:
    try:
        return bool(read_json_object(notes.read_bytes()).get("key") == key)
    except (OSError, ValueError):
        return False


def _compute(job: Job, path: Path, front: Callable[[], Run], on_photo: Callable[[], None]) -> None:
    """Append the blocks that the file lacks."""
    blocks = job.blocks()
    done = _blocks_in(path, job)
    _tell(blocks[:done], on_photo)
    if done == len(blocks):
        return
    with path.open("ab") as stream:
        for block, maps in _maps_of_blocks(job, blocks[done:], front()):
            if stream.tell() == 0:
                shape = (len(job.rows), *maps.shape[1:])
                kind = {"descr": "<f2", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(stream, kind)
            stream.write(maps.tobytes())
            _tell([block], on_photo)


def _blocks_in(path: Path, job: Job) -> int:
    """Return the number of blocks that are stored; cut off what follows the last whole one."""
    if not path.is_file():
        return 0
    header, per_photo = _layout(path)
    photos = max(0, path.stat().st_size - header) // per_photo
    if photos >= len(job.rows):
        return len(job.blocks())
    done = photos // BLOCK
    with path.open("r+b") as stream:
        stream.truncate(header + per_photo * done * BLOCK if done else 0)
    return done


def _maps_of_blocks(job: Job, blocks: list[IntArray], run: Run) -> Iterator[tuple[IntArray, Maps]]:
    """Yield blocks with their maps; the next takes are made while the network runs."""
    with ThreadPoolExecutor(1) as maker:
        coming = [maker.submit(_takes_in_one_thread, job, blocks[0])]
        for number, block in enumerate(blocks, start=1):
            takes = coming.pop().result()
            if number < len(blocks):
                coming.append(maker.submit(_takes_in_one_thread, job, blocks[number]))
            yield block, _maps_of(run, takes)


def _takes_in_one_thread(job: Job, block: IntArray) -> Tensor:
    torch.set_num_threads(1)  # for this thread only: the network needs the others
    return job.takes(block)


def _tell(blocks: list[IntArray], on_photo: Callable[[], None]) -> None:
    for _ in itertools.chain(*blocks):
        on_photo()


def _layout(path: Path) -> tuple[int, int]:
    """Return the length of the header, and that of the maps of one photo, in bytes."""
    with path.open("rb") as stream:
        np.lib.format.read_magic(stream)
        shape, _, kind = np.lib.format.read_array_header_1_0(stream)
        return stream.tell(), int(np.prod(shape[1:])) * kind.itemsize


def _maps_of(run: Run, takes: Tensor) -> Maps:
    """Return the maps of takes (photos, takes, 3, …), float16 (photos, takes, c, h, w)."""
    photos = takes.shape[0]
    flat = takes.flatten(0, 1).float()
    parts = [run(flat[start : start + BLOCK]) for start in range(0, len(flat), BLOCK)]
    maps: Maps = torch.cat(parts).half().reshape(photos, -1, *parts[0].shape[1:]).numpy()
    return maps
