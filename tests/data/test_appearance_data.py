from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny_face import tiny_model, tiny_tracking, write_tiny_clip

from readavatar.data.datasets import appearance as appearance_data
from readavatar.data.datasets import appearance_clips
from readavatar.data.datasets.appearance import AppearanceData, FrameOrder
from readavatar.data.datasets.appearance_clips import FitAugmentation
from readavatar.data.raster.packed_maps import PackedMaps, pack_maps
from readavatar.data.raster.render_inputs import (
    LEAST_JAW_REACH,
    MOST_JAW_REACH,
    MapSettings,
    build_render_inputs,
    build_render_maps,
    measure_jaw_reach,
    speech_windows,
)
from readavatar.errors import UserError


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    monkeypatch.setattr(appearance_data, "load_morphable_model", lambda name: tiny_model())


def _data(*clips, driven=None, **arguments) -> AppearanceData:
    settings = {"speech_encoder": "log_mel", "speech_window": 5, "batch_size": 2, "held_out_seconds": 0.1, **arguments}
    data = AppearanceData([str(clip) for clip in clips], **settings)
    if driven is not None:
        data.drive(driven)
    data.prepare_data()
    data.setup("fit")
    return data


@pytest.mark.parametrize("supersampling", [1, 2])
def test_packed_maps_unpack_to_what_was_packed(supersampling):
    maps = build_render_maps(tiny_tracking(5, 48), tiny_model(), (48, 48), MapSettings(supersampling=supersampling))
    chunks = [
        type(maps)(**{key: value[index] for key, value in vars(maps).items()}) for index in (slice(3), slice(3, 5))
    ]
    packed = PackedMaps(pack_maps(chunks))
    unpacked = packed.unpack([3, 0])
    for name in ("regions", "parts", "paint_mask"):
        assert torch.equal(getattr(unpacked, name), getattr(maps, name)[[3, 0]])
    torch.testing.assert_close(unpacked.uvs, maps.uvs[[3, 0]], atol=1e-5, rtol=0)
    torch.testing.assert_close(unpacked.normals, maps.normals[[3, 0]], atol=1e-2, rtol=0)
    assert unpacked.supersampling == supersampling
    assert sum(tensor.nbytes for tensor in packed.tensors.values()) < 5 * 48 * 48 * 8 * supersampling**2


def test_the_hole_depends_on_the_pose_and_not_on_the_mouth():
    face = tiny_tracking(2, 96)
    closed, wide = (
        replace(face, coefficients=replace(face.coefficients, expression_coefficients=torch.full((2, 1), opening)))
        for opening in (0.0, 1.0)
    )
    paint_masks = [build_render_maps(each, tiny_model(), (96, 96)).paint_mask for each in (closed, wide)]
    assert torch.equal(*paint_masks)
    # A face that is rendered with its mouth shut leaves no chin of an open one outside.
    assert (build_render_maps(wide, tiny_model(), (96, 96)).regions[:, None] > 0).float().le(paint_masks[0]).all()


def test_the_hole_reaches_as_far_down_as_the_persons_own_chin():
    face, model = tiny_tracking(4, 96), tiny_model()

    def reach(opening):
        expressions = torch.full((4, 1), opening)
        return measure_jaw_reach(
            replace(face, coefficients=replace(face.coefficients, expression_coefficients=expressions)), model
        )

    assert reach(0.0) == pytest.approx(LEAST_JAW_REACH) and reach(0.7) == pytest.approx(0.014, abs=1e-4)
    assert reach(3.0) == pytest.approx(MOST_JAW_REACH)
    little, far = (
        build_render_maps(face, model, (96, 96), MapSettings(jaw_reach=each)).paint_mask for each in (0.005, 0.02)
    )
    assert (little <= far).all() and little.sum() < far.sum()


def test_maps_lie_on_the_pixels_of_the_frames_at_every_size():
    face, model = tiny_tracking(1, 96), tiny_model()
    large, small = (build_render_maps(face, model, (size, size)) for size in (96, 48))
    halved = torch.nn.functional.avg_pool2d(large.uvs, 2)
    inside = torch.nn.functional.avg_pool2d((large.regions == 1).float()[None], 2)[:, :1] == 1
    difference = (halved - small.uvs).abs() * inside
    assert difference.mean() < 2e-4  # half a pixel of shift would give 60 times as much


