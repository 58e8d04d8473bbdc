"""Performances of digital actors → batches for the expression stage: for priors, benchmarks and ablations."""

from __future__ import annotations

import itertools

import torch

from readavatar.assets import find_asset
from readavatar.data.datasets.annotations import EmotionCoding, coded
from readavatar.data.datasets.expression import ExpressionData
from readavatar.data.datasets.expression_windows import ExpressionClip
from readavatar.emotion import MEAD_EMOTIONS, EmotionSpace
from readavatar.errors import UserError
from readavatar.morphable import load_morphable_model
from readavatar.progress import track
from readavatar.synthetic.characters import Character, make_character
from readavatar.synthetic.corpus import Take, draw_takes
from readavatar.synthetic.retarget import retarget


class ActorData(ExpressionData):
    """Characters with minutes of speech in every emotion each, without rendering."""

    def __init__(
        self,
        first_actor: int = 0,
        num_actors: int = 1,
        minutes: float = 10.0,
        held_out_minutes: float = 0.5,
        held_out_actors: int = 4,
        languages: list[str] = ["en"],  # noqa: B006 (jsonargparse reads it; it is not changed)
        change_sound: bool = False,
        neutral_only: list[int] = [],  # noqa: B006
        morphable_model: str = "auto",
        speech_encoder: str = "auto",
        layers: list[int] | None = None,
        fps: float = 25.0,
        window_seconds: float = 2.5,
        batch_size: int = 16,
        emotion_coding: EmotionCoding = "continuous",
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        """
        Args:
            first_actor: Seed of the first character; the others follow.
            num_actors: Number of characters.
            minutes: Of speech for each character.
            held_out_minutes: Of other sentences for testing, for each tested character.
            held_out_actors: Largest number of characters for testing.
            languages: Of the speech.
            change_sound: Add room acoustics and noise to most of the sound, for robustness on real recordings.
            neutral_only: Seeds of characters who are only neutral.
            morphable_model: Of the expressions; ``auto`` is ``ict`` if it is installed, else ``builtin``.
            speech_encoder: Name for ``load_speech_encoder``.
            layers: Its hidden layers.
            fps: Frames per second.
            window_seconds: Length of the windows.
            batch_size: Windows in a batch.
            emotion_coding: ``one_hot`` ignores the strength of the labels, ``none`` the labels.
            num_workers: Processes that load; 0 is usually best, since windows are cheap to make.
            seed: Of the order of the windows.
        """
        if num_actors < 1:
            raise UserError(f"Expected one or more actors, but got {num_actors}.")
        names = [f"actor {first_actor + index}" for index in range(num_actors)]
        super().__init__(
            clips=names,
            people=names,
            speech_encoder=speech_encoder,
            layers=layers,
            fps=fps,
            window_seconds=window_seconds,
            batch_size=batch_size,
            emotion_coding=emotion_coding,
            muted_share=0.0,  # the takes include muted ones
            num_workers=num_workers,
            seed=seed,
        )
        self.first_actor, self.minutes = first_actor, minutes
        self.held_out_minutes, self.held_out_actors = held_out_minutes, held_out_actors
        self.languages, self.change_sound = tuple(languages), change_sound
        self.neutral_only = neutral_only
        self.morphable_model = morphable_model

    def read_clips(self) -> tuple[list[ExpressionClip], list[tuple[ExpressionClip, int]]]:
        """Generate the performances."""
        name = self.morphable_model
        self.face_model = ("ict" if find_asset("ict_facekit") else "builtin") if name == "auto" else name
        self.model = load_morphable_model(self.face_model)
        self.expression_names = tuple(self.model.expression_names)
        self.emotion_space = EmotionSpace(MEAD_EMOTIONS)
        training: list[ExpressionClip] = []
        held_out: list[tuple[ExpressionClip, int]] = []
        progress = None if self.trainer is None else self.trainer.progress_bar_callback is not None
        for person in track(range(len(self.people)), "acting", enabled=progress):
            character = make_character(self.first_actor + person)
            training += [self._clip(take, person) for take in self._draw(character)]
            if person < self.held_out_actors:
                takes = draw_takes(character, self.held_out_minutes, fps=self.fps, held_out=True, change_sound=False)
                held_out += [(self._clip(take, person), 0) for take in takes]
        return training, held_out

    def _draw(self, character: Character) -> list[Take]:
        settings = {"fps": self.fps, "languages": self.languages, "change_sound": self.change_sound}
        if character.seed not in self.neutral_only:
            return draw_takes(character, self.minutes, **settings)
        # One take in six is neutral.
        takes = [take for take in draw_takes(character, 12 * self.minutes, **settings) if not bool(take.emotion.any())]
        seconds = itertools.accumulate((take.duration for take in takes), initial=0.0)
        return [take for take, before in zip(takes, seconds, strict=False) if before < 60 * self.minutes]

    def _clip(self, take: Take, person: int) -> ExpressionClip:
        num_frames = len(take.expressions)
        speech = self.encoder.encode(take.waveform, self.fps, num_frames)
        return ExpressionClip(
            speech=speech.half(),
            emotion=coded(take.emotion, self.emotion_coding),
            expressions=retarget(take.expressions, self.model),
            is_valid=torch.ones(num_frames, dtype=torch.bool),
            person=person,
        )
