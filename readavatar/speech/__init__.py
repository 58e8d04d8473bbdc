"""Waveform → features per video frame: Wav2Vec2, Whisper, log-mel; silence; alignment."""

from readavatar.speech.encoder import SpeechEncoder
from readavatar.speech.loading import ENCODER_NAMES, load_speech_encoder
from readavatar.speech.silence import is_silent

__all__ = ["ENCODER_NAMES", "SpeechEncoder", "is_silent", "load_speech_encoder"]
