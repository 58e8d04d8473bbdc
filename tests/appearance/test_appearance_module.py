from __future__ import annotations

import json

import pytest
import pytorch_lightning as pl
import torch
from PIL import Image
from tiny_face import tiny_inputs, tiny_model, write_tiny_clip

from readavatar.appearance import AppearanceModule, AppearanceRenderer
from readavatar.appearance import module as appearance_module
from readavatar.appearance.augmentation import Augmentation, augmented
from readavatar.appearance.settings import LossWeights, NetworkSettings, OptimizationSettings
from readavatar.data.datasets import appearance as appearance_data
from readavatar.data.datasets.appearance import AppearanceData
from readavatar.errors import UserError
from readavatar.training import connect
from readavatar.training.callbacks import EvaluationPictures
from readavatar.training.resume import ExactResume

SMALL = NetworkSettings(
    texture_width=16, texture_resolution=32, texture_depth=2, unet_width=8, unet_levels=3, unet_max_width=16
)
GAN = LossWeights(adversarial=0.1, matching=1.0)


@pytest.fixture
def clip(tmp_path, monkeypatch):
    monkeypatch.setattr(appearance_data, "load_morphable_model", lambda name: tiny_model())
    return write_tiny_clip(tmp_path / "clip")


def _train(clip, folder, max_steps, module=None, stop_after=None, checkpoint=None, **data_arguments):
    pl.seed_everything(0)
    settings = {
        "speech_encoder": "log_mel",
        "speech_window": 5,
        "batch_size": 2,
        "held_out_seconds": 0.1,
        **data_arguments,
    }
    module = module or AppearanceModule(SMALL, GAN, OptimizationSettings(r1_every=2, precision="fp32"))
    callbacks = [ExactResume(), EvaluationPictures()]
    if stop_after:
        callbacks.append(_Stop(stop_after, folder / "stopped.ckpt"))
    trainer = pl.Trainer(
        max_steps=max_steps,
        max_epochs=-1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=callbacks,
        default_root_dir=folder,
        num_sanity_val_steps=0,
    )
    data = AppearanceData(str(clip.path), **settings)
    connect(module, data)
    trainer.fit(module, data, ckpt_path=checkpoint, weights_only=False)
    return module, trainer


class _Stop(pl.Callback):
    """A kill just after a checkpoint."""

    def __init__(self, after, path):
        self.after, self.path = after, path

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step == self.after:
            trainer.save_checkpoint(self.path)
            raise KeyboardInterrupt


@pytest.mark.parametrize("stop_after", [3, 5, 7])  # within an epoch, at its end, in the next one
def test_a_stopped_training_ends_with_the_weights_of_one_that_was_not(clip, tmp_path, stop_after):
    whole, _ = _train(clip, tmp_path, 10)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        _train(clip, tmp_path, 10, stop_after=stop_after)
    resumed, trainer = _train(clip, tmp_path, 10, checkpoint=tmp_path / "stopped.ckpt")
    assert trainer.global_step == 10
    expected = whole.state_dict()
    for name, tensor in resumed.state_dict().items():
        assert torch.equal(tensor, expected[name]), name


def test_a_training_goes_on_in_the_precision_that_it_began_in(clip, tmp_path, monkeypatch):
    def module():
        return AppearanceModule(SMALL, LossWeights(adversarial=0.0, matching=0.0), OptimizationSettings(crop=32))

    monkeypatch.setattr(appearance_module, "uses_bfloat16", lambda *_: True)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        _train(clip, tmp_path, 4, module(), stop_after=2)
    monkeypatch.setattr(appearance_module, "uses_bfloat16", lambda *_: pytest.fail("another trial"))
    _train(clip, tmp_path, 4, module(), checkpoint=tmp_path / "stopped.ckpt")


def test_training_improves_held_out_frames_and_leaves_a_contact_sheet(clip, tmp_path, caplog):
    caplog.set_level("INFO", "readavatar")
    _, before = _train(clip, tmp_path / "a", 6)
    module, after = _train(clip, tmp_path / "b", 60)
    assert after.callback_metrics["val/psnr_face"] > before.callback_metrics["val/psnr_face"] + 3
    sheets = sorted((tmp_path / "b").glob("val-*.png"))
    assert Image.open(sheets[-1]).size[1] == 3 * 48
    assert "mouth" in caplog.text
    (part,) = module.avatar_parts()
    rebuilt = AppearanceRenderer(**json.loads(json.dumps(part["config"]))["network"])
    rebuilt.load_state_dict(part["network"].state_dict())
    assert part["name"] == "appearance"
    assert part["config"]["size"] == 48 and part["config"]["speech_encoder"]["name"] == "log_mel"


def test_steps_are_batches_with_a_discriminator_too(clip, tmp_path):
    _, trainer = _train(clip, tmp_path, 4)
    assert trainer.global_step == 4 and trainer.fit_loop.epoch_loop.total_batch_idx == 3


def test_crops_and_pairs_train(clip, tmp_path):
    weights = LossWeights(adversarial=0.0, matching=0.0, temporal=1.0)
    module = AppearanceModule(SMALL, weights, OptimizationSettings(crop=32))
    module, trainer = _train(clip, tmp_path, 2, module, consecutive=2)
    assert trainer.callback_metrics["train/temporal"] > 0
    assert "train/adversarial" not in trainer.callback_metrics


def test_a_temporal_weight_without_pairs_raises(clip, tmp_path):
    with pytest.raises(UserError, match="'temporal'"):
        _train(clip, tmp_path, 1, AppearanceModule(SMALL, LossWeights(temporal=1.0)))


def test_no_jitter_leaves_the_inputs_alone():
    inputs = tiny_inputs()
    frames = torch.full((2, 3, 48, 48), 0.5)
    same = augmented(inputs, frames, Augmentation(0.0, 0.0, 0.0))
    assert all(torch.equal(vars(same)[key], value) for key, value in vars(inputs).items())


def test_jitter_only_ever_grows_the_hole():
    torch.manual_seed(0)
    inputs, frames = tiny_inputs(), torch.full((2, 3, 48, 48), 0.5)
    grown = [augmented(inputs, frames, Augmentation(paint_mask=0.1)) for _ in range(8)]
    assert all((each.paint_mask >= inputs.paint_mask).all() for each in grown)
    assert len({float(each.paint_mask.sum()) for each in grown}) > 1
    assert all((each.context[each.paint_mask.expand(-1, 3, -1, -1) > 0] == 0).all() for each in grown)
