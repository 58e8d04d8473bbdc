"""Emotions as continuous vectors, and how they change over time.

An emotion vector has one dimension a named emotion, each in [0, 1]: 0 absent, 1 its strongest; all zeros are neutral
and mixtures are allowed (Saunders & Namboodiri 2023, sec. 3.2). A track is a line through keyframes in that space.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from readavatar.errors import UserError, did_you_mean
from readavatar.files import replacing_file

MEAD_EMOTIONS = ("angry", "contempt", "disgusted", "fear", "happy", "sad", "surprised")
"""The seven emotions of MEAD (Wang et al., ECCV 2020), which READ Avatars is trained on; its eighth is neutral."""

NEUTRAL = "neutral"


@dataclass(frozen=True)
class EmotionSpace:
    """The names of the N dimensions, in order.

    Args:
        names: One or more distinct names of letters, ``_`` and ``-``; not ``neutral``, which is all zeros.

    Raises:
        UserError: The names are not valid.

    Example:
        >>> from readavatar import EmotionSpace
        >>> EmotionSpace().names
        ('angry', 'contempt', 'disgusted', 'fear', 'happy', 'sad', 'surprised')
        >>> EmotionSpace(("happy", "sad")).num_emotions
        2
    """

    names: tuple[str, ...] = MEAD_EMOTIONS

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(self.names))
        if not self.names or len(set(self.names)) != len(self.names):
            raise UserError(f"Expected one or more distinct emotion names, but got {list(self.names)}.")
        for name in self.names:
            if name == NEUTRAL or not re.fullmatch(r"[A-Za-z][A-Za-z_-]*", name):
                raise UserError(
                    f"Expected emotion names of letters other than 'neutral' (all zeros), but got '{name}'."
                )

    @property
    def num_emotions(self) -> int:
        """N."""
        return len(self.names)

    def vector(self, emotion: str) -> Float[Tensor, " N"]:
        """Parse one emotion.

        Args:
            emotion: Such as ``neutral``, ``happy`` (strength 1), ``happy:0.8`` or ``happy:0.2+surprised:0.6``.

        Returns:
            Strengths in [0, 1].

        Raises:
            UserError: A name that the space does not have, a name given twice, or a strength outside [0, 1].

        Example:
            >>> from readavatar import EmotionSpace
            >>> EmotionSpace(("happy", "sad", "surprised")).vector("happy:0.25+surprised:0.5")
            tensor([0.2500, 0.0000, 0.5000])
        """
        vector = torch.zeros(self.num_emotions)
        if emotion.strip().lower() == NEUTRAL:
            return vector
        for part in emotion.split("+"):
            name, _, strength_text = (piece.strip() for piece in part.partition(":"))
            index = self._index(name)
            try:
                strength = float(strength_text) if strength_text else 1.0
            except ValueError:
                raise UserError(f"Expected a number in [0, 1] after '{name}:', but got '{strength_text}'.") from None
            if not 0.0 <= strength <= 1.0:  # also refuses NaN
                raise UserError(f"Expected the strength of '{name}' in [0, 1], but got {strength_text}.")
            if vector[index] > 0:
                raise UserError(f"Expected each emotion once in '{emotion}', but got '{name}' twice.")
            vector[index] = strength
        return vector

    def describe(self, vector: Float[Tensor, " N"]) -> str:
        """The inverse of ``vector``: ``happy:0.2+surprised:0.6``, or ``neutral``.

        Args:
            vector: Strengths in [0, 1]; written to six significant digits.

        Example:
            >>> import torch
            >>> from readavatar import EmotionSpace
            >>> EmotionSpace(("happy", "sad", "surprised")).describe(torch.tensor([0.25, 0.0, 0.5]))
            'happy:0.25+surprised:0.5'
        """
        parts = [f"{name}:{value:.6g}" for name, value in zip(self.names, vector.tolist(), strict=True) if value > 0]
        return "+".join(parts) or NEUTRAL

    def _index(self, name: str) -> int:
        if name in self.names:
            return self.names.index(name)
        hint = did_you_mean(name, (*self.names, NEUTRAL))
        raise UserError(f"Expected one of {', '.join(self.names)} or neutral, but got the emotion '{name}'.{hint}")


@dataclass(frozen=True)
class EmotionTrack:
    """An emotion that changes over time: linear between keyframes, constant before the first and after the last.

    Raises:
        UserError: No keyframe, times that do not increase, or vectors that do not fit the space or leave [0, 1].

    Example:
        >>> import torch
        >>> from readavatar import EmotionSpace, EmotionTrack
        >>> space = EmotionSpace(("happy", "sad"))
        >>> track = EmotionTrack(space, times=torch.tensor([0.0, 1.0]), vectors=torch.tensor([[0.0, 0.0], [0.8, 0.0]]))
        >>> track.sample(torch.tensor([0.5, 2.0]))
        tensor([[0.4000, 0.0000],
                [0.8000, 0.0000]])
    """

    space: EmotionSpace
    times: Float[Tensor, " K"]
    """Seconds, strictly increasing."""
    vectors: Float[Tensor, "K N"]
    """In [0, 1]."""

    def __post_init__(self) -> None:
        if self.times.numel() == 0 or bool((self.times.diff() <= 0).any()) or not bool(self.times.isfinite().all()):
            raise UserError(f"Expected strictly increasing keyframe times, but got {self.times.tolist()}.")
        if self.vectors.shape != (len(self.times), self.space.num_emotions):
            raise UserError(
                f"Expected {len(self.times)} emotion vectors of {self.space.num_emotions}, but got "
                f"{tuple(self.vectors.shape)}."
            )
        if not bool(((self.vectors >= 0) & (self.vectors <= 1)).all()):
            raise UserError("Expected emotion strengths in [0, 1].")

    @classmethod
    def constant(cls, space: EmotionSpace, vector: Float[Tensor, " N"] | None = None) -> EmotionTrack:
        """A constant emotion.

        Args:
            space: Its N names.
            vector: Strengths in [0, 1]; None is neutral.

        Example:
            >>> from readavatar import EmotionSpace, EmotionTrack
            >>> space = EmotionSpace(("happy", "sad"))
            >>> EmotionTrack.constant(space, space.vector("sad:0.5")).sample_frames(2, fps=25.0)
            tensor([[0.0000, 0.5000],
                    [0.0000, 0.5000]])
        """
        vector = torch.zeros(space.num_emotions) if vector is None else vector
        return cls(space, torch.zeros(1), vector[None])

    @classmethod
    def parse(cls, text: str, space: EmotionSpace) -> EmotionTrack:
        """Parse a track from text.

        Args:
            text: Keyframes (``"0s neutral, 1.5s happy:0.8, 4s happy:0.2+surprised:0.6"``), one emotion for all the time
                (``"happy:0.8"``), or the path of a ``.json`` file from ``write``.
            space: The emotions that may occur.

        Raises:
            UserError: A time without ``s``, times that do not increase, or an emotion ``EmotionSpace.vector`` refuses.

        Example:
            >>> from readavatar import EmotionSpace, EmotionTrack
            >>> space = EmotionSpace(("happy", "surprised"))
            >>> track = EmotionTrack.parse("0s neutral, 1.5s happy:0.8, 4s happy:0.2+surprised:0.6", space)
            >>> track.times
            tensor([0.0000, 1.5000, 4.0000])
            >>> track.vectors
            tensor([[0.0000, 0.0000],
                    [0.8000, 0.0000],
                    [0.2000, 0.6000]])
            >>> EmotionTrack.parse("hapy:0.8", space)
            Traceback (most recent call last):
                ...
            readavatar.errors.UserError: Expected one of happy, surprised or neutral, but got the emotion 'hapy'...
        """
        if text.strip().endswith(".json"):
            return cls.read(text.strip(), space)
        entries = [entry.strip() for entry in text.split(",") if entry.strip()]
        if not entries:
            raise UserError("Expected an emotion such as 'happy:0.8' or '0s neutral, 2s happy:0.8', but got nothing.")
        if len(entries) == 1 and not re.match(r"[\d.+-]", entries[0]):
            return cls.constant(space, space.vector(entries[0]))
        times, vectors = [], []
        for entry in entries:
            match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)\s*s\s+(\S.*)", entry)
            if not match:
                raise UserError(f"Expected keyframes such as '1.5s happy:0.8', but got '{entry}'.")
            times.append(float(match[1]))
            vectors.append(space.vector(match[2]))
        return cls(space, torch.tensor(times), torch.stack(vectors))

    def sample(self, times: Float[Tensor, " T"]) -> Float[Tensor, "T N"]:
        """The emotion at any times.

        Args:
            times: Seconds, in any order.

        Returns:
            Strengths in [0, 1].
        """
        grid = self.times.double().numpy()
        columns = [np.interp(times.double().numpy(), grid, column) for column in self.vectors.double().numpy().T]
        return torch.from_numpy(np.stack(columns, axis=1)).float()

    def sample_frames(self, num_frames: int, fps: float) -> Float[Tensor, "T N"]:
        """The emotion at the centres of a video's frames: frame i lasts from i / fps to (i + 1) / fps.

        Args:
            num_frames: T.
            fps: Frames per second.

        Returns:
            Strengths in [0, 1].

        Example:
            >>> from readavatar import EmotionSpace, EmotionTrack
            >>> track = EmotionTrack.parse("0s neutral, 1s happy", EmotionSpace(("happy",)))
            >>> track.sample_frames(num_frames=3, fps=2.0)
            tensor([[0.2500],
                    [0.7500],
                    [1.0000]])
        """
        return self.sample((torch.arange(num_frames) + 0.5) / fps)

    def write(self, path: str | Path) -> None:
        """Write the track's JSON: names, and keyframes of ``time`` (seconds) and ``emotion`` (text).

        Example:
            >>> from readavatar import EmotionSpace, EmotionTrack
            >>> track = EmotionTrack.parse("0s neutral, 1s happy:0.5", EmotionSpace(("happy", "sad")))
            >>> track.write("emotion.json")
            >>> EmotionTrack.read("emotion.json").vectors
            tensor([[0.0000, 0.0000],
                    [0.5000, 0.0000]])
        """
        keyframes = [
            {"time": time, "emotion": self.space.describe(vector)}
            for time, vector in zip(self.times.tolist(), self.vectors, strict=True)
        ]
        with replacing_file(path) as temporary:
            temporary.write_text(json.dumps({"names": list(self.space.names), "keyframes": keyframes}, indent=1))

    @classmethod
    def read(cls, path: str | Path, space: EmotionSpace | None = None) -> EmotionTrack:
        """Read a file of ``write``.

        Args:
            path: The ``.json`` file.
            space: Of the result; it needs all emotions of the file. None takes the file's own.

        Raises:
            UserError: There is no such file, it is not a track, or the space lacks one of its emotions.
        """
        try:
            content = json.loads(Path(path).read_text())
            space = space or EmotionSpace(tuple(content["names"]))
            times = torch.tensor([float(keyframe["time"]) for keyframe in content["keyframes"]])
            vectors = torch.stack([space.vector(keyframe["emotion"]) for keyframe in content["keyframes"]])
        except FileNotFoundError:
            raise UserError(f"Expected an emotion track at '{path}', but there is no such file.") from None
        except UserError:
            raise
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise UserError(f"Expected an emotion track (names, keyframes) in '{path}', but got: {error}.") from None
        if any(not math.isfinite(time) or time < 0 for time in times.tolist()):
            raise UserError(f"Expected keyframe times of 0 s or more in '{path}', but got {times.tolist()}.")
        return cls(space, times, vectors)
