"""What a command writes to the terminal: log messages and progress bars, which library users see only if they ask."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from readavatar.cli.log_filters import install_log_filters
from readavatar.progress import progress_bars

_LOGGER = logging.getLogger("readavatar")
_opened = ExitStack()
"""What ``open_terminal`` opened: a context that nothing refers to would be closed at once."""


class TerminalHandler(logging.Handler):
    """Messages as they stand to stdout; warnings and errors to stderr, in one line that names the program."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record."""
        # The streams of this moment: a progress bar puts its own in their place, to stay below what is printed. Errors
        # of writing are raised, as of any other print: a full disk ends the command.
        message = record.getMessage()
        if record.levelno < logging.WARNING:
            print(message, flush=True)
        else:
            print(f"readavatar: {' '.join(message.split())}", file=sys.stderr, flush=True)


def open_terminal() -> None:
    """``terminal_output`` and ``install_log_filters`` for the rest of a process that a command has begun."""
    install_log_filters()
    _opened.enter_context(terminal_output())


@contextmanager
def terminal_output() -> Iterator[None]:
    """Print readavatar's log messages from INFO on, and draw progress bars."""
    if any(isinstance(handler, TerminalHandler) for handler in _LOGGER.handlers):  # a command that another one runs
        yield
        return
    level, propagate, handler = _LOGGER.level, _LOGGER.propagate, TerminalHandler()
    _LOGGER.addHandler(handler)
    _LOGGER.setLevel(logging.INFO)
    _LOGGER.propagate = False  # libraries add handlers to the root logger, which would print each message again
    try:
        with progress_bars():
            yield
    finally:
        _LOGGER.removeHandler(handler)
        _LOGGER.setLevel(level)
        _LOGGER.propagate = propagate
