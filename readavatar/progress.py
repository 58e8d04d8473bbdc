"""Progress bars: drawn where a function is asked for one, and everywhere within ``progress_bars()``.

A function that takes long has ``progress: bool = False`` and hands it to ``track``. The command line runs all its
commands within ``progress_bars()``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")

_everywhere = False


@contextmanager
def progress_bars() -> Iterator[None]:
    """Draw all progress bars, in whatever function and thread."""
    global _everywhere
    before, _everywhere = _everywhere, True
    try:
        yield
    finally:
        _everywhere = before


def track(
    items: Iterable[Item],
    description: str,
    total: int | None = None,
    enabled: bool = False,
    *,
    transient: bool = True,
) -> Iterator[Item]:
    """The same items; the bar moves on with each.

    Args:
        items: What is gone through.
        description: What stands before the bar.
        total: How many there are; by default their length.
        enabled: Draw a bar, even outside of ``progress_bars()``.
        transient: Remove the bar at the end.
    """
    if not (enabled or _everywhere):
        return iter(items)
    from rich.progress import track as rich_track

    return iter(rich_track(items, description, total, transient=transient))


@contextmanager
def spinner(description: str, enabled: bool = False) -> Iterator[Callable[[str], None]]:
    """Show that work goes on whose length is not known, on stderr; gives what changes the description.

    Args:
        description: What is done first.
        enabled: As for ``track``.
    """
    if not (enabled or _everywhere):
        yield lambda description: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(description, total=None)
        yield lambda description: progress.update(task, description=description)


@contextmanager
def download_bar(
    description: str, total: int | None, completed: int = 0, enabled: bool = False
) -> Iterator[Callable[[int], None]]:
    """Show how much of a file has come, on stderr; gives what is called with the size of each part that comes.

    Args:
        description: Of the file.
        total: Bytes; None where it is not known.
        completed: Bytes that are there before.
        enabled: As for ``track``.
    """
    if not (enabled or _everywhere):
        yield lambda size: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(description, total=total, completed=completed)
        yield lambda size: progress.advance(task, size)
