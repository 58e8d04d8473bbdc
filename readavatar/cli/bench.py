"""Time what readavatar does on this machine, and print a table.

example: readavatar bench stages --json stages.json
"""

from __future__ import annotations

import argparse

from readavatar.cli.memory import keep_freed_memory


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``bench``'s arguments."""
    parser.add_argument("name", choices=("rasterize", "stages"), help="what to time")
    parser.add_argument(
        "--morphable-model", default="builtin", metavar="MODEL", help="builtin, ict or a path (builtin)"
    )
    parser.add_argument("--json", metavar="FILE", help="write the figures here, too")


def run(arguments: argparse.Namespace) -> None:
    """Run one benchmark."""
    keep_freed_memory()
    import torch

    from readavatar.benchmarks import BENCHMARKS, print_figures, write_figures

    figures = BENCHMARKS[arguments.name](arguments.morphable_model)
    print_figures(f"{arguments.name}, {torch.get_num_threads()} threads", figures)
    if arguments.json:
        write_figures(arguments.json, figures)
