"""Wav2Vec2 (Baevski et al. 2020) through ``transformers``, from the model hub or a local folder."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from readavatar.errors import UserError
from readavatar.media.waveform import SAMPLE_RATE
from readavatar.speech.encoder import Clock, SpeechEncoder

DEFAULT_WEIGHTS = "facebook/wav2vec2-base-960h"


class Wav2Vec2Encoder(SpeechEncoder):
    """Intermediate hidden layers of Wav2Vec2, side by side (READ Avatars, sec. 3.3): 50 Hz, 768 features each for base.

    Attention (and, in the base models, a normalisation over time) spans a whole chunk: features of a long sound depend
    slightly on where it is cut.
    """

    name = "wav2vec2"
    level = 1.0  # the training data's: zero mean, unit variance
    chunk_seconds = 20.0
    context_seconds = 1.0

    def __init__(self, model: nn.Module, layers: tuple[int, ...] | None = None, source: str = "a given model") -> None:
        """
        Args:
            model: A ``transformers.Wav2Vec2Model``.
            layers: Which hidden layers to give; 0 is the transformer's input, k the output of its layer k. By default
                two around the middle (6 and 8 of 12): the paper's choice, and best for recognising phones (Pasad et al.
                2021, *Layer-wise analysis of a self-supervised speech representation model*).
            source: Name of the weights, for the description.
        """
        super().__init__()
        num_layers = model.config.num_hidden_layers
        layers = tuple(layers or sorted({num_layers // 2, round(num_layers * 2 / 3)}))
        if min(layers) < 0 or max(layers) > num_layers:
            raise UserError(f"Expected speech layers from 0 to {num_layers} for wav2vec2, but got {list(layers)}.")
        if max(layers) < num_layers:  # nothing after the last layer asked for is computed
            model.encoder.layers = model.encoder.layers[: max(1, *layers)]
            if model.config.do_stable_layer_norm:
                model.encoder.layer_norm = nn.Identity()  # it belongs after the last layer, which is gone
        self.model = model.eval().requires_grad_(False)
        self.layers = layers
        hop, span = 1, 1
        for kernel, stride in zip(model.config.conv_kernel, model.config.conv_stride, strict=True):
            span, hop = span + (kernel - 1) * hop, hop * stride
        self.clock = Clock(SAMPLE_RATE, hop, span, span / 2)
        self.num_features = len(layers) * model.config.hidden_size
        self.settings = {"layers": list(layers), "chunk": [self.chunk_seconds, self.context_seconds], "version": 1}
        self.description = f"layers {', '.join(map(str, layers))} of Wav2Vec2 ({source})"

    def encoder_frames(self, samples: Float[Tensor, " num_samples"]) -> Float[Tensor, "F D"]:
        """The chosen layers, concatenated."""
        hidden = self.model(samples[None], output_hidden_states=True).hidden_states
        return torch.cat([hidden[layer][0] for layer in self.layers], dim=-1)


def has_local_wav2vec2() -> bool:
    """Whether the default weights were downloaded to this machine; without network access."""
    try:
        from huggingface_hub import try_to_load_from_cache  # comes with transformers, which takes seconds to import
    except ImportError:
        return False
    files = ("config.json", "model.safetensors")
    return all(isinstance(try_to_load_from_cache(DEFAULT_WEIGHTS, file), str) for file in files)


def load_wav2vec2(
    weights: str | None = None, layers: tuple[int, ...] | None = None, local_files_only: bool = False
) -> Wav2Vec2Encoder:
    """Read Wav2Vec2.

    Args:
        weights: A local folder (``config.json`` and weights) or a name on the model hub.
        layers: See ``Wav2Vec2Encoder``.
        local_files_only: Do not download: use a folder or an earlier download.

    Raises:
        UserError: transformers is not installed, or the weights are not there.
    """
    weights = weights or DEFAULT_WEIGHTS
    try:
        from transformers import Wav2Vec2Model
    except ImportError:
        raise UserError(
            "Expected the transformers package for wav2vec2, but it is not installed; pip install 'readavatar[speech]'."
        ) from None
    try:
        model = Wav2Vec2Model.from_pretrained(weights, local_files_only=local_files_only)
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"Expected Wav2Vec2 weights in '{weights}', but could not load them ({reason}); give a folder that holds "
            f"them, or on a machine with the internet run 'hf download {DEFAULT_WEIGHTS}'."
        ) from None
    return Wav2Vec2Encoder(model, layers, weights)
