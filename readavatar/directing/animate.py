"""``animate``: new speech and emotion in the person's own footage, frame by frame, in constant memory."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from readavatar.appearance import AppearanceRenderer, render_face
from readavatar.appearance.inference import uses_bfloat16
from readavatar.data.datasets.speech_features import load_described_encoder
from readavatar.data.raster.render_inputs import MapSettings, RenderInputs, build_render_inputs, speech_windows
from readavatar.data.store import ClipStore, Crop
from readavatar.data.store.avatar import Avatar, AvatarPart, load_network
from readavatar.devices import choose_device
from readavatar.directing.footage import composite, footage_order, monotone_runs
from readavatar.emotion import EmotionTrack
from readavatar.errors import UserError
from readavatar.expression.inference import generate_motion, retargeted, with_footage_gaze
from readavatar.media.container import provenance_metadata
from readavatar.media.images import resized, to_uint8
from readavatar.media.video import VideoWriter, read_video
from readavatar.media.waveform import SAMPLE_RATE, read_waveform
from readavatar.morphable import load_morphable_model
from readavatar.progress import track
from readavatar.speech import SpeechEncoder
from readavatar.throughput import keep_freed_memory, prefetch
from readavatar.types import TrackedFace

_RUN_LENGTH = 16
"""Frames in a batch: enough to use all cores, few enough for 4K footage (16 × 25 MB)."""
_WORTH_A_TRIAL = 100
"""Least number of frames for which timing both precisions is worth it."""
_SOUND_RATE = 48_000
"""Hz, of the sound in the clip."""


@dataclass(frozen=True)
class Animation:
    """A clip made by ``animate``."""

    path: Path
    """Of the clip."""
    fps: float
    """Frames per second."""
    emotion: Float[Tensor, "T N"]
    """The requested emotion, in [0, 1]."""
    emotion_names: tuple[str, ...]
    """N names."""
    expressions: Float[Tensor, "T E"]
    """The coefficients of the face, in the morphable model's units."""
    expression_names: tuple[str, ...]
    """E names."""

    def __str__(self) -> str:
        return f"{self.path}: {len(self.emotion)} frames, {len(self.emotion) / self.fps:.1f} s"


def animate(
    avatar: str | Path,
    audio: str | Path,
    out: str | Path,
    *,
    emotion: str = "neutral",
    seed: int = 0,
    style: str | None = None,
    start: float = 0.0,
    crop_only: bool = False,
    progress: bool | None = None,
    device: str = "auto",
) -> Animation:
    """Let an avatar speak ``audio`` with ``emotion``, and write the clip.

    Head motion and gaze are those of the footage, which is played forwards and backwards for the length of the audio.
    The clip has the size and frame rate of the footage (or its crop), and the audio at 48 kHz. It appears when it is
    complete.

    Args:
        avatar: The avatar's folder, with trained expression and appearance parts.
        audio: A file with sound.
        out: The clip: ``.mp4``, ``.m4v`` or ``.mov``.
        emotion: Text for ``EmotionTrack.parse``.
        seed: Of the motion; the same seed gives the same clip.
        style: Name of the person whose style is used; by default the avatar's own.
        start: First second of the footage.
        crop_only: Write only the face's crop, not the whole picture.
        progress: Draw a progress bar; by default only within ``progress_bars()``.
        device: For ``choose_device``.

    Returns:
        The clip's path, and the emotion and the coefficients of each of its frames.

    Raises:
        UserError: The avatar or a trained part is missing; the footage's source was not kept (unless ``crop_only``);
            the emotion, style or device is unknown; the start is outside the footage; or the sound cannot be read.

    Example:
        >>> from readavatar import animate
        >>> animate("avatars/jane", "speech.wav", "out.mp4", emotion="0s neutral, 2s happy:0.8")
        Traceback (most recent call last):
            ...
        readavatar.errors.UserError: Expected an avatar at 'avatars/jane', but there is no avatar.json; ...
    """
    keep_freed_memory()
    computing, opened = choose_device(device), Avatar(avatar)
    store = opened.footage
    source = None if crop_only else _source_of(store)
    track_of_emotion = EmotionTrack.parse(emotion, opened.emotion_space)
    waveform = read_waveform(audio, SAMPLE_RATE)
    num_frames = max(1, math.ceil(len(waveform) / SAMPLE_RATE * store.fps))
    first = round(start * store.fps)
    if not 0 <= first < store.num_frames:
        raise UserError(
            f"Expected a start within the footage's {store.num_frames / store.fps:.1f} s, but got {start} s."
        )
    order = footage_order(num_frames, store.num_frames, first)
    footage, painter = store.tracking(), opened.part("appearance")
    load_encoder = _loading_once(computing)
    expressions = generate_motion(
        opened, footage, waveform, track_of_emotion, num_frames, store.fps, seed, style, computing, load_encoder
    )
    expressions = with_footage_gaze(expressions, footage, order)
    face = retargeted(footage, order, expressions).to(computing)
    speech = load_encoder(painter.config["speech_encoder"]).encode(waveform.to(computing), store.fps, num_frames)

    metadata = provenance_metadata(
        avatar=opened.card.name,
        audio_sha256=hashlib.sha256(Path(audio).read_bytes()).hexdigest(),
        emotion=emotion,
        seed=seed,
    )
    sound = read_waveform(audio, _SOUND_RATE)
    with VideoWriter(
        out, Fraction(store.info.fps), waveform=sound, sample_rate=_SOUND_RATE, metadata=metadata
    ) as writer:
        frames = _rendered_frames(painter, store, source, face, order, speech)
        for frame in track(frames, "rendering", num_frames, progress):
            writer.add(frame)
    return Animation(
        path=Path(out),
        fps=store.fps,
        emotion=track_of_emotion.sample_frames(num_frames, store.fps),
        emotion_names=opened.emotion_space.names,
        expressions=expressions,
        expression_names=footage.expression_names,
    )


