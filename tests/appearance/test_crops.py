from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny_face import tiny_inputs

from readavatar.appearance.augmentation import choose_crops
from readavatar.appearance.settings import OptimizationSettings
from readavatar.data.datasets.appearance_clips import AppearanceBatch
from readavatar.errors import UserError


def _batch(supersampling=1):
    inputs = tiny_inputs(supersampling=supersampling)
    return AppearanceBatch(inputs, torch.rand(len(inputs.paint_mask), 3, 48, 48), torch.tensor([True, False]))


def test_crops_cut_everything_alike():
    torch.manual_seed(0)
    batch = _batch()
    crops = choose_crops(batch.inputs, 20, {})
    cut = crops.cut(replace(batch, frames=batch.inputs.uvs.repeat(1, 2, 1, 1)[:, :3]))
    assert torch.equal(cut.is_driven, batch.is_driven)
    assert torch.equal(cut.frames[:, :2], cut.inputs.uvs) and cut.inputs.context.shape == (2, 3, 20, 20)
    assert cut.inputs.paint_mask.sum() > 0


def test_a_crop_takes_all_points_of_its_pixels():
    torch.manual_seed(0)
    batch = _batch(supersampling=2)
    crops = choose_crops(batch.inputs, 20, {})
    cut = crops.cut(batch)
    assert cut.inputs.supersampling == 2 and cut.inputs.uvs.shape == (2, 2, 40, 40)
    averaged = crops.cut_images(batch.inputs.averaged(batch.inputs.uvs))
    torch.testing.assert_close(cut.inputs.averaged(cut.inputs.uvs), averaged)


def test_pasting_what_was_cut_gives_the_frames_back_and_lets_gradients_through():
    torch.manual_seed(1)
    batch = _batch()
    crops = choose_crops(batch.inputs, 16, {"mouth": 0.5})
    cut = crops.cut_images(batch.frames).requires_grad_(True)
    whole = crops.paste(cut, batch.frames)
    assert torch.equal(whole, batch.frames)
    whole.sum().backward()
    assert (cut.grad == 1).all()


def test_attended_crops_hold_their_part():
    torch.manual_seed(2)
    batch = _batch()
    for part in ("mouth", "eyes"):
        for _ in range(8):
            cut = choose_crops(batch.inputs, 16, {part: 1.0}).cut(batch).inputs
            assert (cut.part(part).sum((1, 2, 3)) > 0).all()


@pytest.mark.parametrize("attention", [{"nose": 0.1}, {"mouth": 0.6, "eyes": 0.6}, {"mouth": -0.1}])
def test_attention_is_shares_of_known_parts(attention):
    with pytest.raises(UserError, match="shares of mouth, eyes"):
        OptimizationSettings(attention=attention)


def test_neighbours_share_a_window_and_others_do_not():
    torch.manual_seed(3)
    inputs = tiny_inputs().frames(torch.tensor([0, 0, 1, 1]))
    windows = choose_crops(inputs, 12, {}, consecutive=2).windows
    assert windows[0] == windows[1] and windows[2] == windows[3] and windows[0] != windows[2]


def test_frames_smaller_than_the_crop_are_taken_as_far_as_there_is_something_to_paint():
    inputs = tiny_inputs()
    (first, *others) = choose_crops(inputs, None, {}).windows
    assert all(window == first for window in others)
    assert choose_crops(inputs, 4096, {}).windows[0] == first
