"""Reading video: any rate, orientation, pixel format and matrix → upright RGB frames at a constant rate.

Time 0 is the presentation time of the first video frame. A file of variable rate (phones, screen recordings) is read
at its nominal rate: output frame i is what a player shows at (i + 1/2) / fps. In a file of constant rate this is its
own frame i. Colours are the video's own primaries and transfer function as R'G'B' (for nearly all footage
BT.709, handled as sRGB); alpha is composited over black.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av.error
import numpy as np
from av.container import InputContainer
from av.sidedata.sidedata import Type as SideDataType
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace
from av.video.stream import VideoStream
from jaxtyping import UInt8

from readavatar.errors import UserError
from readavatar.media.container import audio_stream, open_media, reading, reason, tick, video_stream
from readavatar.media.frame_rate import frame_rate, nominal_rate
from readavatar.media.video_writer import VideoWriter, write_video

__all__ = ["VideoInfo", "VideoWriter", "frame_rate", "probe", "read_video", "write_video"]

TIE_SECONDS = 1e-3
"""Frames are sampled this long before the output frame's centre. If the centre is a boundary between two frames (60 →
30 fps), timestamps that are rounded to milliseconds would otherwise alternate between them."""
SEEK_MARGIN_SECONDS = 0.5
"""Seek this long before the requested frame, since containers index by decoding time, not by presentation time."""
HD_HEIGHT = 720
"""Untagged video of fewer lines is read as BT.601, other as BT.709, as in players."""


@dataclass(frozen=True)
class VideoInfo:
    """Properties of a video as ``read_video`` returns it."""

    height: int
    """Pixels, upright (after the display matrix) and square."""
    width: int
    fps: Fraction
    """The constant nominal rate."""
    num_frames: int
    """At ``fps``."""
    duration: float
    """Seconds, from the first frame's start to the last one's end."""
    has_audio: bool


def probe(path: str | Path) -> VideoInfo:
    """Inspect a video: read its packets' times and decode its first frame.

    Raises:
        UserError: It cannot be read, is truncated, has no video track or no frame.
    """
    return _probe(Path(path))[0]


def read_video(
    path: str | Path, fps: Fraction | float | int | str | None = None, start: int = 0, stop: int | None = None
) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    """Decode a video frame by frame, RGB, at a constant rate (by default its nominal one).

    One frame is in memory at a time. There are exactly ``round(duration × fps)`` frames.

    Args:
        path: The video.
        fps: Of the returned frames, such as 25 or ``30000/1001``.
        start: First frame, at ``fps``; decoding begins at a key frame before it.
        stop: One past the last frame; None is the end.

    Raises:
        UserError: As ``probe``, immediately; or while reading, if the video is damaged further on.

    Example:
        >>> import numpy as np
        >>> from readavatar.media.video import read_video, write_video
        >>> write_video("grey.mp4", (np.full((64, 64, 3), 128, np.uint8) for _ in range(10)), fps=25)
        >>> [frame.shape for frame in read_video("grey.mp4", fps=5)]
        [(64, 64, 3), (64, 64, 3)]
    """
    info, start_time = _probe(Path(path))
    rate = info.fps if fps is None else frame_rate(fps)
    num_frames = info.num_frames if fps is None else max(1, round(info.duration * rate))
    stop = num_frames if stop is None else min(stop, num_frames)
    return _read_frames(Path(path), start_time, rate, start, stop)


def _read_frames(path: Path, start_time: float, fps: Fraction, start: int, stop: int) -> Iterator[np.ndarray]:
    with open_media(path) as container, reading(path):
        stream = _video_stream(container, path)
        if start:
            time = start_time + float(start / fps) - SEEK_MARGIN_SECONDS
            container.seek(round(max(time, start_time) / tick(stream)), stream=stream)
        shown: VideoFrame | None = None
        index = start
        size = _square_pixel_size(stream)
        for time, frame in _decode(container, stream, path):
            while shown is not None and index < stop and (index + 0.5) / fps - TIE_SECONDS < time - start_time:
                yield _upright_rgb(shown, *size)
                index += 1
            if index >= stop:
                return
            shown = frame
        while shown is not None and index < stop:
            yield _upright_rgb(shown, *size)
            index += 1


def _probe(path: Path) -> tuple[VideoInfo, float]:
    """The video's properties, and the time of its first frame (seconds on the container's clock)."""
    with open_media(path) as container:
        stream = _video_stream(container, path)
        times, last_duration = _packet_times(container, stream, path)
        has_audio = audio_stream(container) is not None
        average_rate = stream.average_rate
    with open_media(path) as container, reading(path):
        stream = _video_stream(container, path)
        size = _square_pixel_size(stream)
        _, first = next(_decode(container, stream, path))
        height, width = _upright_rgb(first, *size).shape[:2]
    fps = nominal_rate(times, average_rate)
    duration = float(times[-1] - times[0]) + max(last_duration, float(1 / fps))
    return VideoInfo(height, width, fps, max(1, round(duration * fps)), duration, has_audio), float(times[0])


def _video_stream(container: InputContainer, path: Path) -> VideoStream:
    stream = video_stream(container)
    if stream is None:
        found = "only sound" if container.streams.audio else "none that can be decoded (is the file cut short?)"
        raise UserError(f"Expected a video track in '{path}', but there is {found}; give a video file.")
    stream.thread_type = "AUTO"
    return stream


def _packet_times(container: InputContainer, stream: VideoStream, path: Path) -> tuple[np.ndarray, float]:
    """Presentation times of the packets (seconds, sorted), and the duration of the last one (0 if unknown)."""
    times, durations = [], []
    with reading(path):
        for packet in container.demux(stream):
            time = packet.dts if packet.pts is None else packet.pts
            if packet.size and time is not None and not packet.is_discard:
                times.append(time)
                durations.append(packet.duration or 0)
    if not times:
        raise UserError(f"Expected one or more frames in '{path}', but its video track has none.")
    order = np.argsort(times, kind="stable")
    return np.array(times)[order] * float(tick(stream)), durations[order[-1]] * float(tick(stream))


def _decode(container: InputContainer, stream: VideoStream, path: Path) -> Iterator[tuple[float, VideoFrame]]:
    """The frames in order of presentation, each with its time on the container's clock."""
    num_decoded = 0
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except av.error.InvalidDataError as error:
            if num_decoded == 0:  # a recording may begin between two key frames
                continue
            raise UserError(
                f"Expected a whole video at '{path}', but it is damaged after frame {num_decoded} ({reason(error)}); "
                "copy or export it again."
            ) from None
        for frame in frames:
            time = frame.dts if frame.pts is None else frame.pts
            if time is None:
                yield num_decoded / float(stream.guessed_rate or 25), frame
            else:
                yield time * float(tick(frame)), frame
            num_decoded += 1
    if num_decoded == 0:
        raise UserError(f"Expected one or more frames in '{path}', but none can be decoded; copy or export it again.")


