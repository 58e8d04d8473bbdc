"""Each station between speech and pixels against the clock, a frame, with networks of the default sizes.

The networks are untrained: their speed does not depend on what they have learnt.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from readavatar.appearance import AppearanceRenderer, render_face
from readavatar.appearance.networks import NetworkSettings
from readavatar.assets import find_asset
from readavatar.benchmarks.scorecard import Figure, measure
from readavatar.data.raster.render_inputs import build_render_inputs, speech_windows
from readavatar.detection import FaceDetector
from readavatar.directing.footage import composite
from readavatar.expression import ExpressionGenerator, generate_expressions
from readavatar.media.video import read_video, write_video
from readavatar.morphable import load_morphable_model
from readavatar.speech import load_speech_encoder
from readavatar.synthetic import write_actor_clip
from readavatar.types import TrackedFace

SIZE = 256
NUM_FRAMES = 16
"""Rendered at once, as ``animate`` does."""


def bench_stages(morphable_model: str = "builtin") -> dict[str, Figure]:
    """Milliseconds a frame of 256² at 25 fps."""
    figures: dict[str, Figure] = {}
    with tempfile.TemporaryDirectory() as folder:
        store = write_actor_clip(Path(folder) / "clip", size=SIZE, duration=4.0, morphable_model=morphable_model)
        face, num_frames, waveform = store.truth(), store.num_frames, store.waveform()
        source, copy = store.source, Path(folder) / "copy.mp4"
        pixels = [store.frame(index) for index in range(NUM_FRAMES)]
        figures["decode"] = measure(lambda: list(read_video(source)), per=num_frames)
        figures["encode (H.264)"] = measure(lambda: write_video(copy, pixels, 25), per=NUM_FRAMES)
        figures.update(_detection(pixels))
        for name in ("log_mel", "auto"):  # auto: the best whose weights are on this machine
            encoder = load_speech_encoder(name)
            figures[f"speech: {encoder.name}"] = measure(
                lambda e=encoder: e.encode(waveform, 25.0, num_frames), per=num_frames
            )
        speech = load_speech_encoder("log_mel").encode(waveform, 25.0, num_frames)
        generator = ExpressionGenerator(speech.shape[1], 7, len(face.expression_names), fps=25.0)
        emotion = torch.zeros(num_frames, 7)
        figures["expression"] = measure(lambda: generate_expressions(generator, speech, emotion), per=num_frames)

        model = load_morphable_model(morphable_model)
        frames = torch.arange(NUM_FRAMES)
        part = _first_frames(face)
        windows, context = speech_windows(speech, frames, 9), store.frames(frames)
        figures["rasterise"] = measure(lambda: build_render_inputs(part, model, windows, context), per=NUM_FRAMES)
        inputs = build_render_inputs(part, model, windows, context)
        renderer = AppearanceRenderer(speech.shape[1], len(model.region_names), 9, NetworkSettings()).eval()
        for name, bfloat16 in (("fp32", False), ("bf16", True)):
            figures[f"appearance, {name}"] = measure(
                lambda b=bfloat16: render_face(renderer, inputs, bfloat16=b), per=NUM_FRAMES
            )
        image, alpha = render_face(renderer, inputs)
        figures["composite"] = measure(lambda: composite(context[0], image[0], alpha[0], store.info.crop))
    return figures


def _first_frames(face: TrackedFace) -> TrackedFace:
    return replace(face, coefficients=face.coefficients.frames(slice(NUM_FRAMES)), lighting=face.lighting[:NUM_FRAMES])


def _detection(pixels: list[np.ndarray]) -> dict[str, Figure]:
    if find_asset("face_landmarker") is None:
        return {}
    with FaceDetector(video=True) as detector:
        return {"detection": measure(lambda: [detector.detect(frame) for frame in pixels], per=len(pixels))}
