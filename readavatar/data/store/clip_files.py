"""The tensor files of a clip store (landmarks, fits and truths), and the checks of all of its data.

The most common silent failure is a preprocessing step that went wrong unnoticed. The same checks therefore run when a
file is written and when it is read: shapes, number of frames, finite numbers, and ranges that are wide enough for any
face but too narrow for another unit (degrees for radians, 0–255 for 0–1).
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from readavatar.data.store.clip_format import ClipInfo
from readavatar.errors import UserError
from readavatar.files import replacing_file
from readavatar.types import Camera, FaceCoefficients, Landmarks, TrackedFace

NUM_LANDMARKS = (68, 478)
"""The numbers of iBUG's and MediaPipe's landmarks."""
COEFFICIENTS = tuple(field.name for field in fields(FaceCoefficients))
TRACKED_TENSORS = (*COEFFICIENTS, "intrinsics", "world_to_camera", "lighting", "albedo")
"""The tensors in the file of a fit."""
_NUM_BLENDSHAPES = 52
_FARTHEST_LANDMARK = 16.0
"""Frame sides from the frame's corner; landmarks of a face that is half outside the frame are within two."""
_ROUNDING = 1e-3
"""Tolerance for numbers in [0, 1]."""


def check_landmarks(tensors: dict[str, Tensor], num_frames: int, size: int | None, place: Path, remedy: str) -> None:
    """Check that tensors are valid ``Landmarks`` of a clip.

    Args:
        tensors: By field name, as read or about to be written.
        num_frames: T of the clip.
        size: Of its frames, pixels; None if it is not known yet.
        place: The file, for the message.
        remedy: What to do, for the message.

    Raises:
        UserError: One is missing, or has a wrong shape, length, range or number.
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
    """Check that tensors are a valid ``TrackedFace`` (a fit or a truth).

    Args:
        tensors: By field name, including those of the coefficients and of the camera.
        num_expressions: Number of expression names.
        camera_size: Its height and width, pixels.
        num_frames: T of the clip.
        size: Of its frames, pixels; None if the face is in no clip yet.
        place: The file, for the message.
        remedy: What to do, for the message.

    Raises:
        UserError: One is missing, or has a wrong shape, length, range or number.
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
    # An optimiser may leave a rotation above half a turn; values in degrees are far above a whole turn.
    _check_range("rotation", tensors["rotation"], -2 * math.pi, 2 * math.pi, "in radians", place, remedy)
    _check_range("gaze", tensors["gaze"], -math.pi, math.pi, "in radians", place, remedy)
    focal = tensors["intrinsics"].diagonal()[:2]
    if not bool((focal > 0).all()):
        raise _wrong(place, "positive focal lengths in `intrinsics`", f"{focal.tolist()}", remedy)
    if size is not None and camera_size != (size, size):
        raise _wrong(place, f"a camera of {size}×{size} pixels", f"{camera_size[1]}×{camera_size[0]}", remedy)


def check_waveform(waveform: Tensor, place: Path) -> Tensor:
    """Return a waveform after checking it: (num_samples,), not empty, finite.

    Raises:
        UserError: It is not a valid waveform.
    """
    if waveform.ndim != 1 or len(waveform) == 0:
        raise _wrong(place, "a mono sound of one or more samples", _by(waveform.shape), "prepare the clip again")
    if not bool(waveform.isfinite().all()):
        raise _wrong(place, "finite samples", "NaN or infinity", "export the sound again and prepare the clip again")
    return waveform


