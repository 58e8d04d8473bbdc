"""Progress bars: drawn on request, and by default only within ``progress_bars()``.

Slow functions have an argument ``progress: bool | None = None`` that they pass to ``track``. The command line runs its
commands within ``progress_bars()``. A bar that is removed at the end is only drawn on terminals (and in notebooks): in
a file it would be an empty line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")

_by_default = False


@contextmanager
def progress_bars() -> Iterator[None]:
    """Draw progress bars by default, in all threads."""
    global _by_default
    before, _by_default = _by_default, True
    try:
        yield
    finally:
        _by_default = before


def track(
    items: Iterable[Item],
    description: str,
    total: int | None = None,
    enabled: bool | None = None,
    *,
    transient: bool = True,
) -> Iterator[Item]:
    """Yield the same items and show a progress bar.

    Args:
        items: The items.
        description: Text before the bar.
        total: Number of items; by default their length.
        enabled: Whether to draw a bar; by default only within ``progress_bars()``.
        transient: Remove the bar at the end.
    """
    console = _console(enabled, transient)
    if console is None:
        return iter(items)
    from rich.progress import track as rich_track

    return iter(rich_track(items, description, total, console=console, transient=transient))


@contextmanager
def spinner(description: str, enabled: bool | None = None) -> Iterator[Callable[[str], None]]:
    """Show work of unknown length on stderr; yields a function that changes the description.

    Args:
        description: Initial text.
        enabled: As for ``track``.
    """
    console = _console(enabled, stderr=True)
    if console is None:
        yield lambda description: None
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(description, total=None)
        yield lambda description: progress.update(task, description=description)


def _console(enabled: bool | None, transient: bool = True, stderr: bool = False):
    """The console to draw on; None for no bar."""
    if not (_by_default if enabled is None else enabled):
        return None
    from rich.console import Console

    console = Console(stderr=stderr)
    return console if console.is_terminal or console.is_jupyter or not transient else None
