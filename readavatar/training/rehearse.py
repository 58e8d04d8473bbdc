"""The footage's own sound, said by the avatar: driven faces for the appearance stage to learn to paint."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from readavatar.data.store import ClipStore
from readavatar.data.store.avatar import Avatar
from readavatar.data.store.emotion_labels import read_emotion
from readavatar.emotion import EmotionTrack
from readavatar.expression.inference import generate_motion, retargeted, with_footage_gaze


def rehearse(avatar: str | Path, clips: Sequence[str | Path], seed: int = 0) -> int:
    """Let an avatar say each clip's sound in its labelled emotion, and put its motion into the clip's store.

    The heads, gazes and lights are the clips' own.

    Args:
        avatar: With an expression part.
        clips: Folders of fitted clip stores; silent ones are left out.
        seed: Of the motion.

    Returns:
        How many clips were rehearsed.

    Raises:
        UserError: The avatar has no expression part, or learned expressions of another morphable model.
    """
    avatar = Avatar(avatar)
    stores = [store for store in map(ClipStore, clips) if store.info.has_audio]
    for store in stores:
        footage, count, space = store.tracking(), store.num_frames, avatar.emotion_space
        shown = read_emotion(store, space, count, store.fps)
        emotion = EmotionTrack(space, (torch.arange(count) + 0.5) / store.fps, shown)
        expressions = generate_motion(avatar, footage, store.waveform(), emotion, count, store.fps, seed)
        order = torch.arange(count)
        store.write_rehearsal(retargeted(footage, order, with_footage_gaze(expressions, footage, order)))
    return len(stores)
