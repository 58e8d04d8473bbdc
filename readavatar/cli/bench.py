"""Measure what readavatar does on this machine, and print a table.

example: readavatar bench stages --json stages.json

Stages and the rasteriser are timed; tracking is fitted and measured, against digital actors' truth and on footage:
  readavatar bench tracking --actors 3 --footage people --json tracking.json
The expression network is trained on digital actors, beside a regression of its size, and measured against their truth:
  readavatar bench expression --actors 3 --json expression.json --plot expression.png
or one that is trained is measured, on the actors, on the held-out end of a fitted clip, or on recordings:
  readavatar bench expression --avatar avatars/jane --footage clips/jane
  readavatar bench expression --avatar avatars/jane --speech recordings
"""

from __future__ import annotations

import argparse

from readavatar.cli.memory import keep_freed_memory


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``bench``'s arguments."""
    parser.add_argument("name", choices=("rasterize", "stages", "tracking", "expression"), help="what to measure")
    parser.add_argument(
        "--morphable-model",
        metavar="MODEL",
        help="builtin, ict or a path (builtin; trained and fitted: ict where it is here)",
    )
    parser.add_argument("--json", metavar="FILE", help="write the figures here, too")
    trained = parser.add_argument_group("tracking and expression")
    trained.add_argument("--actors", type=int, default=3, metavar="N", help="how many digital actors (3)")
    trained.add_argument(
        "--footage",
        metavar="FOLDER",
        help="tracking: one folder a person, each with that person's clip stores or videos; expression: a fitted clip",
    )
    trained.add_argument("--config", metavar="FILE", help="of the training, put over the default: fast.yaml, say")
    trained.add_argument(
        "--work", metavar="FOLDER", help="what is made once and kept: films, fits, trainings (bench_tracking, …)"
    )
    expression = parser.add_argument_group("expression")
    expression.add_argument("--avatar", metavar="FOLDER", help="measure this one instead of training")
    expression.add_argument(
        "--held-out", type=float, default=12.0, metavar="SECONDS", help="at the footage's end, never trained on (12)"
    )
    expression.add_argument(
        "--speech", metavar="FOLDER", help="with --avatar: judge its sync on the recordings there instead"
    )
    expression.add_argument("--emotion", default="neutral", metavar="TRACK", help="of the recordings (neutral)")
    expression.add_argument("--sheets", metavar="FOLDER", help="draw each recording's motion into a .png there")
    expression.add_argument("--plot", metavar="FILE", help="draw dials, changes and the upper face into a .png")


def run(arguments: argparse.Namespace) -> None:
    """Run one benchmark."""
    keep_freed_memory()
    figures = {"tracking": _tracking, "expression": _expression}.get(arguments.name, _timed)(arguments)
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
        config=arguments.config or "configs/tracking/default.yaml",
        work=arguments.work or "bench_tracking",
    )


def _expression(arguments: argparse.Namespace) -> dict:
    from readavatar.benchmarks import bench_expression, bench_expression_footage, bench_expression_recordings
    from readavatar.cli.stages import run as run_stage
    from readavatar.errors import UserError

    work = arguments.work or "bench_expression"
    if arguments.footage:
        return bench_expression_footage(arguments.footage, arguments.avatar, arguments.held_out, work)
    if arguments.speech and not arguments.avatar:
        raise UserError("Expected --avatar FOLDER with --speech: whose face is to say it?")
    if arguments.speech:
        return bench_expression_recordings(
            arguments.speech, arguments.avatar, work, arguments.emotion, arguments.sheets
        )
    return bench_expression(
        run_stage,
        morphable_model=arguments.morphable_model,
        actors=arguments.actors,
        avatar=arguments.avatar,
        config=arguments.config,
        work=work,
        plot=arguments.plot,
    )
