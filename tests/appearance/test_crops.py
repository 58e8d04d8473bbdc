from __future__ import annotations

import torch
from tiny_face import tiny_inputs

from readavatar.appearance.crops import choose_crops
from readavatar.data.appearance_clips import AppearanceBatch


def _batch():
    inputs = tiny_inputs()
    return AppearanceBatch(inputs, torch.rand(len(inputs.hole), 3, 48, 48))


def test_crops_cut_everything_alike():
    torch.manual_seed(0)
    batch = _batch()
    crops = choose_crops(batch.inputs, 20, 0.0)
    cut = crops.cut(AppearanceBatch(batch.inputs, batch.inputs.uvs.repeat(1, 2, 1, 1)[:, :3]))
    assert torch.equal(cut.frames[:, :2], cut.inputs.uvs) and cut.inputs.context.shape == (2, 3, 20, 20)
    assert cut.inputs.hole.sum() > 0


def test_pasting_what_was_cut_gives_the_frames_back_and_lets_gradients_through():
    torch.manual_seed(1)
    batch = _batch()
    crops = choose_crops(batch.inputs, 16, 0.5)
    cut = crops.cut_images(batch.frames).requires_grad_(True)
    whole = crops.paste(cut, batch.frames)
    assert torch.equal(whole, batch.frames)
    whole.sum().backward()
    assert (cut.grad == 1).all()


def test_attended_crops_hold_the_mouth_or_the_eyes():
    torch.manual_seed(2)
    inputs = _batch().inputs
    for _ in range(8):
        cut = choose_crops(inputs, 16, 1.0).cut(AppearanceBatch(inputs, inputs.context)).inputs
        assert ((cut.part("mouth") + cut.part("eyes")).sum((1, 2, 3)) > 0).all()


def test_neighbours_share_a_window_and_others_do_not():
    torch.manual_seed(3)
    inputs = tiny_inputs().frames(torch.tensor([0, 0, 1, 1]))
    windows = choose_crops(inputs, 12, 0.0, consecutive=2).windows
    assert windows[0] == windows[1] and windows[2] == windows[3] and windows[0] != windows[2]


def test_frames_smaller_than_the_crop_are_taken_as_far_as_there_is_something_to_paint():
    inputs = tiny_inputs()
    (first, *others) = choose_crops(inputs, None, 0.5).windows
    assert all(window == first for window in others)
    assert choose_crops(inputs, 4096, 0.5).windows[0] == first