def test_a_pixel_seen_at_four_points_is_their_mean_and_the_hole_is_the_same():
    face, model = tiny_tracking(2, 48), tiny_model()
    speech, frames = torch.zeros(2, 5, 3), torch.rand(2, 3, 48, 48)
    coarse, fine = (build_render_inputs(face, model, speech, frames, MapSettings(supersampling=n)) for n in (1, 2))
    assert torch.equal(coarse.paint_mask, fine.paint_mask) and torch.equal(coarse.context, fine.context)
    assert fine.uvs.shape == (2, 2, 96, 96) and (coarse.supersampling, fine.supersampling) == (1, 2)
    covered = fine.averaged((fine.regions > 0).float()[:, None])
    inside = (fine.averaged((fine.regions == 1).float()[:, None]) == 1) & (coarse.regions == 1)[:, None]
    assert ((fine.averaged(fine.uvs) - coarse.uvs).abs() * inside).mean() < 1e-4
    assert ((covered > 0) & (covered < 1)).any(), "an outline's pixels are covered in part"
    share = fine.part("mouth")
    assert ((share > 0) & (share < 1)).any() and share.sum() == pytest.approx(
        float(coarse.part("mouth").sum()), rel=0.1
    )


@pytest.mark.parametrize("supersampling", [0, 5])
def test_a_supersampling_out_of_range_raises(supersampling):
    with pytest.raises(UserError, match="from 1 to 4"):
        MapSettings(supersampling=supersampling)


def test_the_context_shows_nothing_of_the_hole():
    frames = torch.rand(2, 3, 48, 48) + 0.1
    inputs = build_render_inputs(tiny_tracking(2, 48), tiny_model(), torch.zeros(2, 5, 3), frames)
    assert torch.equal(inputs.context > 0, (inputs.paint_mask == 0).expand(-1, 3, -1, -1))
    assert ((inputs.part("face") > 0) <= (inputs.paint_mask > 0)).all()


def test_speech_windows_repeat_the_ends():
    features = torch.arange(4.0)[:, None]
    windows = speech_windows(features, torch.tensor([0, 3]), 3)
    assert windows[..., 0].tolist() == [[0, 0, 1], [2, 3, 3]]


@pytest.mark.parametrize("supersampling", [1, 2])
def test_batches_hold_footage_and_what_is_seen_of_it(tmp_path, supersampling):
    store = write_tiny_clip(tmp_path / "a")
    data = _data(tmp_path / "a", supersampling=supersampling)
    batch = next(iter(data.val_dataloader()))
    assert torch.equal(batch.frames[0], store.frames(range(13, 14))[0])
    torch.testing.assert_close(batch.inputs.context, batch.frames * (1 - batch.inputs.paint_mask))
    assert batch.inputs.speech.shape == (2, 5, data.specification().num_speech_features)
    skin = batch.inputs.averaged((batch.inputs.regions == 1).float()[:, None]) == 1
    colour = (0.3 + 0.4 * batch.inputs.averaged(batch.inputs.uvs) - batch.frames[:, :2]).abs() * skin
    assert colour.max() < 0.01  # maps and frames belong together, pixel by pixel


def test_what_is_held_out_is_never_trained_on_and_faceless_frames_are_left_out(tmp_path):
    write_tiny_clip(tmp_path / "a")
    write_tiny_clip(tmp_path / "b", num_frames=20, seed=1)
    data = _data(tmp_path / "a", tmp_path / "b")
    assert not set(data.training) & set(data.held_out)
    assert max(frame for clip, frame in data.training if clip == 0) < min(
        frame for clip, frame in data.held_out if clip == 0
    )
    assert (0, 2) not in data.training and (1, 2) not in data.training
    assert {clip for clip, _ in data.held_out} == {0, 1}


def test_the_second_opening_computes_nothing(tmp_path, monkeypatch):
    write_tiny_clip(tmp_path / "a")
    undisturbed = FitAugmentation(share=0.0)
    first = _data(tmp_path / "a", augmentation=undisturbed)
    monkeypatch.setattr(appearance_clips, "build_render_maps", None)
    second = _data(tmp_path / "a", augmentation=undisturbed)
    for mine, other in zip(first.train_dataloader(), second.train_dataloader(), strict=True):
        assert torch.equal(mine.frames, other.frames) and torch.equal(mine.inputs.uvs, other.inputs.uvs)


def test_another_fit_does_not_use_the_old_maps(tmp_path):
    store = write_tiny_clip(tmp_path / "a")
    before = _data(tmp_path / "a").clips[0].maps.unpack([0])
    store.write_tracking(tiny_tracking(15, 48, seed=5))
    after = _data(tmp_path / "a").clips[0].maps.unpack([0])
    assert not torch.equal(before.uvs, after.uvs)


