"""Writing a new clip store. Data are checked when they are added, and again as a whole at the end."""

from __future__ import annotations

import dataclasses
import json
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from readavatar.data.store.clip_files import (
    check_waveform,
    read_landmarks,
    read_tracked_face,
    write_landmarks,
    write_tracked_face,
)
from readavatar.data.store.clip_format import ClipInfo, image_name
from readavatar.emotion import EmotionTrack
from readavatar.errors import UserError
from readavatar.files import replacing_folder
from readavatar.media.waveform import SAMPLE_RATE
from readavatar.types import Landmarks, TrackedFace


class ClipStoreWriter:
    """Writes a new clip store, frame by frame; use it through ``writing_clip_store``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.num_frames = 0
        self.size: int | None = None
        (path / "frames").mkdir()
        (path / "masks").mkdir()

    def add_frame(self, frame: UInt8[np.ndarray, "H W 3"], mask: UInt8[np.ndarray, "H W"]) -> None:
        """Append a frame (RGB) and its face mask (255 inside), square and as large as the first.

        Raises:
            UserError: They have other sizes.
        """
        size = frame.shape[0] if self.size is None else self.size
        if frame.shape != (size, size, 3) or mask.shape != (size, size):
            raise UserError(
                f"Expected square frames and masks of {size}×{size} pixels, but frame {self.num_frames} is "
                f"{frame.shape[1]}×{frame.shape[0]} and its mask {mask.shape[1]}×{mask.shape[0]}."
            )
        self.size = size
        name = image_name(self.num_frames)
        # Level 1 takes a fifth of the time of the default, for a tenth more bytes.
        Image.fromarray(frame).save(self.path / "frames" / name, compress_level=1)
        Image.fromarray(mask).save(self.path / "masks" / name, compress_level=1)
        self.num_frames += 1

    def write_waveform(self, waveform: Float[Tensor, " num_samples"]) -> None:
        """Store the sound (16 kHz).

        Raises:
            UserError: It is empty, or holds NaN or infinity.
        """
        check_waveform(waveform, self.path / "audio.wav")
        samples = np.clip(np.rint(waveform.numpy() * 32_768.0), -32_768, 32_767).astype("<i2")
        with wave.open(str(self.path / "audio.wav"), "wb") as file:  # unlike soundfile, it raises if the disk is full
            file.setparams((1, 2, SAMPLE_RATE, len(samples), "NONE", ""))
            file.writeframes(samples.tobytes())

    def write_landmarks(self, landmarks: Landmarks) -> None:
        """Store the detected landmarks.

        Raises:
            UserError: They are not valid landmarks.
        """
        write_landmarks(self.path / "landmarks.safetensors", landmarks, size=self.size)

    def write_emotion(self, emotion: EmotionTrack) -> None:
        """Label the clip."""
        emotion.write(self.path / "emotion.json")

    def write_truth(self, face: TrackedFace) -> None:
        """Store a digital actor's true coefficients.

        Raises:
            UserError: They are not a valid face.
        """
        write_tracked_face(self.path / "truth.safetensors", face, size=self.size)

    def finish(self, info: ClipInfo) -> None:
        """Write ``clip.json``, after everything else.

        Raises:
            ValueError: Its counts differ from what was written.
            UserError: Its frame size differs from that of the frames.
        """
        if info.num_frames != self.num_frames:
            raise ValueError(f"Expected {info.num_frames} frames in the clip store, but {self.num_frames} were added.")
        if self.size != info.size:
            raise UserError(
                f"Expected frames of {info.size}×{info.size} pixels as the clip's info says, but they are "
                f"{self.size}×{self.size}."
            )
        if info.has_audio != (self.path / "audio.wav").exists():
            raise ValueError(f"Expected `has_audio` to say whether audio.wav exists, but got {info.has_audio}.")
        (self.path / "clip.json").write_text(json.dumps(dataclasses.asdict(info), indent=1))


@contextmanager
def writing_clip_store(path: str | Path) -> Iterator[ClipStoreWriter]:
    """Write a new clip store. It appears at ``path`` (replacing an older one) only if ``finish`` was called.

    Raises:
        UserError: There is something else than a clip store at ``path``.
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
        _check_whole(temporary)


def _check_whole(path: Path) -> None:
    """Check the files again: landmarks, for example, may have been written before the last frame."""
    info = ClipInfo.parse(json.loads((path / "clip.json").read_text()))
    if (path / "landmarks.safetensors").exists():
        read_landmarks(path / "landmarks.safetensors", info.num_frames, info.size)
    if (path / "truth.safetensors").exists():
        read_tracked_face(path / "truth.safetensors", info.num_frames, info.size, "film the clip again")
