"""The one error a user's mistake raises."""


class UserError(ValueError):
    """A mistake in what the user gave, not in the program.

    The message is one line: what was expected, what was given, what to do. The command line prints it as it stands and
    exits with code 2; library callers catch it as a ``ValueError``.
    """
