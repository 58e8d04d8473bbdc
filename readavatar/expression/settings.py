"""What a training of the expression network can be told."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Kind = Literal["convolution", "transformer"]
Train = Literal["all", "code"]


@dataclass(frozen=True)
class NetworkSettings:
    """Sizes of the generator and the discriminators; a prior's own take their place."""

    kind: Kind = "convolution"
    """Of the generator's blocks."""
    width: int = 96
    """Channels of the generator's blocks."""
    reaches: tuple[int, ...] = (1, 2, 4, 8, 1, 2)
    """One block each: how many frames it sees on either side."""
    num_noise: int = 16
    """Channels of noise; 0 leaves one motion for each sound."""
    code_width: int = 16
    """Numbers that tell how a person moves."""
    dropout: float = 0.1
    """Of the generator's blocks, and twice that of the speech features."""
    speech_noise: float = 0.3
    """Added to the standardised speech features in training."""
    discriminator_width: int = 64
    discriminator_scales: int = 3
    """Discriminators, each of which sees the motion at half the rate of the one before."""

    @property
    def generator_sizes(self) -> dict[str, Any]:
        """What ``ExpressionGenerator`` takes of these, by its parameters' names."""
        sizes = asdict(self)
        return {name: size for name, size in sizes.items() if not name.startswith("discriminator_")}


@dataclass(frozen=True)
class LossWeights:
    """Each term's weight; a term of weight 0 is not computed. Distances are in millimetres on the face."""

    lips: float = 1.0
    """Position of the lips' vertices."""
    face: float = 0.5
    """Of the whole face's."""
    upper_face: float = 0.5
    """Of those above the nose's tip, which move little and would drown in the face's."""
    eyes: float = 0.5
    """Of the lids' landmarks."""
    brows: float = 0.5
    """Of the brows'."""
    velocity: float = 2.0
    """Change of all of them from frame to frame."""
    closure: float = 0.5
    """Lips kept apart where the truth closes them (p, b, m)."""
    adversarial: float = 0.1
    """The discriminators' verdict."""
    matching: float = 0.1
    """L1 between the discriminators' features."""
    sync: float = 0.1
    """Lips that a frozen expert does not take for those of the sound."""
    distillation: float = 1.0
    """What an emotion that the clips do not show does to the face, against what it does in the prior."""


@dataclass(frozen=True)
class OptimizationSettings:
    """How the weights are found."""

    learning_rate: float = 5e-3
    """Of the generator, by Adam with β = (0.5, 0.99); falls along half a cosine to a twentieth."""
    discriminator_learning_rate: float = 1e-3
    """Of the discriminators, by Adam with β = (0, 0.99); falls alike."""
    train: Train = "all"
    """``code`` learns how a person moves and leaves the prior's networks as they are: for seconds of footage."""
    rate_from_prior: float = 0.2
    """Times the learning rates of what begins from a prior: it is to be kept, not found."""
    samples: int = 2
    """Motions drawn for every sound in a step: with two or more, the distance between them counts as much in a position
    term's favour as the distance to the truth counts against (the energy score, Gneiting & Raftery 2007, eq. 22, whose
    best is the true distribution); with one, the terms are a regression and mute what the sound does not tell."""
    warm_up: float = 0.5
    """Share of the training over which the distance between samples comes to count in full: they learn first what the
    sound and the emotion tell, then to differ in what these don't."""
    mismatch: float = 0.5
    """Weight of true motion with another window's sound and emotion, as an example of the false."""
    r1: float = 0.1
    """Weight of the discriminators' gradient penalty (Mescheder et al. 2018)."""
    r1_every: int = 8
    """Batches between two gradient penalties, whose weight grows as much."""
    ema_decay: float = 0.998
    """Of the averaged weights, which are those that are tested and exported."""
    clip_gradients: float = 10.0
    """Largest norm of the generator's gradient."""
