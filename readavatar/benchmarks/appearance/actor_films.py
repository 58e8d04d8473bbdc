"""Digital actors on film for the appearance stage: sentences to learn from, and others to be judged on."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from readavatar.assets import find_asset
from readavatar.data.store import ClipStore
from readavatar.synthetic import SENTENCES, write_actor_clip

_LOGGER = logging.getLogger(__name__)

FILM = {"size": 128, "zoom": 1.6}
"""A lens that the face fills: the mouth's inside has some 150 pixels, and a training takes minutes."""
NUM_TRAINING, NUM_HELD_OUT = 20, 8
"""Sentences: a minute to learn from, and 25 s."""


@dataclass(frozen=True)
class Films:
    """One actor's clips; their fit is the truth, so that nothing but appearance is measured."""

    training: ClipStore
    held_out: ClipStore
    """Other sentences, in another take."""


def default_model() -> str:
    """ICT's head where it is on this machine, else the built-in one."""
    return "ict" if find_asset("ict_facekit") else "builtin"


def training_clip(seed: int, morphable_model: str, work: str | Path) -> Path:
    """Where ``film_speaker`` puts the clip to learn from."""
    settings = json.dumps([seed, morphable_model, FILM, NUM_TRAINING, NUM_HELD_OUT], sort_keys=True)
    return Path(work) / "speakers" / f"{seed}-{hashlib.sha256(settings.encode()).hexdigest()[:8]}" / "training"


def film_speaker(seed: int, morphable_model: str, work: str | Path) -> Films:
    """An actor's clips, filmed now unless they are in ``work`` already.

    They are known by their settings: delete the folder after a change of what actors do.

    Args:
        seed: Who acts.
        morphable_model: What ``load_morphable_model`` takes.
        work: Folder for the clips.
    """
    training = training_clip(seed, morphable_model, work)
    order = np.random.default_rng(seed).permutation(len(SENTENCES))
    said = {training: order[:NUM_TRAINING], training.with_name("held_out"): order[NUM_TRAINING:][:NUM_HELD_OUT]}
    stores = []
    for take, (path, chosen) in enumerate(said.items()):
        if not (path / "tracking.safetensors").exists():
            _LOGGER.info("actor %d: filming %d sentences", seed, len(chosen))
            store = write_actor_clip(
                path,
                seed=seed,
                take=take,
                sentences=[SENTENCES[index] for index in chosen],
                morphable_model=morphable_model,
                **FILM,
            )
            store.write_tracking(store.truth())
        stores.append(ClipStore(path))
    return Films(*stores)
