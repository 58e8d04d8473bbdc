"""``readavatar fit|validate|test``: LightningCLI over the three stages' configs.

example: readavatar fit --config configs/tracking/default.yaml --data.clips clips/jane
"""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The stage commands parse their own arguments."""


def run(arguments: list[str]) -> int:
    """Run a stage's command: its name, then its options."""
    from readavatar.training import run_stage

    command, *options = arguments
    run_stage(command, options)
    return 0
