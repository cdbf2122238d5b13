"""Work on blocks of images by several threads, with the same result by however many."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

T = TypeVar("T")
BLOCK = 2048
"""Images of which one thread makes a sum. Sums of these are added in their order, so that a result
does not depend on how many threads there are."""


class Workers:
    """Threads that each do the work of one block of images at a time."""

    def __init__(self, threads: ThreadPoolExecutor | None = None) -> None:
        self._threads = threads

    def blocks(self, part: Callable[[slice], T], n: int) -> list[T]:
        """What a function makes of every block of n images, in their order."""
        slices = [slice(start, start + BLOCK) for start in range(0, n, BLOCK)]
        return list((map if self._threads is None else self._threads.map)(part, slices))


@contextmanager
def workers() -> Iterator[Workers]:
    """As many as torch has threads; each operation of torch has one meanwhile.

    Sums depend on how they are divided, and what is chosen by them.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        if before == 1:
            yield Workers()
        else:
            with ThreadPoolExecutor(before, thread_name_prefix="probe") as threads:
                yield Workers(threads)
    finally:
        torch.set_num_threads(before)
