"""What has to hold of everything that enters or leaves a clip store.

The commonest silent failure is a preprocessing step that broke unnoticed, so the same checks run where a file is
written and where it is read: shapes, as many frames as the clip, finite numbers, ranges wide enough for any real face
and too narrow for another unit (degrees for radians, 0–255 for 0–1).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import torch
from torch import Tensor

from readavatar.data.store.clip_format import ClipInfo
from readavatar.errors import UserError
from readavatar.types import FaceCoefficients, Landmarks

NUM_LANDMARKS = (68, 478)
"""iBUG's and MediaPipe's."""
COEFFICIENTS = tuple(field.name for field in fields(FaceCoefficients))
TRACKED_TENSORS = (*COEFFICIENTS, "intrinsics", "world_to_camera", "lighting", "albedo")
"""What a fit's file holds."""
_NUM_BLENDSHAPES = 52
_FARTHEST_LANDMARK = 16.0
"""Frame sides from the frame's corner; landmarks of a face that half left the frame lie within two."""
_ROUNDING = 1e-3
"""By how much a weight in [0, 1] may be outside it."""


def check_landmarks(tensors: dict[str, Tensor], num_frames: int, size: int | None, place: Path, remedy: str) -> None:
    """Refuse tensors that cannot be a clip's ``Landmarks``.

    Args:
        tensors: By field name, as read or about to be written.
        num_frames: T of the clip.
        size: Of its frames, pixels; None where it is not known yet.
        place: The file, for the message.
        remedy: What to do, for the message.

    Raises:
        UserError: One is missing, or its shape, length, range or a number is wrong.
    """
    _check_names(tensors, [field.name for field in fields(Landmarks)], place, remedy)
    points, confidence = tensors["landmarks_2d"], tensors["landmark_confidence"]
    if points.ndim != 3 or points.shape[1] not in NUM_LANDMARKS or points.shape[2] != 2:
        raise _wrong(place, f"`landmarks_2d` of {num_frames} × 68 or 478 × 2", _by(points.shape), remedy)
    shapes = {
        "landmarks_2d": tuple(points.shape[1:]),
        "landmark_confidence": (),
        "blendshapes": (_NUM_BLENDSHAPES,),
        "head_to_camera": (4, 4),
    }
    for name, shape in shapes.items():
        _check_tensor(name, tensors[name], (num_frames, *shape), place, remedy)
    for name in ("landmark_confidence", "blendshapes"):
        _check_range(name, tensors[name], -_ROUNDING, 1 + _ROUNDING, "in [0, 1]", place, remedy)
    if size is not None:
        limit, unit = _FARTHEST_LANDMARK * size, f"in pixels of {size}×{size}"
        _check_range("landmarks_2d", points[confidence > 0], -limit, limit, unit, place, remedy)


def check_tracked_face(
    tensors: dict[str, Tensor],
    num_expressions: int,
    camera_size: tuple[int, int],
    num_frames: int,
    size: int | None,
    place: Path,
    remedy: str,
) -> None:
    """Refuse tensors that cannot be a fit's or a truth's ``TrackedFace``.

    Args:
        tensors: By field name, the coefficients' and the camera's among them.
        num_expressions: How many expression names there are.
        camera_size: Its height and width, pixels.
        num_frames: T of the clip.
        size: Of its frames, pixels; None where the face is in no clip yet.
        place: The file, for the message.
        remedy: What to do, for the message.

    Raises:
        UserError: One is missing, or its shape, length, range or a number is wrong.
    """
    _check_names(tensors, TRACKED_TENSORS, place, remedy)
    albedo = tensors["albedo"]
    if albedo.ndim != 3 or albedo.shape[0] != 3:
        raise _wrong(place, "`albedo` of 3 × height × width", _by(albedo.shape), remedy)
    shapes = {
        "shape_coefficients": (tensors["shape_coefficients"].numel(),),
        "expression_coefficients": (num_frames, num_expressions),
        "rotation": (num_frames, 3),
        "translation": (num_frames, 3),
        "gaze": (num_frames, 2),
        "lighting": (num_frames, 9, 3),
        "albedo": tuple(albedo.shape),
        "intrinsics": (3, 3),
        "world_to_camera": (4, 4),
    }
    for name, shape in shapes.items():
        _check_tensor(name, tensors[name], shape, place, remedy)
    # An optimiser may leave a rotation beyond half a turn; degrees go far beyond a whole one.
    _check_range("rotation", tensors["rotation"], -2 * math.pi, 2 * math.pi, "in radians", place, remedy)
    _check_range("gaze", tensors["gaze"], -math.pi, math.pi, "in radians", place, remedy)
    focal = tensors["intrinsics"].diagonal()[:2]
    if not bool((focal > 0).all()):
        raise _wrong(place, "positive focal lengths in `intrinsics`", f"{focal.tolist()}", remedy)
    if size is not None and camera_size != (size, size):
        raise _wrong(place, f"a camera of {size}×{size} pixels", f"{camera_size[1]}×{camera_size[0]}", remedy)


