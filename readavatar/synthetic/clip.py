"""Films of a digital actor's performance, written as clip stores."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from readavatar.data.store import ClipInfo, ClipStore, ClipStoreWriter, Crop, writing_clip_store
from readavatar.emotion import EmotionSpace, EmotionTrack
from readavatar.errors import UserError
from readavatar.files import sha256_of_file
from readavatar.media.video import read_video
from readavatar.media.video_writer import VideoWriter
from readavatar.media.waveform import SAMPLE_RATE
from readavatar.morphable import MorphableModel, load_morphable_model
from readavatar.progress import track
from readavatar.synthetic.characters import Actor, make_actor, make_backdrop
from readavatar.synthetic.emotions import check_emotions
from readavatar.synthetic.performance import Performance, perform
from readavatar.synthetic.render import Scene, projected_landmarks, render
from readavatar.synthetic.retarget import retarget
from readavatar.synthetic.sentences import SENTENCES
from readavatar.synthetic.voice import silence, speak
from readavatar.types import DEFAULT_FOCAL, Landmarks, TrackedFace, default_camera

SOURCE_NAME = "source.mp4"
SENTENCES_A_CLIP = 4


def write_actor_clip(
    path: str | Path,
    *,
    seed: int = 0,
    take: int = 0,
    sentences: list[str] | None = None,
    emotion: EmotionTrack | None = None,
    size: int = 256,
    zoom: float = 1.0,
    fps: int | float | str | Fraction = 25,
    morphable_model: str = "builtin",
    duration: int | float | None = None,
    noise: float = 0.004,
    compress: int | None = None,
    turn: int | float = 0.0,
    progress: bool | None = None,
) -> ClipStore:
    """Film a digital actor: frames, sound, masks, landmarks, emotion and every frame's true coefficients.

    Args:
        path: The clip store's folder; an existing one is replaced.
        seed: Of the actor: face, colours, voice, style, lighting and backdrop.
        take: Number of the performance: its behaviour and, without ``sentences``, its text.
        sentences: The text; by default four of ``SENTENCES``; an empty list gives a muted clip.
        emotion: By default neutral.
        size: Height and width, pixels; even.
        zoom: Of the lens: 1 shows head and shoulders, 1.4 fills the frame with the head.
        fps: Frames per second.
        morphable_model: What ``load_morphable_model`` takes.
        duration: Least length of the clip, seconds, and length of a muted clip (by default 2).
        noise: Standard deviation of the sensor noise, relative to white.
        compress: x264's quality (crf) by which the frames are compressed, like a camera's; by default the frames are
            lossless and only ``source.mp4`` is compressed.
        turn: Degrees by which the head rotates slowly to either side.
        progress: Draw a progress bar; by default only within ``progress_bars()``.

    Raises:
        UserError: An option is out of range, or the actor or the model does not support the emotion.
    """
    fps = _checked_fps(fps)
    if size < 16 or size % 2:
        raise UserError(f"Expected an even size of 16 pixels or more, but got {size}.")
    if duration is not None and not 0 < duration < 36_000:
        raise UserError(f"Expected a duration of more than 0 s, but got {duration}.")
    emotion = EmotionTrack.constant(EmotionSpace()) if emotion is None else emotion
    check_emotions(emotion.space.names)
    model = load_morphable_model(morphable_model)
    actor = make_actor(seed, model)
    performance = perform_sentences(
        actor, take=take, sentences=sentences, emotion=emotion, fps=float(fps), duration=duration, turn=turn
    )
    scene = film(actor, performance, model, morphable_model, size, zoom)
    with writing_clip_store(path) as writer:
        landmarks_2d = projected_landmarks(model, scene)
        num_frames = len(landmarks_2d)
        rendered = render(model, scene, noise=noise, seed=actor.seed * 1_000_003 + take)
        rendered = track(rendered, "Filming", num_frames, progress, transient=False)
        _write_frames(writer, rendered, fps, performance.waveform, compress)
        writer.write_waveform(performance.waveform)
        writer.write_landmarks(_truth_landmarks(landmarks_2d))
        writer.write_emotion(emotion)
        writer.write_truth(scene.face)
        writer.finish(
            ClipInfo(
                num_frames=num_frames,
                fps=str(fps),
                size=size,
                source=SOURCE_NAME,
                source_name=f"digital actor {seed}, take {take}",
                source_sha256=sha256_of_file(writer.path / SOURCE_NAME),
                source_height=size,
                source_width=size,
                crop=Crop(0.0, 0.0, float(size)),
                has_audio=True,
            )
        )
    return ClipStore(path)


def perform_sentences(
    actor: Actor,
    *,
    take: int = 0,
    sentences: list[str] | None = None,
    emotion: EmotionTrack,
    fps: int | float = 25,
    duration: int | float | None = None,
    turn: int | float = 0.0,
) -> Performance:
    """An actor's performance; arguments as in ``write_actor_clip``."""
    seed = actor.seed * 1_000_003 + take
    if sentences is None:
        chosen = np.random.default_rng([seed, 7]).choice(len(SENTENCES), SENTENCES_A_CLIP, replace=False)
        sentences = [SENTENCES[index] for index in chosen]
    if sentences:
        speech = speak(sentences, voice=actor.voice, emotion=emotion, seed=seed, duration=duration or 0.0)
    else:
        speech = silence(duration or 2.0)
    return perform(
        speech,
        emotion,
        fps=fps,
        seed=seed,
        style=actor.style,
        shape_coefficients=actor.shape_coefficients,
        translation=actor.translation,
        turn=math.radians(turn),
    )


