"""Options of a command that may follow positional arguments, for commands that pass other options on to runs."""

from __future__ import annotations

import argparse
from collections.abc import Callable


def parse_trailing_options(
    arguments: argparse.Namespace, add_options: Callable[[argparse.ArgumentParser], None], command: str
) -> argparse.Namespace:
    """Move a command's own options out of ``arguments.overrides``, where argparse puts all that follows a positional.

    Args:
        arguments: From argparse, with ``overrides`` of ``argparse.REMAINDER``.
        add_options: Adds the command's own options to a parser.
        command: Name of the command.
    """
    if {"-h", "--help"} & set(arguments.overrides):
        from readavatar.cli import main

        main([command, "--help"])
    late = argparse.ArgumentParser(prog=f"readavatar {command}", add_help=False, allow_abbrev=False)
    add_options(late)
    words = [word for word in arguments.overrides if word != "--"]
    arguments, arguments.overrides = late.parse_known_args(words, arguments)
    return arguments
