"""Speech features of clips, computed once and cached."""

from __future__ import annotations

import hashlib

from jaxtyping import Float
from torch import Tensor

from readavatar.data.store import ClipStore
from readavatar.errors import UserError
from readavatar.speech import SpeechEncoder, load_speech_encoder


def clip_speech_features(
    store: ClipStore, encoder: SpeechEncoder, fps: float | None = None, num_frames: int | None = None
) -> Float[Tensor, "T D"]:
    """Features of every frame of a clip, cached under a hash of the encoder, the sound and the frame times.

    Args:
        store: A clip with sound.
        encoder: The speech encoder.
        fps: Frames per second, by default the clip's.
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


def load_described_encoder(described: dict) -> SpeechEncoder:
    """Load the speech encoder that ``describe_encoder`` described.

    Raises:
        UserError: It is not on this machine, or has other weights or settings.
    """
    encoder = load_speech_encoder(described["name"], described["layers"])
    if encoder.fingerprint != described["fingerprint"]:
        raise UserError(
            f"Expected the speech encoder '{described['name']}' that the avatar was trained with, but its weights or "
            "settings on this machine are others; fit the avatar again."
        )
    return encoder


def describe_encoder(encoder: SpeechEncoder) -> dict:
    """JSON values by which the same speech encoder can be loaded again."""
    return {
        "name": encoder.name,
        "layers": encoder.settings.get("layers"),
        "fingerprint": encoder.fingerprint,
        "num_features": encoder.num_features,
    }
