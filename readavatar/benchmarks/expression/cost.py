"""The expression scorecard's rows on cost: generation in chunks, memory and speed."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from readavatar.benchmarks.expression.motion import TrainedMotion
from readavatar.benchmarks.expression.takes import Trial
from readavatar.benchmarks.scorecard import Row, measure
from readavatar.data.store.avatar import Avatar, load_network
from readavatar.expression import ExpressionGenerator, generate_expressions
from readavatar.media.waveform import SAMPLE_RATE

CHUNKS = "10 minutes in chunks against the whole, largest difference"
MEMORY = "peak memory, 10 minutes over 1 minute"
SPEED = "speed without the speech encoder, times real time"
ENCODER_SHARE = "speed with it, over the bare encoder's"
COST_ROWS = {
    CHUNKS: Row("of 1", at_most=1e-4),
    MEMORY: Row("ratio", at_most=1.05),
    SPEED: Row("×", at_least=50.0),
    ENCODER_SHARE: Row("of 1", at_least=0.9),
}

LONG_SECONDS, SHORT_SECONDS = 600.0, 60.0
TIMED_SECONDS = 30.0
_CHUNK = 250
"""Frames: another size than the default of ``generate_expressions``, and an odd number of chunks."""


def measure_cost(trial: Trial, motion: TrainedMotion) -> dict[str, float]:
    """``COST_ROWS``.

    Only the network is compared in chunks and as a whole: both get the same speech features, since the encoder has
    chunks of its own. Memory is measured in a new process, without the speech encoder.
    """
    fps, generator = motion.fps, motion.generator
    speech, emotion = _endless(trial, motion, round(LONG_SECONDS * fps))
    whole = generate_expressions(generator, speech, emotion, chunk=len(speech))
    in_chunks = generate_expressions(generator, speech, emotion, chunk=_CHUNK)
    timed = round(TIMED_SECONDS * fps)
    sound = torch.cat([take.waveform for take in trial.takes])
    sound = sound.repeat(math.ceil(TIMED_SECONDS * SAMPLE_RATE / len(sound)))[: round(TIMED_SECONDS * SAMPLE_RATE)]
    alone = measure(lambda: generate_expressions(generator, speech[:timed], emotion[:timed])).value / 1000
    encoding = measure(lambda: motion.encoder.encode(sound, fps, timed), repeats=3).value / 1000
    return {
        CHUNKS: float((whole - in_chunks).abs().max()),
        MEMORY: _peak_of_process(motion.path, LONG_SECONDS) / _peak_of_process(motion.path, SHORT_SECONDS),
        SPEED: TIMED_SECONDS / alone,
        ENCODER_SHARE: encoding / (encoding + alone),
    }


def _endless(trial: Trial, motion: TrainedMotion, num_frames: int) -> tuple[Float[Tensor, "T D"], Float[Tensor, "T N"]]:
    """The held-out takes' features and emotions, repeated to ``num_frames``."""
    speech = torch.cat([motion.encode_speech(take) for take in trial.takes])
    emotion = torch.cat([motion.requested_emotion(take.emotion) for take in trial.takes])
    index = torch.arange(num_frames) % len(speech)
    return speech[index], emotion[index]


def _peak_of_process(avatar: Path, seconds: float) -> float:
    code = f"from {__name__} import peak_memory; print(peak_memory({str(avatar.resolve())!r}, {seconds!r}))"
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(finished.stdout.split()[-1])


def peak_memory(avatar: str, seconds: float) -> float:
    """Generate ``seconds`` of motion and return this process's peak memory.

    Returns:
        Megabytes; NaN where there is no ``/proc`` (it is Linux's).
    """
    part = Avatar(avatar).part("expression")
    generator = load_network(ExpressionGenerator(**part.config["network"]), part)
    sizes = part.config["network"]
    longest, num_frames = (round(duration * generator.fps) for duration in (LONG_SECONDS, seconds))
    # The longest length in every process, so that only generation differs.
    speech = torch.randn(longest, sizes["num_speech_features"])
    emotion = torch.zeros(longest, sizes["num_emotions"])
    generate_expressions(generator, speech[:num_frames], emotion[:num_frames])
    status = Path("/proc/self/status")
    if not status.exists():
        return float("nan")
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return float(line.split()[1]) / 1024
