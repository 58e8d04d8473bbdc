"""The rendered crop lands where it was cut from."""

import pytest
import torch

from readavatar.data.store import Crop
from readavatar.directing.footage import composite


def _ramp(height, width):
    """An image that is linear in the pixel's position, so that any resampling in place gives it back."""
    x = (torch.arange(width) + 0.5) / width
    y = (torch.arange(height) + 0.5) / height
    return torch.stack([x.expand(height, width), y[:, None].expand(height, width), torch.full((height, width), 0.5)])


@pytest.mark.parametrize("size", [20, 40, 80])
def test_a_crop_put_back_changes_nothing(size):
    source = _ramp(60, 90)
    crop = Crop(left=21.0, top=8.0, size=40.0)
    positions = crop.clip_to_source(
        torch.stack(torch.meshgrid(*[torch.arange(size) + 0.5] * 2, indexing="xy"), -1), size
    )
    cut = torch.stack([positions[..., 0] / 90, positions[..., 1] / 60, torch.full((size, size), 0.5)])
    blended = composite(source, cut, torch.ones(1, size, size), crop)
    # Bicubic taps reach two of the crop's pixels, so only its inside is the ramp to the last digit.
    assert (blended - source)[:, 13:43, 26:56].abs().max() < 2e-3


def test_pixels_without_alpha_stay_to_the_bit():
    source = torch.rand(3, 32, 32)
    alpha = torch.zeros(1, 16, 16)
    alpha[:, 4:12, 4:12] = 1
    blended = composite(source, torch.ones(3, 16, 16), alpha, Crop(0.0, 0.0, 32.0))
    changed = (blended != source).any(0)
    assert changed[10:22, 10:22].all()
    assert not changed[:5].any() and not changed[:, 27:].any()


def test_a_crop_that_leaves_the_source_is_cut_at_its_edge():
    source = torch.zeros(3, 20, 20)
    blended = composite(source, torch.ones(3, 16, 16), torch.ones(1, 16, 16), Crop(-8.0, 12.0, 16.0))
    assert blended[:, 12:, :8].min() == 1
    assert blended[:, :12].max() == 0 and blended[:, :, 8:].max() == 0
