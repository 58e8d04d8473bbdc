"""Running a command in a process of its own."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from threading import Thread

from readavatar.cli.terminal import terminal_output
from readavatar.errors import UserError


def run_in_subprocess(function: Callable[[list[str]], int], arguments: list[str]) -> int:
    """Run a command in a new process, whose end frees all its memory: twenty trainings in one process keep gigabytes.

    The new process ends, too, when this one is killed. Exceptions of ``function`` are raised here.

    Args:
        function: A function of a module's top level (it is pickled).
        arguments: Its command line.

    Returns:
        The exit code.

    Raises:
        UserError: The new process was killed.
    """
    # A forked process would inherit locks of PyTorch's threads, and none of the threads.
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        try:
            return pool.submit(_call, function, arguments).result()
        except BrokenProcessPool:
            raise UserError(
                "Expected the run to end by itself, but its process was killed, as happens when memory runs out; the "
                "same command goes on."
            ) from None


def _call(function: Callable[[list[str]], int], arguments: list[str]) -> int:
    Thread(target=_exit_with_parent, daemon=True).start()
    with terminal_output():
        return function(arguments)


def _exit_with_parent() -> None:
    parent_process().join()
    os._exit(1)
