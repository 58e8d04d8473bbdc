"""A digital actor's clip and a fit of it that is wrong where the tests know it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from readavatar.data.store import ClipStore
from readavatar.synthetic import write_actor_clip
from readavatar.types import TrackedFace

SIZE, FPS = 64, 25
WRONG_FRAME = 9
"""Where the fit opens the jaw and the truth does not."""


def wrong_fit(truth: TrackedFace) -> TrackedFace:
    """The truth with a jaw that drops for one frame."""
    expressions = truth.coefficients.expression_coefficients.clone()
    expressions[WRONG_FRAME, truth.expression_names.index("jawOpen")] += 0.3
    return replace(truth, coefficients=replace(truth.coefficients, expression_coefficients=expressions))


def write_viewed_clip(path: Path) -> ClipStore:
    """Sixteen frames of the built-in head, fitted wrongly in one of them."""
    store = write_actor_clip(path, sentences=[], duration=0.64, size=SIZE, fps=FPS, zoom=1.2)
    store.write_tracking(wrong_fit(store.truth()))
    return store
