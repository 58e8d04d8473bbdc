"""From the clips that a dataset's recipe finds to clip stores: what all recipes share.

A recipe only tells which videos there are and what their names say (``Item``). A clip whose store is there is not made
again; one that fails does not stop the others and is named at the end.
"""

from __future__ import annotations

import argparse
import errno
import multiprocessing
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import track

from readavatar.data.preparation.prepare import Detector, prepare_clip
from readavatar.detection import FaceDetector
from readavatar.emotion import EmotionSpace, EmotionTrack
from readavatar.errors import UserError

MEAD_SPACE = EmotionSpace()
VIDEO_SUFFIXES = (".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".flv")


@dataclass(frozen=True)
class Item:
    """One clip of a dataset."""

    video: Path
    store: str
    """The clip store's place under the output folder."""
    emotion: EmotionTrack | None = None
    sound: Path | None = None
    """Where the sound is not in the video."""


@dataclass(frozen=True)
class Found:
    """What a recipe found."""

    items: list[Item]
    ignored: int = 0
    """Videos whose names are not the dataset's."""


@dataclass(frozen=True)
class Settings:
    """How clips are prepared."""

    out: Path
    size: int
    fps: str | None
    open_detector: Callable[[], AbstractContextManager[Detector]]


def constant_emotion(name: str, strength: float) -> EmotionTrack:
    """One of MEAD's emotions all the time; ``neutral`` is all zeros whatever its strength."""
    text = name if name == "neutral" else f"{name}:{strength}"
    return EmotionTrack.constant(MEAD_SPACE, MEAD_SPACE.vector(text))


def videos_below(folder: Path) -> list[Path]:
    """All videos in a folder and the folders in it, in the order of their names; hidden ones are left out.

    Raises:
        UserError: There is no such folder.
    """
    if not folder.is_dir():
        raise UserError(f"Expected the dataset's folder at '{folder}', but there is none.")
    paths = (path for path in folder.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file())
    return sorted(path for path in paths if not any(part.startswith(".") for part in path.relative_to(folder).parts))


def main(
    document: str,
    find: Callable[[argparse.Namespace], Found],
    add_arguments: Callable[[argparse.ArgumentParser], None] = lambda parser: None,
    argv: Sequence[str] | None = None,
    open_detector: Callable[[], AbstractContextManager[Detector]] | None = None,
) -> int:
    """Run a recipe from the command line.

    Args:
        document: The recipe's docstring: what it does, then its example.
        find: The recipe: parsed arguments → clips.
        add_arguments: Adds the recipe's own arguments.
        argv: Arguments; by default the command line's.
        open_detector: Makes a face detector, in the process that uses it; by default MediaPipe's.

    Returns:
        Exit code: 0 all clips are there; 1 some failed; 2 a mistake in what was given; 130 stopped.
    """
    description, _, epilog = document.partition("\n\n")
    parser = argparse.ArgumentParser(
        description=description, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, metavar="FOLDER", help="your copy of the dataset")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where the clip stores go")
    parser.add_argument("--size", type=int, default=256, metavar="PIXELS", help="height and width of the crop (256)")
    parser.add_argument("--fps", metavar="RATE", help="frames a second, such as 25 (each video's own)")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N clips")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="clips made at once (1)")
    add_arguments(parser)
    arguments = parser.parse_args(argv)
    try:
        for name in ("limit", "jobs"):
            if getattr(arguments, name) is not None and getattr(arguments, name) < 1:
                raise UserError(f"Expected --{name} of 1 or more, but got {getattr(arguments, name)}.")
        found = find(arguments)
        settings = Settings(arguments.out, arguments.size, arguments.fps, open_detector or _mediapipe)
        return _prepare_all(found, settings, arguments.source, arguments.limit, arguments.jobs)
    except UserError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS):
            raise
        print(f"{parser.prog}: Expected room in '{arguments.out}', but {error.strerror}; free some.", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{parser.prog}: stopped; the same command goes on with the clips that are missing.", file=sys.stderr)
        return 130


def _prepare_all(found: Found, settings: Settings, source: Path, limit: int | None, jobs: int) -> int:
    names = [item.store for item in found.items]
    if not names:
        raise UserError(
            f"Expected the dataset's videos in '{source}', but found none ({found.ignored} of other names); see --help."
        )
    twice = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
    if twice is not None:
        raise UserError(f"Expected one video for each clip, but several would become '{twice}'; rename them.")
    items = found.items[:limit]
    missing = [item for item in items if not (settings.out / item.store / "clip.json").exists()]
    console, failures = Console(soft_wrap=True), []
    results = _in_turn(missing, settings) if jobs == 1 else _at_once(missing, settings, jobs)
    for item, lines, error in track(
        results, "preparing", len(missing), console=console, disable=not console.is_terminal
    ):
        for line in lines:
            console.print(f"{item.store}: {line}", markup=False, highlight=False)
        if error is not None:
            failures.append(f"{item.store}: {error}")
    made = len(missing) - len(failures)
    console.print(
        f"{made} clips made, {len(items) - len(missing)} were there, {len(failures)} failed, "
        f"{found.ignored} videos of other names ignored: {settings.out}",
        markup=False,
        highlight=False,
    )
    for failure in failures:
        print(f"failed: {failure}", file=sys.stderr)
    return 1 if failures else 0


Result = tuple[Item, list[str], str | None]
"""A clip, what is to be known about it, and why it failed."""


def _in_turn(items: Iterable[Item], settings: Settings) -> Iterator[Result]:
    for item in items:
        yield _prepare(item, settings)


def _at_once(items: Sequence[Item], settings: Settings, jobs: int) -> Iterator[Result]:
    # Fresh interpreters: MediaPipe's threads do not survive a fork.
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        futures = {pool.submit(_prepare, item, settings): item for item in items}
        try:
            for future in as_completed(futures):
                try:
                    yield future.result()
                except BrokenProcessPool:
                    yield futures[future], [], "a process died (out of memory?); try fewer --jobs"
        finally:
            pool.shutdown(cancel_futures=True)


def _prepare(item: Item, settings: Settings) -> Result:
    lines: list[str] = []
    try:
        with settings.open_detector() as detector:
            prepare_clip(
                item.video,
                settings.out / item.store,
                size=settings.size,
                fps=settings.fps,
                sound=item.sound,
                emotion=item.emotion,
                detector=detector,
                say=lines.append,
                progress=False,
            )
    except UserError as error:
        return item, lines, str(error)
    return item, lines, None


def _mediapipe() -> FaceDetector:
    return FaceDetector(video=True)
