"""Priors from the face detector: offsets of its 68 landmarks, and expressions from its blendshapes.

Offsets. The detector's landmarks differ from a model's by an offset that is about the same on all faces. Tables of
these offsets are measured on faces with known geometry by
``python -m readavatar.benchmarks.tracking.calibrate_landmarks MODEL``. For a model without a table, the offset is zero.

Expressions. Before landmarks and pixels are compared, a fit starts at the detector's blendshapes, minus the person's
own values at rest.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from readavatar.data.datasets.tracking import Observations
from readavatar.detection.landmark_sets import ARKIT_NAMES
from readavatar.files import replacing_file
from readavatar.morphable.model import arkit_name
from readavatar.types import Tensors

UNKNOWN_SPREAD = 0.002
"""Standard deviation of an offset without a table, metres for each axis: about that of MediaPipe and ICT."""
_FOLDER = Path(__file__).parent / "calibration"
MIRRORED = [
    *range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, *range(35, 30, -1), 45, 44, 43, 42, 47, 46, 39, 38, 37, 36,
    41, 40, 54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65,
]  # fmt: skip
"""Each of the 68 landmarks' counterpart on the face's other side."""


def calibration_path(model_name: str) -> Path:
    """The path of a model's table."""
    return _FOLDER / f"{Path(model_name).name}.json"


def read_calibration(model_name: str) -> tuple[Float[Tensor, "68 3"], float]:
    """Mean offset (head frame, metres) and its standard deviation over people (metres for each axis)."""
    path = calibration_path(model_name)
    if not path.exists():
        return torch.zeros(68, 3), UNKNOWN_SPREAD
    table = json.loads(path.read_text())
    return torch.tensor(table["millimetres"]) / 1000, table["spread_millimetres"] / 1000


def write_calibration(path: Path, mean: Float[Tensor, "68 3"], spread: float, num_actors: int) -> None:
    """Write a table.

    Args:
        path: From ``calibration_path``.
        mean: Mean offset, metres.
        spread: Standard deviation over people, metres.
        num_actors: Number of people.
    """
    rows = ",\n  ".join(json.dumps([round(value, 2) for value in row]) for row in (mean * 1000).tolist())
    text = (
        f'{{\n "detector": "MediaPipe face_landmarker",\n "actors": {num_actors},\n'
        f' "spread_millimetres": {spread * 1000:.2f},\n "millimetres": [\n  {rows}\n ]\n}}\n'
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing_file(path) as temporary:
        temporary.write_text(text)


DEVIATION = 0.15
"""Standard deviation of a coefficient in [0, 1] from the detector's value: the network's error on new faces."""
NEUTRAL_DEVIATION = 0.06
"""The same for brows and eyes in frames that are labelled neutral, where the value is due to the face's shape."""
UNSEEN_DEVIATION = 0.04
UNSEEN = {"cheekPuff", "jawForward", "mouthShrugLower", "mouthShrugUpper", "cheekSquint", "tongueOut"}
"""Expressions that hardly move a landmark in the image: a fit of landmarks would use them to explain other errors."""
FAST = re.compile(r"eyeBlink|eyeLook|eyeSquint|eyeWide|jaw|mouth")
"""Plosives and blinks last two or three frames; brows, cheeks and nose move more slowly."""
FAST_SMOOTHNESS = 0.15
"""Relative to a slow expression's."""
REST_QUANTILE = 0.1
"""Quantile of a person's frames; lower coefficients count as noise around rest."""
ENOUGH_NEUTRAL = 10
"""Frames."""
LEAST_RANGE = 0.3
"""Least range of a blendshape above rest, for the rescaling to [0, 1]."""
BIASED = re.compile(r"brow|eyeLook|eyeSquint|eyeWide")
BIASED_LIMIT, OTHER_LIMIT = 0.6, 0.2
"""Largest value that counts as bias: a smile throughout a clip is not bias."""


@dataclass(frozen=True)
class BlendshapePrior(Tensors):
    """Mean and strength of the prior of the expression coefficients."""

    mean: Float[Tensor, "N E"]
    deviation: Float[Tensor, "N E"]
    acceleration: Float[Tensor, " E"]
    """Smoothness of each expression over time, relative to a slow one's."""


def neutral_blendshapes(observations: Observations, known: Bool[Tensor, " N"]) -> Float[Tensor, " 52"]:
    """The detector's blendshapes of this person's face at rest, which are a bias (raised brows, a lowered gaze).

    They are measured in frames that are labelled neutral. Without such frames, a low quantile over all frames is used,
    within limits.

    Args:
        observations: Of all frames of all clips.
        known: Frames with blendshapes.
    """
    blendshapes = observations.blendshapes
    if not bool(known.any()):
        return torch.zeros(blendshapes.shape[1])
    biased = torch.tensor([bool(BIASED.match(name)) for name in ARKIT_NAMES])
    neutral = known & (observations.is_neutral > 0)
    if int(neutral.sum()) >= ENOUGH_NEUTRAL:
        calm = blendshapes[neutral]
        return torch.where(biased, calm.median(0).values, calm.quantile(REST_QUANTILE, dim=0))
    rest = blendshapes[known].quantile(REST_QUANTILE, dim=0)
    return torch.minimum(rest, torch.where(biased, BIASED_LIMIT, OTHER_LIMIT))


def blendshape_prior(
    observations: Observations, expression_names: tuple[str, ...], bounds: Float[Tensor, "E 2"]
) -> BlendshapePrior:
    """Map the detector's blendshapes, minus the person's rest, to a model's expressions.

    Expressions that the detector does not have (all of FLAME's) and frames without blendshapes have a mean of zero and
    twice the deviation.
    """
    blendshapes = observations.blendshapes
    known = (blendshapes.sum(1) > 0) & (observations.confidence > 0)
    rest = neutral_blendshapes(observations, known)
    moved = ((blendshapes - rest) / (1 - rest).clamp(min=LEAST_RANGE)).clamp(min=0)
    mean = torch.zeros(len(blendshapes), len(expression_names))
    deviation = torch.full_like(mean, 2 * DEVIATION)
    for column, name in enumerate(expression_names):
        arkit = arkit_name(name)
        if arkit in ARKIT_NAMES:
            mean[known, column] = moved[known, ARKIT_NAMES.index(arkit)]
            deviation[known, column] = DEVIATION
            if BIASED.match(name):
                deviation[known & (observations.is_neutral > 0), column] = NEUTRAL_DEVIATION
        if re.sub(r"_[LR]$", "", name) in UNSEEN:
            deviation[:, column] = UNSEEN_DEVIATION
    reach = bounds.abs().amax(1)
    scale = torch.tensor([1.0 / FAST_SMOOTHNESS**0.5 if FAST.match(name) else 1.0 for name in expression_names])
    return BlendshapePrior(mean.clamp(bounds[:, 0], bounds[:, 1]), deviation * reach, scale * reach)
