"""Running one training after another, each in a process of its own."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from threading import Thread

from readavatar.errors import UserError


def run_stage_in_subprocess(
    command: str, arguments: Sequence[str], initializer: Callable[[], None] | None = None
) -> dict[str, float]:
    """``run_stage`` in a new process, which gives back all its memory: in one, twenty trainings leave gigabytes.

    It ends when this process is killed, too.

    Args:
        command: ``fit``, ``validate`` or ``test``.
        arguments: Of its command line.
        initializer: Of a module's top level; called first in the new process, to set its logging up, say.

    Returns:
        The run's last metrics, by name.

    Raises:
        UserError: As ``run_stage`` does, or the process was killed.
    """
    return _in_subprocess(_run, (command, list(arguments)), initializer)


def _in_subprocess(function: Callable, arguments: tuple, initializer: Callable[[], None] | None = None):
    # A forked process would inherit locks of PyTorch's threads, and none of the threads.
    with ProcessPoolExecutor(1, get_context("spawn"), initializer, ()) as pool:
        try:
            return pool.submit(_call, function, arguments).result()
        except BrokenProcessPool:
            raise UserError(
                "Expected the run to end by itself, but its process was killed, as happens when memory runs out; the "
                "same command goes on."
            ) from None


def _run(command: str, arguments: list[str]) -> dict[str, float]:
    from readavatar.training.runs import run_stage

    return {name: float(value) for name, value in run_stage(command, arguments).trainer.callback_metrics.items()}


def _call(function: Callable, arguments: tuple):
    Thread(target=_leave_with_parent, daemon=True).start()
    return function(*arguments)


def _leave_with_parent() -> None:
    parent_process().join()
    os._exit(1)
