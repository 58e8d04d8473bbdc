"""An avatar's face painted into a clip from the clip's own fit, as ``animate`` paints a driven one."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from readavatar.appearance import AppearanceRenderer, render_face
from readavatar.data.datasets.appearance import num_held_out
from readavatar.data.datasets.speech_features import clip_speech_features, load_described_encoder
from readavatar.data.raster.render_inputs import MapSettings, build_render_inputs, speech_windows
from readavatar.data.store import ClipStore, Crop
from readavatar.data.store.avatar import Avatar, load_network
from readavatar.directing.footage import composite
from readavatar.errors import UserError
from readavatar.media.images import resized
from readavatar.morphable.model import MorphableModel
from readavatar.types import TrackedFace


@dataclass(frozen=True)
class Painting:
    """Some painter's likeness of B frames, at the clip's size."""

    images: Float[Tensor, "B 3 H W"]
    """In [0, 1]; the footage where nothing is painted."""
    alphas: Float[Tensor, "B 1 H W"]
    """How much of each pixel is painted, in [0, 1]."""


@runtime_checkable
class Painter(Protocol):
    """What gives its likeness of consecutive frames of a clip."""

    def paint(self, frames: range) -> Painting:
        """The frames' likenesses."""
        ...


class AvatarPainter:
    """The avatar's exported (averaged) network over a clip's tracked coefficients, a few frames at a time."""

    def __init__(self, avatar: str | Path, store: ClipStore, model: MorphableModel, face: TrackedFace) -> None:
        """
        Args:
            avatar: With an appearance part.
            store: The footage that is painted into.
            model: That the footage was fitted with.
            face: Its fit.

        Raises:
            UserError: An avatar that learned another morphable model, or heard speech through another encoder.
        """
        part = Avatar(avatar).part("appearance")
        self.config, self.store, self.model, self.face = part.config, store, model, face
        if tuple(part.config["expression_names"]) != tuple(face.expression_names):
            raise UserError(
                f"Expected a clip fitted with '{part.config['morphable_model']}' as the avatar '{avatar}' was, but "
                f"'{store.path}' is fitted with '{face.morphable_model}'."
            )
        self.renderer = load_network(AppearanceRenderer(**part.config["network"]), part)
        self.speech = heard(store, part.config["speech_encoder"])

    def paint(self, frames: range) -> Painting:
        """The frames with the face painted over them."""
        index, footage = torch.arange(frames.start, frames.stop), self.store.frames(frames)
        coefficients, lighting = self.face.coefficients.frames(index), self.face.lighting[index]
        side, own = self.store.info.size, self.config["size"]
        inputs = build_render_inputs(
            dataclasses.replace(self.face, coefficients=coefficients, lighting=lighting),
            self.model,
            speech_windows(self.speech, index, self.config["network"]["speech_window"]),
            resized(footage, own),
            MapSettings(**self.config["maps"]),
        )
        images, alphas = render_face(self.renderer, inputs)
        whole = Crop(0.0, 0.0, float(side))
        painted = [composite(*layers, whole) for layers in zip(footage, images, alphas, strict=True)]
        return Painting(torch.stack(painted), resized(alphas, side))


def heard(store: ClipStore, described: dict) -> Float[Tensor, "T D"]:
    """What an avatar's speech encoder hears of a clip; zeros where that is silent, as in training.

    Args:
        store: The clip.
        described: Of ``describe_encoder``.

    Raises:
        UserError: The encoder is another one on this machine.
    """
    if not store.info.has_audio:
        return torch.zeros(store.num_frames, described["num_features"])
    return clip_speech_features(store, load_described_encoder(described)).float()


def check_unseen(avatar: str | Path, store: ClipStore, count: int) -> str | None:
    """Hold that an avatar was not trained on a clip's last ``count`` frames, by the settings of its training.

    Returns:
        What should be said where they are not to be found; else None.

    Raises:
        UserError: It was trained on some of them.
    """
    settings = training_data(avatar)
    if settings is None:
        return f"'{avatar}' does not say what it was trained on: it may have seen the frames that it is judged on"
    clips, seconds = settings
    # Paths are as given then, perhaps from another folder; the footage's, in the card, is the avatar's own.
    if store.path.resolve() not in {clip.resolve() for clip in clips} | {Avatar(avatar).footage.path.resolve()}:
        return None
    kept = num_held_out(store.num_frames, store.fps, seconds)
    if kept < count:
        raise UserError(
            f"Expected an avatar trained without the last {count / store.fps:g} s of '{store.path}', but '{avatar}' "
            f"was trained without {kept / store.fps:g} s; ask for --held-out {kept / store.fps:g} or less."
        )
    return None


def training_data(avatar: str | Path) -> tuple[list[Path], float] | None:
    """The clips that an avatar's appearance was trained on and the seconds held out; None where it does not say."""
    path = Path(avatar) / "training" / "appearance" / "settings.json"
    try:
        arguments = json.loads(path.read_text())["data"]["init_args"]
        clips, seconds = arguments["clips"], float(arguments["held_out_seconds"])
    except (OSError, KeyError, TypeError, ValueError):
        return None
    return [Path(clip) for clip in ([clips] if isinstance(clips, str) else clips)], seconds
