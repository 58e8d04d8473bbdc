"""Speech encoders: a waveform → one feature vector for each video frame.

``load_speech_encoder`` chooses one by name: Wav2Vec2, Whisper, or log-mel energies without weights.
"""

from __future__ import annotations

from collections.abc import Sequence

from readavatar.assets import find_asset, get_asset
from readavatar.errors import UserError
from readavatar.speech.encoder import SpeechEncoder
from readavatar.speech.log_mel import LogMelEncoder
from readavatar.speech.silence import is_silent
from readavatar.speech.wav2vec2 import has_local_wav2vec2, load_wav2vec2
from readavatar.speech.whisper import load_whisper

__all__ = ["ENCODER_NAMES", "SpeechEncoder", "is_silent", "load_speech_encoder"]

ENCODER_NAMES = ("auto", "wav2vec2", "whisper", "log_mel")
WHISPER_ASSET = "whisper_tiny_en"


def load_speech_encoder(
    name: str = "auto", layers: Sequence[int] | None = None, weights: str | None = None
) -> SpeechEncoder:
    """Load a speech encoder; its ``description`` says which it is and why it was chosen.

    Args:
        name: One of ``ENCODER_NAMES``. ``auto`` takes Wav2Vec2 if its weights are on this machine, else Whisper if its
            asset is, else log-mel; it does not download anything.
        layers: Hidden layers, by default those in the middle; not for ``log_mel``.
        weights: Instead of the default weights: a folder or hub name for wav2vec2, a file for whisper.

    Raises:
        UserError: The name is unknown, the encoder does not have the layer, or the weights are missing.

    Example:
        >>> import torch
        >>> from readavatar import load_speech_encoder
        >>> encoder = load_speech_encoder("log_mel")
        >>> waveform = torch.sin(torch.arange(16_000) / 10)  # 1 s at 16 kHz
        >>> encoder.encode(waveform, fps=25.0, num_frames=25).shape
        torch.Size([25, 80])
    """
    if name not in ENCODER_NAMES:
        raise UserError(f"Expected a speech encoder of {', '.join(ENCODER_NAMES)}, but got '{name}'.")
    if name in ("auto", "log_mel") and (weights or (layers and name == "log_mel")):
        raise UserError(f"Expected layers and weights with 'wav2vec2' or 'whisper' only, but got them with '{name}'.")
    chosen_layers = tuple(layers) if layers else None
    if name == "wav2vec2":
        return load_wav2vec2(weights, chosen_layers)
    if name == "whisper":
        return load_whisper(weights or get_asset(WHISPER_ASSET), chosen_layers)
    if name == "log_mel":
        return LogMelEncoder()
    return _best_local_encoder(chosen_layers)


def _best_local_encoder(layers: tuple[int, ...] | None) -> SpeechEncoder:
    encoder: SpeechEncoder
    if has_local_wav2vec2():
        encoder = load_wav2vec2(None, layers, local_files_only=True)
        encoder.description += ", the default, found on this machine"
        return encoder
    if path := find_asset(WHISPER_ASSET):
        encoder = load_whisper(path, layers)
        encoder.description += ", since Wav2Vec2's weights are not on this machine"
        return encoder
    encoder = LogMelEncoder()
    encoder.description += (
        ", since neither Wav2Vec2's nor Whisper's weights are on this machine "
        f"('readavatar assets get {WHISPER_ASSET}' improves the lip motion)"
    )
    return encoder
