"""Whisper's encoder (Radford et al. 2022), from OpenAI's own checkpoint files.

Its middle layers predict the mouth much better than log-mel energies. Module names are the checkpoint's.

The network is implemented here instead of using transformers' ``WhisperEncoder``, although both give the same layers (a
test checks it): transformers is optional, takes 2.5 s to import (10 s of speech take 0.4 s to encode here and 0.6 s
there, on 2 cores), and its encoder accepts only one length of sound, while chunks differ in length.
"""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from readavatar.errors import UserError
from readavatar.media.waveform import SAMPLE_RATE
from readavatar.speech.encoder import Clock, SpeechEncoder
from readavatar.speech.log_mel import HOP, WINDOW, MelSpectrogram

_FLOOR = -6.5
"""log10 of the least power: 8 below the 1.5 that speech at a level of 0.1 peaks at."""


class _Attention(nn.Module):
    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def forward(self, hidden: Float[Tensor, "B F C"]) -> Float[Tensor, "B F C"]:
        query, key, value = (
            projection(hidden).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for projection in (self.query, self.key, self.value)
        )
        return self.out(F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))


class _Block(nn.Module):
    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.attn = _Attention(width, num_heads)
        self.attn_ln = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.mlp_ln = nn.LayerNorm(width)

    def forward(self, hidden: Float[Tensor, "B F C"]) -> Float[Tensor, "B F C"]:
        hidden = hidden + self.attn(self.attn_ln(hidden))
        return hidden + self.mlp(self.mlp_ln(hidden))


class AudioEncoder(nn.Module):
    """Whisper's audio encoder without its final norm, which belongs to the decoder."""

    def __init__(self, num_bands: int, num_positions: int, width: int, num_heads: int, num_layers: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(num_bands, width, 3, padding=1)
        self.conv2 = nn.Conv1d(width, width, 3, stride=2, padding=1)
        self.register_buffer("positional_embedding", torch.zeros(num_positions, width))
        self.blocks = nn.ModuleList(_Block(width, num_heads) for _ in range(num_layers))

    def forward(self, mel: Float[Tensor, "B bands M"]) -> list[Float[Tensor, "B F C"]]:
        """The sum of features and positions, then each block's output; F = M / 2 is at most ``num_positions``."""
        hidden = F.gelu(self.conv2(F.gelu(self.conv1(mel)))).transpose(1, 2)
        hidden = hidden + self.positional_embedding[: hidden.shape[1]]
        layers = [hidden]
        for block in self.blocks:
            layers.append(block(layers[-1]))
        return layers


class WhisperEncoder(SpeechEncoder):
    """Hidden layers of Whisper's encoder, side by side: 50 Hz, 384 features a layer for the tiny model.

    Whisper's own input is 30 s, padded with zeros. Here a sound is cut into chunks of at most 8 s with context, and
    shorter ones are not padded. Features depend on the position in the chunk (those of 3 s alone and within 60 s differ
    by half a standard deviation); with short chunks, training covers the positions that occur in use. Attention spans a
    whole chunk, so features of a long sound depend slightly on where it is cut.
    """

    name = "whisper"
    clock = Clock(SAMPLE_RATE, 2 * HOP, HOP + WINDOW, WINDOW / 2)
    # Two mel frames a step, and a frame is centred on the first of its two: conv2 (stride 2, padding 1) at step k
    # sees mel frames 2k − 1, 2k, 2k + 1.
    level = 0.1
    chunk_seconds = 8.0
    context_seconds = 1.0

    def __init__(self, encoder: AudioEncoder, layers: tuple[int, ...], source: str) -> None:
        """
        Args:
            encoder: The network with its weights.
            layers: Which hidden layers to give; 0 is the convolutions' output, k that of block k.
            source: Name of the weights, for the description.
        """
        super().__init__()
        num_layers = len(encoder.blocks)
        if not layers or min(layers) < 0 or max(layers) > num_layers:
            raise UserError(f"Expected speech layers from 0 to {num_layers} for whisper, but got {list(layers)}.")
        encoder.blocks = encoder.blocks[: max(layers)]
        self.encoder = encoder.eval().requires_grad_(False)
        self.layers = tuple(layers)
        self.spectrogram = MelSpectrogram(encoder.conv1.in_channels)
        self.num_features = len(layers) * encoder.conv2.out_channels
        self.settings = {"layers": list(layers), "chunk": [self.chunk_seconds, self.context_seconds], "version": 1}
        self.description = f"layers {', '.join(map(str, layers))} of Whisper's encoder ({source})"

    def encoder_frames(self, samples: Float[Tensor, " num_samples"]) -> Float[Tensor, "F D"]:
        """The chosen layers, concatenated."""
        # Whisper's own normalisation, whose maximum over 30 s is, for speech at the common level, a constant.
        mel = (self.spectrogram(samples).clamp(min=10**_FLOOR).log10() + 4) / 4
        hidden = self.encoder(mel.T[None])
        return torch.cat([hidden[layer][0] for layer in self.layers], dim=-1)


def load_whisper(path: str | Path, layers: tuple[int, ...] | None = None) -> WhisperEncoder:
    """Read an OpenAI checkpoint such as ``tiny.en.pt``.

    Args:
        path: Of the file.
        layers: By default the two in the middle.

    Raises:
        UserError: The file is not such a checkpoint.
    """
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        sizes, state = checkpoint["dims"], checkpoint["model_state_dict"]
        encoder = AudioEncoder(
            sizes["n_mels"], sizes["n_audio_ctx"], sizes["n_audio_state"], sizes["n_audio_head"], sizes["n_audio_layer"]
        )
        prefix = "encoder."
        weights = {key.removeprefix(prefix): value.float() for key, value in state.items() if key.startswith(prefix)}
        encoder.load_state_dict({key: value for key, value in weights.items() if not key.startswith("ln_post")})
    except FileNotFoundError:
        raise UserError(f"Expected Whisper's weights at '{path}', but there is no such file.") from None
    except (EOFError, OSError, KeyError, TypeError, ValueError, RuntimeError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"Expected an OpenAI Whisper checkpoint at '{path}', but could not read it: {reason}."
        ) from None
    middle = len(encoder.blocks) // 2
    return WhisperEncoder(encoder, layers or (middle, middle + 1), Path(path).name)
