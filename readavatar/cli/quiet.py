"""Hushing libraries whose advice to their own developers would bury our one line to the user."""

from __future__ import annotations

import logging
import warnings


def quieten_libraries() -> None:
    """Keep Lightning's and the hub libraries' notices and warnings off the terminal."""
    warnings.filterwarnings("ignore", module=r"(pytorch_lightning|torch|transformers|lightning_utilities)\..*")
    warnings.filterwarnings("ignore", ".*does not have many workers.*")
    warnings.filterwarnings("ignore", ".*lr_scheduler.step.*")
    for name in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
