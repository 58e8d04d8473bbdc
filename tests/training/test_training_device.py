"""Claims on training where the trainer's device is not the CPU, on a stand-in for one."""

from __future__ import annotations

import pytest
import pytorch_lightning as pl
from other_device import other_device
from pytorch_lightning.accelerators import CPUAccelerator
from pytorch_lightning.strategies import SingleDeviceStrategy
from talking_clips import use_talking_model, write_talking_clip
from tiny_face import tiny_model, write_tiny_clip

from readavatar.appearance import AppearanceModule
from readavatar.appearance.settings import LossWeights, NetworkSettings, OptimizationSettings
from readavatar.data.datasets import appearance as appearance_data
from readavatar.data.datasets.appearance import AppearanceData
from readavatar.data.datasets.expression import ExpressionData
from readavatar.expression import ExpressionModule
from readavatar.expression.settings import NetworkSettings as ExpressionSizes
from readavatar.training import connect
from readavatar.training import runs as training_runs


@pytest.fixture(autouse=True)
def _device_passes_for_the_cpus(monkeypatch):
    """Lightning's accelerator for the CPU sets nothing up; it only refuses devices of other types."""
    monkeypatch.setattr(CPUAccelerator, "setup_device", lambda self, device: None)


def _fit(module: pl.LightningModule, data: pl.LightningDataModule, folder, kind: str):
    pl.seed_everything(0, verbose=False)
    with other_device(kind) as (device, calls):
        connect(module, data, device=device)
        trainer = pl.Trainer(
            strategy=SingleDeviceStrategy(device, accelerator=CPUAccelerator()),
            max_steps=2,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            limit_val_batches=0,
            default_root_dir=folder,
        )
        trainer.fit(module, data)
    assert trainer.global_step == 2
    return calls


def _appearance() -> AppearanceModule:
    sizes = NetworkSettings(texture_resolution=32, texture_depth=2, texture_width=16, unet_width=8, unet_levels=3)
    optimization = OptimizationSettings(r1_every=2, crop=None, precision="fp32")
    return AppearanceModule(sizes, LossWeights(adversarial=0.1), optimization, feature_loss="bands")


@pytest.mark.parametrize("has_rasterizer", [False, True])
def test_the_appearance_stage_trains_there_and_rasterises_there_where_it_can(tmp_path, monkeypatch, has_rasterizer):
    monkeypatch.setattr(appearance_data, "load_morphable_model", lambda name: tiny_model())
    monkeypatch.setattr(training_runs, "has_gpu_rasterizer", lambda device: has_rasterizer)
    store = write_tiny_clip(tmp_path / "clip")
    settings = {"speech_encoder": "log_mel", "speech_window": 5, "batch_size": 2, "held_out_seconds": 0.1}
    data = AppearanceData(str(store.path), **settings)
    calls = _fit(_appearance(), data, tmp_path, "cuda")
    assert calls.there["conv2d"] > 0
    assert (data.clips[0].maps is None) == has_rasterizer
    assert bool(list((store.path / "cache").glob("appearance-maps-*"))) == (not has_rasterizer)


@pytest.mark.parametrize("kind", ["cuda", "mps"])
def test_the_expression_stage_trains_there(tmp_path, monkeypatch, kind):
    use_talking_model(monkeypatch)
    clip = write_talking_clip(tmp_path / "clip").path
    data = ExpressionData(str(clip), speech_encoder="log_mel", window_seconds=0.6, batch_size=8)
    sizes = ExpressionSizes(width=16, reaches=(1, 2), num_noise=6, discriminator_width=8, discriminator_scales=2)
    calls = _fit(ExpressionModule(network=sizes, prior="none"), data, tmp_path, kind)
    assert calls.there["conv1d"] > 0
