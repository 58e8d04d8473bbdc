"""Run a Weights & Biases sweep file on this machine, without a server.

example: readavatar sweep configs/sweeps/expression.yaml --data.clips clips/jane --count 4

The same file works with the server: wandb sweep configs/sweeps/expression.yaml, then wandb agent. Grid and random
sweeps are expanded here; bayesian ones need the server. Each run trains in its own avatar folder,
sweeps/<name>/<number>, and a run that is there already goes on or is skipped, so a stopped sweep is resumed by the same
command.
"""

from __future__ import annotations

import argparse
import itertools
import math
import random
from pathlib import Path

import yaml

from readavatar.cli.trailing_options import parse_trailing_options
from readavatar.config_paths import find_config
from readavatar.errors import UserError

_DEFAULT_SEED = 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``sweep``'s arguments; those it does not know go to every run."""
    parser.add_argument("sweep", metavar="FILE", help="a sweep file, such as configs/sweeps/expression.yaml")
    _add_options(parser)
    parser.add_argument(
        "overrides",
        metavar="OPTIONS",
        nargs=argparse.REMAINDER,
        help="options for every run, such as --data.clips CLIP",
    )


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--count", type=int, metavar="N", help="at most N runs (default: the whole grid, or 10)")
    parser.add_argument("--seed", type=int, metavar="N", help=f"seed of a random sweep's draws ({_DEFAULT_SEED})")
    parser.add_argument("--dry-run", action="store_true", help="print the commands and run none")


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


def run(arguments: argparse.Namespace) -> int:
    """Run the sweep's commands one after another."""
    from readavatar.cli import main
    from readavatar.cli.subprocess_runner import run_in_subprocess

    arguments = parse_trailing_options(arguments, _add_options, "sweep")
    path = find_config(arguments.sweep)
    seed = _DEFAULT_SEED if arguments.seed is None else arguments.seed
    commands = expand_sweep(path, arguments.count, seed)
    for number, command in enumerate(commands):
        line = [*command, "--avatar", f"sweeps/{path.stem}/{number:03d}", *arguments.overrides]
        print(f"[{number + 1}/{len(commands)}] readavatar {' '.join(line)}", flush=True)
        if not arguments.dry_run and (code := run_in_subprocess(main, line)):
            return code
    return 0
