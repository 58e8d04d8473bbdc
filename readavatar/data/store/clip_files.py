"""The tensor files of a clip store: landmarks, fits and truths; each checked as it is written and as it is read."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import safetensors
import safetensors.torch
from torch import Tensor

from readavatar.data.store.clip_validation import COEFFICIENTS, check_landmarks, check_tracked_face
from readavatar.errors import UserError
from readavatar.files import replacing_file
from readavatar.types import Camera, FaceCoefficients, Landmarks, TrackedFace

_NOT_WRITTEN = "it was not written"
_PREPARE_AGAIN = "prepare the clip again"
_CAMERA_FIELDS = ("height", "width", "near", "far")


def write_landmarks(path: Path, landmarks: Landmarks, num_frames: int | None = None, size: int | None = None) -> None:
    """Write a clip's landmarks.

    Args:
        path: The file.
        landmarks: What to write.
        num_frames: Of the clip; by default the landmarks' own.
        size: Of the clip's frames, pixels; not compared where it is None.

    Raises:
        UserError: They cannot be that clip's.
    """
    tensors = {field.name: getattr(landmarks, field.name).contiguous() for field in fields(Landmarks)}
    num_frames = len(landmarks.landmarks_2d) if num_frames is None else num_frames
    check_landmarks(tensors, num_frames, size, path, _NOT_WRITTEN)
    with replacing_file(path) as temporary:
        save_tensors(temporary, tensors)


def read_landmarks(path: Path, num_frames: int, size: int) -> Landmarks:
    """Read what ``write_landmarks`` wrote.

    Raises:
        UserError: The file is missing, damaged, or not that clip's.
    """
    tensors, _ = _read_tensors(path, _PREPARE_AGAIN)
    check_landmarks(tensors, num_frames, size, path, _PREPARE_AGAIN)
    return Landmarks(**{field.name: tensors[field.name] for field in fields(Landmarks)})


def write_tracked_face(path: Path, face: TrackedFace, num_frames: int | None = None, size: int | None = None) -> None:
    """Write a fit or a truth.

    Args:
        path: The file.
        face: What to write.
        num_frames: Of the clip; by default the face's own.
        size: Of the clip's frames, pixels; not compared where it is None.

    Raises:
        UserError: It cannot be that clip's, or a number in it is NaN or infinite.
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
    """Read what ``write_tracked_face`` wrote.

    Raises:
        UserError: The file is missing (then ``remedy`` says what to do), damaged, or not that clip's.
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
    """Write a safetensors file. Not by ``save_file``: its error for a full disk is no OSError."""
    path.write_bytes(safetensors.torch.save(tensors, metadata))


def _read_tensors(path: Path, remedy: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    if not path.exists():
        raise UserError(f"Expected '{path}', but there is none; {remedy}.")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except safetensors.SafetensorError as error:
        raise UserError(f"Expected a safetensors file at '{path}', but it is damaged ({error}); {remedy}.") from None
