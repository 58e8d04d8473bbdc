"""Whether fitted coefficients mean what they are called: on a resting face, and on another person's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from readavatar.data.store import ClipStore
from readavatar.emotion import NEUTRAL
from readavatar.metrics import nearest_centroid_accuracy, window_means
from readavatar.morphable import MorphableModel

HIDDEN_EXPRESSIONS = ("cheekPuff", "jawForward", "mouthShrugLower", "mouthShrugUpper", "tongueOut")
"""Those that landmarks do not see: a fit of points alone is free to use them for anything."""
LIMIT = 0.99
"""Of an expression's bound: at its limit."""
AT_LIMIT_FRAMES = 0.05
"""Share of a clip's frames from which on an expression counts as at its limit: more than a blink or two."""
LABELLED_STRENGTH = 1 / 6
"""Half of the weakest strength that MEAD's clips are labelled with: a window with less is taken for neutral."""

SMALLEST_SPREAD = 0.02
"""Of a coefficient over windows: less is no movement."""
LOOK = "eyeLook"
"""Expressions that follow where the eyes turn: that is where somebody reads their text, no emotion."""


@dataclass(frozen=True)
class Windows:
    """One person's labelled seconds."""

    means: Float[Tensor, "W D"]
    labels: tuple[str, ...]


def hidden_expressions(expressions: Float[Tensor, "T E"], names: tuple[str, ...]) -> dict[str, float]:
    """Means over the frames of the expressions among ``HIDDEN_EXPRESSIONS``."""
    means = expressions.mean(0)
    return {name: float(means[i]) for i, name in enumerate(names) if name.partition("_")[0] in HIDDEN_EXPRESSIONS}


def expressions_at_limit(expressions: Float[Tensor, "T E"], model: MorphableModel) -> list[str]:
    """Names of the expressions that are at a bound (zero is none) in over ``AT_LIMIT_FRAMES`` of the frames."""
    low, high = model.expression_bounds.unbind(1)
    at_limit = (expressions >= LIMIT * high) | ((low < 0) & (expressions <= LIMIT * low))
    share = at_limit.float().mean(0)
    return [name for name, one in zip(model.expression_names, share.tolist(), strict=True) if one > AT_LIMIT_FRAMES]


def is_neutral(store: ClipStore) -> bool:
    """Whether a clip is labelled, and neutral from end to end."""
    emotion = store.emotion()
    return emotion is not None and not bool(emotion.vectors.any())


def labelled_windows(
    curves: Float[Tensor, "T D"], names: Sequence[str], found: Bool[Tensor, " T"], store: ClipStore
) -> tuple[Float[Tensor, "W d"], list[str]]:
    """Means of one clip's seconds, and the emotion that each is labelled with.

    Args:
        curves: Of every frame.
        names: D; those that follow the gaze are left out.
        found: Frames with a face; the others are left out.
        store: The clip; one without a label gives no windows.
    """
    curves = curves[:, [not name.startswith(LOOK) for name in names]]
    emotion = store.emotion()
    if emotion is None or not found.any():
        return curves[:0], []
    length = round(store.fps)
    strengths = window_means(emotion.sample_frames(store.num_frames, store.fps)[found], length)
    largest, which = strengths.max(1)
    labels = [
        emotion.space.names[index] if strength >= LABELLED_STRENGTH else NEUTRAL
        for strength, index in zip(largest.tolist(), which.tolist(), strict=True)
    ]
    return window_means(curves[found], length), labels


def join_windows(parts: list[tuple[Float[Tensor, "W D"], list[str]]]) -> Windows:
    """All of a person's clips."""
    return Windows(torch.cat([means for means, _ in parts]), tuple(label for _, labels in parts for label in labels))


def without_neutral(windows: Windows) -> Windows | None:
    """With the mean of the person's own neutral windows subtracted; None where the person has none."""
    neutral = torch.tensor([label == NEUTRAL for label in windows.labels], dtype=torch.bool)
    if not neutral.any():
        return None
    return Windows(windows.means - windows.means[neutral].mean(0), windows.labels)


def emotion_transfer(people: Mapping[str, Windows | None]) -> tuple[list[float], float]:
    """Per cent of windows whose emotion is recognised with the emotions of somebody else.

    Nearest centroid, learnt on one person's windows and tried on another's, over the emotions that both show; each
    coefficient counts in units of its spread over the windows that are learnt from.

    Args:
        people: Their windows; those with None are left out.

    Returns:
        One value for each ordered pair of people with at least two emotions in common, and what chance would give
        (0 where there is no such pair).
    """
    accuracies, chances = [], []
    shown = {name: windows for name, windows in people.items() if windows is not None}
    for first, second in permutations(shown.values(), 2):
        common = sorted(set(first.labels) & set(second.labels))
        if len(common) < 2:
            continue
        train, train_labels = _of_labels(first, common)
        test, test_labels = _of_labels(second, common)
        # An expression says as much as it stands out of how it moves anyway: brows go further than a sneer.
        spread = train.std(0, correction=0) + SMALLEST_SPREAD
        train, test = train / spread, test / spread
        accuracies.append(100 * nearest_centroid_accuracy(train, train_labels, test, test_labels))
        chances.append(100 / len(common))
    return accuracies, sum(chances) / len(chances) if chances else 0.0


def _of_labels(windows: Windows, labels: list[str]) -> tuple[Float[Tensor, "w D"], Int[Tensor, " w"]]:
    """The windows with one of some labels, and its place among them."""
    numbers = torch.tensor([labels.index(label) if label in labels else -1 for label in windows.labels])
    return windows.means[numbers >= 0], numbers[numbers >= 0]
