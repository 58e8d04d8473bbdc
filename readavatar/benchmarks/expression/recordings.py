"""The expression scorecard on recordings alone: anyone's speech in any language, judged by its sync with the motion."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console

from readavatar.benchmarks.expression.footage import MOST_OFFSET
from readavatar.benchmarks.expression.motion import SPACE, TrainedMotion
from readavatar.benchmarks.expression.pictures import write_motion_sheet
from readavatar.benchmarks.expression.sync import find_judge
from readavatar.benchmarks.scorecard import Row, Score, print_scores
from readavatar.emotion import EmotionTrack
from readavatar.errors import UserError
from readavatar.expression.sync_training import SURE as SURE_CONFIDENCE
from readavatar.media.waveform import SAMPLE_RATE, read_waveform
from readavatar.morphable import EXPRESSION_NAMES
from readavatar.progress import track
from readavatar.synthetic import Take

_LOGGER = logging.getLogger(__name__)

RECORDINGS = "recordings"
SOUND_SUFFIXES = {".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".mp4", ".mov", ".webm", ".mkv"}
_OFFSET = Row("frames", at_least=-MOST_OFFSET, at_most=MOST_OFFSET)
_CONFIDENCE = Row("", at_least=SURE_CONFIDENCE)


def bench_expression_recordings(
    folder: str | Path,
    avatar: str | Path,
    work: str | Path = "bench_expression",
    emotion: str = "neutral",
    sheets: str | Path | None = None,
    console: Console | None = None,
) -> dict[str, Score]:
    """Let an avatar say every recording and ask the judge of sync by how much it is late.

    Args:
        folder: With sound files, however deep; or one file.
        avatar: Whose expression network moves.
        work: Folder that keeps the judge.
        emotion: In which.
        sheets: Folder for a contact sheet of each recording's motion.
        console: Where a table of the scores is printed; by default nowhere.

    Returns:
        By ``recordings: offset, FILE`` and ``recordings: confidence, FILE``; files too short to tell by are left out.

    Raises:
        UserError: No recordings, or an avatar without the named expressions.
    """
    files = find_recordings(folder)
    motion, judge = TrainedMotion(avatar), find_judge(work)
    scores: dict[str, Score] = {}
    for file in track(files, "recordings"):
        waveform = read_waveform(file, SAMPLE_RATE)
        num_frames = max(1, round(len(waveform) / SAMPLE_RATE * motion.fps))
        asked = EmotionTrack.parse(emotion, SPACE).sample_frames(num_frames, motion.fps)
        take = Take(waveform, (), asked, torch.zeros(num_frames, len(EXPRESSION_NAMES)), motion.fps, 0)
        moved = motion(take, asked, 0)
        if sheets is not None:
            Path(sheets).mkdir(parents=True, exist_ok=True)
            write_motion_sheet(Path(sheets) / f"{file.stem}.png", moved, motion.fps)
        offset = judge.offset(waveform, moved, motion.fps)
        if offset is None:
            _LOGGER.warning("%s: too short to judge", file.name)
            continue
        for what, row, value in (("offset", _OFFSET, offset.frames), ("confidence", _CONFIDENCE, offset.confidence)):
            score = Score(value, value, value, row.unit, row.aim, 1, row.holds(value))
            scores[f"{RECORDINGS}: {what}, {file.name}"] = score
    if console is not None:
        print_scores(f"expression, {len(files)} recording(s)", RECORDINGS, scores, [], console)
    return scores


def find_recordings(folder: str | Path) -> Sequence[Path]:
    """A file, or all sound files in a folder and those in it.

    Raises:
        UserError: None.
    """
    folder = Path(folder)
    files = [folder] if folder.is_file() else sorted(folder.rglob("*")) if folder.is_dir() else []
    files = [file for file in files if file.suffix.lower() in SOUND_SUFFIXES]
    if not files:
        raise UserError(f"Expected recordings ({', '.join(sorted(SOUND_SUFFIXES))}) in '{folder}', but found none.")
    return files
