"""Each stage runs on a GPU: the whole quick fit of tracking, two steps of each training; what they leave is whole."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from readavatar.cli import main
from readavatar.data.store import ClipStore
from readavatar.data.store.avatar import Avatar
from readavatar.synthetic.clip import write_actor_clip

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

SIZE = 96
SENTENCE = "We all saw how the small boat came home before the evening."


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    """A digital actor who says one sentence; the truth stands for the fit."""
    path = tmp_path_factory.mktemp("clips") / "actor"
    store = write_actor_clip(path, sentences=[SENTENCE], size=SIZE, zoom=1.2)
    store.write_tracking(store.truth())
    return path


def _fit(stage: str, clip: Path, avatar: Path, *options: str) -> None:
    """Run a stage's quick config, which has to use the GPU."""
    command = ["fit", "--config", f"configs/{stage}/default.yaml", "--config", f"configs/{stage}/quick.yaml"]
    command += ["--data.clips", str(clip), "--avatar", str(avatar), "--trainer.accelerator", "gpu"]
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    assert main([*command, "--trainer.devices", "1", *options]) == 0
    assert torch.cuda.max_memory_allocated() > before


def test_tracking_fits_on_a_gpu(clip, tmp_path):
    own = tmp_path / "clip"
    shutil.copytree(clip, own)
    (own / "tracking.safetensors").unlink()
    _fit("tracking", own, tmp_path / "avatar", "--model.morphable_model", "builtin")
    found, truth = ClipStore(own).tracking(), ClipStore(own).truth()
    turned = (found.coefficients.rotation - truth.coefficients.rotation).norm(dim=1).rad2deg()
    assert turned.mean() < 5, "degrees"


@pytest.mark.parametrize("stage", ["expression", "appearance"])
def test_a_network_trains_on_a_gpu(clip, tmp_path, stage):
    _fit(stage, clip, tmp_path / "avatar", "--trainer.max_steps", "2")
    state = Avatar(tmp_path / "avatar").part(stage).state
    assert state and all(bool(values.isfinite().all()) for values in state.values())
