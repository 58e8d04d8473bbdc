"""The expression scorecard's rows on sync: a judge that no network was trained with, and that heard other actors."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
from jaxtyping import Float
from torch import Tensor

from readavatar.benchmarks.expression.motion import Motion, encode_speech, without_gaze
from readavatar.benchmarks.expression.takes import Trial
from readavatar.benchmarks.scorecard import Row
from readavatar.expression.sync import SyncNetwork, lip_landmarks
from readavatar.expression.sync_training import LEAST_WINDOWS, SyncOffset, sync_offset, train_sync_expert
from readavatar.files import replacing_file
from readavatar.media.frame_rate import resample_frames
from readavatar.morphable import EXPRESSION_NAMES, MorphableModel, load_morphable_model
from readavatar.progress import track
from readavatar.speech import SpeechEncoder, load_speech_encoder
from readavatar.synthetic import draw_takes, make_character

OFFSET = "sync, by a judge of its own: largest offset of a take"
SURE = "sync: takes in which the judge is sure"
SYNC_ROWS = {OFFSET: Row("frames", at_most=2.0), SURE: Row("%")}


@dataclass(frozen=True)
class JudgeSettings:
    """What a judge learns from; another version of what actors do needs another ``version``."""

    first_seed: int = 6001
    num_characters: int = 30
    minutes: float = 1.0
    """Of each, in every language, in rooms and noise."""
    fps: float = 25.0
    steps: int | None = None
    """By default as many as the network's training takes by itself."""
    seed: int = 6001
    version: int = 1


@dataclass(frozen=True)
class SyncJudge:
    """A trained network and the ears that it was trained with."""

    network: SyncNetwork
    encoder: SpeechEncoder
    fps: float
    """Its frames a second."""
    heard: dict[str, Tensor]
    """Features, kept."""

    def offset(
        self, waveform: Float[Tensor, " num_samples"], expressions: Float[Tensor, "T E"], fps: float
    ) -> SyncOffset | None:
        """By how many of the judge's frames a motion to a sound is late; None where it is too short to tell.

        Args:
            waveform: 16 kHz.
            expressions: E are ``EXPRESSION_NAMES``.
            fps: Theirs; at another rate than the judge's they are resampled.
        """
        if fps != self.fps:
            expressions = resample_frames(expressions, fps, self.fps, round(len(expressions) / fps * self.fps))
        if len(expressions) < LEAST_WINDOWS + 2 * self.network.context:
            return None
        speech = encode_speech(self.encoder, waveform, self.fps, len(expressions), self.heard)
        return sync_offset(self.network, speech, expressions)


def find_judge(work: str | Path, settings: JudgeSettings | None = None) -> SyncJudge:
    """The judge of these settings, kept in ``work`` and trained (in some minutes) where it is not.

    It looks at landmarks of the built-in head's lips, for which the named expressions are enough.
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


def measure_sync(trial: Trial, motion: Motion, judge: SyncJudge) -> dict[str, float]:
    """``SYNC_ROWS``, of the held-out takes in which something is said; the offset is of those the judge is sure of."""
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
