"""The stand-in does what torchvision does, and only where torchvision cannot."""

from __future__ import annotations

import importlib
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from facecli.models.torchvision_standin import batched_nms, to_tensor

pytestmark = pytest.mark.slow

Row = tuple[int, int, int, int, int, int]

rows = st.lists(
    st.tuples(*[st.integers(0, 12)] * 4, st.integers(0, 5), st.integers(0, 2)), max_size=30
)
"""Small whole numbers, so that boxes coincide, touch, nest, have no area, and scores tie."""


def tensors(boxes: list[Row]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    table = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 6)
    corners = torch.cat([table[:, :2], table[:, :2] + table[:, 2:4]], dim=1)
    return corners, table[:, 4] / 5, table[:, 5].long()


def brute_force(
    boxes: torch.Tensor, scores: torch.Tensor, groups: torch.Tensor, limit: float
) -> list[int]:
    """Go through the boxes from the best down and keep those no kept one of the group covers."""

    def covers(one: int, other: int) -> bool:
        a, b = boxes[one].tolist(), boxes[other].tolist()
        width = min(a[2], b[2]) - max(a[0], b[0])
        height = min(a[3], b[3]) - max(a[1], b[1])
        shared = max(width, 0.0) * max(height, 0.0)
        union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
        return bool(union > 0 and shared / union > limit)

    kept: list[int] = []
    for row in sorted(range(len(boxes)), key=lambda row: (-scores[row].item(), row)):
        if not any(groups[row] == groups[best] and covers(best, row) for best in kept):
            kept.append(row)
    return kept


@given(boxes=rows, limit=st.sampled_from([0.0, 0.3, 0.55, 0.95]))
def test_suppression_equals_brute_force(boxes: list[Row], limit: float) -> None:
    corners, scores, groups = tensors(boxes)
    kept = batched_nms(corners, scores, groups, limit)
    assert kept.dtype == torch.int64
    assert kept.tolist() == brute_force(corners, scores, groups, limit)


def test_best_score_comes_first_and_equal_ones_in_order() -> None:
    corners, scores, groups = tensors([(0, 0, 1, 1, n, 0) for n in (1, 4, 4, 2)])
    apart = corners + torch.arange(4)[:, None] * 10
    kept = batched_nms(apart, scores, groups, 0.5).tolist()
    assert kept == [1, 2, 3, 0]
    assert all(scores[a] >= scores[b] for a, b in pairwise(kept))


def test_pictures_become_tensors() -> None:
    """Bytes are scaled to 0..1, floats kept, channels come first, grey gets a channel."""
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    tensor = to_tensor(pixels)
    assert tensor.shape == (3, 2, 4)
    assert tensor[2, 1, 3] == pytest.approx(23 / 255)
    assert to_tensor(pixels.astype(np.float32))[2, 1, 3] == 23
    assert to_tensor(pixels[:, :, 0]).shape == (1, 2, 4)


def real_torchvision() -> tuple[ModuleType, ModuleType]:
    """Import the real package, or skip where it is absent or does not match torch."""
    try:
        boxes = importlib.import_module("torchvision.ops.boxes")
        functional = importlib.import_module("torchvision.transforms.functional")
    except (ImportError, RuntimeError, OSError, AttributeError) as error:
        pytest.skip(f"no working torchvision: {error}")
    if boxes.batched_nms is batched_nms:
        pytest.skip("no working torchvision: the stand-in is in its place")
    return boxes, functional


def test_equal_to_the_real_one_bit_for_bit() -> None:
    """In one group, as detection of single pictures uses it, no arithmetic differs."""
    boxes, functional = real_torchvision()
    generator = torch.Generator().manual_seed(0)
    for count in (0, 1, 50, 900, 3000):
        corners = torch.rand(count, 4, generator=generator) * 100
        corners[:, 2:] = corners[:, :2] + torch.rand(count, 2, generator=generator) * 60
        scores = torch.rand(count, generator=generator)
        groups = torch.zeros(count, dtype=torch.int64)
        for limit in (0.5, 0.7):
            expected = boxes.batched_nms(corners, scores, groups, limit)
            assert torch.equal(batched_nms(corners, scores, groups, limit), expected)
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    for array in (pixels, pixels.astype(np.float32)):
        assert torch.equal(to_tensor(array), functional.to_tensor(array))


# Installation, each in an interpreter of its own: what is imported cannot be taken back here.


def run(code: str, folder: Path) -> str:
    result = subprocess.run(
        [sys.executable, "-W", "error::ImportWarning", "-c", code],
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


INSTALL = """
import sys
sys.path.insert(0, ".")
from facecli.models import torchvision_standin as standin
print(standin.install(), end=" ")
from torchvision.ops.boxes import batched_nms
from torchvision.transforms import functional
print(batched_nms is standin.batched_nms, functional.to_tensor is standin.to_tensor, end=" ")
print(sorted(name for name in sys.modules if name.startswith("torchvision")))
"""

STANDIN_MODULES = (
    "['torchvision', 'torchvision.ops', 'torchvision.ops.boxes', 'torchvision.transforms',"
    " 'torchvision.transforms.functional']"
)


@pytest.mark.parametrize(
    "body",
    [
        "raise ImportError('no torchvision')",
        "raise RuntimeError('operator torchvision::nms does not exist')",
        "raise OSError('libcudart.so.13: cannot open shared object file')",
        "import torchvision.half",
    ],
)
def test_broken_torchvision_is_replaced_and_its_halves_removed(tmp_path: Path, body: str) -> None:
    """Whatever way its import fails, no module of the broken package stays behind."""
    package = tmp_path / "torchvision"
    package.mkdir()
    (package / "extension.py").touch()
    (package / "half.py").write_text("raise RuntimeError('operator does not exist')\n")
    (package / "__init__.py").write_text(f"import torchvision.extension\n{body}\n")
    assert run(INSTALL, tmp_path) == f"True True True {STANDIN_MODULES}"


def test_working_torchvision_is_left_alone(tmp_path: Path) -> None:
    for path, body in {
        "__init__.py": "",
        "ops/__init__.py": "",
        "ops/boxes.py": "batched_nms = 'the real one'",
        "transforms/__init__.py": "",
        "transforms/functional.py": "to_tensor = 'the real one'",
    }.items():
        file = tmp_path / "torchvision" / path
        file.parent.mkdir(exist_ok=True)
        file.write_text(body)
    assert run(INSTALL, tmp_path).startswith("False False False")


def test_installing_twice_changes_nothing(tmp_path: Path) -> None:
    """The second call finds the stand-in, which imports like the real one."""
    package = tmp_path / "torchvision"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError\n")
    code = f"{INSTALL}\nbefore = functional\nprint(standin.install(), end=' ')\n"
    code += "from torchvision.transforms import functional\nprint(functional is before)"
    assert run(code, tmp_path).endswith("False True")


def test_facenet_pytorch_needs_nothing_else_of_torchvision(tmp_path: Path) -> None:
    package = tmp_path / "torchvision"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError\n")
    code = "import facenet_pytorch; facenet_pytorch.MTCNN(); print('works')"
    assert run(f"{INSTALL}\n{code}", tmp_path).endswith("works")


def test_module_imports_no_torchvision_of_its_own(tmp_path: Path) -> None:
    """Importing the stand-in must not install it."""
    look = "print('torchvision' in sys.modules)"
    code = f"import sys; from facecli.models import torchvision_standin; {look}"
    assert run(code, tmp_path) == "False"
