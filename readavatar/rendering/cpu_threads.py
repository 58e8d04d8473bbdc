"""Threads for compiled kernels that release Python's lock.

numba's own parallel loops abort in a forked data-loader worker (OpenMP layer) or when two Python threads enter them
(workqueue layer). A plain pool does neither, takes PyTorch's number of threads, and compiles ten times faster.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import torch

NUM_BANDS_PER_THREAD = 3
"""Uneven pieces of an image are shared out better when there are more of them than threads."""


def run_jobs(kernel: Callable[..., None], jobs: Sequence[tuple]) -> None:
    """Call ``kernel`` with each job's arguments, on as many threads as PyTorch uses."""
    num_threads = min(torch.get_num_threads(), len(jobs))
    if num_threads == 1:
        for job in jobs:
            kernel(*job)
        return
    remaining = iter(jobs)  # the next one of a list iterator is taken atomically

    def work() -> None:
        for job in remaining:
            kernel(*job)

    helpers = [_pool(os.getpid(), torch.get_num_threads()).submit(work) for _ in range(num_threads - 1)]
    work()
    for helper in helpers:
        # One that has not begun by now found no free core (PyTorch's own threads spin for a while after each
        # operation); nothing is left for it to do, and to wait for it would take a time slice of milliseconds.
        if not helper.cancel():
            helper.result()


def bands(num_images: int, length: int) -> list[tuple[int, int, int]]:
    """(image, first, end) of the pieces to share out: whole images if there are enough for the threads."""
    num_threads = torch.get_num_threads()
    pieces = 1 if num_threads == 1 or num_images >= 2 * num_threads else NUM_BANDS_PER_THREAD * num_threads
    pieces = max(1, min(pieces, length))
    edges = [piece * length // pieces for piece in range(pieces + 1)]
    return [(image, *edges[piece : piece + 2]) for image in range(num_images) for piece in range(pieces)]


def pieces(length: int) -> list[tuple[int, int]]:
    """(first, end) of as many pieces as there are threads, for jobs that each need a large buffer of their own."""
    num_pieces = max(1, min(torch.get_num_threads(), length))
    edges = [piece * length // num_pieces for piece in range(num_pieces + 1)]
    return [(edges[piece], edges[piece + 1]) for piece in range(num_pieces)]


@cache
def _pool(process: int, num_threads: int) -> ThreadPoolExecutor:
    # A forked child inherits the parent's pool object but not its threads, hence one for each process.
    return ThreadPoolExecutor(max(1, num_threads - 1), thread_name_prefix="readavatar-raster")
