"""The interface of all speech encoders, and what they share: level, chunks, alignment to video frames, fingerprint.

Encoder frame k is centred on sample ``k · hop + centre``; video frame i lasts from ``i / fps`` to ``(i + 1) / fps`` and
is centred on ``(i + 0.5) / fps`` seconds. A video frame is a weighted mean of encoder frames under a triangle around
its centre, whose half width is the longer of the two periods. This is linear interpolation if the video has the higher
rate, and a low-pass filter against aliasing if it has the lower one.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from readavatar.errors import UserError
from readavatar.speech.silence import speech_level


@dataclass(frozen=True)
class Clock:
    """The timing of an encoder's frames, in samples.

    Example:
        >>> from readavatar.speech.encoder import Clock
        >>> clock = Clock(sample_rate=16_000, hop=160, span=400, centre=200.0)
        >>> clock.position(seconds=0.5)
        48.75
        >>> clock.support(first=0, last=1, fps=25.0)
        (-4, 6)
    """

    sample_rate: int
    """Hz."""
    hop: int
    """Samples from one frame to the next."""
    span: int
    """Samples that one frame needs: n frames from frame k on are computed from ``(n - 1) · hop + span`` samples,
    beginning at sample ``k · hop``."""
    centre: float
    """Offset of a frame's centre from the start of its span, samples."""

    def position(self, seconds: float) -> float:
        """The (fractional) encoder frame whose centre is at ``seconds``."""
        return (seconds * self.sample_rate - self.centre) / self.hop

    def support(self, first: int, last: int, fps: float) -> tuple[int, int]:
        """The encoder frames [k, l) that video frames [first, last) are computed from."""
        reach = self._half_width(fps)
        begin = math.floor(self.position((first + 0.5) / fps) - reach)
        end = math.ceil(self.position((last - 0.5) / fps) + reach)
        return begin, end + 1

    def _half_width(self, fps: float) -> float:
        """Of the triangle, in encoder frames."""
        return max(1.0, self.sample_rate / self.hop / fps)

    def align(
        self, features: Float[Tensor, "F D"], begin: int, first: int, last: int, fps: float
    ) -> Float[Tensor, "T D"]:
        """Video frames [first, last) from encoder frames [begin, begin + F), which cover their support."""
        half_width = self._half_width(fps)
        seconds = (torch.arange(first, last, dtype=torch.float64) + 0.5) / fps
        position = (seconds * self.sample_rate - self.centre) / self.hop - begin
        offset = torch.arange(math.ceil(2 * half_width) + 1)
        index = (position - half_width).floor().long()[:, None] + offset
        weight = (1 - (index - position[:, None]).abs() / half_width).clamp(min=0)
        weight = (weight / weight.sum(1, keepdim=True)).to(features)
        index = index.clamp(0, features.shape[0] - 1).to(features.device)  # the weight of a clamped index is 0
        # One tap at a time: gathering all at once would take several times the memory of the features.
        taps = (weight[:, tap, None] * features[index[:, tap]] for tap in range(len(offset)))
        return sum(taps, features.new_zeros(()))


_EDGE_SECONDS = 0.3
"""Silence added before and after the sound, so that the first and last frames have context on both sides."""


class SpeechEncoder(nn.Module):
    """Waveform → one feature vector for each video frame.

    The sound is scaled to a common speech level, cut into chunks of equal length with context on both sides, encoded,
    and aligned to the centres of the video's frames. Apart from the result, memory does not depend on the sound's
    length. A subclass sets the attributes below and implements ``encoder_frames``.
    """

    name: str
    """The name for ``load_speech_encoder``."""
    clock: Clock
    """The timing of its frames."""
    num_features: int
    """D."""
    settings: dict
    """JSON values. Settings and weights determine the features."""
    level: float
    """Root mean square to which speech is scaled."""
    chunk_seconds: float = 20.0
    """Longest chunk, without its context."""
    context_seconds: float = 1.0
    """Context before and after a chunk."""
    description: str = ""
    """The encoder and why it was chosen, as text."""

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
        """Features of ``num_frames`` video frames; missing sound at the end counts as silence.

        Args:
            waveform: 16 kHz, in [−1, 1], not empty.
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
        """Video frames [first, last), computed from their sound and the available context."""
        rate = self.clock.sample_rate / self.clock.hop
        begin, end = self.clock.support(first, last, fps)
        lower, upper = self.clock.support(0, num_frames, fps)
        edge, context = math.ceil(_EDGE_SECONDS * rate), math.ceil(self.context_seconds * rate)
        begin, end = max(begin - context, lower - edge), min(end + context, upper + edge)
        start = begin * self.clock.hop
        stop = start + (end - begin - 1) * self.clock.hop + self.clock.span
        num_samples = len(waveform)
        inside = waveform[max(start, 0) : max(min(stop, num_samples), 0)]
        before = max(-start, 0)
        samples = F.pad(inside, (before, stop - start - before - len(inside)))
        return self.clock.align(self.encoder_frames(samples), begin, first, last, fps)
