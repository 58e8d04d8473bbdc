"""Small speech encoders of each kind."""

from __future__ import annotations

import pytest
import torch

from readavatar.speech.log_mel import LogMelEncoder
from readavatar.speech.wav2vec2 import Wav2Vec2Encoder
from readavatar.speech.whisper import AudioEncoder, WhisperEncoder


def _wav2vec2_model(stable: bool = False):
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    torch.manual_seed(0)
    config = Wav2Vec2Config(
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=32,
        conv_dim=(16,) * 7,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
        do_stable_layer_norm=stable,
        feat_extract_norm="layer" if stable else "group",
    )
    return Wav2Vec2Model(config).eval()


def _audio_encoder() -> AudioEncoder:
    torch.manual_seed(0)
    encoder = AudioEncoder(80, 1500, 16, 2, 4)
    torch.nn.init.normal_(encoder.positional_embedding, std=0.1)
    return encoder


@pytest.fixture
def wav2vec2_model():
    """(stable=False) -> Wav2Vec2 of the published strides and kernels, but narrow and with random weights."""
    return _wav2vec2_model


@pytest.fixture
def audio_encoder():
    """() -> Whisper's encoder, narrow and with random weights."""
    return _audio_encoder


_ENCODERS = {
    "log_mel": LogMelEncoder,
    "whisper": lambda: WhisperEncoder(_audio_encoder(), (2, 3), "random"),
    "wav2vec2": lambda: Wav2Vec2Encoder(_wav2vec2_model(), (1, 2)),
}


@pytest.fixture(params=sorted(_ENCODERS))
def encoder(request):
    """Each kind in turn."""
    return _ENCODERS[request.param]()


@pytest.fixture
def speechlike():
    """(seconds) -> noise in syllables at 16 kHz."""

    def make(seconds: float) -> torch.Tensor:
        generator = torch.Generator().manual_seed(0)
        num_samples = round(seconds * 16_000)
        loudness = torch.rand(num_samples // 3200 + 1, generator=generator).repeat_interleave(3200)[:num_samples]
        return 0.1 * loudness * torch.randn(num_samples, generator=generator)

    return make