def film(
    actor: Actor, performance: Performance, model: MorphableModel, morphable_model: str, size: int, zoom: float = 1.0
) -> Scene:
    """Place an actor's performance in front of the default camera.

    Args:
        actor: Drawn for ``model``.
        performance: The performance.
        model: Of the performance's expressions.
        morphable_model: Name of ``model``.
        size: Height and width of the picture, pixels.
        zoom: Of the lens.
    """
    coefficients = replace(
        performance.coefficients,
        expression_coefficients=retarget(performance.coefficients.expression_coefficients, model),
    )
    face = TrackedFace(
        coefficients=coefficients,
        camera=default_camera(size, size, DEFAULT_FOCAL * size * zoom),
        lighting=actor.lighting[None].repeat(coefficients.num_frames, 1, 1),
        albedo=actor.albedo,
        morphable_model=morphable_model,
        expression_names=tuple(model.expression_names),
    )
    return Scene(face, performance.tongue, performance.bite, make_backdrop(actor.seed, size, zoom))


def _checked_fps(fps: int | float | str | Fraction) -> Fraction:
    try:
        fraction = Fraction(fps).limit_denominator(1001)
    except (ValueError, ZeroDivisionError):
        raise UserError(f"Expected frames a second such as 25 or 30000/1001, but got '{fps}'.") from None
    if not 1 <= fraction <= 240:
        raise UserError(f"Expected 1 to 240 frames a second, but got {fps}.")
    return fraction


def _write_frames(
    writer: ClipStoreWriter,
    rendered: Iterable[tuple[np.ndarray, np.ndarray]],
    fps: Fraction,
    waveform: Float[Tensor, " num_samples"],
    compress: int | None,
) -> None:
    source = writer.path / SOURCE_NAME
    crf = 16 if compress is None else compress
    masks = []
    with VideoWriter(source, fps, waveform=waveform, sample_rate=SAMPLE_RATE, crf=crf) as video:
        for frame, mask in rendered:
            video.add(frame)
            if compress is None:
                writer.add_frame(frame, mask)
            else:
                masks.append(mask)
    if compress is not None:
        for frame, mask in zip(read_video(source), masks, strict=True):
            writer.add_frame(frame, mask)


def _truth_landmarks(landmarks_2d: Float[Tensor, "T 68 2"]) -> Landmarks:
    num_frames = len(landmarks_2d)
    return Landmarks(
        landmarks_2d=landmarks_2d,
        landmark_confidence=torch.ones(num_frames),
        blendshapes=torch.zeros(num_frames, 52),
        head_to_camera=torch.eye(4).repeat(num_frames, 1, 1),
    )
