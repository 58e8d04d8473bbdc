"""What the detector's blendshapes say of expressions, less a person's own rest."""

from __future__ import annotations

import pytest
import torch

from readavatar.data.datasets.tracking import Observations
from readavatar.detection.landmark_sets import ARKIT_NAMES
from readavatar.tracking.detector_priors import DEVIATION, UNSEEN_DEVIATION, BlendshapePrior, blendshape_prior

NUM_FRAMES = 60


def prior_of(
    blendshapes: dict[str, torch.Tensor], names: tuple[str, ...], neutral: torch.Tensor | None = None
) -> BlendshapePrior:
    values = torch.zeros(NUM_FRAMES, 52)
    values[:, ARKIT_NAMES.index("mouthPucker")] = 0.01  # a frame of zeros is one without blendshapes
    for name, curve in blendshapes.items():
        values[:, ARKIT_NAMES.index(name)] = curve
    ones = torch.ones(NUM_FRAMES)
    observations = Observations(
        torch.rand(NUM_FRAMES, 68, 2), torch.rand(NUM_FRAMES, 2, 2), ones, values, ones,
        torch.zeros(NUM_FRAMES) if neutral is None else neutral, torch.zeros(NUM_FRAMES).long(),
        torch.full((1, 2), 0.5), torch.ones(1),
    )  # fmt: skip
    return blendshape_prior(observations, names, torch.tensor([[0.0, 1.0]]).expand(len(names), 2))


def test_blendshapes_reach_both_halves_of_a_symmetric_shape_and_unseen_ones_are_held_tight():
    raised = torch.zeros(NUM_FRAMES)
    raised[:10] = 0.7
    names = ("browInnerUp_L", "browInnerUp_R", "cheekPuff_L", "expression_000")
    prior = prior_of({"browInnerUp": raised}, names)
    torch.testing.assert_close(prior.mean[0], torch.tensor([0.7, 0.7, 0.0, 0.0]))
    torch.testing.assert_close(
        prior.deviation[0], torch.tensor([DEVIATION, DEVIATION, UNSEEN_DEVIATION, 2 * DEVIATION])
    )


def test_a_frame_without_blendshapes_is_held_loosely_near_rest():
    names = ("jawOpen",)
    values = torch.zeros(NUM_FRAMES)
    values[:30] = 0.5
    prior = prior_of({"jawOpen": values, "mouthPucker": values}, names)
    assert prior.deviation[0, 0] == DEVIATION and prior.deviation[40, 0] == 2 * DEVIATION and prior.mean[40, 0] == 0


def test_what_a_face_has_at_rest_is_no_expression():
    brows = torch.full((NUM_FRAMES,), 0.4)
    brows[30:] = 0.7
    prior = prior_of({"browOuterUpLeft": brows}, ("browOuterUp_L",))
    torch.testing.assert_close(prior.mean[0, 0], torch.tensor(0.0))
    torch.testing.assert_close(prior.mean[-1, 0], torch.tensor(0.5))  # 0.3 of the 0.6 that were left


def test_frames_labelled_neutral_tell_more_than_a_low_quantile():
    brows = torch.full((NUM_FRAMES,), 0.2)
    brows[:20] = 0.5  # at rest; a frown lowers the brows below it
    neutral = (torch.arange(NUM_FRAMES) < 20).float()
    blendshapes = {"browOuterUpLeft": brows}
    assert prior_of(blendshapes, ("browOuterUp_L",)).mean[0, 0] > 0.3
    assert prior_of(blendshapes, ("browOuterUp_L",), neutral).mean[0, 0] == pytest.approx(0, abs=1e-6)


def test_a_smile_held_through_all_of_a_clip_survives():
    prior = prior_of({"mouthSmileLeft": torch.full((NUM_FRAMES,), 0.8)}, ("mouthSmile_L",))
    assert prior.mean.min() > 0.7
