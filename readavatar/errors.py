"""The one error a user's mistake raises, and what its line may end with."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """A mistake in what the user gave, not in the program.

    The message is one line: what was expected, what was given, what to do. The command line prints it as it stands and
    exits with code 2; library callers catch it as a ``ValueError``.
    """


def did_you_mean(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """A sentence, with a space before it, that names what was perhaps meant; empty where nothing known is near.

    Args:
        name: As the user gave it.
        known: All that would have been right.
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
