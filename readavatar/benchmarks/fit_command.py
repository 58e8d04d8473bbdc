"""Benchmarks train by the command that users run; it is passed to them, as the command line is what calls them."""

from __future__ import annotations

from collections.abc import Callable

FitCommand = Callable[[list[str]], int]
"""Runs ``readavatar fit`` with a command line's arguments."""
