"""Make, train and direct a person who does not exist: the whole path, without any file from outside.

example: readavatar demo --out demo
"""

from __future__ import annotations

import argparse

from readavatar.throughput import keep_freed_memory


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``demo``'s arguments."""
    parser.add_argument("--out", default="demo", metavar="DIR", help="folder for everything (demo)")
    parser.add_argument("--seed", type=int, default=0, help="another seed is another person (0)")
    parser.add_argument(
        "--quick", action="store_true", help="small, rough and about a minute: to check an installation"
    )


def run(arguments: argparse.Namespace) -> None:
    """Make the demo."""
    keep_freed_memory()
    from readavatar.demo import run_demo

    clip = run_demo(arguments.out, "quick" if arguments.quick else "full", arguments.seed)
    print(f"{clip} is done; {clip.parent / 'report.html'} shows how.")
