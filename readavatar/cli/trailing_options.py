"""Own options of a command whose other options go on to the runs it makes, wherever on the line they stand."""

from __future__ import annotations

import argparse
from collections.abc import Callable


def parse_trailing_options(
    arguments: argparse.Namespace, add_options: Callable[[argparse.ArgumentParser], None], command: str
) -> argparse.Namespace:
    """Take a command's own options out of ``arguments.overrides``, where argparse leaves all that follows a position.

    Args:
        arguments: As argparse gave them, with ``overrides`` of ``argparse.REMAINDER``.
        add_options: Adds the command's own options to a parser.
        command: Its name.
    """
    if {"-h", "--help"} & set(arguments.overrides):
        from readavatar.cli import main

        main([command, "--help"])
    late = argparse.ArgumentParser(prog=f"readavatar {command}", add_help=False, allow_abbrev=False)
    add_options(late)
    words = [word for word in arguments.overrides if word != "--"]
    arguments, arguments.overrides = late.parse_known_args(words, arguments)
    return arguments
