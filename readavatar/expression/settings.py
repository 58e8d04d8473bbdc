"""Settings of a training of the expression network."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Kind = Literal["convolution", "transformer"]
Train = Literal["all", "code"]


@dataclass(frozen=True)
class NetworkSettings:
    """Sizes of the generator and the discriminators; a prior has its own."""

    kind: Kind = "convolution"
    """Of the generator's blocks."""
    width: int = 96
    """Channels of the generator's blocks."""
    reaches: tuple[int, ...] = (1, 2, 4, 8, 1, 2)
    """One block each: its frames of context on either side."""
    num_noise: int = 16
    """Channels of noise; 0 leaves one motion for each sound."""
    code_width: int = 16
    """Length of a person's style code."""
    dropout: float = 0.1
    """Of the generator's blocks, and twice that of the speech features."""
    speech_noise: float = 0.3
    """Added to the standardised speech features in training."""
    discriminator_width: int = 64
    discriminator_scales: int = 3
    """Number of discriminators, each at half the frame rate of the one before."""

    @property
    def generator_sizes(self) -> dict[str, Any]:
        """The arguments of ``ExpressionGenerator`` among them, by name."""
        sizes = asdict(self)
        return {name: size for name, size in sizes.items() if not name.startswith("discriminator_")}


@dataclass(frozen=True)
class LossWeights:
    """Each term's weight; a term of weight 0 is not computed. Distances are in millimetres on the face."""

    lips: float = 1.0
    """Position of the lips' vertices."""
    face: float = 0.5
    """Position of the whole face's vertices."""
    upper_face: float = 0.5
    """Position of the vertices above the nose's tip, which move little."""
    eyes: float = 0.5
    """Position of the lids' landmarks."""
    brows: float = 0.5
    """Position of the brows' landmarks."""
    velocity: float = 2.0
    """Change of all these positions from frame to frame."""
    closure: float = 0.5
    """Opening of the lips where the true lips are closed (p, b, m)."""
    adversarial: float = 0.1
    """The discriminators' logits."""
    matching: float = 0.1
    """L1 between the discriminators' features."""
    sync: float = 0.1
    """Dissimilarity of lips and sound, by a frozen sync expert."""
    distillation: float = 1.0
    """Effect of emotions that the clips do not show, compared with the prior's."""


@dataclass(frozen=True)
class OptimizationSettings:
    """Settings of the optimization."""

    learning_rate: float = 5e-3
    """Of the generator, by Adam with β = (0.5, 0.99); falls along half a cosine to a twentieth."""
    discriminator_learning_rate: float = 1e-3
    """Of the discriminators, by Adam with β = (0, 0.99); with the same decay."""
    train: Train = "all"
    """``code`` trains only the person's style code and keeps the prior's networks: for seconds of footage."""
    rate_from_prior: float = 0.2
    """Factor on the learning rates of networks from a prior."""
    samples: int = 2
    """Motions generated for every sound in a step. With two or more, position terms are the energy score (Gneiting &
    Raftery 2007, eq. 22), which rewards the distance between samples and is optimal for the true distribution. With
    one, they are a regression, which averages over motion that the sound does not determine."""
    warm_up: float = 0.5
    """Share of the training over which the weight of the distance between samples rises to 1."""
    mismatch: float = 0.5
    """Weight of real motion with another window's sound and emotion, as a kind of fake sample."""
    r1: float = 0.1
    """Weight of the discriminators' gradient penalty (Mescheder et al. 2018)."""
    r1_every: int = 8
    """Batches between two gradient penalties, whose weight is multiplied by it."""
    ema_decay: float = 0.998
    """Decay of the averaged weights, which are tested and exported."""
    clip_gradients: float = 10.0
    """Largest norm of the generator's gradient."""
