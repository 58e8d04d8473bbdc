"""The clip store: one folder a clip, the one form in which footage and its fit pass between stages.

    clip.json                what the clip is: ``ClipInfo``
    source.mp4 (any suffix)  the footage as it came, for compositing
    frames/000000.png …      the crop around the face, RGB
    masks/000000.png …       face mask of each frame, 8-bit grey, 255 inside
    audio.wav                16 kHz mono, 16 bit; absent when the footage is silent
    landmarks.safetensors    ``Landmarks``
    emotion.json             ``EmotionTrack``; absent when unlabelled
    tracking.safetensors     ``TrackedFace``; written by the tracking stage
    truth.safetensors        ``TrackedFace``; only in a digital actor's clips
    cache/                   what can be computed again, keyed by what it depends on

Every file is validated where it is written and where it is read. A store is filled in a folder beside its place and
renamed, so that a folder with a ``clip.json`` is whole.
"""

from __future__ import annotations

import dataclasses
import json
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import safetensors
import safetensors.torch
import soundfile
import torch
from jaxtyping import Float, Int, UInt8
from PIL import Image
from torch import Tensor

from readavatar.emotion import EmotionTrack
from readavatar.errors import UserError
from readavatar.files import replacing_file, replacing_folder
from readavatar.types import Camera, FaceCoefficients, Landmarks, TrackedFace

FORMAT_VERSION = 1
SAMPLE_RATE = 16_000
"""Hz; what the pretrained speech encoders hear."""


@dataclass(frozen=True)
class Crop:
    """The square of the source video that the clip's frames show; the part outside the source is its edge, repeated."""

    left: float
    """Source pixels; may be negative."""
    top: float
    size: float
    """Side of the square, source pixels."""

    def clip_to_source(self, points: Float[Tensor, "*n 2"], clip_size: int) -> Float[Tensor, "*n 2"]:
        """Pixels of the clip's frames → pixels of the source."""
        return points * (self.size / clip_size) + torch.tensor([self.left, self.top], dtype=points.dtype)

    def source_to_clip(self, points: Float[Tensor, "*n 2"], clip_size: int) -> Float[Tensor, "*n 2"]:
        """Pixels of the source → pixels of the clip's frames."""
        return (points - torch.tensor([self.left, self.top], dtype=points.dtype)) * (clip_size / self.size)


@dataclass(frozen=True)
class ClipInfo:
    """``clip.json``."""

    num_frames: int
    fps: str
    """A fraction, such as ``25`` or ``30000/1001``; constant (variable rates are resampled on the way in)."""
    size: int
    """Height and width of the frames, pixels."""
    source: str | None
    """File name of the footage in the store."""
    source_name: str
    """What the footage was called where it came from."""
    source_sha256: str | None
    source_height: int
    """After the display matrix (a phone's rotation) is applied."""
    source_width: int
    crop: Crop
    has_audio: bool
    version: int = FORMAT_VERSION

    @property
    def frames_per_second(self) -> float:
        """``fps`` as a number."""
        return float(Fraction(self.fps))

    @classmethod
    def parse(cls, content: dict) -> ClipInfo:
        """Build from ``clip.json``'s content; raises ``KeyError``, ``TypeError`` or ``ValueError`` on any other."""
        info = cls(**{**content, "crop": Crop(**content["crop"])})
        if info.version != FORMAT_VERSION:
            raise ValueError(f"format version {info.version}, this readavatar reads {FORMAT_VERSION}")
        if info.num_frames < 1 or info.size < 1 or Fraction(info.fps) <= 0:
            raise ValueError(f"{info.num_frames} frames of {info.size} pixels at {info.fps} fps")
        if info.source is not None and Path(info.source).name != info.source:
            raise ValueError(f"source '{info.source}' is not a file name")
        return info


