"""Which detector landmark is which."""

from __future__ import annotations

import torch

from readavatar.detection import ARKIT_NAMES, IRIS_LEFT, IRIS_RIGHT, LANDMARKS_68, to_landmarks_68
from readavatar.morphable import EXPRESSION_NAMES, arkit_name


def test_the_52_blendshapes_are_arkits_without_the_tongue():
    assert len(ARKIT_NAMES) == len(set(ARKIT_NAMES)) == 52
    assert ARKIT_NAMES[0] == "_neutral" and ARKIT_NAMES[9:11] == ("eyeBlinkLeft", "eyeBlinkRight")
    assert "tongueOut" not in ARKIT_NAMES


def test_every_expression_name_has_a_blendshape():
    assert {arkit_name(name) for name in EXPRESSION_NAMES} == set(ARKIT_NAMES) - {"_neutral"}


def test_the_68_landmarks_are_distinct_and_no_irises():
    assert len(LANDMARKS_68) == len(set(LANDMARKS_68)) == 68
    assert not set(LANDMARKS_68) & {*IRIS_LEFT, *IRIS_RIGHT}


def test_68_landmarks_are_picked_from_478_and_left_alone_otherwise():
    points = torch.rand(3, 478, 2)
    picked = to_landmarks_68(points)
    assert torch.equal(picked[:, 30], points[:, 4]) and torch.equal(to_landmarks_68(picked), picked)
