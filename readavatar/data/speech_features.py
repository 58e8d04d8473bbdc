"""Speech features of a clip, computed once."""

from __future__ import annotations

import hashlib

from jaxtyping import Float
from torch import Tensor

from readavatar.data.clip_store import ClipStore
from readavatar.speech import SpeechEncoder


def clip_speech_features(
    store: ClipStore, encoder: SpeechEncoder, fps: float | None = None, num_frames: int | None = None
) -> Float[Tensor, "T D"]:
    """Features of every frame of a clip, kept in its cache under a hash of the encoder, the sound and the frame times.

    Args:
        store: With sound.
        encoder: Hears it.
        fps: Frames a second, by default the clip's.
        num_frames: T, by default the clip's.

    Raises:
        UserError: The clip has no sound.
    """
    waveform = store.waveform()
    fps, num_frames = fps or store.fps, num_frames or store.num_frames
    digest = hashlib.sha256(f"{encoder.fingerprint} {fps:.6f} {num_frames}".encode())
    digest.update(waveform.numpy().tobytes())
    key = f"speech-{encoder.name}-{digest.hexdigest()[:24]}"
    compute = lambda: {"speech_features": encoder.encode(waveform, fps, num_frames)}  # noqa: E731
    return store.cached(key, compute)["speech_features"]


def describe_encoder(encoder: SpeechEncoder) -> dict:
    """What finds the same speech encoder again."""
    return {
        "name": encoder.name,
        "layers": encoder.settings.get("layers"),
        "fingerprint": encoder.fingerprint,
        "num_features": encoder.num_features,
    }