class ClipStore:
    """A clip on disk. Opening reads ``clip.json`` alone; everything else is read when asked for."""

    def __init__(self, path: str | Path) -> None:
        """Open the store in the folder ``path``.

        Raises:
            UserError: There is no whole clip store there.
        """
        self.path = Path(path)
        try:
            self.info = ClipInfo.parse(json.loads((self.path / "clip.json").read_text()))
        except (FileNotFoundError, NotADirectoryError):
            raise UserError(
                f"Expected a clip store at '{path}', but there is no clip.json; make one with "
                f"'readavatar prepare VIDEO --out {path}'."
            ) from None
        except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
            what = str(error).partition("\n")[0]
            raise UserError(f"Expected a clip store at '{path}', but its clip.json is not one: {what}.") from None

    # What the footage gave

    @property
    def num_frames(self) -> int:
        """T."""
        return self.info.num_frames

    @property
    def fps(self) -> float:
        """Frames a second."""
        return self.info.frames_per_second

    @property
    def source(self) -> Path | None:
        """The footage, uncropped."""
        return self.path / self.info.source if self.info.source else None

    def frame(self, index: int) -> UInt8[np.ndarray, "H W 3"]:
        """One frame, RGB."""
        return _read_image(self.path / "frames" / _image_name(index), "RGB", self.info.size)

    def frames(self, indices: Int[Tensor, " B"] | range) -> Float[Tensor, "B 3 H W"]:
        """Some frames, in [0, 1], gamma-encoded as in the video."""
        stacked = np.stack([self.frame(int(index)) for index in indices])
        return torch.from_numpy(stacked).permute(0, 3, 1, 2).float() / 255

    def masks(self, indices: Int[Tensor, " B"] | range) -> Float[Tensor, "B 1 H W"]:
        """Some frames' face masks, in [0, 1]."""
        stacked = np.stack(
            [_read_image(self.path / "masks" / _image_name(int(index)), "L", self.info.size) for index in indices]
        )
        return torch.from_numpy(stacked)[:, None].float() / 255

    def waveform(self) -> Float[Tensor, " num_samples"]:
        """The sound at 16 kHz, in [−1, 1], just as long as the frames.

        Raises:
            UserError: The footage is silent.
        """
        if not self.info.has_audio:
            raise UserError(f"Expected a clip with sound, but '{self.path}' has none (its video had no audio track).")
        try:
            samples, sample_rate = soundfile.read(self.path / "audio.wav", dtype="float32")
        except soundfile.LibsndfileError as error:
            raise UserError(
                f"Expected sound in '{self.path}/audio.wav', but {error.error_string}; prepare the clip again."
            ) from None
        if sample_rate != SAMPLE_RATE or samples.ndim != 1:
            raise UserError(f"Expected 16 kHz mono in '{self.path}/audio.wav', but got {sample_rate} Hz.")
        num_samples = round(self.num_frames / self.fps * SAMPLE_RATE)
        fitted = np.zeros(num_samples, dtype=np.float32)
        fitted[: len(samples)] = samples[:num_samples]
        return torch.from_numpy(fitted)

    def landmarks(self) -> Landmarks:
        """What the face detector saw."""
        tensors, _ = self._read_tensors("landmarks.safetensors", "prepare the clip again")
        return _checked_frames(Landmarks(**tensors), tensors["landmarks_2d"], self)

    def emotion(self) -> EmotionTrack | None:
        """The clip's emotion, or None where it is unlabelled."""
        path = self.path / "emotion.json"
        return EmotionTrack.read(path) if path.exists() else None

    # What the tracking stage gave

    @property
    def is_tracked(self) -> bool:
        """Whether the tracking stage has fitted the clip."""
        return (self.path / "tracking.safetensors").exists()

    def tracking(self) -> TrackedFace:
        """The fit.

        Raises:
            UserError: The clip is not fitted yet.
        """
        remedy = f"fit it with 'readavatar fit --config configs/tracking/default.yaml --data.clips {self.path}'"
        return self._read_tracked_face("tracking.safetensors", remedy)

    def truth(self) -> TrackedFace:
        """A digital actor's coefficients as they were rendered.

        Raises:
            UserError: The clip is real footage.
        """
        return self._read_tracked_face("truth.safetensors", "only a digital actor's clips have a known truth")

    def write_landmarks(self, landmarks: Landmarks) -> None:
        """Store what another detector saw, replacing what was there."""
        _checked_frames(landmarks, landmarks.landmarks_2d, self)
        _write_landmarks(self.path / "landmarks.safetensors", landmarks)

    def write_tracking(self, face: TrackedFace) -> None:
        """Store the fit, replacing an earlier one whole."""
        self._write_tracked_face("tracking.safetensors", face)

    def write_emotion(self, emotion: EmotionTrack) -> None:
        """Label the clip."""
        emotion.write(self.path / "emotion.json")

    # What can be computed again

    def cached(self, key: str, compute: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        """Read ``cache/<key>.safetensors``, or compute and keep it; ``key`` names all that the result depends on."""
        path = self.path / "cache" / f"{key}.safetensors"
        try:
            return safetensors.torch.load_file(path)
        except FileNotFoundError:
            pass
        except safetensors.SafetensorError:  # a disk that filled up or failed; the cache is only a cache
            path.unlink()
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in compute().items()}
        with replacing_file(path) as temporary:
            _save_tensors(temporary, tensors)
        return tensors

    def _read_tensors(self, name: str, remedy: str) -> tuple[dict[str, Tensor], dict[str, str]]:
        path = self.path / name
        if not path.exists():
            raise UserError(f"Expected '{path}', but there is none; {remedy}.")
        try:
            with safetensors.safe_open(path, framework="pt") as file:
                return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118
        except safetensors.SafetensorError as error:
            raise UserError(
                f"Expected a safetensors file at '{path}', but it is damaged ({error}); {remedy}."
            ) from None

    def _read_tracked_face(self, name: str, remedy: str) -> TrackedFace:
        tensors, metadata = self._read_tensors(name, remedy)
        try:
            description = json.loads(metadata["readavatar"])
            coefficients = FaceCoefficients(**{key: tensors[key] for key in _field_names(FaceCoefficients)})
            camera = Camera(tensors["intrinsics"], tensors["world_to_camera"], **description["camera"])
            face = TrackedFace(
                coefficients,
                camera,
                tensors["lighting"],
                tensors["albedo"],
                description["morphable_model"],
                tuple(description["expression_names"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"Expected a fitted face in '{self.path / name}', but {error} is missing; {remedy}."
            ) from None
        return _checked_frames(face, coefficients.expression_coefficients, self)

    def _write_tracked_face(self, name: str, face: TrackedFace) -> None:
        write_tracked_face(self.path / name, _checked_frames(face, face.coefficients.expression_coefficients, self))


def write_tracked_face(path: Path, face: TrackedFace) -> None:
    """Write a fit or a truth; every number in it has to be finite."""
    coefficients = face.coefficients
    tensors = {key: getattr(coefficients, key) for key in _field_names(FaceCoefficients)} | {
        "intrinsics": face.camera.intrinsics,
        "world_to_camera": face.camera.world_to_camera,
        "lighting": face.lighting,
        "albedo": face.albedo,
    }
    for key, tensor in tensors.items():
        if not bool(tensor.isfinite().all()):
            raise ValueError(f"Expected finite `{key}` in a fitted face, but got NaN or infinity.")
    camera = {key: getattr(face.camera, key) for key in ("height", "width", "near", "far")}
    description = {
        "morphable_model": face.morphable_model,
        "expression_names": list(face.expression_names),
        "camera": camera,
    }
    with replacing_file(path) as temporary:
        _save_tensors(
            temporary,
            {key: tensor.detach().cpu().clone() for key, tensor in tensors.items()},  # a copy: views may share memory
            {"readavatar": json.dumps(description)},
        )


class ClipStoreWriter:
    """Fills a new clip store, frame by frame; ``writing_clip_store`` makes and closes it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.num_frames = 0
        (path / "frames").mkdir()
        (path / "masks").mkdir()

    def add_frame(self, frame: UInt8[np.ndarray, "H W 3"], mask: UInt8[np.ndarray, "H W"]) -> None:
        """Append a frame (RGB) and its face mask (255 inside)."""
        name = _image_name(self.num_frames)
        # Level 1: a fifth of the default's time for a tenth more bytes.
        Image.fromarray(frame).save(self.path / "frames" / name, compress_level=1)
        Image.fromarray(mask).save(self.path / "masks" / name, compress_level=1)
        self.num_frames += 1

    def write_waveform(self, waveform: Float[Tensor, " num_samples"]) -> None:
        """Store the sound (16 kHz)."""
        samples = np.clip(np.rint(waveform.numpy() * 32_768.0), -32_768, 32_767).astype("<i2")
        with wave.open(str(self.path / "audio.wav"), "wb") as file:  # unlike soundfile, it says that a disk is full
            file.setparams((1, 2, SAMPLE_RATE, len(samples), "NONE", ""))
            file.writeframes(samples.tobytes())

    def write_landmarks(self, landmarks: Landmarks) -> None:
        """Store what the detector saw."""
        _write_landmarks(self.path / "landmarks.safetensors", landmarks)

    def write_emotion(self, emotion: EmotionTrack) -> None:
        """Label the clip."""
        emotion.write(self.path / "emotion.json")

    def write_truth(self, face: TrackedFace) -> None:
        """Store a digital actor's truth."""
        write_tracked_face(self.path / "truth.safetensors", face)

    def finish(self, info: ClipInfo) -> None:
        """Write ``clip.json``, after everything else."""
        if info.num_frames != self.num_frames:
            raise ValueError(f"Expected {info.num_frames} frames in the clip store, but {self.num_frames} were added.")
        if info.has_audio != (self.path / "audio.wav").exists():
            raise ValueError(f"Expected `has_audio` to say whether audio.wav exists, but got {info.has_audio}.")
        (self.path / "clip.json").write_text(json.dumps(dataclasses.asdict(info), indent=1))


@contextmanager
def writing_clip_store(path: str | Path) -> Iterator[ClipStoreWriter]:
    """Fill a new clip store; it appears at ``path`` (replacing an older one) once ``finish`` was called, else never.

    Raises:
        UserError: There is something else at ``path``, which is not ours to replace.
    """
    path = Path(path)
    is_other_folder = path.is_dir() and any(path.iterdir()) and not (path / "clip.json").exists()
    if is_other_folder or (path.exists() and not path.is_dir()):
        raise UserError(
            f"Expected a clip store or nothing at '{path}', but there is something else; name another place."
        )
    with replacing_folder(path) as temporary:
        writer = ClipStoreWriter(temporary)
        yield writer
        ClipInfo.parse(json.loads((temporary / "clip.json").read_text()))


def _write_landmarks(path: Path, landmarks: Landmarks) -> None:
    with replacing_file(path) as temporary:
        _save_tensors(temporary, {key: getattr(landmarks, key).contiguous() for key in _field_names(Landmarks)})


def _save_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    # Not `save_file`: its error for a full disk is no OSError.
    path.write_bytes(safetensors.torch.save(tensors, metadata))


def _image_name(index: int) -> str:
    return f"{index:06d}.png"


def _read_image(path: Path, mode: str, size: int) -> np.ndarray:
    try:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert(mode))
    except (FileNotFoundError, OSError) as error:
        raise UserError(f"Expected a whole image at '{path}', but {error}; prepare the clip again.") from None
    if pixels.shape[:2] != (size, size):
        raise UserError(f"Expected {size}×{size} pixels in '{path}', but got {pixels.shape[1]}×{pixels.shape[0]}.")
    return pixels


def _field_names(kind: type) -> list[str]:
    return [field.name for field in dataclasses.fields(kind)]


def _checked_frames(value, frames: Tensor, store: ClipStore):
    if frames.shape[0] != store.num_frames:
        raise UserError(
            f"Expected {store.num_frames} frames in every file of '{store.path}', but a "
            f"{type(value).__name__} has {frames.shape[0]}; prepare or fit the clip again."
        )
    return value
