"""Opening media files, with one line for a user whose file cannot be read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import av.error
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from readavatar.errors import UserError


@contextmanager
def open_media(path: str | Path) -> Iterator[InputContainer]:
    """Open a media file for reading.

    Raises:
        UserError: There is no such file, it is no media file, or the end of it is missing.
    """
    path = Path(path)
    if not path.exists():
        raise UserError(f"Expected a media file at '{path}', but there is none.")
    if path.is_dir():
        raise UserError(f"Expected a media file at '{path}', but it is a folder.")
    if path.stat().st_size == 0:
        raise UserError(f"Expected a media file at '{path}', but it is empty (0 bytes).")
    try:
        container = av.open(local_address(path))
    except (av.error.FFmpegError, OSError) as error:
        raise UserError(
            f"Expected a media file at '{path}', but it cannot be read ({reason(error)}): it is of another kind, "
            "damaged or cut short; copy or export it again."
        ) from None
    with container:
        _refuse_cut_short(container, path)
        yield container


@contextmanager
def reading(path: str | Path) -> Iterator[None]:
    """Turn FFmpeg's errors while a file is read into one line."""
    try:
        yield
    except av.error.FFmpegError as error:
        raise UserError(
            f"Expected a whole media file at '{path}', but it is damaged ({reason(error)}); copy or export it again."
        ) from None


def video_stream(container: InputContainer) -> VideoStream | None:
    """The video track to show; a music file's cover picture is none."""
    streams = [stream for stream in container.streams.video if Disposition.attached_pic not in stream.disposition]
    return next((stream for stream in streams if stream.codec_context is not None), None)


def audio_stream(container: InputContainer) -> AudioStream | None:
    """The first sound track that can be decoded."""
    return next((stream for stream in container.streams.audio if stream.codec_context is not None), None)


def local_address(path: Path) -> str:
    """``path`` as FFmpeg takes it for a file whatever it is called (a bare ``a:b.mp4`` would be protocol ``a``)."""
    return f"file:{path}"


def reason(error: Exception) -> str:
    """The words of an error without its number and file name."""
    return getattr(error, "strerror", None) or str(error)


def _refuse_cut_short(container: InputContainer, path: Path) -> None:
    # A container whose index comes first (MP4 with `faststart`) opens although its samples are missing.
    length = path.stat().st_size
    for stream in container.streams:
        entries = stream.index_entries
        missing = sum(entry.pos + entry.size > length for entry in entries)
        if missing:
            raise UserError(
                f"Expected a whole media file at '{path}', but it is cut short: {missing} of the {len(entries)} pieces "
                f"of its {stream.type} track are missing; copy or download it again."
            )
