"""Options of a command that passes all options it does not know on to its runs, in any order."""

from __future__ import annotations

import argparse
from collections.abc import Callable


def parse_trailing_options(
    arguments: argparse.Namespace, add_options: Callable[[argparse.ArgumentParser], None], command: str
) -> argparse.Namespace:
    """Parse the command's own options in ``arguments.overrides``, where argparse puts all behind the first positional.

    Args:
        arguments: As argparse gave them, with ``overrides`` of ``argparse.REMAINDER``.
        add_options: Adds the command's own options to a parser.
        command: Its name.

    Returns:
        ``arguments`` with these options set and only the others left in ``overrides``.
    """
    if {"-h", "--help"} & set(arguments.overrides):
        from readavatar.cli import main

        main([command, "--help"])
    late = argparse.ArgumentParser(prog=f"readavatar {command}", add_help=False, allow_abbrev=False)
    add_options(late)
    words = [word for word in arguments.overrides if word != "--"]
    arguments, arguments.overrides = late.parse_known_args(words, arguments)
    return arguments
