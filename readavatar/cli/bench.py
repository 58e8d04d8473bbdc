"""Measure what readavatar does on this machine, and print a table.

example: readavatar bench stages --json stages.json

Stages and the rasteriser are timed; tracking is fitted and measured, against digital actors' truth and on footage:
  readavatar bench tracking --actors 3 --footage people --json tracking.json
The expression network is trained on digital actors, beside a regression of its size, and measured against their truth:
  readavatar bench expression --actors 3 --json expression.json --plot expression.png
or one that is trained is measured, on the actors, on the held-out end of a fitted clip, or on recordings:
  readavatar bench expression --avatar avatars/jane --footage clips/jane
  readavatar bench expression --avatar avatars/jane --speech recordings
The appearance network is trained on digital actors whose tongue and teeth no coefficient tells, and measured there; or
trained on a fitted clip (or one that is trained is taken) and measured on its held-out end; or driven by speech:
  readavatar bench appearance --actors 1
  readavatar bench appearance --footage clips/jane --avatar avatars/jane --sheets sheets
  readavatar bench appearance --avatar avatars/jane --speech speech.wav --emotions happy,sad --sheets sheets
What its training and animate cost beside the networks, for each of its configs:
  readavatar bench appearance --speed
"""

from __future__ import annotations

import argparse

from readavatar.throughput import keep_freed_memory


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``bench``'s arguments."""
    names = ("rasterize", "stages", "tracking", "expression", "appearance")
    parser.add_argument("name", choices=names, help="what to measure")
    parser.add_argument(
        "--morphable-model",
        metavar="MODEL",
        help="builtin, ict or a path (builtin; trained and fitted: ict where it is here)",
    )
    parser.add_argument("--json", metavar="FILE", help="write the figures here, too")
    trained = parser.add_argument_group("tracking, expression and appearance")
    trained.add_argument("--actors", type=int, default=3, metavar="N", help="how many digital actors (3)")
    trained.add_argument(
        "--footage",
        metavar="FOLDER",
        help="tracking: one folder a person, each with that person's clip stores or videos; else: a fitted clip",
    )
    trained.add_argument(
        "--config",
        metavar="FILE",
        action="append",
        default=[],
        help="of the training, put over the default: fast.yaml, say; appearance: any number of them",
    )
    trained.add_argument(
        "--work", metavar="FOLDER", help="what is made once and kept: films, fits, trainings (bench_tracking, …)"
    )
    expression = parser.add_argument_group("expression and appearance")
    expression.add_argument("--avatar", metavar="FOLDER", help="measure this one instead of training")
    expression.add_argument(
        "--held-out",
        type=float,
        metavar="SECONDS",
        help="at the footage's end, never trained on (expression 12; appearance 10, and at most a quarter)",
    )
    expression.add_argument(
        "--speech",
        metavar="PATH",
        help="with --avatar: expression: recordings on which sync is measured; appearance: a recording to speak",
    )
    expression.add_argument("--emotion", default="neutral", metavar="TRACK", help="of the recordings (neutral)")
    expression.add_argument("--emotions", default="all", metavar="NAMES", help="appearance: happy,sad or all (all)")
    expression.add_argument(
        "--strengths", default="0.3,0.6,1.0", metavar="NUMBERS", help="appearance: of each emotion (0.3,0.6,1.0)"
    )
    expression.add_argument(
        "--others", metavar="FOLDER", help="appearance: other people's clip stores, to compare likenesses with"
    )
    expression.add_argument("--speed", action="store_true", help="appearance: against the clock instead")
    expression.add_argument("--sheets", metavar="FOLDER", help="folder for .png files of what is measured")
    expression.add_argument("--plot", metavar="FILE", help="draw dials, changes and the upper face into a .png")


def run(arguments: argparse.Namespace) -> None:
    """Run one benchmark."""
    keep_freed_memory()
    trained = {"tracking": _tracking, "expression": _expression, "appearance": _appearance}
    figures = trained.get(arguments.name, _timed)(arguments)
    if arguments.json:
        from readavatar.benchmarks import write_figures

        write_figures(arguments.json, figures)


def _timed(arguments: argparse.Namespace) -> dict:
    import torch
    from rich.console import Console

    from readavatar.benchmarks import BENCHMARKS, print_figures

    figures = BENCHMARKS[arguments.name](arguments.morphable_model or "builtin")
    print_figures(f"{arguments.name}, {torch.get_num_threads()} threads", figures, Console())
    return figures


def _tracking(arguments: argparse.Namespace) -> dict:
    from rich.console import Console

    from readavatar.benchmarks import bench_tracking

    return bench_tracking(
        morphable_model=arguments.morphable_model,
        actors=arguments.actors,
        footage=arguments.footage,
        config=_one_config(arguments) or "configs/tracking/default.yaml",
        work=arguments.work or "bench_tracking",
        console=Console(),
    )


def _expression(arguments: argparse.Namespace) -> dict:
    from rich.console import Console

    from readavatar.benchmarks import bench_expression, bench_expression_footage, bench_expression_recordings
    from readavatar.errors import UserError

    work, console = arguments.work or "bench_expression", Console()
    if arguments.footage:
        held_out = 12.0 if arguments.held_out is None else arguments.held_out
        return bench_expression_footage(arguments.footage, arguments.avatar, held_out, work, console)
    if arguments.speech and not arguments.avatar:
        raise UserError("Expected --avatar FOLDER with --speech: whose face is to say it?")
    if arguments.speech:
        return bench_expression_recordings(
            arguments.speech, arguments.avatar, work, arguments.emotion, arguments.sheets, console
        )
    return bench_expression(
        morphable_model=arguments.morphable_model,
        actors=arguments.actors,
        avatar=arguments.avatar,
        config=_one_config(arguments),
        work=work,
        plot=arguments.plot,
        console=console,
    )


def _appearance(arguments: argparse.Namespace) -> dict:
    from rich.console import Console

    from readavatar.benchmarks import bench_appearance, bench_appearance_speed

    if arguments.speed:
        return bench_appearance_speed(
            morphable_model=arguments.morphable_model,
            configs=arguments.config,
            work=arguments.work or "bench_appearance",
            console=Console(),
        )
    return bench_appearance(
        morphable_model=arguments.morphable_model,
        actors=arguments.actors,
        footage=arguments.footage,
        avatar=arguments.avatar,
        speech=arguments.speech,
        emotions=arguments.emotions,
        strengths=arguments.strengths,
        held_out=10.0 if arguments.held_out is None else arguments.held_out,
        configs=arguments.config,
        others=arguments.others,
        work=arguments.work or "bench_appearance",
        sheets=arguments.sheets,
        console=Console(),
    )


def _one_config(arguments: argparse.Namespace) -> str | None:
    from readavatar.errors import UserError

    if len(arguments.config) > 1:
        raise UserError(f"Expected one --config for {arguments.name}, but got {len(arguments.config)}.")
    return arguments.config[0] if arguments.config else None
