"""Fitted clips → batches for the expression stage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import pytorch_lightning as pl
import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import ConcatDataset, DataLoader

from readavatar.data.clip_store import ClipStore
from readavatar.data.expression_windows import ExpressionBatch, ExpressionClip, ExpressionWindows, WindowOrder
from readavatar.data.speech_features import clip_speech_features, describe_encoder
from readavatar.emotion import MEAD_EMOTIONS, EmotionSpace
from readavatar.errors import UserError
from readavatar.speech import SAMPLE_RATE, load_speech_encoder
from readavatar.types import TrackedFace

EmotionCoding = Literal["continuous", "one_hot", "none"]

_HELD_OUT_SHARE = 0.2
"""Of a clip, the most that is held out."""
_MOUTH_PREFIXES = ("jaw", "mouth", "cheekPuff", "tongue")
"""Of the names of the expressions that speech moves."""


class ExpressionData(pl.LightningDataModule):
    """Fitted clips: all but their last seconds to train on, those to test on."""

    def __init__(
        self,
        clips: str | list[str],
        speech_encoder: str = "auto",
        layers: list[int] | None = None,
        window_seconds: float = 2.5,
        held_out_seconds: float = 12.0,
        batch_size: int = 16,
        emotion_names: list[str] | None = None,
        emotion_coding: EmotionCoding = "continuous",
        muted_share: float = 0.1,
        truth: bool = False,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        """
        Args:
            clips: Folders of fitted clip stores.
            speech_encoder: Of ``load_speech_encoder``.
            layers: Its layers.
            window_seconds: Length of the windows.
            held_out_seconds: At the end of each clip, at most a fifth of it; never trained on.
            batch_size: Windows.
            emotion_names: The emotions to be steered by; by default those that the clips are labelled in, or MEAD's.
            emotion_coding: ``one_hot`` forgets the strength of the labels, ``none`` the labels.
            muted_share: Windows without a sound for each window with one, so that silence keeps the face's emotion and
                rests the mouth; only where the expressions have names that tell the mouth's.
            truth: Learn from a digital actor's true coefficients instead of the fitted ones.
            num_workers: Processes that load; windows are cheap, so that none is usually best.
            seed: Of the order of the windows.
        """
        super().__init__()
        self.paths = [clips] if isinstance(clips, str) else list(clips)
        if not self.paths:
            raise UserError("Expected one or more clip stores, but got none; name them with --data.clips clips/jane.")
        for name, value in (("window_seconds", window_seconds), ("held_out_seconds", held_out_seconds)):
            if not value > 0:
                raise UserError(f"Expected {name} above 0, but got {value}.")
        self.speech_encoder, self.layers = speech_encoder, layers
        self.window_seconds, self.held_out_seconds = window_seconds, held_out_seconds
        self.batch_size, self.num_workers, self.seed = batch_size, num_workers, seed
        self.emotion_names, self.emotion_coding = emotion_names, emotion_coding
        self.muted_share, self.truth = muted_share, truth
        self.context = 0
        """Frames of speech and emotion on either side of a window; the network that is trained sets it."""
        self.training: list[ExpressionClip] = []

    def prepare_data(self) -> None:
        """Fill the clips' caches."""
        self.setup("fit")

    def setup(self, stage: str) -> None:
        """Read the clips and share their frames out between training and testing."""
        if self.training:
            return
        stores = [ClipStore(path) for path in self.paths]
        self.face = self._read_face(stores[0])
        self.fps = stores[0].fps
        self.encoder = load_speech_encoder(self.speech_encoder, self.layers)
        self.emotion_space = EmotionSpace(tuple(self.emotion_names or _label_names(stores)))
        self.length = max(2, round(self.window_seconds * self.fps))
        clips = [self._read(store) for store in stores]
        splits = [
            len(clip.speech) - round(self._held_out(store) * self.fps)
            for clip, store in zip(clips, stores, strict=True)
        ]
        self.training = [clip.frames(0, split) for clip, split in zip(clips, splits, strict=True)]
        self.held_out = list(zip(clips, splits, strict=True))
        self.places = [(index, first) for index, clip in enumerate(self.training) for first in clip.starts(self.length)]
        if not self.places:
            raise UserError(
                f"Expected {self.window_seconds} s with the face in sight before the held-out end, but got none in "
                f"{', '.join(map(str, self.paths))}; give longer clips or a smaller data.window_seconds."
            )
        self._add_muted()

    @property
    def num_speech_features(self) -> int:
        """D."""
        return self.encoder.num_features

    @property
    def training_speech(self) -> Float[Tensor, "T D"]:
        """The features of every frame that is trained on."""
        return torch.cat([clip.speech for clip in self.training])

    @property
    def training_expressions(self) -> Float[Tensor, "T E"]:
        """The coefficients of every frame that is trained on and in which the face was seen."""
        return torch.cat([clip.expressions[clip.is_valid] for clip in self.training])

    def description(self) -> dict:
        """JSON values that say what a network trained on these clips has to be given."""
        return {
            "speech_encoder": describe_encoder(self.encoder),
            "morphable_model": self.face.morphable_model,
            "expression_names": list(self.face.expression_names),
            "emotion_names": list(self.emotion_space.names),
            "fps": self.fps,
        }

    def train_dataloader(self) -> DataLoader:
        """Every window once an epoch, in an order that (seed, epoch) decide."""
        windows = ExpressionWindows(self.training, self.places, self.length, self.context)
        return DataLoader(
            windows,
            batch_size=self.batch_size,
            sampler=WindowOrder(len(windows), self.seed),
            drop_last=len(windows) >= self.batch_size,
            num_workers=self.num_workers,
            collate_fn=_as_it_is,
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

    def _read(self, store: ClipStore) -> ExpressionClip:
        face = self._read_face(store)
        if face.expression_names != self.face.expression_names:
            raise UserError(
                f"Expected clips fitted with one morphable model, but '{self.paths[0]}' is fitted with "
                f"'{self.face.morphable_model}' and '{store.path}' with '{face.morphable_model}'; fit one again."
            )
        if abs(store.fps / self.fps - 1) > 0.01:
            raise UserError(
                f"Expected clips of one frame rate, but '{self.paths[0]}' has {self.fps:.2f} fps and '{store.path}' "
                f"{store.fps:.2f}; prepare one of them again with the other's --fps."
            )
        expressions = face.coefficients.expression_coefficients
        return ExpressionClip(
            speech=clip_speech_features(store, self.encoder),
            emotion=self._read_emotion(store),
            expressions=expressions,
            is_valid=store.landmarks().landmark_confidence > 0,
        )

    def _read_emotion(self, store: ClipStore) -> Float[Tensor, "T N"]:
        track, space = store.emotion(), self.emotion_space
        emotion = torch.zeros(store.num_frames, space.num_emotions)
        if track is None or self.emotion_coding == "none":
            return emotion
        labels = track.sample_frames(store.num_frames, store.fps)
        for name, strength in zip(track.space.names, labels.T, strict=True):
            if name in space.names:
                emotion[:, space.names.index(name)] = strength
            elif bool(strength.any()):
                raise UserError(
                    f"Expected labels of {', '.join(space.names)} in '{store.path}', but it shows '{name}'; add it to "
                    "data.emotion_names or leave the clip out."
                )
        if self.emotion_coding == "one_hot":
            strongest = emotion.argmax(1, keepdim=True)
            shown = (emotion.gather(1, strongest) > 0).float()
            emotion = torch.zeros_like(emotion).scatter_(1, strongest, shown)
        return emotion

    def _add_muted(self) -> None:
        mouth = [i for i, name in enumerate(self.face.expression_names) if name.startswith(_MOUTH_PREFIXES)]
        num_muted = round(self.muted_share * len(self.places))
        if not mouth or not num_muted:
            return
        longest = max(len(clip.speech) for clip in self.training)
        silence = self.encoder.encode(torch.zeros(round(longest / self.fps * SAMPLE_RATE)), self.fps, longest)
        num_clips = len(self.training)
        self.training += [clip.muted(silence[: len(clip.speech)], mouth) for clip in self.training]
        evenly = torch.linspace(0, len(self.places) - 1, num_muted).long().tolist()
        self.places += [(self.places[index][0] + num_clips, self.places[index][1]) for index in evenly]


def _label_names(stores: Sequence[ClipStore]) -> tuple[str, ...]:
    """The names that the clips are labelled in, each once."""
    names: dict[str, None] = {}
    for store in stores:
        if track := store.emotion():
            names |= dict.fromkeys(track.space.names)
    return tuple(names) or MEAD_EMOTIONS


def _as_it_is(batch: ExpressionBatch) -> ExpressionBatch:
    return batch
