"""The figures of ``readavatar bench appearance`` on digital actors that an ablation of its stage is told by."""

from __future__ import annotations

from pathlib import Path

from readavatar.benchmarks.appearance.actor_films import default_model, film_speaker
from readavatar.benchmarks.appearance.actor_scores import ELSEWHERE, EYES, INTERIOR, MOUTH_LPIPS, measure_on_film
from readavatar.benchmarks.statistics import Aim

FIGURES: dict[str, tuple[str, Aim]] = {
    "psnr_mouth_inside": (INTERIOR, "higher"),
    "lpips_mouth": (MOUTH_LPIPS, "lower"),
    "psnr_face_without_mouth": (ELSEWHERE, "higher"),
    "psnr_eyes": (EYES, "higher"),
}
"""By short name: the scorecard's row, and which of its values is good."""


def film_actor_to_train_on(actor: int, work: Path) -> None:
    """Film a digital actor, unless that was done before; ``training_clip`` says where."""
    film_speaker(actor, default_model(), work)


def score_appearance_avatar(avatar: Path, actor: int, work: Path) -> dict[str, float]:
    """Measure an avatar's appearance network on held-out sentences of the digital actor that it was trained on.

    Args:
        avatar: Its folder.
        actor: The actor's seed.
        work: Folder that keeps the films.

    Returns:
        ``FIGURES``, inside the paint_mask that the avatar paints; what cannot be measured is left out.
    """
    rows = measure_on_film(avatar, film_speaker(actor, default_model(), work).held_out)
    return {name: rows[row] for name, (row, _) in FIGURES.items() if row in rows}
