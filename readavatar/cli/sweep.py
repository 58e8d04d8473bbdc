"""Run a Weights & Biases sweep file on this machine, without a server.

example: readavatar sweep configs/sweeps/expression.yaml --data.clips clips/jane --count 4

The same file works with the server: wandb sweep configs/sweeps/expression.yaml, then wandb agent. Grid and random
sweeps are expanded here; bayesian ones need the server. Each run trains in its own avatar folder,
sweeps/<name>/<number>, and a run that is there already goes on or is skipped, so a stopped sweep is resumed by the same
command.
"""

from __future__ import annotations

import argparse

from readavatar.cli.trailing_options import parse_trailing_options

_DEFAULT_SEED = 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``sweep``'s arguments; those it does not know go to every run."""
    parser.add_argument("sweep", metavar="FILE", help="a sweep file, such as configs/sweeps/expression.yaml")
    _add_options(parser)
    parser.add_argument("overrides", nargs=argparse.REMAINDER, help="options for every run, such as --data.clips CLIP")


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--count", type=int, metavar="N", help="at most N runs (default: the whole grid, or 10)")
    parser.add_argument("--seed", type=int, metavar="N", help=f"of a random sweep's draws ({_DEFAULT_SEED})")
    parser.add_argument("--dry-run", action="store_true", help="print the commands and run none")


def run(arguments: argparse.Namespace) -> int:
    """Run the sweep's commands one after another."""
    from readavatar.cli.terminal import open_terminal
    from readavatar.config_paths import find_config
    from readavatar.training.sweeps import expand_sweep, run_stage_in_subprocess

    arguments = parse_trailing_options(arguments, _add_options, "sweep")
    path = find_config(arguments.sweep)
    seed = _DEFAULT_SEED if arguments.seed is None else arguments.seed
    commands = expand_sweep(path, arguments.count, seed)
    for number, (command, *options) in enumerate(commands):
        line = [*options, "--avatar", f"sweeps/{path.stem}/{number:03d}", *arguments.overrides]
        print(f"[{number + 1}/{len(commands)}] readavatar {' '.join([command, *line])}", flush=True)
        if not arguments.dry_run:
            run_stage_in_subprocess(command, line, open_terminal)
    return 0
