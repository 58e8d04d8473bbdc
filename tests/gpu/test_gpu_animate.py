"""An avatar speaks alike on a GPU and on the CPU, whichever rasteriser the GPU has."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from raster_agreement import require
from tiny_avatar import write_tiny_avatar
from tiny_face import tiny_model

from readavatar.media.video import read_video
from readavatar.rendering import rasterize

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

animate = import_module("readavatar.directing.animate")  # the package's attribute of that name is the function


@pytest.fixture(scope="module")
def avatar(tmp_path_factory) -> Path:
    """A tiny avatar that has learnt nothing; ``speech.wav`` lies beside it."""
    return write_tiny_avatar(tmp_path_factory.mktemp("jane"))


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    monkeypatch.setattr(animate, "load_morphable_model", lambda name: tiny_model())


@pytest.fixture(params=["cpu", "nvdiffrast", "pytorch3d"])
def rasterizer(request, monkeypatch) -> str:
    """What decides on the GPU's tensors what is visible."""
    name = require(request.param)
    monkeypatch.setattr(rasterize, "_working_gpu_backend", lambda: None if name == "cpu" else name)
    return name


def _frames(avatar: Path, out: Path, device: str) -> np.ndarray:
    summary = animate.animate(avatar, avatar.parent / "speech.wav", out, emotion="happy:1", device=device)
    assert summary.expressions.device.type == "cpu"
    return np.stack(list(read_video(out))).astype(float)


def test_a_clip_from_a_gpu_is_the_cpus_to_the_eye(avatar, tmp_path, rasterizer):
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    there, here = (_frames(avatar, tmp_path / f"{device}.mp4", device) for device in ("cuda", "cpu"))
    assert torch.cuda.max_memory_allocated() > before
    assert there.shape == here.shape and here.std() > 5
    # TF32 convolutions keep ten bits, pixels at a triangle's edge may see its neighbour, and H.264 spreads both.
    difference = np.abs(there - here)
    assert difference.mean() < 0.5 and np.quantile(difference, 0.99) <= 4


def test_auto_takes_the_gpu(avatar, tmp_path):
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    _frames(avatar, tmp_path / "auto.mp4", "auto")
    assert torch.cuda.max_memory_allocated() > before
