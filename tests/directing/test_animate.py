"""New speech is said on whatever device is asked for, by weights that are read once."""

from __future__ import annotations

from collections import Counter
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from other_device import other_device
from tiny_avatar import HEIGHT, WIDTH, write_tiny_avatar
from tiny_face import tiny_model
from tiny_footage import SIZE

from readavatar.cli import main
from readavatar.data.datasets.speech_features import load_described_encoder
from readavatar.data.store.avatar import Avatar
from readavatar.errors import UserError

module = import_module("readavatar.directing.animate")  # the package's attribute of that name is the function
NETWORK_LAYERS = ("conv2d", "linear", "layer_norm", "embedding", "grid_sample")


@pytest.fixture(scope="module")
def avatar(tmp_path_factory) -> Path:
    """A tiny avatar; ``speech.wav`` lies beside it."""
    return write_tiny_avatar(tmp_path_factory.mktemp("jane"))


@pytest.fixture
def frames(monkeypatch) -> list[np.ndarray]:
    """What is given to the video's writer, by an avatar of the tiny model and without threads."""
    written = []

    class Writer:
        def __init__(self, *_, **__) -> None:
            written.clear()

        def __enter__(self):
            return self

        def __exit__(self, *_) -> None:
            return None

        def add(self, frame: np.ndarray) -> None:
            written.append(frame)

    monkeypatch.setattr(module, "VideoWriter", Writer)
    monkeypatch.setattr(module, "load_morphable_model", lambda name: tiny_model())
    monkeypatch.setattr(module, "prefetch", iter)
    return written


@pytest.mark.parametrize("kind", ["cuda", "mps"])
@pytest.mark.parametrize("crop_only", [False, True])
def test_an_avatar_speaks_alike_on_every_device_and_computes_there(
    avatar, frames, tmp_path, monkeypatch, kind, crop_only
):
    options = {"emotion": "happy:1", "crop_only": crop_only}
    expected_motion = module.animate(avatar, avatar.parent / "speech.wav", tmp_path / "x.mp4", device="cpu", **options)
    expected = np.stack(frames).astype(float)
    with other_device(kind) as (device, calls):
        monkeypatch.setattr(module, "choose_device", lambda name: device)
        motion = module.animate(avatar, avatar.parent / "speech.wav", tmp_path / "x.mp4", device=kind, **options)
        assert motion.expressions.device == torch.device("cpu")
        assert min(calls.there[layer] for layer in NETWORK_LAYERS) > 0
        assert not set(NETWORK_LAYERS) & set(calls.here)
    torch.testing.assert_close(motion.expressions, expected_motion.expressions)
    assert expected.shape == (25, *((SIZE, SIZE) if crop_only else (HEIGHT, WIDTH)), 3) and expected.std() > 5
    assert all(frame.dtype == np.uint8 for frame in frames)
    # Interpolated at a pixel's centre in another order of the sums, a value may round to its neighbour.
    assert np.abs(np.stack(frames) - expected).max() <= 1


def test_each_file_is_read_once(avatar, frames, tmp_path, monkeypatch):
    read, part = Counter(), Avatar.part

    def counted(described: dict):
        read["speech encoder"] += 1
        return load_described_encoder(described)

    monkeypatch.setattr(Avatar, "part", lambda self, name: (read.update([name]), part(self, name))[1])
    monkeypatch.setattr(module, "load_described_encoder", counted)
    module.animate(avatar, avatar.parent / "speech.wav", tmp_path / "x.mp4", device="cpu")
    assert read == {"expression": 1, "appearance": 1, "speech encoder": 1}


def test_a_device_that_is_not_there_is_named_before_anything_is_read(tmp_path):
    with pytest.raises(UserError, match=r"device of auto, cpu.*got 'tpu'"):
        module.animate(tmp_path / "none", tmp_path / "none.wav", tmp_path / "x.mp4", device="tpu")


def test_the_command_passes_the_device_on(tmp_path, capsys):
    command = ["animate", str(tmp_path), "--audio", "speech.wav", "--out", str(tmp_path / "x.mp4"), "--device", "tpu"]
    assert main(command) == 2
    assert "got 'tpu'" in capsys.readouterr().err
