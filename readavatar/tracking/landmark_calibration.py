"""Tables of the offset between the detector's 68 landmarks and a model's, measured on faces with known geometry.

``python -m readavatar.benchmarks.tracking.calibrate_landmarks MODEL`` makes a table. For a model without one, the
offset is taken to be zero.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from readavatar.files import replacing_file

UNKNOWN_SPREAD = 0.002
"""Metres an axis, where nothing was measured: MediaPipe's points lie so far from ICT's."""
_FOLDER = Path(__file__).parent / "calibration"
MIRRORED = [
    *range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, *range(35, 30, -1), 45, 44, 43, 42, 47, 46, 39, 38, 37, 36,
    41, 40, 54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65,
]  # fmt: skip


"""Each of the 68 landmarks' counterpart on the face's other side."""


def calibration_path(model_name: str) -> Path:
    """The table of a model."""
    return _FOLDER / f"{Path(model_name).name}.json"


def read_calibration(model_name: str) -> tuple[Float[Tensor, "68 3"], float]:
    """Mean displacement (head frame, metres) and how far people differ from it (metres an axis)."""
    path = calibration_path(model_name)
    if not path.exists():
        return torch.zeros(68, 3), UNKNOWN_SPREAD
    table = json.loads(path.read_text())
    return torch.tensor(table["millimetres"]) / 1000, table["spread_millimetres"] / 1000


def write_calibration(path: Path, mean: Float[Tensor, "68 3"], spread: float, num_actors: int) -> None:
    """Write a table.

    Args:
        path: Of ``calibration_path``.
        mean: Metres.
        spread: Metres.
        num_actors: How many people it is the mean of.
    """
    rows = ",\n  ".join(json.dumps([round(value, 2) for value in row]) for row in (mean * 1000).tolist())
    text = (
        f'{{\n "detector": "MediaPipe face_landmarker",\n "actors": {num_actors},\n'
        f' "spread_millimetres": {spread * 1000:.2f},\n "millimetres": [\n  {rows}\n ]\n}}\n'
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing_file(path) as temporary:
        temporary.write_text(text)
