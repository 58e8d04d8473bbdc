"""Measure what readavatar does on this machine, and print a table.

example: readavatar bench stages --json stages.json

Stages and the rasteriser are timed; tracking is fitted and measured, against digital actors' truth and on footage:
  readavatar bench tracking --actors 3 --footage people --json tracking.json
"""

from __future__ import annotations

import argparse

from readavatar.cli.memory import keep_freed_memory


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``bench``'s arguments."""
    parser.add_argument("name", choices=("rasterize", "stages", "tracking"), help="what to measure")
    parser.add_argument(
        "--morphable-model", metavar="MODEL", help="builtin, ict or a path (builtin; tracking: ict where it is here)"
    )
    parser.add_argument("--json", metavar="FILE", help="write the figures here, too")
    tracking = parser.add_argument_group("tracking")
    tracking.add_argument("--actors", type=int, default=3, metavar="N", help="how many digital actors to film (3)")
    tracking.add_argument(
        "--footage", metavar="FOLDER", help="one folder a person, each with that person's clip stores or videos"
    )
    tracking.add_argument(
        "--config",
        default="configs/tracking/default.yaml",
        metavar="FILE",
        help="of the fit, put over the default: configs/tracking/fast.yaml, say",
    )
    tracking.add_argument(
        "--work", default="bench_tracking", metavar="FOLDER", help="films and fits; films are made once"
    )


def run(arguments: argparse.Namespace) -> None:
    """Run one benchmark."""
    keep_freed_memory()
    figures = _tracking(arguments) if arguments.name == "tracking" else _timed(arguments)
    if arguments.json:
        from readavatar.benchmarks import write_figures

        write_figures(arguments.json, figures)


def _timed(arguments: argparse.Namespace) -> dict:
    import torch

    from readavatar.benchmarks import BENCHMARKS, print_figures

    figures = BENCHMARKS[arguments.name](arguments.morphable_model or "builtin")
    print_figures(f"{arguments.name}, {torch.get_num_threads()} threads", figures)
    return figures


def _tracking(arguments: argparse.Namespace) -> dict:
    from readavatar.benchmarks import bench_tracking
    from readavatar.cli.stages import run as run_stage

    return bench_tracking(
        run_stage,
        morphable_model=arguments.morphable_model,
        actors=arguments.actors,
        footage=arguments.footage,
        config=arguments.config,
        work=arguments.work,
    )
