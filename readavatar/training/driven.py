"""Driven expressions: those of the avatar for the footage's own sound, which the appearance stage trains on."""

from __future__ import annotations

import hashlib
import json

import torch
from jaxtyping import Float
from torch import Tensor

from readavatar.data.datasets.annotations import read_emotion
from readavatar.data.store import Avatar, ClipStore
from readavatar.emotion import EmotionTrack
from readavatar.expression.inference import generate_motion, with_footage_gaze
from readavatar.files import sha256_of_file


def driven_expressions(avatar: Avatar, store: ClipStore, seed: int = 0) -> Float[Tensor, "T E"] | None:
    """Generate an avatar's expressions for a clip's sound and labelled emotion; None for a clip without sound.

    They are cached in the clip. The key identifies the avatar, so that several avatars can share a clip.

    Args:
        avatar: An avatar with an expression part.
        store: A fitted clip.
        seed: Of the motion.

    Raises:
        UserError: The avatar has no expression part, or one for another morphable model.
    """
    if not store.info.has_audio:
        return None
    footage, count, space = store.tracking(), store.num_frames, avatar.emotion_space
    shown = read_emotion(store, space, count, store.fps)

    def compute() -> dict[str, Tensor]:
        emotion = EmotionTrack(space, (torch.arange(count) + 0.5) / store.fps, shown)
        # What is built here draws random weights: a training must not depend on whether the cache was full.
        with torch.random.fork_rng(devices=[]):
            expressions = generate_motion(avatar, footage, store.waveform(), emotion, count, store.fps, seed)
        return {"expressions": with_footage_gaze(expressions, footage, torch.arange(count))}

    files = [store.path / name for name in ("audio.wav", "tracking.safetensors")]
    made_of = [avatar.card.parts["expression"]["sha256"], *map(sha256_of_file, files), shown.tolist(), seed]
    key = hashlib.sha256(json.dumps([*made_of, store.info.audio_delay]).encode()).hexdigest()[:24]
    return store.cached(f"driven-{key}", compute, most=4)["expressions"]
