"""Sound in: the first sound track of any audio or video file → a mono waveform.

Time 0 is where the video's first frame is shown if there is a video track, else the first sample, so that samples and
frames of the same file count from the same moment. What codecs add before and after (AAC: priming, padding) is removed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from jaxtyping import Float
from torch import Tensor

from readavatar.errors import UserError
from readavatar.media.container import audio_stream, open_media, reading, video_stream
from readavatar.media.resampling import resample_pieces

GAP_SECONDS = 0.02
"""Timestamps this far from where the samples before them end are a gap or an overlap, less is rounding."""
LONGEST_FRAME = 8192
"""Samples; no codec pads its end by more."""


def read_waveform(path: str | Path, sample_rate: int = 16_000) -> Float[Tensor, " num_samples"]:
    """Read a file's sound, its channels averaged, at ``sample_rate``.

    Args:
        path: Any audio or video file: 8 kHz to 192 kHz, any number of channels, 8 to 32 bits or float.
        sample_rate: Of the result, Hz.

    Returns:
        Samples in [−1, 1] (a float file's may be beyond).

    Raises:
        UserError: It cannot be read, has no sound track or no sample, or has samples that are NaN or infinite.
    """
    path = Path(path)
    with open_media(path) as container:
        stream = audio_stream(container)
        if stream is None:
            raise UserError(f"Expected sound in '{path}', but it has no sound track that can be decoded.")
        if not stream.rate:
            raise UserError(f"Expected one or more samples in '{path}', but its sound track has none.")
        timeline = _Timeline(_origin(container, stream), stream.rate)
        with reading(path):
            pieces = [*resample_pieces(timeline.fill(_decode(container, stream)), stream.rate, sample_rate)]
    if timeline.num_samples == 0:
        raise UserError(f"Expected one or more samples in '{path}', but its sound track has none.")
    waveform = np.concatenate(pieces)[: round(timeline.num_samples * sample_rate / stream.rate)]
    num_wrong = int((~np.isfinite(waveform)).sum())
    if num_wrong:
        raise UserError(f"Expected finite samples in '{path}', but some are NaN or infinite; export it again.")
    return torch.from_numpy(waveform)
