"""Fitted clips → batches for the expression stage."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytorch_lightning as pl
import torch
from torch.utils.data import ConcatDataset, DataLoader

from readavatar.data.datasets.blinks import LidGap, blink_frames, blink_pulses
from readavatar.data.datasets.emotion_strength import measured_strengths
from readavatar.data.datasets.expression_specification import ExpressionSpecification
from readavatar.data.datasets.expression_windows import ExpressionClip, ExpressionWindows
from readavatar.data.datasets.loading import BatchLoader, SeededOrder
from readavatar.data.datasets.speech_features import clip_speech_features, describe_encoder
from readavatar.data.store import ClipStore
from readavatar.data.store.emotion_labels import EmotionCoding, label_names, read_emotion
from readavatar.emotion import EmotionSpace
from readavatar.errors import UserError
from readavatar.media.frame_rate import resample_frames
from readavatar.media.waveform import SAMPLE_RATE
from readavatar.morphable import load_morphable_model
from readavatar.speech import load_speech_encoder
from readavatar.types import TrackedFace

Strengths = Literal["labelled", "measured"]

_HELD_OUT_SHARE = 0.2
"""Of a clip, the most that is held out."""
_ONE_PERSON = "person"
_MOUTH_PREFIXES = ("jaw", "mouth", "cheekPuff", "tongue")
"""Of the names of the expressions that speech moves."""


class ExpressionData(pl.LightningDataModule):
    """Fitted clips: all but their last seconds to train on, those to test on."""

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
            people: A name for each clip: who moves in it. Several learn together, each with a code of their own, so
                that one lends emotions and another keeps their manner; by default all clips are of one person.
            speech_encoder: Of ``load_speech_encoder``.
            layers: Its layers.
            fps: Frames a second at which motion is learnt; clips of another rate are resampled.
            window_seconds: Length of the windows.
            held_out_seconds: At the end of each clip, at most a fifth of it; never trained on.
            batch_size: Windows.
            emotion_names: The emotions to be steered by; by default those that the clips are labelled in, or MEAD's.
            emotion_coding: ``one_hot`` forgets the strength of the labels, ``none`` the labels.
            muted_share: Windows without a sound for each window with one, so that silence keeps the face's emotion and
                rests the mouth; only where the expressions have names that tell the mouth's.
            strengths: ``labelled``, or ``measured`` on the face where clips are labelled with names alone, at full
                strength.
            truth: Learn from a digital actor's true coefficients instead of the fitted ones.
            num_workers: Processes that load; windows are cheap, so that none is usually best.
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
        """Who moves, in the order of their codes; the first is whom the avatar is of."""
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
        """Read the clips and share their frames out between training and testing."""
        if self.training:
            return
        self.encoder = load_speech_encoder(self.speech_encoder, self.layers)
        self.length = max(2, round(self.window_seconds * self.fps))
        training, held_out = self.read_clips()
        lids = LidGap(load_morphable_model(self.face_model))
        self.training = [_with_blinks(clip, lids, self.fps) for clip in training]
        self.spoken = tuple(self.training)
        """Without the muted copies, whose silence tells nothing of lips."""
        self.held_out = [(_with_blinks(clip, lids, self.fps), first) for clip, first in held_out]
        self.places = [(index, first) for index, clip in enumerate(self.training) for first in clip.starts(self.length)]
        if not self.places:
            raise UserError(
                f"Expected {self.window_seconds} s with the face in sight before the held-out end, but got none in "
                f"{', '.join(map(str, self.paths))}; give longer clips or a smaller data.window_seconds."
            )
        self._add_muted()

    def read_clips(self) -> tuple[list[ExpressionClip], list[tuple[ExpressionClip, int]]]:
        """What is trained on, and what is held out: clips, each with the frame from which it is.

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
        """What a network that is trained on these clips has to be built for; after ``setup``."""
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
        """What the network that was built asks for: frames of speech and emotion on either side of a window."""
        self.context = context

    def train_dataloader(self) -> DataLoader:
        """Every window once an epoch, in an order that (seed, epoch) decide."""
        windows = ExpressionWindows(self.training, self.places, self.length, self.context)
        return BatchLoader(
            windows,
            batch_size=self.batch_size,
            sampler=SeededOrder(len(windows), self.seed),
            drop_last=len(windows) >= self.batch_size,
            num_workers=self.num_workers,
        )

    def val_dataloader(self) -> DataLoader:
        """The held-out end of each clip, whole: a batch a clip."""
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
