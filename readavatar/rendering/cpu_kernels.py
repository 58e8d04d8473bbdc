"""How compiled kernels are made, kept on disk and run.

A kernel holds the code of the helpers and the constants that it uses. numba compiles it anew when the file that it
stands in changes, but not when a helper's file does. So kernels are kept in a folder named by a hash of all files with
kernels: after a change to any of them none of the earlier ones is found.

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
"""The modules of this package with kernels, and all that these use of readavatar."""
UNUSED_SECONDS = 30 * 24 * 3600
"""Kernels that no process has asked for in that time are removed."""
NUM_BANDS_PER_THREAD = 3
"""Uneven pieces of an image are shared out better when there are more of them than threads."""


_LOGGER = logging.getLogger(__name__)
_decorating = Lock()


def kernel(function: Callable) -> Callable:
    """Decorate a function that numba compiles on its first call, once for each version of ``KERNEL_FILES``.

    It runs without Python's lock. Where its code cannot be kept on disk, it is compiled in every process.
    """
    function = inspect.unwrap(function)  # numba compiles no shape checker
    folder = None if numba.config.DISABLE_JIT else _own_folder()
    if folder:
        with _decorating:
            before, numba.config.CACHE_DIR = numba.config.CACHE_DIR, str(folder)
            try:
                compiled = numba.njit(function, nogil=True, cache=True)
            finally:
                numba.config.CACHE_DIR = before
        # Where it cannot write, numba takes another folder, where there may be kernels of other versions.
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
            "Compiled kernels cannot be kept (%s): every start takes seconds longer; set READAVATAR_CACHE to a folder "
            "that can be written to.",
            error,
        )
        return None


def kernel_folder(root: Path, sources: Sequence[Path]) -> Path:
    """The folder of one version of the kernels, which is made if need be; long unused ones are removed then.

    Args:
        root: Where such folders are.
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
    """A tensor's values as kernels take them: its own memory where they lie in order there, else a copy."""
    return tensor.detach().contiguous().numpy()


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
