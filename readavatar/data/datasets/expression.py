"""Fitted clips → batches for the expression stage, and the specification that its networks are built from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import pytorch_lightning as pl
import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import ConcatDataset, DataLoader

from readavatar.data.datasets.annotations import (
    EmotionCoding,
    LidGap,
    blink_frames,
    blink_pulses,
    label_names,
    measured_strengths,
    pulse_frames,
    read_emotion,
)
from readavatar.data.datasets.expression_windows import ExpressionClip, ExpressionWindows
from readavatar.data.datasets.loading import BatchLoader, SeededOrder
from readavatar.data.datasets.speech_features import clip_speech_features, describe_encoder
from readavatar.data.store import ClipStore
from readavatar.emotion import EmotionSpace
from readavatar.errors import UserError
from readavatar.media.frame_rate import resample_frames
from readavatar.media.waveform import SAMPLE_RATE
from readavatar.morphable import load_morphable_model
from readavatar.speech import load_speech_encoder
from readavatar.types import TrackedFace

_SHOWN = 0.2
"""An emotion counts as shown from this strength on."""


@dataclass(frozen=True)
class ExpressionSpecification:
    """What a network for some clips is built from, and the frames for its statistics."""

    speech_encoder: dict
    """From ``describe_encoder``."""
    morphable_model: str
    """What ``load_morphable_model`` takes."""
    expression_names: tuple[str, ...]
    emotion_names: tuple[str, ...]
    people: tuple[str, ...]
    """Their names, in the order of their codes."""
    fps: float
    num_speech_features: int
    """D."""
    clips: tuple[ExpressionClip, ...]
    """All training clips."""
    spoken: tuple[ExpressionClip, ...]
    """Those of them with their own sound."""

    def description(self) -> dict:
        """JSON values that describe the inputs and outputs of the trained network."""
        return {
            "speech_encoder": self.speech_encoder,
            "morphable_model": self.morphable_model,
            "expression_names": list(self.expression_names),
            "emotion_names": list(self.emotion_names),
            "people": list(self.people),
            "fps": self.fps,
        }

    def training_speech(self) -> Float[Tensor, "T D"]:
        """The speech features of all training frames."""
        return torch.cat([clip.speech for clip in self.clips]).float()

    def training_expressions(self) -> Float[Tensor, "T E"]:
        """The coefficients of all training frames in which the face was detected."""
        return torch.cat([clip.expressions[clip.is_valid] for clip in self.clips])

    def blink_rates(self) -> Float[Tensor, " P"]:
        """Blinks per second of each person."""
        rates = []
        for person in range(len(self.people)):
            own = [clip for clip in self.clips if clip.person == person]
            # The area of a pulse is known. Muted copies of a clip have its blinks, which does not change the rate.
            blinks = sum(float(clip.blinks.sum()) for clip in own) / pulse_frames(self.fps)
            rates.append(blinks / max(1, sum(len(clip.blinks) for clip in own)) * self.fps)
        return torch.tensor(rates)

    def unseen_emotions(self) -> list[int]:
        """Indices of the emotions that the clips do not show."""
        strongest = torch.cat([clip.emotion for clip in self.clips]).amax(0)
        return torch.nonzero(strongest < _SHOWN)[:, 0].tolist()


Strengths = Literal["labelled", "measured"]

_HELD_OUT_SHARE = 0.2
"""Largest share of a clip that is held out."""
_ONE_PERSON = "person"
_MOUTH_PREFIXES = ("jaw", "mouth", "cheekPuff", "tongue")
"""Prefixes of the names of expressions that speech moves."""


class ExpressionData(pl.LightningDataModule):
    """Fitted clips: their last seconds are for testing, the rest for training."""

    def __init__(
        self,
        clips: str | list[str],
        people: list[str] | None = None,
        speech_encoder: str = "auto",
        layers: list[int] | None = None,
        fps: float = 25.0,
        window_seconds: float = 2.5,
        held_out_seconds: float = 12.0,
        batch_size: int = 16,
        emotion_names: list[str] | None = None,
        emotion_coding: EmotionCoding = "continuous",
        muted_share: float = 0.1,
        strengths: Strengths = "labelled",
        truth: bool = False,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        """
        Args:
            clips: Folders of fitted clip stores.
            people: The person's name for each clip; by default, all clips are of one person. Several people are trained
                together, each with a style code of their own: emotions of one person then also become possible for
                the others, each in their own style.
            speech_encoder: Name for ``load_speech_encoder``.
            layers: Its hidden layers.
            fps: Frames per second of the motion; clips of another rate are resampled.
            window_seconds: Length of the windows.
            held_out_seconds: At the end of each clip, at most a fifth of it; never trained on.
            batch_size: Windows in a batch.
            emotion_names: The emotions of the network's input; by default those of the clips' labels, or MEAD's.
            emotion_coding: ``one_hot`` ignores the strength of the labels, ``none`` the labels.
            muted_share: Windows without sound for each window with sound: they teach that in silence the mouth is at
                rest and the emotion stays. Only for models whose expression names identify the mouth's.
            strengths: ``labelled``, or ``measured`` on the face for clips whose labels have no strength but 1.
            truth: Train on a digital actor's true coefficients instead of the fitted ones.
            num_workers: Processes that load; 0 is usually best, since windows are cheap to make.
            seed: Of the order of the windows.
        """
        super().__init__()
        self.paths = [clips] if isinstance(clips, str) else list(clips)
        if not self.paths:
            raise UserError("Expected one or more clip stores, but got none; name them with --data.clips clips/jane.")
        names = people or [_ONE_PERSON] * len(self.paths)
        if len(names) != len(self.paths):
            raise UserError(f"Expected a name in data.people for each of {len(self.paths)} clips, but got {names}.")
        for name, value in (("window_seconds", window_seconds), ("held_out_seconds", held_out_seconds), ("fps", fps)):
            if not value > 0:
                raise UserError(f"Expected {name} above 0, but got {value}.")
        self.people = list(dict.fromkeys(names))
        """Names in the order of their codes; the avatar is of the first."""
        self.person_of_clip = [self.people.index(name) for name in names]
        self.speech_encoder, self.layers, self.fps = speech_encoder, layers, float(fps)
        self.window_seconds, self.held_out_seconds = window_seconds, held_out_seconds
        self.batch_size, self.num_workers, self.seed = batch_size, num_workers, seed
        self.emotion_names, self.emotion_coding = emotion_names, emotion_coding
        self.muted_share, self.strengths, self.truth = muted_share, strengths, truth
        self.context = 0
        self.training: list[ExpressionClip] = []

    def prepare_data(self) -> None:
        """Fill the clips' caches."""
        self.setup("fit")

    def setup(self, stage: str) -> None:
        """Read the clips and split their frames into training and test frames."""
        if self.training:
            return
        self.encoder = load_speech_encoder(self.speech_encoder, self.layers)
        self.length = max(2, round(self.window_seconds * self.fps))
        training, held_out = self.read_clips()
        lids = LidGap(load_morphable_model(self.face_model))
        self.training = [_with_blinks(clip, lids, self.fps) for clip in training]
        self.spoken = tuple(self.training)
        """Without the muted copies, which teach nothing about sync."""
        self.held_out = [(_with_blinks(clip, lids, self.fps), first) for clip, first in held_out]
        self.places = [(index, first) for index, clip in enumerate(self.training) for first in clip.starts(self.length)]
        if not self.places:
            raise UserError(
                f"Expected {self.window_seconds} s with a detected face before the held-out end, but got none in "
                f"{', '.join(map(str, self.paths))}; give longer clips or a smaller data.window_seconds."
            )
        self._add_muted()

    def read_clips(self) -> tuple[list[ExpressionClip], list[tuple[ExpressionClip, int]]]:
        """Read the training clips, and the held-out clips, each with the frame at which its held-out part begins.

        Sets ``face_model`` (a morphable model's name), ``expression_names`` and ``emotion_space``.
        """
        stores = [ClipStore(path) for path in self.paths]
        face = self._read_face(stores[0])
        self.face_model, self.expression_names = face.morphable_model, face.expression_names
        self.emotion_space = EmotionSpace(tuple(self.emotion_names or label_names(stores)))
        clips = [self._read(store, person) for store, person in zip(stores, self.person_of_clip, strict=True)]
        splits = [
            len(clip.speech) - round(self._held_out(store) * self.fps)
            for clip, store in zip(clips, stores, strict=True)
        ]
        if self.strengths == "measured":
            emotions = measured_strengths(clips, self.emotion_space.names, self.fps, splits)
            clips = [replace(clip, emotion=emotion) for clip, emotion in zip(clips, emotions, strict=True)]
        training = [clip.frames(0, split) for clip, split in zip(clips, splits, strict=True)]
        return training, list(zip(clips, splits, strict=True))

    def specification(self) -> ExpressionSpecification:
        """What a network for these clips is built from; call it after ``setup``."""
        return ExpressionSpecification(
            speech_encoder=describe_encoder(self.encoder),
            morphable_model=self.face_model,
            expression_names=tuple(self.expression_names),
            emotion_names=tuple(self.emotion_space.names),
            people=tuple(self.people),
            fps=self.fps,
            num_speech_features=self.encoder.num_features,
            clips=tuple(self.training),
            spoken=self.spoken,
        )

    def require(self, context: int) -> None:
        """Set the context that the network needs: frames of speech and emotion on either side of a window."""
        self.context = context

    def train_dataloader(self) -> DataLoader:
        """Every window once per epoch, in an order given by seed and epoch."""
        windows = ExpressionWindows(self.training, self.places, self.length, self.context)
        return BatchLoader(
            windows,
            batch_size=self.batch_size,
            sampler=SeededOrder(len(windows), self.seed),
            drop_last=len(windows) >= self.batch_size,
            num_workers=self.num_workers,
        )

    def val_dataloader(self) -> DataLoader:
        """The held-out end of each clip, as one batch for each clip."""
        ends = [
            ExpressionWindows([clip], [(0, split)], len(clip.speech) - split, self.context)
            for clip, split in self.held_out
        ]
        return DataLoader(ConcatDataset(ends), batch_size=None)

    def test_dataloader(self) -> DataLoader:
        """The same."""
        return self.val_dataloader()

    def _held_out(self, store: ClipStore) -> float:
        return min(self.held_out_seconds, _HELD_OUT_SHARE * store.num_frames / store.fps)

    def _read_face(self, store: ClipStore) -> TrackedFace:
        return store.truth() if self.truth else store.tracking()

    def _read(self, store: ClipStore, person: int) -> ExpressionClip:
        face = self._read_face(store)
        if face.expression_names != self.expression_names:
            raise UserError(
                f"Expected clips fitted with one morphable model, but '{self.paths[0]}' is fitted with "
                f"'{self.face_model}' and '{store.path}' with '{face.morphable_model}'; fit one again."
            )
        expressions = face.coefficients.expression_coefficients
        is_valid = store.landmarks().landmark_confidence > 0
        num_frames = store.num_frames
        if store.fps != self.fps:
            num_frames = max(1, round(num_frames / store.fps * self.fps))
            expressions = resample_frames(expressions, store.fps, self.fps, num_frames)
            is_valid = resample_frames(is_valid[:, None].float(), store.fps, self.fps, num_frames)[:, 0] == 1
        return ExpressionClip(
            speech=clip_speech_features(store, self.encoder, self.fps, num_frames),
            emotion=read_emotion(store, self.emotion_space, num_frames, self.fps, self.emotion_coding),
            expressions=expressions,
            is_valid=is_valid,
            person=person,
        )

    def _add_muted(self) -> None:
        mouth = [i for i, name in enumerate(self.expression_names) if name.startswith(_MOUTH_PREFIXES)]
        num_muted = round(self.muted_share * len(self.places))
        if not mouth or not num_muted:
            return
        longest = max(len(clip.speech) for clip in self.training)
        silence = self.encoder.encode(torch.zeros(round(longest / self.fps * SAMPLE_RATE)), self.fps, longest)
        num_clips = len(self.training)
        self.training += [clip.muted(silence[: len(clip.speech)], mouth) for clip in self.training]
        evenly = torch.linspace(0, len(self.places) - 1, num_muted).long().tolist()
        self.places += [(self.places[index][0] + num_clips, self.places[index][1]) for index in evenly]


def _with_blinks(clip: ExpressionClip, lids: LidGap, fps: float) -> ExpressionClip:
    frames = blink_frames(lids(clip.expressions), fps)
    return replace(clip, blinks=blink_pulses(frames, len(clip.expressions), fps))
