"""The interface of every speech encoder, and what they share: level, chunks, alignment, fingerprint."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from functools import cached_property

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from readavatar.errors import UserError
from readavatar.speech.alignment import Clock
from readavatar.speech.silence import speech_level

_EDGE_SECONDS = 0.3
"""Silence put before and after the sound, so that the first and last frames have something on both sides."""


class SpeechEncoder(nn.Module):
    """Waveform → one feature vector a video frame.

    The sound is brought to a common speech level, cut into chunks of equal length with context on both sides, encoded,
    and aligned to the centres of the video's frames; memory does not grow with the sound but for the result. A subclass
    sets the attributes below and computes ``encoder_frames``.
    """

    name: str
    """What ``load_speech_encoder`` calls it."""
    clock: Clock
    """When its frames are."""
    num_features: int
    """D."""
    settings: dict
    """JSON values; with the weights, all that the features depend on."""
    level: float
    """Root mean square that speech is brought to."""
    chunk_seconds: float = 20.0
    """The longest stretch encoded at once, without its context."""
    context_seconds: float = 1.0
    """Sound before and after a chunk that its frames may look at."""
    description: str = ""
    """Which encoder it is and why it was chosen, for people."""

    def encoder_frames(self, samples: Float[Tensor, " num_samples"]) -> Float[Tensor, "F D"]:
        """Features at the encoder's own rate: F frames from ``(F - 1) · hop + span`` samples."""
        raise TypeError(f"{type(self).__name__} has to define `encoder_frames`.")

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the weights and the settings: equal fingerprints give equal features."""
        digest = hashlib.sha256(json.dumps({"name": self.name, **self.settings}, sort_keys=True).encode())
        for name, tensor in sorted(self.state_dict().items()):
            digest.update(f"{name} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    @torch.no_grad()
    def encode(self, waveform: Float[Tensor, " num_samples"], fps: float, num_frames: int) -> Float[Tensor, "T D"]:
        """Features of ``num_frames`` video frames; sound that is missing at the end is silence.

        Args:
            waveform: 16 kHz, in [−1, 1]; any length but 0.
            fps: Of the video, frames a second.
            num_frames: T.

        Raises:
            UserError: No samples, or samples that are not finite.
            ValueError: No frames, or a rate that is not positive.
        """
        if num_frames < 1 or not (math.isfinite(fps) and fps > 0):
            raise ValueError(f"Expected one or more frames at a positive rate, but got {num_frames} at {fps} fps.")
        waveform = self._levelled(waveform)
        num_chunks = math.ceil(num_frames / fps / self.chunk_seconds)
        bounds = [round(num_frames * chunk / num_chunks) for chunk in range(num_chunks + 1)]
        features = [
            self._encode_chunk(waveform, first, last, num_frames, fps)
            for first, last in itertools.pairwise(bounds)
            if first < last
        ]
        return torch.cat(features)

    def _levelled(self, waveform: Tensor) -> Tensor:
        if waveform.numel() == 0:
            raise UserError("Expected speech, but got a sound of 0 samples; check the audio file.")
        if not bool(waveform.isfinite().all()):
            raise UserError(
                "Expected finite samples, but the sound holds NaN or infinity; export the audio file again."
            )
        waveform = waveform - waveform.mean()
        return waveform * (self.level / speech_level(waveform))

    def _encode_chunk(self, waveform: Tensor, first: int, last: int, num_frames: int, fps: float) -> Tensor:
        """Video frames [first, last), from their sound and the context that there is."""
        rate = self.clock.sample_rate / self.clock.hop
        begin, end = self.clock.support(first, last, fps)
        lower, upper = self.clock.support(0, num_frames, fps)
        edge, context = math.ceil(_EDGE_SECONDS * rate), math.ceil(self.context_seconds * rate)
        begin, end = max(begin - context, lower - edge), min(end + context, upper + edge)
        start = begin * self.clock.hop
        stop = start + (end - begin - 1) * self.clock.hop + self.clock.span
        num_samples = len(waveform)
        heard = waveform[max(start, 0) : max(min(stop, num_samples), 0)]
        before = max(-start, 0)
        samples = F.pad(heard, (before, stop - start - before - len(heard)))
        return self.clock.align(self.encoder_frames(samples), begin, first, last, fps)
