"""A sync network: the similarity of some tenths of a second of speech and of lip motion.

Two towers compute unit vectors that are close for sound and lips of the same moment (SyncNet, Chung & Zisserman 2016),
trained by contrast (InfoNCE, van den Oord et al. 2018) with other moments of the same take. A frozen network is a sync
expert, a loss for generated motion (Prajwal et al. 2020); another one, trained separately on other seeds, is the judge
of ``sync_offset``.

The input is the velocity of the lip landmarks in millimetres: a constant offset by an emotion or a person's mouth has
no effect, and landmarks are the same on every face model. No convolution is padded: F frames in, F − 2 · context out.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from readavatar.morphable import MorphableModel
from readavatar.morphable.model import expression_displacements

SpokenMotion = tuple[Tensor, Tensor]
"""Speech features (T, D) and expression coefficients (T, E) of the same frames."""
_LIP_LANDMARKS = slice(48, 68)
"""iBUG's, outer and inner."""
_MILLIMETRES = 1000.0
_LEAST_STD = 1e-3
_FIRST_SCALE, _MOST_SCALE = 10.0, 50.0
"""One over the temperature: initial and largest value; above it, a few windows would dominate the gradient."""
_STEADY = 0.1
"""Added to the length of the motion vectors (about ``embedding`` ** 0.5), so that the gradient is finite."""


def lip_landmarks(model: MorphableModel) -> Float[Tensor, "E 60"]:
    """Millimetres by which one unit of each expression moves the 20 landmarks of the lips (x, y, z each)."""
    moved = model.landmarks_3d(expression_displacements(model) * _MILLIMETRES)
    return moved[:, _LIP_LANDMARKS].flatten(1)


class SyncNetwork(nn.Module):
    """Two towers of unpadded convolutions."""

    def __init__(
        self,
        num_speech_features: int,
        num_expressions: int,
        width: int = 96,
        embedding: int = 64,
        context: int = 5,
        dropout: float = 0.1,
        speech_dropout: float = 0.2,
        speech_noise: float = 0.3,
        vigour_spread: float = 0.3,
        motion_noise: float = 0.1,
    ) -> None:
        """
        Args:
            num_speech_features: D.
            num_expressions: E.
            width: Channels of both towers.
            embedding: C, length of the vectors that are compared.
            context: Frames on either side that a vector depends on: windows of 2 · context + 1 frames.
            dropout: Of the towers.
            speech_dropout: Of whole speech features.
            speech_noise: Standard deviation of noise added to the standardised speech features in training.
            vigour_spread: Standard deviation of the logarithm of a factor on each window's motion in training.
            motion_noise: Of noise added to the landmarks in training, relative to the root mean square of their speed.
        """
        super().__init__()
        self.config = {
            "num_speech_features": num_speech_features,
            "num_expressions": num_expressions,
            "width": width,
            "embedding": embedding,
            "context": context,
            "dropout": dropout,
            "speech_dropout": speech_dropout,
            "speech_noise": speech_noise,
            "vigour_spread": vigour_spread,
            "motion_noise": motion_noise,
        }
        self.context = context
        self.speech_noise, self.vigour_spread, self.motion_noise = speech_noise, vigour_spread, motion_noise
        self.register_buffer("speech_mean", torch.zeros(num_speech_features))
        self.register_buffer("speech_std", torch.ones(num_speech_features))
        self.register_buffer("lips", torch.zeros(num_expressions, 60))
        self.register_buffer("lip_speed", torch.ones(()))
        self.speech_tower = nn.Sequential(
            nn.Dropout1d(speech_dropout), *_layers(num_speech_features, width, embedding, context, dropout)
        )
        self.lip_tower = nn.Sequential(*_layers(60, width, embedding, context - 1, dropout))
        self.log_scale = nn.Parameter(torch.tensor(math.log(_FIRST_SCALE)))

    def standardise_by(self, takes: Sequence[SpokenMotion], lips: Float[Tensor, "E 60"]) -> None:
        """Set the statistics of the training data, and the face model of its motion.

        Args:
            takes: Speech features (T, D) and expression coefficients (T, E) of the same frames.
            lips: From ``lip_landmarks``.
        """
        speech = torch.cat([speech for speech, _ in takes])
        velocities = torch.cat([_velocity((expressions @ lips)[None])[0] for _, expressions in takes])
        self.speech_mean.copy_(speech.mean(0))
        self.speech_std.copy_(speech.std(0).clamp(min=_LEAST_STD))
        self.lips.copy_(lips)
        self.lip_speed.copy_(velocities.square().mean().sqrt().clamp(min=_LEAST_STD))

    def on_face(self, lips: Float[Tensor, "E 60"]) -> SyncNetwork:
        """The same network for motion in another face model's expressions.

        Args:
            lips: From ``lip_landmarks`` of that model.
        """
        twin = copy.deepcopy(self)
        twin.config["num_expressions"] = len(lips)
        twin.lips = lips.to(self.lips)
        return twin

    @property
    def scale(self) -> Float[Tensor, ""]:
        """One over the temperature."""
        return self.log_scale.exp().clamp(max=_MOST_SCALE)

    def embed_speech(self, speech: Float[Tensor, "B F D"]) -> Float[Tensor, "B T C"]:
        """Unit vectors of windows of speech around T = F − 2 · context frames."""
        standard = (speech - self.speech_mean) / self.speech_std
        if self.training:
            standard = standard + self.speech_noise * torch.randn_like(standard)
        return F.normalize(self.speech_tower(standard.mT).mT, dim=-1)

    def embed_motion(self, expressions: Float[Tensor, "B F E"]) -> Float[Tensor, "B T C"]:
        """Unit vectors of windows of lip motion."""
        motion = expressions @ self.lips / self.lip_speed
        if self.training:  # people open their mouths more or less, and trackers have jitter
            motion = motion * (self.vigour_spread * torch.randn(len(motion), 1, 1).to(motion)).exp()
            motion = motion + self.motion_noise * torch.randn_like(motion)
        vectors = self.lip_tower(_velocity(motion).mT).mT
        return vectors / vectors.square().sum(-1, keepdim=True).add(_STEADY**2).sqrt()

    def forward(self, speech: Float[Tensor, "B F D"], expressions: Float[Tensor, "B F E"]) -> Float[Tensor, "B T"]:
        """Similarity in [−1, 1] of speech and lips around T = F − 2 · context frames."""
        return (self.embed_speech(speech) * self.embed_motion(expressions)).sum(-1)


