"""PSNR and SSIM on hand values."""

import pytest
import torch

from readavatar.metrics import psnr, ssim


def _image(seed=0, size=24):
    return torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(seed))


def _mask(size=24):
    mask = torch.zeros(2, 1, size, size)
    mask[0, :, 4:12, 4:12] = 1
    mask[1, :, 10:20, 2:9] = 1
    return mask


def test_psnr_of_a_tenth_off_is_twenty_decibels():
    image = _image() * 0.8
    torch.testing.assert_close(psnr(image + 0.1, image), torch.tensor([20.0, 20.0]))


def test_equal_images_have_infinite_psnr_and_ssim_one():
    image = _image()
    assert torch.isinf(psnr(image, image)).all()
    torch.testing.assert_close(ssim(image, image), torch.ones(2))


def test_what_lies_outside_a_mask_does_not_count():
    image, mask = _image(), _mask()
    changed = image + 0.1 * mask + 0.7 * (1 - mask)
    torch.testing.assert_close(psnr(changed, image, mask), torch.tensor([20.0, 20.0]))
    far_from_mask = image.clone()
    far_from_mask[0, :, 20:, 20:] = 0
    torch.testing.assert_close(ssim(far_from_mask, image, mask), torch.ones(2))


def test_an_empty_mask_gives_nan_for_its_image_alone():
    image, mask = _image(), _mask()
    mask[1] = 0
    for metric in (psnr, ssim):
        values = metric(image * 0.9, image, mask)
        assert torch.isfinite(values[0]) and torch.isnan(values[1])


def test_ssim_of_constant_images_is_its_luminance_term():
    bright, dark = torch.full((1, 3, 20, 20), 0.8), torch.full((1, 3, 20, 20), 0.4)
    expected = (2 * 0.8 * 0.4 + 1e-4) / (0.8**2 + 0.4**2 + 1e-4)
    assert ssim(bright, dark).item() == pytest.approx(expected, abs=1e-4)


def test_a_worse_image_scores_worse_and_gradients_improve_it():
    image = _image()
    for metric in (psnr, ssim):
        noisy = (image + 0.1 * torch.randn(image.shape, generator=torch.Generator().manual_seed(1))).requires_grad_()
        value = metric(noisy, image).mean()
        (gradient,) = torch.autograd.grad(value, noisy)
        assert metric(noisy.detach() + 0.01 * gradient / gradient.abs().mean(), image).mean() > value


def test_ssim_is_the_same_under_autocast():
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(1, 3, 32, 32, generator=generator) * 0.1 + 0.5
    predicted = target + 0.01 * torch.randn(target.shape, generator=generator)
    with torch.autocast("cpu", torch.bfloat16):
        inside = ssim(predicted, target)
    assert torch.equal(inside, ssim(predicted, target))
