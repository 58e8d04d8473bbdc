"""The emotion reader: measures the strength of each emotion in motion. It is trained on other actors."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from readavatar.benchmarks.expression.motion import SPACE, true_motion, without_gaze
from readavatar.emotion import EmotionTrack
from readavatar.files import replacing_file
from readavatar.morphable import EXPRESSION_NAMES
from readavatar.progress import track
from readavatar.synthetic import SENTENCES, make_character, play

_REACH = 2
"""Frames to either side that the network sees: enough to distinguish a blink from a lowered lid, too few to recognise
the speaker."""
_BATCH = 64
_WINDOW_SECONDS = 1.0
"""Of a training sample, and of a measurement."""
_RATE = 4e-3
_MIXTURE_SHARE, _NEUTRAL_SHARE = 0.5, 0.1


@dataclass(frozen=True)
class ReaderSettings:
    """Settings of the training; after a change of how actors move, raise ``version``."""

    first_seed: int = 5001
    num_characters: int = 40
    sentences: int = 8
    """For each character."""
    emotions: int = 5
    """Emotions or mixtures in which each sentence is spoken."""
    seconds: float = 4.0
    """Of each take."""
    fps: float = 25.0
    width: int = 96
    steps: int = 1200
    seed: int = 0
    version: int = 1


class EmotionReader(nn.Module):
    """Five frames of coefficients → the strength of each emotion in the middle one."""

    def __init__(self, width: int = 96) -> None:
        super().__init__()
        num_expressions = len(EXPRESSION_NAMES)
        self.register_buffer("mean", torch.zeros(num_expressions))
        self.register_buffer("std", torch.ones(num_expressions))
        self.layers = nn.Sequential(
            nn.Conv1d(num_expressions, width, 2 * _REACH + 1),
            nn.GELU(),
            nn.Conv1d(width, width, 1),
            nn.GELU(),
            nn.Conv1d(width, SPACE.num_emotions, 1),
        )

    def forward(self, expressions: Float[Tensor, "B T E"]) -> Float[Tensor, "B T N"]:
        """Strengths in [0, 1] of every frame; the ends' frames are repeated."""
        standard = ((expressions - self.mean) / self.std).mT
        return self.layers(F.pad(standard, (_REACH, _REACH), mode="replicate")).mT.sigmoid()

    @torch.no_grad()
    def read(self, expressions: Float[Tensor, "T E"]) -> Float[Tensor, "T N"]:
        """As ``forward`` for one take, without the expressions of the gaze."""
        return self(without_gaze(expressions)[None])[0]


def find_reader(work: str | Path, settings: ReaderSettings | None = None) -> EmotionReader:
    """Load the reader of these settings from ``work``, or train it (in about half a minute)."""
    settings = settings or ReaderSettings()
    digest = hashlib.sha256(json.dumps(dataclasses.asdict(settings), sort_keys=True).encode()).hexdigest()[:8]
    path = Path(work) / f"emotion_reader-{digest}.safetensors"
    reader = EmotionReader(settings.width)
    if path.exists():
        reader.load_state_dict(safetensors.torch.load_file(path))
        return reader.eval().requires_grad_(False)
    reader = train_reader(settings)
    with replacing_file(path) as temporary:
        safetensors.torch.save_file(reader.state_dict(), temporary)
    return reader


def train_reader(settings: ReaderSettings) -> EmotionReader:
    """Learn the strengths from true motion; the mean over a window counts as much as its frames.

    With a loss on frames alone, the reader would predict average strengths where a frame is ambiguous (a closed mouth),
    and the strengths of a mixture would move together. The loss on the window's mean corrects this; the mean is what
    the scorecard uses.
    """
    expressions, emotion = reader_takes(settings)
    length = round(_WINDOW_SECONDS * settings.fps)
    with torch.random.fork_rng([]):
        torch.manual_seed(settings.seed)
        reader = EmotionReader(settings.width)
        reader.mean.copy_(expressions.mean((0, 1)))
        reader.std.copy_(expressions.std((0, 1)).clamp(min=0.01))
        optimizer = torch.optim.Adam(reader.parameters())
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, total_steps=settings.steps)
        for _ in track(range(settings.steps), "training the emotion reader"):
            chosen, first = torch.randint(len(expressions), (_BATCH,)), torch.randint(expressions.shape[1] - length, ())
            read, asked = reader(expressions[chosen, first : first + length]), emotion[chosen]
            loss = F.mse_loss(read, asked[:, None].expand_as(read)) + F.mse_loss(read.mean(1), asked)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return reader.eval().requires_grad_(False)


def reader_takes(settings: ReaderSettings) -> tuple[Float[Tensor, "n T E"], Float[Tensor, "n N"]]:
    """Takes of equal length in constant emotions: neutral, single emotions and mixtures of any strengths."""
    num_frames = int(settings.seconds * settings.fps)
    expressions, emotions = [], []
    seeds = range(settings.first_seed, settings.first_seed + settings.num_characters)
    for seed in track(seeds, "training data of the emotion reader"):
        character, generator = make_character(seed), np.random.default_rng([seed, 12])
        act = true_motion(character)
        for number, index in enumerate(generator.choice(len(SENTENCES), settings.sentences)):
            neutral = EmotionTrack.constant(SPACE)
            take = play(
                character, number, [SENTENCES[index]], neutral, fps=settings.fps, duration=settings.seconds
            )  # the sound takes longest and is synthesised once
            for repeat in range(settings.emotions):
                vector = torch.from_numpy(draw_vector(generator)).float()
                motion = act(take, vector.repeat(len(take.expressions), 1), settings.emotions * number + repeat)
                expressions.append(motion[:num_frames])
                emotions.append(vector)
    return torch.stack(expressions), torch.stack(emotions)


def draw_vector(generator: np.random.Generator) -> np.ndarray:
    """(N,) neutral, one emotion or two. Strengths are uniform in [0, 1]; an eighth of them are 1."""
    vector, kind = np.zeros(SPACE.num_emotions), generator.random()
    if kind < _NEUTRAL_SHARE:
        return vector
    count = 2 if kind < _NEUTRAL_SHARE + _MIXTURE_SHARE else 1
    chosen = generator.choice(SPACE.num_emotions, size=count, replace=False)
    vector[chosen] = np.minimum(1.0, generator.uniform(0, 1 / 0.875, count))
    return vector
