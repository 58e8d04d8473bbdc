"""Claims on every speech encoder: when its features are, how they are cut, what they depend on."""

from __future__ import annotations

import pytest
import torch
from other_device import other_device

from readavatar.errors import UserError
from readavatar.speech.log_mel import LogMelEncoder
from readavatar.speech.wav2vec2 import Wav2Vec2Encoder

FRAME_RATES = (24.0, 25.0, 30000 / 1001, 30.0, 60.0)


@pytest.mark.parametrize("fps", FRAME_RATES)
def test_a_click_lands_in_its_frame(encoder, fps):
    num_frames = round(2 * fps)
    slower_than_the_video = 16_000 / encoder.clock.hop < fps
    waveform = 0.01 * torch.randn(32_000, generator=torch.Generator().manual_seed(1))
    offsets = []
    for frame in range(3, num_frames - 3, num_frames // 8):
        clicked = waveform.clone()
        centre = round((frame + 0.5) / fps * 16_000)
        clicked[centre - 8 : centre + 8] += 0.05
        change = (encoder.encode(clicked, fps, num_frames) - encoder.encode(waveform, fps, num_frames)).square().sum(1)
        # Attention carries a little of the click everywhere: that floor is not where the click is.
        change = (change - change.median()).clamp(min=0)
        assert abs(int(change.argmax()) - frame) <= slower_than_the_video
        around = slice(frame - 3, frame + 4)
        offsets.append((change * (torch.arange(num_frames) - frame))[around].sum() / change[around].sum())
    assert abs(torch.stack(offsets).mean()) < (0.35 if slower_than_the_video else 0.2)
    assert torch.stack(offsets).abs().max() < (0.7 if slower_than_the_video else 0.3)


def test_the_number_of_frames_is_the_one_asked_for(encoder, speechlike):
    for seconds, fps, num_frames in (
        (1.0, 25.0, 25),
        (1.0, 25.0, 40),
        (0.05, 25.0, 1),
        (0.05, 25.0, 2),
        (3.0, 60.0, 7),
    ):
        features = encoder.encode(speechlike(seconds), fps, num_frames)
        assert features.shape == (num_frames, encoder.num_features)
        assert features.isfinite().all()


def test_log_mel_in_chunks_equals_the_whole(speechlike):
    whole, chunked = LogMelEncoder(), LogMelEncoder()
    whole.chunk_seconds, chunked.chunk_seconds = 1000.0, 0.7
    waveform = speechlike(9.0)
    for fps in FRAME_RATES:
        num_frames = round(9 * fps)
        difference = whole.encode(waveform, fps, num_frames) - chunked.encode(waveform, fps, num_frames)
        assert difference.abs().max() < 1e-4


def test_wav2vec2_in_chunks_gives_about_the_whole(wav2vec2_model, speechlike):
    encoder = Wav2Vec2Encoder(wav2vec2_model(), (1, 2))
    waveform = speechlike(12.0)
    whole = encoder.encode(waveform, 25.0, 300)
    encoder.chunk_seconds = 4.0
    chunked = encoder.encode(waveform, 25.0, 300)
    assert ((whole - chunked).square().mean() / whole.var(0).mean()).sqrt() < 0.6


def test_ten_minutes_are_encoded_in_stretches_of_bounded_length(encoder, speechlike, monkeypatch):
    stretches = []

    def encoder_frames(samples):
        stretches.append(len(samples))
        num_frames = (len(samples) - encoder.clock.span) // encoder.clock.hop + 1
        return torch.zeros(num_frames, encoder.num_features)

    monkeypatch.setattr(encoder, "encoder_frames", encoder_frames)
    assert encoder.encode(speechlike(600.0), 25.0, 15_000).shape[0] == 15_000
    assert max(stretches) / 16_000 < encoder.chunk_seconds + 2 * encoder.context_seconds + 0.2
    assert sum(stretches) / 16_000 < 600 * (1 + 2 * encoder.context_seconds / encoder.chunk_seconds) * 1.02


def test_a_quiet_recording_gives_the_features_of_a_loud_one(encoder, speechlike):
    waveform = speechlike(2.0)
    loud, quiet = encoder.encode(waveform, 25.0, 50), encoder.encode(0.1 * waveform + 0.05, 25.0, 50)
    torch.testing.assert_close(loud, quiet, atol=2e-2, rtol=2e-2)


def test_silence_gives_finite_features(encoder):
    assert encoder.encode(torch.zeros(16_000), 25.0, 25).isfinite().all()


@pytest.mark.parametrize("waveform", [torch.zeros(0), torch.tensor([0.1, float("nan")]), torch.tensor([float("inf")])])
def test_a_sound_that_is_none_is_refused_in_one_line(waveform):
    with pytest.raises(UserError, match="Expected"):
        LogMelEncoder().encode(waveform, 25.0, 10)


def test_no_frames_are_refused(speechlike):
    with pytest.raises(ValueError, match="one or more frames"):
        LogMelEncoder().encode(speechlike(1.0), 25.0, 0)
    with pytest.raises(ValueError, match="positive rate"):
        LogMelEncoder().encode(speechlike(1.0), float("nan"), 5)


def test_log_mel_has_a_tone_in_its_band():
    low, high = (
        LogMelEncoder().encode(0.1 * torch.sin(torch.arange(16_000) * 2 * torch.pi * hertz / 16_000), 25.0, 25)[12]
        for hertz in (300, 3000)
    )
    assert low.argmax() < 15 < 40 < high.argmax()


@pytest.mark.parametrize("kind", ["cuda", "mps"])
def test_an_encoder_on_another_device_gives_the_same_features_there(encoder, speechlike, kind):
    waveform = speechlike(1.5)
    expected = encoder.encode(waveform, 30.0, 45)
    with other_device(kind) as (device, _):
        features = encoder.to(device).encode(waveform.to(device), 30.0, 45)
        assert features.device == device
        torch.testing.assert_close(features.cpu(), expected)
