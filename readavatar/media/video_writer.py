"""Writing video: H.264 (yuv420p, BT.709) and AAC in MP4, for browsers, frame by frame.

The file appears only when it is complete. yuv420p needs even sides: for an odd one, the last row or column is repeated.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np
from av.audio.frame import AudioFrame
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from jaxtyping import Float, UInt8
from torch import Tensor

from readavatar.errors import UserError
from readavatar.files import replacing_file
from readavatar.media.container import local_address
from readavatar.media.frame_rate import frame_rate
from readavatar.media.waveform import resample

SUFFIXES = (".mp4", ".m4v", ".mov")
AAC_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
"""Hz; a waveform of another rate is resampled to the last."""
BITS_PER_CHANNEL = 128_000
"""Bits per second; transparent for speech."""
BITS_PER_SAMPLE = 6
"""AAC's own limit is 6144 bits a frame of 1024 samples."""


class VideoWriter:
    """Writes a video in constant memory; use it in a ``with`` statement.

    If the ``with`` block raises, no file is written, and an earlier file is kept.
    """

    def __init__(
        self,
        path: str | Path,
        fps: Fraction | float | int | str,
        *,
        waveform: Float[Tensor, " num_samples"] | Float[Tensor, "num_samples channels"] | None = None,
        sample_rate: int | None = None,
        metadata: dict[str, str] | None = None,
        crf: int = 16,
        keyframe_interval: int | None = None,
        preset: str = "medium",
    ) -> None:
        """Describe the video; ``with`` opens the file, and the first frame sets the size.

        Args:
            path: The file: ``.mp4``, ``.m4v`` or ``.mov``.
            fps: Frames per second, such as 25 or ``30000/1001``.
            waveform: Sound in [−1, 1] (clipped to it) from time 0; more than two channels are mixed to one.
            sample_rate: Of ``waveform``, Hz.
            metadata: MP4's keys, such as ``title`` and ``comment``.
            crf: x264's quality, from 0 (lossless) to 51.
            keyframe_interval: Most frames between key frames, without bidirectional frames, so that players can seek to
                any frame exactly; by default the encoder's choice (250).
            preset: x264's, from ``ultrafast`` to ``placebo``: slower ones give smaller files.

        Raises:
            UserError: The suffix or the rate is not valid, or the waveform is empty or not finite.
        """
        self.path = Path(path)
        if self.path.suffix.lower() not in SUFFIXES:
            raise UserError(f"Expected a video's name ending in {', '.join(SUFFIXES)}, but got '{path}'.")
        self.fps = frame_rate(fps)
        self.metadata = metadata or {}
        self.crf, self.keyframe_interval, self.preset = crf, keyframe_interval, preset
        self.num_frames = 0
        self._samples, self._sample_rate = _aac_samples(waveform, sample_rate)
        self._num_samples_written = 0

    def __enter__(self) -> VideoWriter:
        self._exits = ExitStack()
        self._temporary = self._exits.enter_context(replacing_file(self.path))
        self._container: OutputContainer | None = None
        self._exits.push(self._end)  # before the file is renamed
        return self

    def __exit__(self, *error: Any) -> bool | None:
        return self._exits.__exit__(*error)

    def add(self, frame: UInt8[np.ndarray, "H W 3"]) -> None:
        """Append a frame, RGB (sRGB).

        Raises:
            ValueError: Its size differs from the first frame's.
        """
        container = self._open(*frame.shape[:2]) if self._container is None else self._container
        if frame.shape[:2] != self._size:
            raise ValueError(f"Expected frames of {self._size} (height, width), but got {frame.shape[:2]}.")
        height, width = self._size
        if height % 2 or width % 2:
            frame = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        picture = VideoFrame.from_ndarray(np.ascontiguousarray(frame), "rgb24").reformat(
            format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
        )
        picture.color_primaries, picture.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
        picture.pts, picture.time_base = self.num_frames, 1 / self.fps
        container.mux(self._video.encode(picture))
        self.num_frames += 1
        self._write_samples(container, round(self.num_frames / self.fps * self._sample_rate))

    def _open(self, height: int, width: int) -> OutputContainer:
        self._size = (height, width)
        self._container = av.open(local_address(self._temporary), "w", format="mp4", options={"movflags": "+faststart"})
        self._container.metadata.update(self.metadata)
        options = {"crf": str(self.crf), "preset": self.preset}
        if self.keyframe_interval is not None:
            # Without bidirectional frames, the first frame's time is 0 and no edit list is needed.
            options |= {"g": str(self.keyframe_interval), "bf": "0"}
        self._video = self._container.add_stream("libx264", rate=self.fps, options=options)
        self._video.height, self._video.width = height + height % 2, width + width % 2
        self._video.pix_fmt = "yuv420p"
        context = self._video.codec_context
        context.colorspace, context.color_range = Colorspace.ITU709, ColorRange.MPEG
        # BT.709's transfer function, not sRGB's, as in the footage of a composite; players show both the same.
        context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
        if self._samples is not None:
            channels = self._samples.shape[1]
            self._layout = ("mono", "stereo")[channels - 1]
            self._audio = self._container.add_stream("aac", rate=self._sample_rate, layout=self._layout)
            self._audio.bit_rate = channels * min(BITS_PER_CHANNEL, BITS_PER_SAMPLE * self._sample_rate)
        return self._container

    def _write_samples(self, container: OutputContainer, end: int) -> None:
        # Sound is written together with its frames; otherwise the muxer would buffer one of the two.
        if self._samples is None:
            return
        piece = self._samples[self._num_samples_written : end]
        if len(piece):
            sound = AudioFrame.from_ndarray(np.ascontiguousarray(piece.T), "fltp", self._layout)
            sound.sample_rate = self._sample_rate
            sound.pts, sound.time_base = self._num_samples_written, Fraction(1, self._sample_rate)
            container.mux(self._audio.encode(sound))
            self._num_samples_written += len(piece)

    def _end(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> None:
        if kind is not None:
            if self._container is not None:
                with suppress(av.error.FFmpegError):  # the original error is already being raised
                    self._container.close()
            return
        if self._container is None:
            raise UserError(f"Expected one or more frames to write to '{self.path}', but got none.")
        if self._samples is not None:
            self._write_samples(self._container, len(self._samples))
            self._container.mux(self._audio.encode(None))
        self._container.mux(self._video.encode(None))
        self._container.close()


def write_video(
    path: str | Path,
    frames: Iterable[UInt8[np.ndarray, "H W 3"]],
    fps: Fraction | float | int | str,
    waveform: Float[Tensor, " num_samples"] | Float[Tensor, "num_samples channels"] | None = None,
    sample_rate: int | None = None,
    metadata: dict[str, str] | None = None,
    crf: int = 16,
) -> None:
    """Write a complete video, or none; the other arguments are ``VideoWriter``'s.

    Args:
        path: The file: ``.mp4``, ``.m4v`` or ``.mov``.
        frames: RGB (sRGB), all of the same size; one is in memory at a time.
        fps: Frames per second, such as 25 or ``30000/1001``.
        waveform: Sound in [−1, 1] from time 0; more than two channels are mixed to one.
        sample_rate: Of ``waveform``, Hz.
        metadata: MP4's keys, such as ``title`` and ``comment``.
        crf: x264's quality, from 0 (lossless) to 51.

    Raises:
        UserError: There is no frame, the suffix or the rate is not valid, or the waveform is empty or not finite.
        ValueError: Frames of different sizes.

    Example:
        >>> import numpy as np
        >>> from readavatar.media.video import probe, write_video
        >>> write_video("grey.mp4", (np.full((64, 64, 3), 128, np.uint8) for _ in range(10)), fps=25)
        >>> info = probe("grey.mp4")
        >>> info.num_frames, info.fps
        (10, Fraction(25, 1))
    """
    with VideoWriter(path, fps, waveform=waveform, sample_rate=sample_rate, metadata=metadata, crf=crf) as writer:
        for frame in frames:
            writer.add(frame)


def _aac_samples(waveform: Tensor | None, sample_rate: int | None) -> tuple[np.ndarray | None, int]:
    """Samples for AAC: ``(num_samples, 1 or 2)`` in [−1, 1], and one of ``AAC_RATES``."""
    if waveform is None:
        return None, 0
    if sample_rate is None or sample_rate < 1:
        raise ValueError(f"Expected the `sample_rate` of the waveform in Hz, but got {sample_rate}.")
    samples = waveform.detach().cpu().float().numpy()
    samples = samples[:, None] if samples.ndim == 1 else samples  # (num_samples, channels)
    if samples.size == 0 or not np.isfinite(samples).all():
        raise UserError(
            f"Expected a waveform of finite samples, but got {'NaN or infinity' if samples.size else 'none'}."
        )
    if samples.shape[1] > 2:
        samples = samples.mean(axis=1, keepdims=True)
    rate = sample_rate if sample_rate in AAC_RATES else AAC_RATES[-1]
    return np.clip(resample(samples, sample_rate, rate), -1, 1), rate
