"""Train a stage without one of its parts at a time, with several seeds, and say what each part is worth.

example: readavatar ablate configs/ablations/expression --seeds 3

Each file of the folder holds only what differs from the base, which is the stage's default under the folder's
_base.yaml, a small preset. The folder's name is the stage's. The stage learns from digital actors, one a seed; from
footage:
  readavatar ablate configs/ablations/expression --data.clips clips/jane
Options that the command does not know go to every run. The table is printed and written to OUT/table.md and
OUT/table.json. A command that was stopped goes on when it is given again; runs that are done are not made again.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from readavatar.cli.trailing_options import parse_trailing_options
from readavatar.errors import UserError

_DEFAULT_SEEDS = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``ablate``'s arguments; those it does not know go to every run."""
    parser.add_argument("folder", metavar="FOLDER", help="of ablations, such as configs/ablations/expression")
    _add_options(parser)
    parser.add_argument("overrides", nargs=argparse.REMAINDER, help="options for every run")


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", metavar="NAMES", help="these ablations alone, such as regression,one_hot")
    parser.add_argument("--seeds", type=int, metavar="N", help=f"runs of each, paired ({_DEFAULT_SEEDS})")
    parser.add_argument("--out", metavar="FOLDER", help="runs and tables (ablations/<stage>)")
    parser.add_argument("--table-only", action="store_true", help="the table of the runs that are done; train nothing")
    parser.add_argument("--rescore", action="store_true", help="measure again what is trained")
    parser.add_argument("--dry-run", action="store_true", help="print the commands and run none")


def run(arguments: argparse.Namespace) -> int:
    """Run what is not done yet, and tell the table."""
    arguments = parse_trailing_options(arguments, _add_options, "ablate")
    from readavatar.benchmarks.ablation import runs as ablation
    from readavatar.benchmarks.ablation.stages import choose_scorer, names_footage
    from readavatar.cli.terminal import open_terminal
    from readavatar.training.sweeps import run_stage_in_subprocess

    if arguments.seeds is not None and arguments.seeds < 1:
        raise UserError(f"Expected --seeds of 1 or more, but got {arguments.seeds}.")
    stage, preset, files = ablation.find_ablations(arguments.folder)
    only = None if arguments.only is None else [name.strip() for name in arguments.only.split(",") if name.strip()]
    chosen = ablation.choose_ablations(files, only)
    out = Path(arguments.out or Path("ablations") / stage.name)
    seeds = None if arguments.seeds is None else range(arguments.seeds)
    if not arguments.table_only:
        overrides = arguments.overrides
        runs = ablation.plan_runs(stage, preset, chosen, seeds or range(_DEFAULT_SEEDS), out, overrides)
        if arguments.dry_run:
            for each in runs:
                print("readavatar fit", *each.arguments)
            return 0
        run_stage = partial(run_stage_in_subprocess, initializer=open_terminal)
        scorer = choose_scorer(stage, names_footage(overrides), run_stage)
        ablation.run_ablations(runs, run_stage, scorer, arguments.rescore)
    _tell(stage, out, list(chosen), seeds)
    return 0


def _tell(stage, out: Path, names: list[str], seeds: range | None) -> None:
    from rich.console import Console

    from readavatar.benchmarks.ablation.runs import BASE, read_results
    from readavatar.benchmarks.ablation.table import print_table, write_json, write_markdown
    from readavatar.benchmarks.statistics import compare_runs

    results, notes = read_results(out, names, seeds)
    if not results:
        raise UserError(f"Expected runs of the base that are done in '{out}', but there are none; leave --table-only.")
    cells = compare_runs(results, BASE, stage.aims)
    notes = [f"Left out: {note}." for note in notes]
    print_table(f"ablations, {stage.name}", cells, stage.aims, BASE, Console(), notes)
    write_markdown(out / "table.md", f"Ablations, {stage.name}", cells, stage.aims, BASE, notes)
    write_json(out / "table.json", stage.name, cells, stage.aims, BASE)
    print(f"written: {out / 'table.md'}, {out / 'table.json'}")
