"""Compiled kernels: how they are made, cached on disk and run.

A kernel contains the helpers and constants that it uses. numba compiles it again if its own file changes, but not if a
helper's file does. Therefore kernels are cached in a folder that is named by a hash of all files with kernels.

numba's own parallel loops abort in a forked data-loader worker (OpenMP layer) or when two Python threads enter them
(workqueue layer). A plain pool does neither, takes PyTorch's number of threads, and compiles ten times faster.
"""

from __future__ import annotations

import hashlib
import inspect
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path
from threading import Lock

import numba
import numpy as np
import torch
from torch import Tensor

from readavatar.assets import cache_folder

KERNEL_FILES = "cpu*.py"
"""The modules with kernels, and all modules of readavatar that they use."""
UNUSED_SECONDS = 30 * 24 * 3600
"""Kernels that were not used for so long are removed."""
NUM_BANDS_PER_THREAD = 3
"""More pieces than threads, since pieces take different times."""


_LOGGER = logging.getLogger(__name__)
_decorating = Lock()


def kernel(function: Callable) -> Callable:
    """Decorate a function that numba compiles on its first call, once for each version of ``KERNEL_FILES``.

    It runs without Python's lock. If its code cannot be cached on disk, it is compiled in every process.
    """
    function = inspect.unwrap(function)  # numba cannot compile the shape checker
    folder = None if numba.config.DISABLE_JIT else _own_folder()
    if folder:
        with _decorating:
            before, numba.config.CACHE_DIR = numba.config.CACHE_DIR, str(folder)
            try:
                compiled = numba.njit(function, nogil=True, cache=True)
            finally:
                numba.config.CACHE_DIR = before
        # If it cannot write, numba uses another folder, which may contain kernels of other versions.
        if Path(compiled.stats.cache_path).is_relative_to(folder):
            return compiled
    return numba.njit(function, nogil=True)


@cache
def _own_folder() -> Path | None:
    sources = sorted(Path(__file__).parent.glob(KERNEL_FILES))
    try:
        return kernel_folder(cache_folder() / "kernels", sources) if sources else None  # none in a zipped package
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home folder
        _LOGGER.warning(
            "Compiled kernels cannot be cached (%s): every start takes seconds longer; set READAVATAR_CACHE to a "
            "writable folder.",
            error,
        )
        return None


def kernel_folder(root: Path, sources: Sequence[Path]) -> Path:
    """The folder of one version of the kernels. If it is new, it is created and unused ones are removed.

    Args:
        root: The folder of all versions.
        sources: All files that kernels are compiled from.

    Raises:
        OSError: It cannot be made or written to.
    """
    digest = hashlib.sha256(f"numba {numba.__version__}".encode())
    for path in sources:
        digest.update(f"\n{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}".encode())
    folder = root / digest.hexdigest()[:24]
    is_new = not folder.is_dir()
    folder.mkdir(parents=True, exist_ok=True)
    tempfile.TemporaryFile(dir=folder).close()
    os.utime(folder)  # the time of the last use
    for other in root.iterdir() if is_new else ():
        with suppress(OSError):  # another process removes it, too
            if time.time() - other.stat().st_mtime > UNUSED_SECONDS:
                shutil.rmtree(other)
    return folder


def as_array(tensor: Tensor) -> np.ndarray:
    """A tensor's values for kernels: its own memory if it is contiguous, else a copy."""
    return tensor.detach().contiguous().numpy()


def run_jobs(kernel: Callable[..., None], jobs: Sequence[tuple]) -> None:
    """Call ``kernel`` with each job's arguments, on as many threads as PyTorch uses."""
    num_threads = min(torch.get_num_threads(), len(jobs))
    if num_threads == 1:
        for job in jobs:
            kernel(*job)
        return
    remaining = iter(jobs)  # next() of a list iterator is atomic

    def work() -> None:
        for job in remaining:
            kernel(*job)

    helpers = [_pool(os.getpid(), torch.get_num_threads()).submit(work) for _ in range(num_threads - 1)]
    work()
    for helper in helpers:
        # A thread that has not started by now found no free core (PyTorch's own threads spin for a while after each
        # operation). All jobs are done, and waiting for it would take milliseconds.
        if not helper.cancel():
            helper.result()


def bands(num_images: int, length: int) -> list[tuple[int, int, int]]:
    """(image, first, end) of the pieces of work: whole images if there are enough for the threads."""
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
