"""Which warnings of libraries are hidden, and how readavatar's own warnings are printed."""

from __future__ import annotations

import warnings
from pathlib import Path

import readavatar

_PACKAGE = Path(readavatar.__file__).parent
_by_python = warnings.formatwarning


def install_log_filters() -> None:
    """Hide advice that Lightning and other libraries give to developers, and print readavatar's warnings in one line.

    A warning of readavatar itself is printed without the place in its code.
    """
    warnings.filterwarnings("ignore", module=r"(pytorch_lightning|torch|transformers|lightning_utilities)\..*")
    warnings.filterwarnings("ignore", ".*does not have many workers.*")
    warnings.filterwarnings("ignore", ".*lr_scheduler.step.*")
    warnings.formatwarning = _format_warning


def _format_warning(message: Warning | str, category: type[Warning], filename: str, *rest, **options) -> str:
    if Path(filename).is_relative_to(_PACKAGE):
        return f"readavatar: {' '.join(str(message).split())}\n"
    return _by_python(message, category, filename, *rest, **options)