def contrastive_loss(
    speech: Float[Tensor, "B T C"], motion: Float[Tensor, "B T C"], scale: Float[Tensor, ""]
) -> Float[Tensor, ""]:
    """InfoNCE in both directions: each moment against all other moments of the same stretch.

    Other takes are not used: in experiments they did not help, and within one take, with the same person, voice and
    emotion, only the timing differs.

    Args:
        speech: From ``SyncNetwork.embed_speech``.
        motion: From ``SyncNetwork.embed_motion``, the same frames.
        scale: One over the temperature.
    """
    similarity = scale * speech @ motion.mT
    return (_cross_entropy(similarity) + _cross_entropy(similarity.mT)) / 2


def sync_loss(
    expert: SyncNetwork, speech: Float[Tensor, "B F D"], expressions: Float[Tensor, "B F E"]
) -> Float[Tensor, ""]:
    """One minus the mean similarity, in [0, 2]; only the expressions get a gradient.

    Args:
        expert: Frozen and in evaluation mode, as from ``train_sync_expert``.
        speech: Features as the expert was trained on, F > 2 · context frames.
        expressions: Of the same frames.

    Raises:
        ValueError: The expert is in training mode, which adds noise.
    """
    if expert.training:
        raise ValueError("Expected the sync expert in evaluation mode, but it is in training mode.")
    with torch.no_grad():
        embedded = expert.embed_speech(speech)
    return 1 - (embedded * expert.embed_motion(expressions)).sum(-1).mean()


def _layers(num_inputs: int, width: int, embedding: int, reach: int, dropout: float) -> Iterator[nn.Module]:
    yield nn.Conv1d(num_inputs, width, 1)
    for _ in range(reach):
        yield from (nn.GELU(), nn.Dropout(dropout), nn.Conv1d(width, width, 3))
    yield from (nn.GELU(), nn.Conv1d(width, embedding, 1))


def _velocity(motion: Float[Tensor, "B F C"]) -> Float[Tensor, "B F-2 C"]:
    return (motion[:, 2:] - motion[:, :-2]) / 2


def _cross_entropy(similarity: Float[Tensor, "B T T"]) -> Float[Tensor, ""]:
    """Of each row against its diagonal."""
    return -similarity.log_softmax(-1).diagonal(dim1=-2, dim2=-1).mean()
