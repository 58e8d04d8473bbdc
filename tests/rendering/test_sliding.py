from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from readavatar.rendering.window_filters import grown, local_mean, mean_of_points


@pytest.mark.parametrize("radius", [0, 1, 5, 18, 60])
def test_a_mask_grows_as_under_max_pooling(radius):
    mask = (torch.rand(2, 1, 40, 57, generator=torch.Generator().manual_seed(radius)) > 0.995).float()
    side = 2 * radius + 1
    rows = F.max_pool2d(F.pad(mask, (radius,) * 4), (1, side), stride=1)
    assert torch.equal(grown(mask, radius), F.max_pool2d(rows, (side, 1), stride=1))


def test_the_local_mean_is_of_what_lies_in_the_image():
    values = torch.rand(2, 3, 20, 31, generator=torch.Generator().manual_seed(0))
    pooled = F.avg_pool2d(values, 11, stride=1, padding=5, count_include_pad=False)
    torch.testing.assert_close(local_mean(values, 5), pooled)


@pytest.mark.parametrize("supersampling", [1, 2, 3])
def test_the_mean_of_a_pixels_points_is_that_of_pooling(supersampling):
    values = torch.rand(2, 3, 12, 18, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(mean_of_points(values, supersampling), F.avg_pool2d(values, supersampling))
