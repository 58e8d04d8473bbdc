"""Log-mel energies: a speech encoder without weights, and the input of Whisper's encoder."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from readavatar.media.waveform import SAMPLE_RATE
from readavatar.speech.encoder import Clock, SpeechEncoder

WINDOW, HOP = 400, 160
"""Samples: 25 ms every 10 ms, as usual and as in Whisper."""
_FLOOR = 1e-5
"""Least power of a mel band: inaudible, about −60 dB against speech at a level of 0.1."""


class MelSpectrogram(nn.Module):
    """Power in mel bands (Slaney's scale and areas) of Hann windows, frame j centred on sample ``160 j + 200``."""

    def __init__(self, num_bands: int = 80) -> None:
        super().__init__()
        from librosa.filters import mel  # only the matrix: librosa's spectrogram compiles for 15 s on first use

        self.register_buffer("window", torch.hann_window(WINDOW), persistent=False)
        filters = mel(sr=SAMPLE_RATE, n_fft=WINDOW, n_mels=num_bands)
        self.register_buffer("filters", torch.from_numpy(filters), persistent=False)

    def forward(self, samples: Float[Tensor, " num_samples"]) -> Float[Tensor, "F bands"]:
        """F = (num_samples − 400) // 160 + 1 frames of power."""
        frames = samples.unfold(0, WINDOW, HOP) * self.window
        return torch.fft.rfft(frames).abs().square() @ self.filters.T


class LogMelEncoder(SpeechEncoder):
    """80 log-mel energies, about in [−1, 1]: no weights and no download, but the least accurate lip motion."""

    name = "log_mel"
    clock = Clock(SAMPLE_RATE, HOP, WINDOW, WINDOW / 2)
    level = 0.1
    context_seconds = 0.0

    def __init__(self, num_bands: int = 80) -> None:
        super().__init__()
        self.spectrogram = MelSpectrogram(num_bands)
        self.num_features = num_bands
        self.settings = {"num_bands": num_bands, "version": 1}
        self.description = f"log-mel energies in {num_bands} bands"

    def encoder_frames(self, samples: Float[Tensor, " num_samples"]) -> Float[Tensor, "F D"]:
        """Log power of every band; speech at the common level lies between about −1 and 1."""
        return (self.spectrogram(samples).clamp(min=_FLOOR).log10() + 2) / 2
