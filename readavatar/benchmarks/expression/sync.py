"""The expression scorecard's rows on sync, measured by an independent judge.

The judge is a sync network trained on other actors, which no generator is trained with. It measures the held-out takes
of a digital actor, and motion generated for recordings of anyone, in any language.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from jaxtyping import Float
from rich.console import Console
from torch import Tensor

from readavatar.benchmarks.expression.motion import SPACE, MotionSource, TrainedMotion, encode_speech, without_gaze
from readavatar.benchmarks.expression.pictures import write_motion_sheet
from readavatar.benchmarks.expression.takes import Trial
from readavatar.benchmarks.scorecard import Row, Score, print_scores
from readavatar.emotion import EmotionTrack
from readavatar.errors import UserError
from readavatar.expression.sync import SyncNetwork, lip_landmarks
from readavatar.expression.sync_training import LEAST_WINDOWS, SyncOffset, sync_offset, train_sync_expert
from readavatar.expression.sync_training import SURE as SURE_CONFIDENCE
from readavatar.files import replacing_file
from readavatar.media.frame_rate import resample_frames
from readavatar.media.waveform import SAMPLE_RATE, read_waveform
from readavatar.morphable import EXPRESSION_NAMES, MorphableModel, load_morphable_model
from readavatar.progress import track
from readavatar.speech import SpeechEncoder, load_speech_encoder
from readavatar.synthetic import Take, draw_takes, make_character

OFFSET = "sync by an independent judge: largest offset of a take"
SURE = "sync: takes in which the judge is sure"
MOST_OFFSET = 2.0
"""Frames."""
SYNC_ROWS = {OFFSET: Row("frames", at_most=MOST_OFFSET), SURE: Row("%")}


@dataclass(frozen=True)
class JudgeSettings:
    """Settings of the judge's training; after a change of how actors move or speak, raise ``version``."""

    first_seed: int = 6001
    num_characters: int = 30
    minutes: float = 1.0
    """Of each character, in every language, with room acoustics and noise."""
    fps: float = 25.0
    steps: int | None = None
    """None for the default of ``train_sync_expert``."""
    seed: int = 6001
    version: int = 1


@dataclass(frozen=True)
class SyncJudge:
    """A trained sync network with the speech encoder of its training."""

    network: SyncNetwork
    encoder: SpeechEncoder
    fps: float
    """Its frames a second."""
    features: dict[str, Tensor]
    """Cache of speech features."""

    def offset(
        self, waveform: Float[Tensor, " num_samples"], expressions: Float[Tensor, "T E"], fps: float
    ) -> SyncOffset | None:
        """By how many of the judge's frames a motion is late against a sound; None if it is too short to measure.

        Args:
            waveform: 16 kHz.
            expressions: Coefficients of the E ``EXPRESSION_NAMES``.
            fps: Of ``expressions``; they are resampled to the judge's rate.
        """
        if fps != self.fps:
            expressions = resample_frames(expressions, fps, self.fps, round(len(expressions) / fps * self.fps))
        if len(expressions) < LEAST_WINDOWS + 2 * self.network.context:
            return None
        speech = encode_speech(self.encoder, waveform, self.fps, len(expressions), self.features)
        return sync_offset(self.network, speech, expressions)


def find_judge(work: str | Path, settings: JudgeSettings | None = None) -> SyncJudge:
    """Load the judge of these settings from ``work``, or train it (in some minutes).

    Its input is the lip landmarks of the built-in head, which the named expressions determine.
    """
    settings, encoder, face = settings or JudgeSettings(), load_speech_encoder("auto"), load_morphable_model("builtin")
    known = json.dumps([dataclasses.asdict(settings), encoder.fingerprint], sort_keys=True)
    path = Path(work) / f"sync_judge-{hashlib.sha256(known.encode()).hexdigest()[:8]}.safetensors"
    if path.exists():
        network = SyncNetwork(encoder.num_features, len(EXPRESSION_NAMES))
        network.load_state_dict(safetensors.torch.load_file(path))
        network = network.eval().requires_grad_(False)
    else:
        network = _train(settings, encoder, face)
        with replacing_file(path) as temporary:
            safetensors.torch.save_file(network.state_dict(), temporary)
    return SyncJudge(network, encoder, settings.fps, {})


def _train(settings: JudgeSettings, encoder: SpeechEncoder, face: MorphableModel) -> SyncNetwork:
    takes = []
    seeds = range(settings.first_seed, settings.first_seed + settings.num_characters)
    for seed in track(seeds, "training data of the sync judge"):
        for take in draw_takes(make_character(seed), settings.minutes, fps=settings.fps):
            speech = encoder.encode(take.waveform, take.fps, len(take.expressions))
            takes.append((speech, without_gaze(take.expressions)))
    return train_sync_expert(takes, lip_landmarks(face), steps=settings.steps, seed=settings.seed)


def measure_sync(trial: Trial, motion: MotionSource, judge: SyncJudge) -> dict[str, float]:
    """``SYNC_ROWS`` of the held-out takes with speech; the offset covers those of which the judge is sure."""
    spoken = [take for take in trial.takes if any(phoneme.symbol for phoneme in take.phonemes)]
    found = [
        judge.offset(take.waveform, motion(take, take.emotion, seed), take.fps) for seed, take in enumerate(spoken)
    ]
    offsets = [offset for offset in found if offset is not None]
    sure = [abs(offset.frames) for offset in offsets if offset.is_sure]
    return {
        OFFSET: max(sure) if sure else float("nan"),
        SURE: 100 * len(sure) / len(offsets) if offsets else float("nan"),
    }


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
    """Generate an avatar's motion for every recording and measure with the judge by how much it is late.

    Args:
        folder: Contains sound files, at any depth; or one file.
        avatar: Its expression network generates the motion.
        work: Folder that keeps the judge.
        emotion: An emotion track for all recordings.
        sheets: Folder for a contact sheet of each recording's motion.
        console: Where a table of the scores is printed; by default nowhere.

    Returns:
        By ``recordings: offset, FILE`` and ``recordings: confidence, FILE``; files that are too short are left out.

    Raises:
        UserError: No recordings, or the avatar lacks the named expressions.
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
            _LOGGER.warning("%s: too short to measure", file.name)
            continue
        for what, row, value in (("offset", _OFFSET, offset.frames), ("confidence", _CONFIDENCE, offset.confidence)):
            score = Score(value, value, value, row.unit, row.aim, 1, row.holds(value))
            scores[f"{RECORDINGS}: {what}, {file.name}"] = score
    if console is not None:
        print_scores(f"expression, {len(files)} recording(s)", RECORDINGS, scores, [], console)
    return scores


def find_recordings(folder: str | Path) -> Sequence[Path]:
    """The file itself, or all sound files in a folder and its subfolders.

    Raises:
        UserError: There are none.
    """
    folder = Path(folder)
    files = [folder] if folder.is_file() else sorted(folder.rglob("*")) if folder.is_dir() else []
    files = [file for file in files if file.suffix.lower() in SOUND_SUFFIXES]
    if not files:
        raise UserError(f"Expected recordings ({', '.join(sorted(SOUND_SUFFIXES))}) in '{folder}', but found none.")
    return files
