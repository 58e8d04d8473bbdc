"""``readavatar fit|validate|test|predict``: LightningCLI over the three stages' configs.

example: readavatar fit --config configs/tracking/default.yaml --data.clips clips/jane
"""

from __future__ import annotations

import argparse

from readavatar.cli.terminal import install_log_filters
from readavatar.throughput import keep_freed_memory


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The stage commands parse their own arguments."""


def run(arguments: list[str]) -> int:
    """Run a stage's command: its name, then its options."""
    keep_freed_memory()
    from readavatar.training import run_stage

    install_log_filters()  # Lightning sets its own loggers' levels when it is imported
    command, *options = arguments
    run_stage(command, options)
    return 0
