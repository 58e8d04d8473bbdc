"""Reading sound: the first sound track of any audio or video file → a mono waveform.

Time 0 is the first video frame's time if there is a video track, else the first sample, so that samples and frames of a
file have the same origin. Samples that codecs add before and after (AAC: priming, padding) are removed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import av.error
import numpy as np
import soxr
import torch
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from jaxtyping import Float
from torch import Tensor

from readavatar.errors import UserError
from readavatar.media.container import audio_stream, open_media, reading, tick, video_stream

SAMPLE_RATE = 16_000
"""Hz; the rate of speech encoders and clip stores."""


def resample(samples: np.ndarray, sample_rate: int, new_rate: int) -> np.ndarray:
    """Band-limited resampling (soxr) that keeps time 0.

    Args:
        samples: ``(num_samples,)`` or ``(num_samples, channels)``.
        sample_rate: Of ``samples``, Hz.
        new_rate: Of the result, Hz.

    Example:
        >>> import numpy as np
        >>> from readavatar.media.waveform import resample
        >>> resample(np.zeros(48_000, np.float32), sample_rate=48_000, new_rate=16_000).shape
        (16000,)
    """
    return samples if sample_rate == new_rate else soxr.resample(samples, sample_rate, new_rate)


def resample_pieces(pieces: Iterable[np.ndarray], sample_rate: int, new_rate: int) -> Iterator[np.ndarray]:
    """``resample`` for a mono waveform in pieces, in constant memory."""
    if sample_rate == new_rate:
        yield from pieces
        return
    stream = soxr.ResampleStream(sample_rate, new_rate, 1, dtype="float32")
    for piece in pieces:
        yield stream.resample_chunk(piece)
    yield stream.resample_chunk(np.zeros(0, np.float32), last=True)


GAP_SECONDS = 0.02
"""Timestamps this far from the end of the previous samples are a gap or an overlap; less is rounding."""
LONGEST_GAP_SECONDS = 600
"""A longer gap is an error of the timestamps; filling it with silence could take gigabytes."""
LONGEST_FRAME = 8192
"""Samples; no codec adds more padding at the end."""


def read_waveform(path: str | Path, sample_rate: int = 16_000) -> Float[Tensor, " num_samples"]:
    """Read a file's sound, its channels averaged, at ``sample_rate``.

    Args:
        path: An audio or video file: 8 kHz to 192 kHz, any number of channels, 8 to 32 bits or float.
        sample_rate: Of the result, Hz.

    Returns:
        Samples in [−1, 1] (float files may exceed it).

    Raises:
        UserError: It cannot be read, has no sound track or no sample, or contains NaN or infinity.

    Example:
        >>> import numpy as np
        >>> import soundfile
        >>> from readavatar.media.waveform import read_waveform
        >>> soundfile.write("stereo.wav", np.zeros((48_000, 2)), samplerate=48_000)
        >>> read_waveform("stereo.wav", sample_rate=16_000).shape
        torch.Size([16000])
    """
    path = Path(path)
    with open_media(path) as container, reading(path):
        stream = audio_stream(container)
        if stream is None:
            raise UserError(f"Expected sound in '{path}', but it has no sound track that can be decoded.")
        pieces = _continuous_pieces(container, stream, path)
        waveform = np.concatenate([np.zeros(0, np.float32), *resample_pieces(pieces, stream.rate or 1, sample_rate)])
    if len(waveform) == 0:
        raise UserError(f"Expected one or more samples in '{path}', but its sound track has none.")
    return torch.from_numpy(waveform)


def _continuous_pieces(container: InputContainer, stream: AudioStream, path: Path) -> Iterator[np.ndarray]:
    """Mono samples from time 0 on, without gaps; each piece is delayed until it is known not to be the last."""
    video = video_stream(container)
    origin = None if video is None else float((video.start_time or 0) * tick(video))
    held, num_samples, end = np.zeros(0, np.float32), 0, None
    for time, packet_end, frame in _decode(container, stream):
        piece = _mono(frame, stream, path)
        if origin is None:
            origin = time
        drift = round((time - origin) * stream.rate) - num_samples
        if abs(drift) > LONGEST_GAP_SECONDS * stream.rate:
            raise UserError(
                f"Expected continuous sound in '{path}', but after {num_samples / stream.rate:.1f} s its clock "
                f"jumps by {drift / stream.rate:.0f} s; export it again."
            )
        if abs(drift) >= GAP_SECONDS * stream.rate or num_samples == 0:
            piece = piece[-drift:] if drift < 0 else np.pad(piece, (drift, 0))
        yield held
        held, end = piece, packet_end
        num_samples += len(piece)
    padding = 0 if end is None or origin is None else num_samples - round((end - origin) * stream.rate)
    yield held[: len(held) - padding] if 0 < padding < len(held) else held


def _decode(container: InputContainer, stream: AudioStream) -> Iterator[tuple[float, float | None, AudioFrame]]:
    """The frames, each with its time and, if known, its packet's end (seconds, container's clock)."""
    next_time = 0.0
    for packet in container.demux(stream):
        end = None
        if packet.pts is not None and packet.duration:
            end = float((packet.pts + packet.duration) * tick(packet))
        try:
            frames = packet.decode()
        except av.error.InvalidDataError:  # the gap in the timestamps becomes silence
            continue
        for frame in frames:
            time = next_time if frame.pts is None else float(frame.pts * tick(frame))
            next_time = time + frame.samples / frame.sample_rate
            yield time, end, frame


def _mono(frame: AudioFrame, stream: AudioStream, path: Path) -> np.ndarray:
    """The mean of a frame's channels, float32 in [−1, 1]."""
    if frame.sample_rate != stream.rate:
        raise UserError(
            f"Expected one sample rate throughout '{path}', but got {stream.rate} and then {frame.sample_rate} Hz; "
            "export it again."
        )
    samples: np.ndarray = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    if samples.dtype == np.uint8:
        samples = (samples.astype(np.float32) - 128) / 128
    elif np.issubdtype(samples.dtype, np.integer):
        samples = samples / -float(np.iinfo(samples.dtype).min)
    if not np.isfinite(samples).all():
        raise UserError(f"Expected finite samples in '{path}', but some are NaN or infinite; export it again.")
    return samples.mean(axis=0, dtype=np.float64).astype(np.float32)