def _square_pixel_size(stream: VideoStream) -> tuple[int, int]:
    # Read before decoding, which updates it: recordings of calls change their resolution.
    return round(stream.width * (stream.sample_aspect_ratio or 1)), stream.height


def _upright_rgb(frame: VideoFrame, width: int, height: int) -> np.ndarray:
    """An RGB frame of ``width`` × ``height``, then rotated by the display matrix."""
    has_alpha = any(component.is_alpha for component in frame.format.components)
    converted = frame.reformat(
        width=width,
        height=height,
        format="rgba" if has_alpha else "rgb24",
        src_colorspace=_colorspace(frame),
        interpolation="BICUBIC",
    )
    pixels = converted.to_ndarray()
    if has_alpha:
        pixels = (pixels[..., :3].astype(np.uint16) * pixels[..., 3:] + 127) // 255
    return _upright(pixels.astype(np.uint8, copy=False), frame)


def _colorspace(frame: VideoFrame) -> Colorspace | int:
    if frame.colorspace in set(Colorspace):
        return frame.colorspace
    return Colorspace.ITU709 if frame.height >= HD_HEIGHT else Colorspace.ITU601


def _upright(pixels: np.ndarray, frame: VideoFrame) -> np.ndarray:
    """Apply the display matrix: x' = a x + c y, y' = b x + d y, by quarter turns and reflections."""
    side_data: Mapping[Any, Any] = frame.side_data  # PyAV's own type names one of its keys
    matrix = side_data.get(SideDataType.DISPLAYMATRIX)
    if matrix is None:
        return pixels
    a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32)[:5]
    if abs(int(b)) > abs(int(a)):  # x' runs along y
        pixels, a, d = pixels.swapaxes(0, 1), c, b
    return np.ascontiguousarray(pixels[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])
