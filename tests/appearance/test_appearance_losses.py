from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from readavatar.appearance.losses import (
    BandFeatures,
    flicker,
    masked_mean,
    photometric_difference,
)
from readavatar.appearance.networks import PatchDiscriminator
from readavatar.optimization.losses import feature_matching_loss, r1_penalty


@pytest.fixture
def images() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    image = F.interpolate(torch.rand(2, 3, 24, 24, generator=generator), 48, mode="bicubic").clamp(0, 1)
    return image, torch.rand(2, 3, 48, 48, generator=generator), torch.ones(2, 1, 48, 48)


def test_losses_are_zero_at_identity(images):
    image, _, mask = images
    assert photometric_difference(image, image).abs().max() == 0
    assert BandFeatures()(image, image, mask) == 0
    assert flicker(image, image, mask) == 0
    features = PatchDiscriminator(8)(image)
    others = [[layer.flip(0) for layer in layers] for layers in features]
    both, first = torch.tensor([True, True]), torch.tensor([True, False])
    assert feature_matching_loss(features, features, both) == 0 < feature_matching_loss(features, others, both)
    others = [
        [torch.cat([ours[:1], theirs[1:]]) for ours, theirs in zip(*pair, strict=True)]
        for pair in zip(features, others, strict=True)
    ]
    assert feature_matching_loss(features, others, first) == 0 == feature_matching_loss(features, others, ~both)


def test_gradients_are_finite_even_at_identity(images):
    image, other, mask = images
    for target in (image, other, torch.zeros_like(image)):
        predicted = image.clone().requires_grad_(True)
        (BandFeatures()(predicted, target, mask) + photometric_difference(predicted, target).mean()).backward()
        assert predicted.grad.isfinite().all()


def test_a_mean_over_a_part_has_its_hand_value():
    values, mask = torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4)
    values[..., 0, :2], mask[..., 0, :4] = 1.0, 1.0
    assert masked_mean(values, mask) == 0.5
    assert masked_mean(values, torch.zeros_like(mask)) == 0


def test_band_features_prefer_shifted_detail_to_none(images):
    _, noise, mask = images
    target = F.avg_pool2d(noise, 3, 1, 1)
    shifted = target.roll(1, -1)
    blurred = F.avg_pool2d(target, 9, 1, 4, count_include_pad=False)
    loss = BandFeatures()
    photometric = [photometric_difference(each, target).mean() for each in (shifted, blurred)]
    features = [loss(each, target, mask) for each in (shifted, blurred)]
    assert features[0] / features[1] < photometric[0] / photometric[1]


def test_band_features_look_inside_the_mask_only(images):
    image, other, _ = images
    mask = torch.zeros(2, 1, 48, 48)
    mask[..., :16, :] = 1
    outside = torch.cat([image[..., :32, :], other[..., 32:, :]], -2)
    assert BandFeatures(levels=1)(outside, image, mask) == 0


def test_steady_differences_do_not_flicker():
    target = torch.rand(4, 3, 8, 8)
    mask = torch.ones(4, 1, 8, 8)
    assert flicker(target + 0.1, target, mask) == pytest.approx(0, abs=1e-6)
    blinking = target.clone()
    blinking[1::2] += 0.1
    assert flicker(blinking, target, mask).item() == pytest.approx(0.1, abs=1e-5)


def test_the_gradient_penalty_trains_the_discriminator(images):
    image, _, _ = images
    discriminator = PatchDiscriminator(8, scales=1)
    image.requires_grad_(True)
    penalty = r1_penalty(discriminator(image), image)
    penalty.backward()
    assert penalty > 0
    assert all(parameter.grad is not None for parameter in discriminator.discriminators[0][0].parameters())
