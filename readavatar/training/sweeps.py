"""Several trainings one after another: W&B sweep files expanded without a server, and each run in its own process."""

from __future__ import annotations

import itertools
import math
import os
import random
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread

import yaml

from readavatar.errors import UserError


def expand_sweep(path: str | Path, count: int | None = None, seed: int = 0) -> list[list[str]]:
    """The command line (after ``readavatar``) of every run in a W&B sweep file.

    Args:
        path: A sweep file with ``command``, ``method`` (grid or random) and ``parameters``.
        count: Largest number of runs; None is the whole grid, or ten random draws.
        seed: Of the random draws.
    """
    sweep = yaml.safe_load(Path(path).read_text())
    try:
        method, parameters, command = sweep["method"], sweep["parameters"], sweep["command"]
    except (KeyError, TypeError):
        raise UserError(f"Expected `method`, `parameters` and `command` in the sweep file '{path}'.") from None
    start = command.index("readavatar") + 1
    fixed = [part for part in command[start:] if part != "${args}"]
    if method == "grid":
        choices = [_values(name, parameter) for name, parameter in parameters.items()]
        draws = [dict(zip(parameters, values, strict=True)) for values in itertools.product(*choices)][:count]
    elif method == "random":
        generator = random.Random(seed)
        draws = [
            {name: _draw(name, parameter, generator) for name, parameter in parameters.items()}
            for _ in range(10 if count is None else count)
        ]
    else:
        raise UserError(
            f"Expected the method grid or random in '{path}', but got '{method}', which needs W&B's server."
        )
    return [[*fixed, *(f"--{name}={value}" for name, value in draw.items())] for draw in draws]


def _values(name: str, parameter: dict) -> list:
    if "value" in parameter:
        return [parameter["value"]]
    if "values" in parameter:
        return parameter["values"]
    raise UserError(f"Expected `value` or `values` for '{name}' in a grid sweep, but got {parameter}.")


def _draw(name: str, parameter: dict, generator: random.Random):
    if "value" in parameter or "values" in parameter:
        return generator.choice(_values(name, parameter))
    low, high = parameter["min"], parameter["max"]
    distribution = parameter.get("distribution", "int_uniform" if isinstance(low, int) else "uniform")
    if distribution == "log_uniform_values":
        return math.exp(generator.uniform(math.log(low), math.log(high)))
    if distribution == "int_uniform":
        return generator.randint(low, high)
    if distribution == "uniform":
        return generator.uniform(low, high)
    raise UserError(f"Expected uniform, int_uniform or log_uniform_values for '{name}', but got '{distribution}'.")


def run_stage_in_subprocess(
    command: str, arguments: Sequence[str], initializer: Callable[[], None] | None = None
) -> dict[str, float]:
    """Call ``run_stage`` in a new process, to free its memory: twenty trainings in one process leave gigabytes.

    The new process also ends if this one is killed.

    Args:
        command: ``fit``, ``validate``, ``test`` or ``predict``.
        arguments: Of the command line.
        initializer: A module-level function that is called first in the new process, for example to set up logging.

    Returns:
        The run's last metrics, by name.

    Raises:
        UserError: As from ``run_stage``, or the process was killed.
    """
    return _in_subprocess(_run, (command, list(arguments)), initializer)


def _in_subprocess(function: Callable, arguments: tuple, initializer: Callable[[], None] | None = None):
    # A forked process would inherit the locks of PyTorch's threads, but not the threads.
    with ProcessPoolExecutor(1, get_context("spawn"), initializer, ()) as pool:
        try:
            return pool.submit(_call, function, arguments).result()
        except BrokenProcessPool:
            raise UserError(
                "Expected the run to finish, but its process was killed (perhaps out of memory); give the same command "
                "again to resume it."
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