def check_waveform(waveform: Tensor, place: Path) -> Tensor:
    """Give a sound back where it is one: (num_samples,), one or more, finite.

    Raises:
        UserError: It is none.
    """
    if waveform.ndim != 1 or len(waveform) == 0:
        raise _wrong(place, "a mono sound of one or more samples", _by(waveform.shape), "prepare the clip again")
    if not bool(waveform.isfinite().all()):
        raise _wrong(place, "finite samples", "NaN or infinity", "export the sound again and prepare the clip again")
    return waveform


def check_shift(info: ClipInfo) -> ClipInfo:
    """Give the info back where its sound still overlaps its frames.

    Raises:
        UserError: The sound would be moved out of the clip.
    """
    if abs(info.audio_delay) >= info.num_frames / info.frames_per_second:
        raise UserError(
            f"Expected the sound to stay within the clip's {info.num_frames / info.frames_per_second:.2f} s, but it "
            f"would be moved by {info.audio_delay:.2f} s; prepare the clip again with the right sound."
        )
    return info


def _check_names(tensors: dict[str, Tensor], names: Sequence[str], place: Path, remedy: str) -> None:
    missing = [name for name in names if name not in tensors]
    if missing:
        raise _wrong(place, f"`{'`, `'.join(missing)}`", "a file without", remedy)


def _check_tensor(name: str, tensor: Tensor, shape: tuple[int, ...], place: Path, remedy: str) -> None:
    if tuple(tensor.shape) != tuple(shape):
        if tensor.ndim == len(shape) and tuple(tensor.shape[1:]) == tuple(shape[1:]):
            raise _wrong(place, f"`{name}` of {shape[0]} frames", f"{tensor.shape[0]}", remedy)
        raise _wrong(place, f"`{name}` of {_by(shape)}", _by(tensor.shape), remedy)
    if not tensor.is_floating_point():
        raise _wrong(place, f"floating-point `{name}`", str(tensor.dtype).removeprefix("torch."), remedy)
    if not bool(tensor.isfinite().all()):
        frames = torch.nonzero(~tensor.isfinite().flatten(1).all(1))[:, 0].tolist() if tensor.ndim > 1 else []
        where = f" (first in row {frames[0]})" if frames else ""
        raise _wrong(place, f"finite `{name}`", f"NaN or infinity{where}", remedy)


def _check_range(name: str, tensor: Tensor, low: float, high: float, what: str, place: Path, remedy: str) -> None:
    if tensor.numel() == 0:
        return
    least, greatest = float(tensor.min()), float(tensor.max())
    if least < low or greatest > high:
        raise _wrong(place, f"`{name}` {what}", f"values from {least:.4g} to {greatest:.4g}", remedy)


def _by(shape: tuple[int, ...] | torch.Size) -> str:
    return " × ".join(map(str, shape)) or "a single number"


def _wrong(place: Path, expected: str, got: str, remedy: str) -> UserError:
    return UserError(f"Expected {expected} in '{place}', but got {got}; {remedy}.")
