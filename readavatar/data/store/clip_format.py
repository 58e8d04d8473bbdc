"""The contents of ``clip.json``: the clip's length, rate and size, and the crop of its frames."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from fractions import Fraction
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from readavatar.errors import UserError

FORMAT_VERSION = 1


@dataclass(frozen=True)
class Crop:
    """The square of the source video that the clip's frames show; outside the source, its edge is repeated.

    Example:
        >>> import torch
        >>> from readavatar.data.store import Crop
        >>> crop = Crop(left=100.0, top=50.0, size=512.0)
        >>> crop.source_to_clip(torch.tensor([[356.0, 306.0]]), clip_size=256)
        tensor([[128., 128.]])
    """

    left: float
    """Source pixels; may be negative."""
    top: float
    size: float
    """Side of the square, source pixels."""

    def clip_to_source(self, points: Float[Tensor, "*n 2"], clip_size: int) -> Float[Tensor, "*n 2"]:
        """Pixels of the clip's frames → pixels of the source."""
        return points * (self.size / clip_size) + points.new_tensor([self.left, self.top])

    def source_to_clip(self, points: Float[Tensor, "*n 2"], clip_size: int) -> Float[Tensor, "*n 2"]:
        """Pixels of the source → pixels of the clip's frames."""
        return (points - points.new_tensor([self.left, self.top])) * (clip_size / self.size)


@dataclass(frozen=True)
class ClipInfo:
    """``clip.json``."""

    num_frames: int
    fps: str
    """A fraction, such as ``25`` or ``30000/1001``; constant (variable rates are resampled by ``prepare``)."""
    size: int
    """Height and width of the frames, pixels."""
    source: str | None
    """File name of the footage in the store."""
    source_name: str
    """Original file name of the footage."""
    source_sha256: str | None
    source_height: int
    """After applying the display matrix (the rotation of a phone)."""
    source_width: int
    crop: Crop
    has_audio: bool
    version: int = FORMAT_VERSION
    audio_delay: float = 0.0
    """Seconds by which the sound is shifted against the frames when it is read (positive: later), as found by
    ``readavatar doctor --fix-offset``. The samples in ``audio.wav`` are unchanged."""

    @property
    def frames_per_second(self) -> float:
        """``fps`` as a number."""
        return float(Fraction(self.fps))

    @classmethod
    def parse(cls, content: dict) -> ClipInfo:
        """Parse the content of ``clip.json``; raises ``KeyError``, ``TypeError`` or ``ValueError`` if it is invalid."""
        info = cls(**{**content, "crop": Crop(**content["crop"])})
        if info.version != FORMAT_VERSION:
            raise ValueError(f"format version {info.version}, this readavatar reads {FORMAT_VERSION}")
        for name in ("num_frames", "size", "source_height", "source_width"):
            _check_count(name, getattr(info, name))
        if not isinstance(info.has_audio, bool):
            raise TypeError(f"has_audio is {info.has_audio!r}, not true or false")
        if Fraction(info.fps) <= 0:
            raise ValueError(f"{info.num_frames} frames at {info.fps} fps")
        lengths = {f"crop.{field.name}": getattr(info.crop, field.name) for field in fields(Crop)}
        for name, value in {**lengths, "audio_delay": info.audio_delay}.items():
            if not math.isfinite(value):
                raise ValueError(f"{name} is {value}")
        if info.crop.size <= 0:
            raise ValueError(f"a crop of {info.crop.size} pixels")
        if info.source is not None and Path(info.source).name != info.source:
            raise ValueError(f"source '{info.source}' is not a file name")
        return info


def _check_count(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} is {value!r}, not a whole number")
    if value < 1:
        raise ValueError(f"{name} is {value}, not 1 or more")


def image_name(index: int) -> str:
    """File name of a frame or a mask."""
    return f"{index:06d}.png"


def read_image(path: Path, mode: str, size: int) -> UInt8[np.ndarray, "size size *channels"]:
    """Read a square picture.

    Args:
        path: The PNG.
        mode: ``RGB`` or ``L``.
        size: Pixels.

    Raises:
        UserError: It is missing, damaged, of another size or of another mode.
    """
    try:
        with Image.open(path) as image:
            found = image.mode
            pixels = np.asarray(image)
    except (FileNotFoundError, OSError) as error:
        raise UserError(f"Expected a whole image at '{path}', but {error}; prepare the clip again.") from None
    if pixels.shape[:2] != (size, size):
        raise UserError(f"Expected {size}×{size} pixels in '{path}', but got {pixels.shape[1]}×{pixels.shape[0]}.")
    if found != mode:
        raise UserError(f"Expected an image of mode {mode} at '{path}', but got {found}; prepare the clip again.")
    return pixels
