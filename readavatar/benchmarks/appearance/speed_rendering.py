"""What ``animate`` costs beside its networks, and how the renderer's speed depends on how it is asked."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import soundfile
import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

from readavatar.appearance import AppearanceRenderer, render_face
from readavatar.benchmarks.scorecard import Figure, measure
from readavatar.data.datasets.speech_features import describe_encoder
from readavatar.data.raster.render_inputs import RenderInputs
from readavatar.data.store.avatar import Avatar, load_network, write_avatar_part
from readavatar.directing.animate import animate
from readavatar.emotion import MEAD_EMOTIONS
from readavatar.expression import ExpressionGenerator
from readavatar.media.waveform import SAMPLE_RATE
from readavatar.morphable.model import MorphableModel
from readavatar.speech import load_speech_encoder

BATCH_SIZES = (1, 4, 8, 16)
THREADS = (1, 2)
NUM_FRAMES = 16


class NetworkClock:
    """How long networks compute, while it is entered: all modules but the morphable model, in whatever thread."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._thread = threading.local()

    @contextmanager
    def running(self) -> Iterator[NetworkClock]:
        """Listen to every module's calls."""
        handles = [
            register_module_forward_pre_hook(self._enter),
            register_module_forward_hook(self._leave, always_call=True),
        ]
        try:
            yield self
        finally:
            for handle in handles:
                handle.remove()

    def _enter(self, module: nn.Module, arguments: tuple) -> None:
        self._thread.starts = [*getattr(self._thread, "starts", []), time.perf_counter()]

    def _leave(self, module: nn.Module, arguments: tuple, output: object) -> None:
        start = self._thread.starts.pop()
        if not self._thread.starts and not isinstance(module, MorphableModel):
            name = type(module).__name__
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start


def time_animation(avatar: Path, out: Path, seconds: float) -> tuple[int, float, dict[str, float]]:
    """Animate an avatar on the CPU, after one run that does not count.

    A GPU's networks return before they are done, so that their time could not be told from the rest.

    Args:
        avatar: With both networks.
        out: Folder for the speech and the clip.
        seconds: Of speech; the footage's own, repeated.

    Returns:
        Frames; the whole's seconds; the networks', by class.
    """
    sound = Avatar(avatar).footage.waveform()
    waveform = sound.repeat(int(seconds * SAMPLE_RATE) // len(sound) + 1)[: int(seconds * SAMPLE_RATE)]
    soundfile.write(out / "speech.wav", waveform.numpy(), SAMPLE_RATE)
    soundfile.write(out / "short.wav", waveform[:SAMPLE_RATE].numpy(), SAMPLE_RATE)
    animate(avatar, out / "short.wav", out / "short.mp4", device="cpu")
    start = time.perf_counter()
    with NetworkClock().running() as clock:
        animation = animate(avatar, out / "speech.wav", out / "speech.mp4", device="cpu")
    return len(animation.emotion), time.perf_counter() - start, clock.seconds


def add_expression_part(avatar: Path) -> None:
    """An untrained expression network of the default size: its speed does not depend on what it has learned."""
    config = Avatar(avatar).part_config("appearance")
    encoder, names = load_speech_encoder("auto"), config["expression_names"]
    network = ExpressionGenerator(encoder.num_features, len(MEAD_EMOTIONS), len(names), fps=25.0)
    description = {
        "network": network.config,
        "speech_encoder": describe_encoder(encoder),
        "morphable_model": config["morphable_model"],
        "expression_names": names,
        "emotion_names": list(MEAD_EMOTIONS),
        "people": [Avatar(avatar).card.name],
        "fps": 25.0,
    }
    write_avatar_part(avatar, "expression", network, description, Avatar(avatar).footage.path)


def time_renderer(avatar: Path, inputs: RenderInputs) -> dict[str, Figure]:
    """Milliseconds a frame by precision, batch and threads; more threads than the machine's are left out.

    Args:
        avatar: With an appearance part.
        inputs: Of ``NUM_FRAMES`` frames.
    """
    part = Avatar(avatar).part("appearance")
    renderer = load_network(AppearanceRenderer(**part.config["network"]), part)
    threads_before, figures = torch.get_num_threads(), {}
    try:
        for threads in THREADS:
            if threads > max(threads_before, 1):
                continue
            torch.set_num_threads(threads)
            for precision, batch in ((precision, batch) for precision in ("fp32", "bf16") for batch in BATCH_SIZES):
                work = lambda p=precision, b=batch: render_face(renderer, inputs, b, p == "bf16")  # noqa: E731
                name = f"render, {precision}, batch {batch}, {threads} thread(s)"
                figures[name] = measure(work, per=len(inputs.paint_mask), repeats=2)
    finally:
        torch.set_num_threads(threads_before)
    return figures