def test_clips_are_trained_on_at_another_size(tmp_path):
    write_tiny_clip(tmp_path / "a", size=64)
    batch = next(iter(_data(tmp_path / "a", size=32).val_dataloader()))
    assert batch.frames.shape == (2, 3, 32, 32) and batch.inputs.uvs.shape == (2, 2, 64, 64)


def test_silent_clips_are_learned_with_a_warning(tmp_path):
    write_tiny_clip(tmp_path / "a", has_audio=False)
    with pytest.warns(UserWarning, match="silent"):
        data = _data(tmp_path / "a")
    assert data.specification().training_speech().abs().max() == 0


def test_an_unfitted_clip_raises(tmp_path):
    store = write_tiny_clip(tmp_path / "a")
    (store.path / "tracking.safetensors").unlink()
    with pytest.raises(UserError, match="fit it with"):
        _data(tmp_path / "a")


def test_the_order_is_a_function_of_seed_and_epoch():
    chosen = [(0, frame) for frame in range(20)]
    first, second = FrameOrder(chosen, 3), FrameOrder(chosen, 3)
    for epoch in (0, 1):
        first.set_epoch(epoch)
        second.set_epoch(epoch)
        assert list(first) == list(second)
        assert sorted(item % 20 for item in first) == list(range(20)) and {item // 20 for item in first} == {epoch}
    second.set_epoch(0)
    assert list(first) != list(second)


def test_pairs_are_neighbours_in_one_clip():
    chosen = [(0, 0), (0, 1), (0, 3), (1, 4), (1, 5), (1, 6)]
    order = list(FrameOrder(chosen, 0, consecutive=2))
    assert len(order) == 2
    assert all(chosen[b] == (chosen[a][0], chosen[a][1] + 1) for a, b in zip(order[::2], order[1::2], strict=True))


@pytest.mark.parametrize(
    "arguments", [{"speech_window": 4}, {"batch_size": 3, "consecutive": 2}, {"driven_share": 1.1}]
)
def test_settings_that_do_not_fit_together_raise(arguments):
    with pytest.raises(UserError):
        AppearanceData("clip", **arguments)


def test_training_meets_a_worse_fit_that_seed_and_epoch_decide_and_the_hole_stays(tmp_path):
    path = write_tiny_clip(tmp_path / "clip").path

    def batches(share):
        data = _data(path, augmentation=FitAugmentation(share=share, translation=0.004))
        loader = data.train_dataloader()
        loader.sampler.set_epoch(1)
        return list(loader)

    true, worse, again = batches(0.0), batches(1.0), batches(1.0)
    for one, other, same in zip(true, worse, again, strict=True):
        assert torch.equal(one.frames, other.frames) and torch.equal(one.inputs.paint_mask, other.inputs.paint_mask)
        assert not torch.equal(one.inputs.uvs, other.inputs.uvs)
        assert torch.equal(other.inputs.uvs, same.inputs.uvs)


def test_what_is_tested_on_is_not_disturbed(tmp_path):
    path = write_tiny_clip(tmp_path / "clip").path
    kept, worse = (_data(path, augmentation=FitAugmentation(share=share, translation=0.004)) for share in (0.0, 1.0))
    for one, other in zip(kept.test_dataloader(), worse.test_dataloader(), strict=True):
        assert torch.equal(one.inputs.uvs, other.inputs.uvs)


def test_training_meets_the_speech_models_motion_and_testing_does_not(tmp_path):
    store = write_tiny_clip(tmp_path / "clip")

    filmed = _data(store.path, augmentation=FitAugmentation(share=0.0), driven_share=1.0)
    before = list(filmed.train_dataloader())
    assert not any(batch.is_driven.any() for batch in before)  # no avatar drives the clip
    arguments = {"augmentation": FitAugmentation(share=0.0), "driven_share": 1.0}
    data = _data(store.path, driven=[torch.ones(store.num_frames, 1)], **arguments)
    for one, other in zip(before, data.train_dataloader(), strict=True):
        assert other.is_driven.all() and not torch.equal(one.inputs.uvs, other.inputs.uvs)
        assert torch.equal(one.frames, other.frames) and torch.equal(one.inputs.paint_mask, other.inputs.paint_mask)
    assert not any(batch.is_driven.any() for batch in data.test_dataloader())
