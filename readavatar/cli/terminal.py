"""What libraries and our own code say beside the results: little, and in one line.

What a command writes to the terminal: log messages and progress bars, which library users see only if they ask.
"""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import readavatar
from readavatar.progress import progress_bars

_PACKAGE = Path(readavatar.__file__).parent
_by_python = warnings.formatwarning


def install_log_filters() -> None:
    """Hush Lightning's and the hub libraries' advice to their own developers, which would bury our line to the user.

    What readavatar itself warns of is printed without the place in its code.
    """
    warnings.filterwarnings("ignore", module=r"(pytorch_lightning|torch|transformers|lightning_utilities)\..*")
    warnings.filterwarnings("ignore", ".*does not have many workers.*")
    warnings.filterwarnings("ignore", ".*lr_scheduler.step.*")
    warnings.formatwarning = _format_warning
    for name in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _format_warning(message: Warning | str, category: type[Warning], filename: str, *rest, **options) -> str:
    if Path(filename).is_relative_to(_PACKAGE):
        return f"readavatar: {' '.join(str(message).split())}\n"
    return _by_python(message, category, filename, *rest, **options)


_LOGGER = logging.getLogger("readavatar")


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
    terminal_output().__enter__()


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
