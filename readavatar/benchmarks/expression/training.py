"""The networks that the expression scorecard compares, trained as a user's are."""

from __future__ import annotations

from pathlib import Path

from readavatar.benchmarks.expression.takes import FIRST_SEED
from readavatar.benchmarks.trained import train_once

ACTOR_CONFIG = "configs/expression/actor.yaml"
TWIN_CONFIG = "configs/ablations/expression/regression.yaml"
PRIOR_CONFIG = "configs/expression/actor_from_prior.yaml"
TWIN, GAN, TUNED = "regression", "GAN", "GAN from prior"
VARIANTS: dict[str, tuple[str, ...]] = {TWIN: (TWIN_CONFIG,), GAN: (), TUNED: (PRIOR_CONFIG,)}
"""What each puts over the actor's config; the last is what a user's training does."""


def train_actor(number: int, variant: str, morphable_model: str, work: Path, config: str | None = None) -> Path:
    """Train on a digital actor's takes, unless that was done before; a training that was stopped goes on.

    Args:
        number: Both the actor's (from ``FIRST_SEED`` on) and the training's seed.
        variant: Of ``VARIANTS``: the GAN's twin of the same size without a discriminator, the GAN from nothing, or from
            the prior.
        morphable_model: Whose expressions; what ``load_morphable_model`` takes.
        work: Folder for the avatars; each is known by what its configs say.
        config: Put over the defaults, for all variants.

    Returns:
        The avatar's folder.
    """
    configs = [ACTOR_CONFIG, *((config,) if config else ()), *VARIANTS[variant]]
    seed = FIRST_SEED + number
    settings = {"data.first_actor": seed, "data.morphable_model": morphable_model, "seed_everything": number}
    folder = work / "avatars" / f"{seed}-{variant.lower().replace(' ', '_')}"
    return train_once("expression", (), configs, settings, folder, morphable_model, f"the {variant}")[0]
