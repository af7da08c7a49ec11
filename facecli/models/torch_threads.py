"""How many threads PyTorch may use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def single_thread() -> Iterator[None]:
    """Keep PyTorch to one thread, for the calling thread alone, while work is small.

    MTCNN is thousands of tiny steps. A second thread saved a tenth on large pictures, and on a
    busy machine made detection five to fifteen times slower, as each step waits for both.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
