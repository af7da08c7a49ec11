"""A stand-in for the two names that facenet-pytorch takes from torchvision.

torchvision's compiled part must match the installed torch, and where it does not, as with a CPU
build of torch beside the usual torchvision, its import fails. Detection needs none of that part.
"""

from __future__ import annotations

import sys
from types import ModuleType

import numpy as np
import torch
from torch import Tensor


def install() -> bool:
    """Put the stand-in into `sys.modules` unless torchvision imports; return whether it did."""
    try:
        import torchvision.ops.boxes
        import torchvision.transforms.functional  # noqa: F401
    # A torchvision that does not match torch raises RuntimeError, a missing library OSError.
    except (ImportError, RuntimeError, OSError, AttributeError):
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        sys.modules.update(_modules())
        return True
    return False


def to_tensor(picture: object) -> Tensor:
    """Turn an (h, w, channels) array or picture into a float tensor (channels, h, w).

    uint8 is scaled to 0..1, other types are kept as they are.
    """
    array = np.atleast_3d(np.asarray(picture))
    tensor = torch.from_numpy(array.transpose(2, 0, 1).copy())
    return tensor.float() / 255 if tensor.dtype == torch.uint8 else tensor


def batched_nms(boxes: Tensor, scores: Tensor, idxs: Tensor, iou_threshold: float) -> Tensor:
    """Suppress overlapping boxes within each group; return the kept rows, best score first.

    `boxes` is float (n, 4) as left, top, right, bottom, `scores` (n,), `idxs` (n,) the group of
    each box. A box goes when its intersection over union with a kept, better one of its group
    exceeds the threshold.
    """
    order = torch.argsort(scores, descending=True, stable=True)
    left, top, right, bottom = boxes[order].cpu().numpy().T
    groups = idxs[order].cpu().numpy()
    area = (right - left) * (bottom - top)
    alive = np.ones(len(order), dtype=bool)
    for best in range(len(order)):
        if not alive[best]:
            continue
        rest = best + 1 + np.flatnonzero(alive[best + 1 :] & (groups[best + 1 :] == groups[best]))
        width = np.minimum(right[best], right[rest]) - np.maximum(left[best], left[rest])
        height = np.minimum(bottom[best], bottom[rest]) - np.maximum(top[best], top[rest])
        shared = np.maximum(width, 0) * np.maximum(height, 0)
        # Two boxes without area share 0 of 0, which exceeds nothing.
        with np.errstate(invalid="ignore"):
            overlap = shared / (area[best] + area[rest] - shared)
        alive[rest[overlap > iou_threshold]] = False
    return order[torch.from_numpy(alive).to(order.device)]


def _modules() -> dict[str, ModuleType]:
    modules = {
        name: ModuleType(name)
        for name in (
            "torchvision",
            "torchvision.ops",
            "torchvision.ops.boxes",
            "torchvision.transforms",
            "torchvision.transforms.functional",
        )
    }
    for name, module in modules.items():
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(modules[parent], child, module)
    vars(modules["torchvision.ops.boxes"])["batched_nms"] = batched_nms
    vars(modules["torchvision.transforms.functional"])["to_tensor"] = to_tensor
    return modules
