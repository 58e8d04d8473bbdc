"""Weights & Biases sweep files, expanded on this machine without a server."""

from __future__ import annotations

import itertools
import math
import random
from pathlib import Path

import yaml

from readavatar.errors import UserError


def expand_sweep(path: str | Path, count: int | None = None, seed: int = 0) -> list[list[str]]:
    """The command line (after ``readavatar``) of every run in a W&B sweep file.

    Args:
        path: A sweep file with ``command``, ``method`` (grid or random) and ``parameters``.
        count: At most so many; None is the whole grid, or ten random draws.
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
