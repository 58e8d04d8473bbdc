from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny_face import tiny_inputs

from readavatar.appearance.augmentation import choose_crops
from readavatar.appearance.losses import AppearanceObjective, BandFeatures, GazeLoss, Rendered
from readavatar.appearance.settings import LossWeights
from readavatar.data.datasets.appearance_batches import AppearanceBatch
from readavatar.errors import UserError

WEIGHTS = LossWeights(mouth_inside=1.0, temporal=1.0)


@pytest.fixture
def setting():
    torch.manual_seed(0)
    inputs = tiny_inputs()
    shape = (len(inputs.paint_mask), 3, 48, 48)
    whole = AppearanceBatch(inputs, torch.rand(shape), torch.zeros(len(inputs.paint_mask), dtype=torch.bool))
    return AppearanceObjective(WEIGHTS, BandFeatures(2), None), whole, torch.rand(shape, requires_grad=True)


def _judged(objective: AppearanceObjective, whole: AppearanceBatch, image: torch.Tensor) -> dict[str, float]:
    crops = choose_crops(whole.inputs, None, {}, consecutive=2)
    rendered = Rendered(crops.cut(whole), crops.cut_images(image), crops.cut_images(whole.inputs.paint_mask))
    total, values = objective(rendered, whole, crops, 0)
    image.grad = None
    total.backward()
    return {name: float(value) for name, value in values.items()}


def test_filmed_frames_are_held_against_their_footage(setting):
    objective, whole, image = setting
    values = _judged(objective, whole, image)
    assert min(values[name] for name in ("photometric", "features", "matching", "temporal")) > 0


def test_driven_frames_only_have_the_discriminators_loss(setting):
    objective, whole, image = setting
    values = _judged(objective, replace(whole, is_driven=torch.ones(len(image), dtype=torch.bool)), image)
    assert {name for name, value in values.items() if value != 0} == {"adversarial"}
    assert image.grad.abs().sum() > 0


def test_one_driven_frame_changes_nothing_for_the_others(setting):
    objective, whole, image = setting
    mixed = replace(whole, is_driven=torch.arange(len(image)) == 1)
    other = replace(mixed, frames=torch.cat([whole.frames[:1], torch.rand_like(whole.frames[1:])]))
    first, second = _judged(objective, mixed, image), _judged(objective, other, image)
    assert first["temporal"] == 0  # of a pair with one frame that was never filmed, no change is known
    assert first["photometric"] == pytest.approx(second["photometric"])
    assert first["matching"] == pytest.approx(second["matching"])


class _Brightness(torch.nn.Module):
    """An expert to whom bright pictures look up and to the left; it keeps what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[torch.Tensor] = []

    def forward(self, images, placement):
        self.shown.append(images)
        return images.mean((2, 3))[:, :2]


def test_only_filmed_frames_have_a_gaze_loss(setting):
    _, whole, image = setting
    expert = _Brightness()
    objective = AppearanceObjective(replace(WEIGHTS, gaze=1.0), BandFeatures(2), GazeLoss(expert))
    whole = replace(whole, is_driven=torch.arange(len(image)) == 1)
    assert _judged(objective, whole, image)["gaze"] > 0
    real, rendered = expert.shown
    torch.testing.assert_close(real, whole.frames[~whole.is_driven])
    assert (rendered != real).any((1, 2, 3)).all()


def test_a_weight_without_its_expert_is_refused(setting):
    _, whole, image = setting
    with pytest.raises(UserError, match="'gaze'"):
        _judged(AppearanceObjective(replace(WEIGHTS, gaze=1.0), BandFeatures(2), None), whole, image)