def check_shift(info: ClipInfo) -> ClipInfo:
    """Return the info after checking that its sound overlaps its frames.

    Raises:
        UserError: The sound would be shifted out of the clip.
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


_NOT_WRITTEN = "it was not written"
_PREPARE_AGAIN = "prepare the clip again"
_CAMERA_FIELDS = ("height", "width", "near", "far")


def write_landmarks(path: Path, landmarks: Landmarks, num_frames: int | None = None, size: int | None = None) -> None:
    """Write a clip's landmarks.

    Args:
        path: The file.
        landmarks: The landmarks.
        num_frames: Of the clip; by default the landmarks' own.
        size: Of the clip's frames, pixels; not checked if None.

    Raises:
        UserError: They are not valid for that clip.
    """
    tensors = {field.name: getattr(landmarks, field.name).contiguous() for field in fields(Landmarks)}
    num_frames = len(landmarks.landmarks_2d) if num_frames is None else num_frames
    check_landmarks(tensors, num_frames, size, path, _NOT_WRITTEN)
    with replacing_file(path) as temporary:
        save_tensors(temporary, tensors)


def read_landmarks(path: Path, num_frames: int, size: int) -> Landmarks:
    """Read a file of ``write_landmarks``.

    Raises:
        UserError: The file is missing, damaged, or not valid for the clip.
    """
    tensors, _ = _read_tensors(path, _PREPARE_AGAIN)
    check_landmarks(tensors, num_frames, size, path, _PREPARE_AGAIN)
    return Landmarks(**{field.name: tensors[field.name] for field in fields(Landmarks)})


def write_tracked_face(path: Path, face: TrackedFace, num_frames: int | None = None, size: int | None = None) -> None:
    """Write a fit or a truth.

    Args:
        path: The file.
        face: The fit or truth.
        num_frames: Of the clip; by default the face's own.
        size: Of the clip's frames, pixels; not checked if None.

    Raises:
        UserError: It is not valid for that clip, or holds NaN or infinity.
    """
    coefficients, camera = face.coefficients, face.camera
    tensors = {key: getattr(coefficients, key) for key in COEFFICIENTS} | {
        "intrinsics": camera.intrinsics,
        "world_to_camera": camera.world_to_camera,
        "lighting": face.lighting,
        "albedo": face.albedo,
    }
    camera_size = (camera.height, camera.width)
    num_frames = coefficients.num_frames if num_frames is None else num_frames
    check_tracked_face(tensors, len(face.expression_names), camera_size, num_frames, size, path, _NOT_WRITTEN)
    description = {
        "morphable_model": face.morphable_model,
        "expression_names": list(face.expression_names),
        "camera": {key: getattr(camera, key) for key in _CAMERA_FIELDS},
    }
    with replacing_file(path) as temporary:
        save_tensors(
            temporary,
            {key: tensor.detach().cpu().clone() for key, tensor in tensors.items()},  # a copy: views may share memory
            {"readavatar": json.dumps(description)},
        )


def read_tracked_face(path: Path, num_frames: int, size: int, remedy: str) -> TrackedFace:
    """Read a file of ``write_tracked_face``.

    Raises:
        UserError: The file is missing, damaged, or not valid for the clip; the message ends with ``remedy``.
    """
    tensors, metadata = _read_tensors(path, remedy)
    try:
        description = json.loads(metadata["readavatar"])
        names = tuple(description["expression_names"])
        camera = {key: description["camera"][key] for key in _CAMERA_FIELDS}
        model = description["morphable_model"]
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"Expected a fitted face in '{path}', but its description is not one ({error}); {remedy}."
        ) from None
    check_tracked_face(tensors, len(names), (camera["height"], camera["width"]), num_frames, size, path, remedy)
    return TrackedFace(
        FaceCoefficients(**{key: tensors[key] for key in COEFFICIENTS}),
        Camera(tensors["intrinsics"], tensors["world_to_camera"], **camera),
        tensors["lighting"],
        tensors["albedo"],
        model,
        names,
    )


def save_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file. ``save_file`` is not used, since its error for a full disk is not an ``OSError``."""
    path.write_bytes(safetensors.torch.save(tensors, metadata))


def _read_tensors(path: Path, remedy: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    if not path.exists():
        raise UserError(f"Expected '{path}', but there is none; {remedy}.")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except safetensors.SafetensorError as error:
        raise UserError(f"Expected a safetensors file at '{path}', but it is damaged ({error}); {remedy}.") from None
