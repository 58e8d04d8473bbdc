"""Output of a command on the terminal: log messages and progress bars, and filters for messages of libraries."""

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
    """Hide messages of Lightning and the hub libraries that are meant for developers.

    Warnings of readavatar are printed without their place in the code.
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
    """Prints messages to stdout, and warnings and errors to stderr in one line with the program's name."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record."""
        # The current streams: a progress bar replaces them, to stay below printed lines. Errors of writing are raised,
        # so that a full disk ends the command.
        message = record.getMessage()
        if record.levelno < logging.WARNING:
            print(message, flush=True)
        else:
            print(f"readavatar: {' '.join(message.split())}", file=sys.stderr, flush=True)


def open_terminal() -> None:
    """Call ``terminal_output`` and ``install_log_filters`` for the rest of a subprocess."""
    install_log_filters()
    terminal_output().__enter__()


@contextmanager
def terminal_output() -> Iterator[None]:
    """Print readavatar's log messages from INFO on, and draw progress bars."""
    if any(
        isinstance(handler, TerminalHandler) for handler in _LOGGER.handlers
    ):  # a command that runs within another one
        yield
        return
    level, propagate, handler = _LOGGER.level, _LOGGER.propagate, TerminalHandler()
    _LOGGER.addHandler(handler)
    _LOGGER.setLevel(logging.INFO)
    _LOGGER.propagate = False  # handlers of the root logger, added by libraries, would print messages twice
    try:
        with progress_bars():
            yield
    finally:
        _LOGGER.removeHandler(handler)
        _LOGGER.setLevel(level)
        _LOGGER.propagate = propagate
