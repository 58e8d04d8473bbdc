"""The networks that the expression scorecard compares, trained by the command that users run."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

from readavatar.benchmarks.expression.takes import FIRST_SEED
from readavatar.benchmarks.fit_command import FitCommand
from readavatar.config_paths import find_config
from readavatar.data.store.avatar import has_part
from readavatar.errors import UserError

_LOGGER = logging.getLogger(__name__)

DEFAULT_CONFIG = "configs/expression/default.yaml"
ACTOR_CONFIG = "configs/expression/actor.yaml"
TWIN_CONFIG = "configs/ablations/expression/regression.yaml"
PRIOR_CONFIG = "configs/expression/actor_from_prior.yaml"
TWIN, GAN, TUNED = "regression", "GAN", "GAN from prior"
VARIANTS: dict[str, tuple[str, ...]] = {TWIN: (TWIN_CONFIG,), GAN: (), TUNED: (PRIOR_CONFIG,)}
"""What each puts over the actor's config; the last is what a user's training does."""


def train_actor(
    fit: FitCommand, number: int, variant: str, morphable_model: str, work: Path, config: str | None = None
) -> Path:
    """Train on a digital actor's takes, unless that was done before; a training that was stopped goes on.

    Args:
        fit: Runs ``readavatar fit``.
        number: Both the actor's (from ``FIRST_SEED`` on) and the training's seed.
        variant: Of ``VARIANTS``: the GAN's twin of the same size without a discriminator, the GAN from nothing, or from
            the prior.
        morphable_model: Whose expressions; what ``load_morphable_model`` takes.
        work: Folder for the avatars; each is known by what its configs say.
        config: Put over the defaults, for all variants.

    Returns:
        The avatar's folder.
    """
    configs = [DEFAULT_CONFIG, ACTOR_CONFIG, *((config,) if config else ()), *VARIANTS[variant]]
    digest = hashlib.sha256(morphable_model.encode())
    for name in configs:
        digest.update(find_config(name).read_bytes())
    seed = FIRST_SEED + number
    folder = work / "avatars" / f"{seed}-{variant.lower().replace(' ', '_')}-{digest.hexdigest()[:8]}"
    if has_part(folder, "expression"):
        return folder
    _LOGGER.info("actor %d: training the %s", seed, variant)
    command = ["fit", *(word for name in configs for word in ("--config", name))]
    command += ["--data.first_actor", str(seed), "--data.morphable_model", morphable_model]
    fit([*command, "--seed_everything", str(number), "--avatar", str(folder)])
    if not has_part(folder, "expression"):
        raise UserError(f"Expected a trained avatar in '{folder}', but its training was stopped; run this again.")
    return folder
