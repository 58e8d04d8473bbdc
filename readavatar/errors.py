"""The error for a user's mistake, and suggestions for its message."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """A mistake in the user's input, not in the program.

    The message is one line: what was expected, what was given, what to do. The command line prints it and exits with
    code 2; library callers catch it as a ``ValueError``.
    """


def did_you_mean(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """A sentence, with a leading space, that suggests a similar name; empty if there is none.

    Args:
        name: The user's input.
        known: All valid names.
        cutoff: Least similarity in [0, 1] (``difflib``'s ratio).

    Example:
        >>> from readavatar.errors import did_you_mean
        >>> did_you_mean("hapy", ["happy", "sad"])
        " Did you mean 'happy'?"
        >>> did_you_mean("purple", ["happy", "sad"])
        ''
    """
    close = difflib.get_close_matches(name, known, n=1, cutoff=cutoff)
    return f" Did you mean '{close[0]}'?" if close else ""
