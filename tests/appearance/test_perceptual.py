"""The feature loss on VGG16, on random weights unless a test says otherwise, and the choice among feature losses."""

from __future__ import annotations

import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from readavatar.appearance.losses import BandFeatures, FeatureLoss
from readavatar.appearance.perceptual import VggFeatures, load_feature_loss, random_squares
from readavatar.assets import find_asset
from readavatar.errors import UserError
from readavatar.metrics.lpips import ARCHITECTURES, Lpips


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    generator, channels, weights, compared = torch.Generator().manual_seed(0), 3, {}, 0
    for index, layer in enumerate(ARCHITECTURES["vgg"].layers):
        kernel = torch.randn(layer.channels, channels, 3, 3, generator=generator)
        weights[f"kernel{index}"] = kernel * (2 / (9 * channels)) ** 0.5
        weights[f"bias{index}"] = 0.1 * torch.randn(layer.channels, generator=generator)
        channels = layer.channels
        if layer.is_compared:
            weights[f"linear{compared}"] = torch.rand(channels, generator=generator) / channels
            compared += 1
    return weights


@pytest.fixture
def images() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    image = F.interpolate(torch.rand(2, 3, 24, 24, generator=generator), 48, mode="bicubic").clamp(0, 1)
    return image, torch.rand(2, 3, 48, 48, generator=generator), torch.ones(2, 1, 48, 48)


def test_over_whole_images_and_all_layers_it_is_lpips(weights, images):
    image, other, mask = images
    expected = Lpips("vgg", weights)(image, other).mean()
    assert VggFeatures(weights, num_features=5, crop=None)(image, other, mask) == pytest.approx(expected.item(), 1e-3)


def test_it_is_zero_at_identity_and_its_gradient_finite_everywhere(weights, images):
    image, other, mask = images
    loss = VggFeatures(weights, crop=32)
    assert loss(image, image, mask) == 0
    for target in (image, other, torch.zeros_like(image)):
        for start in (image, torch.zeros_like(image)):
            predicted = start.clone().requires_grad_(True)
            loss(predicted, target, mask).backward()
            assert predicted.grad.isfinite().all()


def test_only_the_rendered_image_gets_a_gradient(weights, images):
    predicted, target = (image.clone().requires_grad_(True) for image in images[:2])
    VggFeatures(weights, crop=None)(predicted, target, images[2]).backward()
    assert predicted.grad.abs().sum() > 0 and target.grad is None


def test_what_lies_far_outside_the_mask_counts_nothing(weights, images):
    image, other, mask = images
    mask = mask.clone()
    mask[..., 16:, :] = 0
    outside = torch.cat([image[..., :32, :], other[..., 32:, :]], -2)
    loss = VggFeatures(weights, num_features=1, crop=None)
    assert loss(outside, image, mask) == 0
    assert loss(outside, image, 1 - mask) > 0


def test_one_square_an_image_is_compared(weights, images):
    image, other, mask = images
    predicted = image.clone().requires_grad_(True)
    VggFeatures(weights, crop=16)(predicted, other, mask).backward()
    for gradient in predicted.grad:
        rows, columns = (gradient.abs().sum((0, axis)).nonzero()[:, 0] for axis in (2, 1))
        assert 8 < rows[-1] - rows[0] + 1 <= 16 and 8 < columns[-1] - columns[0] + 1 <= 16


def test_squares_are_centred_in_the_mask_and_lie_in_the_image():
    mask = torch.zeros(3, 1, 40, 60)
    mask[0, :, 20, 30], mask[1, :, 0, 59] = 1, 1
    for _ in range(5):
        middle, corner, anywhere = random_squares(mask, 16)
        assert middle == (slice(12, 28), slice(22, 38))
        assert corner == (slice(0, 16), slice(44, 60))
        assert all(span.start >= 0 and span.stop - span.start == 16 for span in anywhere)
    assert random_squares(mask, 50)[0] == (slice(0, 40), slice(5, 55))


def test_the_focus_says_where_to_look(weights, images):
    image, other, mask = images
    focus = torch.zeros_like(mask)
    focus[..., 8, 8] = 1
    predicted = image.clone().requires_grad_(True)
    VggFeatures(weights, crop=16)(predicted, other, mask, focus).backward()
    assert predicted.grad[..., :16, :16].abs().sum() > 0
    assert predicted.grad[..., 16:, :].abs().sum() == predicted.grad[..., :, 16:].abs().sum() == 0


def test_half_precision_gives_about_the_same(weights, images):
    image, _, mask = images
    target = (image + 0.05 * torch.randn(image.shape, generator=torch.Generator().manual_seed(1))).clamp(0, 1)
    loss, values = VggFeatures(weights, crop=None), []
    for enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            values.append(loss(image, target, mask))
    assert values[1].dtype == torch.float32 and values[1] == pytest.approx(values[0].item(), rel=0.05)


def test_no_checkpoint_holds_the_network(weights):
    loss = VggFeatures(weights)
    assert not loss.state_dict() and not list(loss.parameters())
    assert isinstance(loss, FeatureLoss)


@pytest.fixture
def without_assets(tmp_path, monkeypatch):
    monkeypatch.setenv("READAVATAR_CACHE", str(tmp_path))
    monkeypatch.delenv("READAVATAR_ASSETS", raising=False)


def test_without_the_weights_vgg_names_the_command_and_auto_takes_the_bands(without_assets):
    with pytest.raises(UserError, match="readavatar assets get lpips_vgg"):
        load_feature_loss("vgg")
    with pytest.warns(UserWarning, match="readavatar assets get lpips_vgg") as warned:
        assert isinstance(load_feature_loss("auto"), BandFeatures)
    assert len(warned) == 1


def test_bands_need_no_file_and_say_nothing(without_assets):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert isinstance(load_feature_loss("bands"), BandFeatures)


def test_an_unknown_feature_loss_raises():
    with pytest.raises(UserError, match="'vgg99'"):
        load_feature_loss("vgg99")


def test_with_the_published_weights_blur_is_worse_than_its_l1_says():
    if find_asset("lpips_vgg") is None:
        pytest.skip("the asset lpips_vgg is not here: readavatar assets get lpips_vgg")
    loss = load_feature_loss("auto", crop=None)
    assert isinstance(loss, VggFeatures)
    noise = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    target, mask = F.avg_pool2d(noise, 3, 1, 1), torch.ones(2, 1, 64, 64)
    shifted, blurred = target.roll(1, -1), F.avg_pool2d(target, 7, 1, 3, count_include_pad=False)
    features, photometric = (
        [float(distance(each)) for each in (shifted, blurred)]
        for distance in (lambda image: loss(image, target, mask), lambda image: (image - target).abs().mean())
    )
    assert features[1] / features[0] > 1.5 * photometric[1] / photometric[0]
