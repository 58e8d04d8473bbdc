"""The shape annotations are checked while the tests run."""

import pytest
import torch

from readavatar.types import FaceCoefficients


def test_a_wrong_shape_raises():
    good = {
        "shape_coefficients": torch.zeros(4),
        "expression_coefficients": torch.zeros(3, 5),
        "rotation": torch.zeros(3, 3),
        "translation": torch.zeros(3, 3),
        "gaze": torch.zeros(3, 2),
    }
    FaceCoefficients(**good)
    with pytest.raises(Exception, match="gaze"):
        FaceCoefficients(**{**good, "gaze": torch.zeros(2, 2)})