def _source_of(store: ClipStore) -> Path:
    if store.source is None:
        raise UserError(
            f"Expected the uncropped footage in '{store.path}', but the clip has none; write only the face's crop "
            "(crop_only, or --crop)."
        )
    return store.source


def _loading_once(device: torch.device) -> Callable[[dict], SpeechEncoder]:
    """``load_described_encoder`` with a cache, since both networks mostly use the same encoder."""
    loaded: dict[str, SpeechEncoder] = {}

    def load(described: dict) -> SpeechEncoder:
        key = described["fingerprint"]
        if key not in loaded:
            loaded[key] = load_described_encoder(described).to(device)
        return loaded[key]

    return load


def _rendered_frames(
    painter: AvatarPart,
    store: ClipStore,
    source: Path | None,
    face: TrackedFace,
    order: Int[Tensor, " T"],
    speech: Float[Tensor, "T D"],
) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    """Render and composite. While a run is rendered, the next is read and rasterised, and the last composited."""
    crop = Crop(0.0, 0.0, float(store.info.size)) if source is None else store.info.crop
    prepared = prefetch(_prepared_runs(painter.config, store, source, face, order, speech))
    for footage, images, alphas in prefetch(_painted_runs(painter, prepared, len(order), speech.device)):
        for frame, image, alpha in zip(footage, images, alphas, strict=True):
            yield to_uint8(composite(_from_uint8(frame.to(image.device)), image, alpha, crop)[None])[0]


def _painted_runs(
    painter: AvatarPart,
    prepared: Iterator[tuple[RenderInputs, UInt8[Tensor, "n 3 H W"]]],
    num_frames: int,
    device: torch.device,
) -> Iterator[tuple[UInt8[Tensor, "n 3 H W"], Float[Tensor, "n 3 size size"], Float[Tensor, "n 1 size size"]]]:
    """The footage of each run, the rendered face and its alpha."""
    renderer = load_network(AppearanceRenderer(**painter.config["network"]), painter).to(device)
    bfloat16 = None if num_frames > _WORTH_A_TRIAL else False
    for inputs, footage in prepared:
        if bfloat16 is None:
            work = partial(render_face, renderer, inputs.frames(slice(0, 1)), 1)
            bfloat16 = uses_bfloat16("auto", work, device)
        yield footage, *render_face(renderer, inputs, bfloat16=bfloat16)


def _prepared_runs(
    config: dict,
    store: ClipStore,
    source: Path | None,
    face: TrackedFace,
    order: Int[Tensor, " T"],
    speech: Float[Tensor, "T D"],
) -> Iterator[tuple[RenderInputs, UInt8[Tensor, "n 3 H W"]]]:
    """The network's inputs for each run, on the device of face and speech, and the frames of the footage."""
    model, device = load_morphable_model(face.morphable_model).to(speech.device), speech.device
    first = 0
    for run in monotone_runs(order, _RUN_LENGTH):
        frames = torch.arange(first, first + len(run), device=device)
        first += len(run)
        crops = _images([store.frame(int(index)) for index in run])
        inputs = build_render_inputs(
            dataclasses.replace(face, coefficients=face.coefficients.frames(frames), lighting=face.lighting[frames]),
            model,
            speech_windows(speech, frames, config["network"]["speech_window"]),
            resized(_from_uint8(crops.to(device)), config["size"]),
            MapSettings(**config["maps"]),
        )
        yield inputs, crops if source is None else _source_frames(source, Fraction(store.info.fps), run)


def _source_frames(source: Path, fps: Fraction, run: Int[Tensor, " n"]) -> UInt8[Tensor, "n 3 H W"]:
    """The uncropped footage of a run, which goes forwards or backwards."""
    first, last = int(run.min()), int(run.max())
    frames = list(read_video(source, fps, first, last + 1))
    return _images(frames if run[0] <= run[-1] else frames[::-1])


def _images(frames: list[UInt8[np.ndarray, "H W 3"]]) -> UInt8[Tensor, "n 3 H W"]:
    return torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2)


def _from_uint8(images: UInt8[Tensor, "*n 3 H W"]) -> Float[Tensor, "*n 3 H W"]:
    return images.float() / 255
