"""Reading a clip store; its files are described in ``data.store``."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import safetensors
import safetensors.torch
import soundfile
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from readavatar.data.store.clip_files import (
    check_shift,
    check_waveform,
    read_landmarks,
    read_tracked_face,
    save_tensors,
    write_landmarks,
    write_tracked_face,
)
from readavatar.data.store.clip_format import ClipInfo, image_name, read_image
from readavatar.emotion import EmotionTrack
from readavatar.errors import UserError
from readavatar.files import replacing_file
from readavatar.media.waveform import SAMPLE_RATE
from readavatar.types import Landmarks, TrackedFace

_SHORTEST_LOSS = 0.05
"""Seconds by which the stored sound may end before the frames; otherwise it is truncated. (A truncated wave file can
still be opened.)"""


class ClipStore:
    """A clip on disk. Opening reads only ``clip.json``; everything else is read on request.

    Example:
        >>> import numpy as np
        >>> from readavatar.data.store import ClipInfo, ClipStore, Crop, writing_clip_store
        >>> with writing_clip_store("jane") as writer:
        ...     writer.add_frame(np.zeros((64, 64, 3), np.uint8), np.full((64, 64), 255, np.uint8))
        ...     writer.finish(
        ...         ClipInfo(
        ...             num_frames=1,
        ...             fps="25",
        ...             size=64,
        ...             source=None,
        ...             source_name="jane.mp4",
        ...             source_sha256=None,
        ...             source_height=64,
        ...             source_width=64,
        ...             crop=Crop(left=0.0, top=0.0, size=64.0),
        ...             has_audio=False,
        ...         )
        ...     )
        >>> store = ClipStore("jane")
        >>> store.num_frames, store.fps
        (1, 25.0)
        >>> store.frames(range(1)).shape
        torch.Size([1, 3, 64, 64])
    """

    def __init__(self, path: str | Path) -> None:
        """Open the store in the folder ``path``.

        Raises:
            UserError: There is no complete clip store there.
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

    # Data of the footage

    @property
    def num_frames(self) -> int:
        """T."""
        return self.info.num_frames

    @property
    def fps(self) -> float:
        """Frames per second."""
        return self.info.frames_per_second

    @property
    def source(self) -> Path | None:
        """The footage, uncropped."""
        return self.path / self.info.source if self.info.source else None

    def frame(self, index: int) -> UInt8[np.ndarray, "H W 3"]:
        """One frame, RGB, 8 bits.

        Raises:
            UserError: Its file is missing or damaged, or has another size than the clip.
        """
        return read_image(self.path / "frames" / image_name(index), "RGB", self.info.size)

    def frames(self, indices: Int[Tensor, " B"] | range) -> Float[Tensor, "B 3 H W"]:
        """Some frames, in [0, 1], gamma-encoded as in the video.

        Args:
            indices: In any order, counted from 0.

        Raises:
            UserError: As ``frame``.
        """
        stacked = np.stack([self.frame(int(index)) for index in indices])
        return torch.from_numpy(stacked).permute(0, 3, 1, 2).float() / 255

    def masks(self, indices: Int[Tensor, " B"] | range) -> Float[Tensor, "B 1 H W"]:
        """Some frames' face masks: 1 on the face, 0 outside it, and values between them on its edge.

        Args:
            indices: In any order, counted from 0.

        Raises:
            UserError: As ``frame``.
        """
        stacked = np.stack(
            [read_image(self.path / "masks" / image_name(int(index)), "L", self.info.size) for index in indices]
        )
        return torch.from_numpy(stacked)[:, None].float() / 255

    def waveform(self) -> Float[Tensor, " num_samples"]:
        """The sound at 16 kHz, in [−1, 1], exactly as long as the frames.

        Raises:
            UserError: The footage has no sound, or the stored sound is damaged or truncated.
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
        place = self.path / "audio.wav"
        waveform = check_waveform(torch.from_numpy(samples), place)
        num_samples = round(self.num_frames / self.fps * SAMPLE_RATE)
        if len(waveform) < num_samples - _SHORTEST_LOSS * SAMPLE_RATE:
            raise UserError(
                f"Expected {num_samples / SAMPLE_RATE:.2f} s of sound in '{place}', as long as the frames, but it ends "
                f"after {len(waveform) / SAMPLE_RATE:.2f} s; prepare the clip again."
            )
        return _delayed(waveform, round(self.info.audio_delay * SAMPLE_RATE), num_samples)

    def landmarks(self) -> Landmarks:
        """The detected landmarks, in pixels of the clip's frames.

        Raises:
            UserError: The file is missing, damaged, or not valid for the clip.
        """
        return read_landmarks(self.path / "landmarks.safetensors", self.num_frames, self.info.size)

    def emotion(self) -> EmotionTrack | None:
        """The clip's emotion; None if it is unlabelled.

        Raises:
            UserError: ``emotion.json`` is not an emotion track.
        """
        path = self.path / "emotion.json"
        return EmotionTrack.read(path) if path.exists() else None

    # Results of the tracking stage

    @property
    def is_tracked(self) -> bool:
        """Whether the tracking stage has fitted the clip."""
        return (self.path / "tracking.safetensors").exists()

    @property
    def has_truth(self) -> bool:
        """Whether the clip is a digital actor's, with its true coefficients."""
        return (self.path / "truth.safetensors").exists()

    def tracking(self) -> TrackedFace:
        """The fit.

        Raises:
            UserError: The clip is not fitted yet, or the file is damaged or not valid for the clip.
        """
        remedy = f"fit it with 'readavatar fit --config configs/tracking/default.yaml --data.clips {self.path}'"
        return read_tracked_face(self.path / "tracking.safetensors", self.num_frames, self.info.size, remedy)

    def truth(self) -> TrackedFace:
        """The true coefficients of a digital actor's clip.

        Raises:
            UserError: The clip is real footage.
        """
        remedy = "only a digital actor's clips have a known truth"
        return read_tracked_face(self.path / "truth.safetensors", self.num_frames, self.info.size, remedy)

    def write_landmarks(self, landmarks: Landmarks) -> None:
        """Replace the landmarks."""
        write_landmarks(self.path / "landmarks.safetensors", landmarks, self.num_frames, self.info.size)

    def delay_audio(self, seconds: float) -> None:
        """Shift the sound against the frames by ``seconds`` (positive: later), in addition to earlier shifts.

        Only ``clip.json`` changes, so that the opposite shift restores the clip.

        Raises:
            UserError: The sound would leave the clip.
        """
        info = check_shift(replace(self.info, audio_delay=self.info.audio_delay + seconds))
        with replacing_file(self.path / "clip.json") as temporary:
            temporary.write_text(json.dumps(asdict(info), indent=1))
        self.info = info

    def write_tracking(self, face: TrackedFace) -> None:
        """Write the fit; it replaces an earlier one."""
        write_tracked_face(self.path / "tracking.safetensors", face, self.num_frames, self.info.size)

    def write_emotion(self, emotion: EmotionTrack) -> None:
        """Label the clip."""
        emotion.write(self.path / "emotion.json")

    # Cache

    def cached(self, key: str, compute: Callable[[], dict[str, Tensor]], most: int | None = None) -> dict[str, Tensor]:
        """Read ``cache/<key>.safetensors``, or compute and cache it.

        Args:
            key: It has to identify everything that the result depends on.
            compute: Computes the result.
            most: Largest number of cached results whose keys differ only after the last hyphen; the oldest are deleted.
        """
        path = self.path / "cache" / f"{key}.safetensors"
        try:
            return safetensors.torch.load_file(path)
        except FileNotFoundError:
            pass
        except safetensors.SafetensorError:  # the disk is full or failed; the result is still returned
            path.unlink()
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in compute().items()}
        if most is not None:
            kind = key.rpartition("-")[0]
            alike = [each for each in path.parent.glob("*.safetensors") if each.stem.rpartition("-")[0] == kind]
            for old in sorted(alike, key=os.path.getmtime)[: max(len(alike) + 1 - most, 0)]:
                old.unlink(missing_ok=True)
        with replacing_file(path) as temporary:
            save_tensors(temporary, tensors)
        return tensors


def _delayed(waveform: Float[Tensor, " n"], delay: int, num_samples: int) -> Float[Tensor, " num_samples"]:
    """The sound ``delay`` samples later (negative: earlier), with zeros where there is none."""
    fitted = torch.zeros(num_samples)
    kept = waveform[max(-delay, 0) :][: max(num_samples - max(delay, 0), 0)]
    fitted[max(delay, 0) : max(delay, 0) + len(kept)] = kept
    return fitted
