"""The appearance stage against the clock: what is counted as networks, and real steps that are timed."""

from __future__ import annotations

import time

import pytest
import torch
import yaml
from torch import nn

from readavatar.benchmarks.appearance import speed as appearance_speed
from readavatar.benchmarks.appearance.speed import NetworkClock, bench_appearance_speed, overhead
from readavatar.cli import main
from readavatar.morphable import load_morphable_model


class Sleeper(nn.Module):
    """Takes a given time."""

    def __init__(self, seconds: float, inner: nn.Module | None = None) -> None:
        super().__init__()
        self.seconds, self.inner = seconds, inner

    def forward(self) -> None:
        time.sleep(self.seconds)
        if self.inner is not None:
            self.inner()


def test_the_clock_counts_each_networks_outermost_calls_and_no_morphable_model(simulated_time):
    network, model = Sleeper(0.02, Sleeper(0.03)), load_morphable_model("builtin")
    clock = NetworkClock()
    with clock.running():
        network()
        time.sleep(0.05)
        model(torch.zeros(1, model.num_shape), torch.zeros(1, model.num_expressions))
    network()
    assert clock.seconds == {"Sleeper": pytest.approx(0.05)}


def test_a_call_that_fails_does_not_stop_the_clock(simulated_time):
    class Broken(nn.Module):
        def forward(self) -> None:
            raise RuntimeError

    clock = NetworkClock()
    with clock.running():
        with pytest.raises(RuntimeError):
            Broken()()
        Sleeper(0.01)()
    assert clock.seconds["Sleeper"] == pytest.approx(0.01)


def test_overhead_is_the_median_of_the_pairs():
    assert overhead([110.0, 220.0, 1000.0], [100.0, 200.0, 200.0]) == pytest.approx(10.0)


TINY = """
model:
  init_args:
    network: {texture_width: 8, texture_depth: 2, unet_width: 4, unet_levels: 3, unet_max_width: 8}
    weights: {adversarial: 0.01, matching: 0.1, gaze: 0.0}
    optimization: {crop: 32, precision: fp32}
    feature_loss: bands
data: {init_args: {size: 48, batch_size: 2, speech_encoder: log_mel}}
trainer: {enable_progress_bar: false, accelerator: cpu}
"""


def test_real_steps_and_a_real_animation_are_timed(tmp_path, monkeypatch):
    monkeypatch.setattr(appearance_speed, "LADDER", {"default": 3})
    monkeypatch.setattr(appearance_speed, "FILM_SIZES", {"default": 64})
    monkeypatch.setattr(appearance_speed, "FILM_SECONDS", 1.0)
    monkeypatch.setattr(appearance_speed, "SPOKEN_SECONDS", 1.2)
    monkeypatch.setattr(appearance_speed, "NUM_FRAMES", 2)
    monkeypatch.setattr(appearance_speed, "BATCH_SIZES", (1, 2))
    monkeypatch.setattr(appearance_speed, "load_speech_encoder", _log_mel)
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(yaml.safe_load(TINY)))
    figures = bench_appearance_speed(
        morphable_model="builtin", configs=[str(tmp_path / "tiny.yaml")], rungs=["default"], work=tmp_path
    )
    step, bare = figures["default: training step"], figures["default: its bare passes"]
    assert step.value > bare.value > 0 and step.unit == "ms"
    assert figures["default: training, beside the bare passes"].aim == "≤ 10"
    whole, painting = figures["default: animate, a frame"], figures["default: of which AppearanceRenderer"]
    assert whole.value > painting.value > 0 and figures["default: animate, beside the networks"].value > 0
    assert figures["default: render, bf16, batch 2, 1 thread(s)"].value > 0


def _log_mel(name: str):
    from readavatar.speech import load_speech_encoder

    return load_speech_encoder("log_mel")


def test_the_front_door_leads_to_the_clock(monkeypatch):
    asked: list[dict] = []
    stand_in = lambda **options: asked.append(options) or {}  # noqa: E731
    monkeypatch.setattr("readavatar.benchmarks.bench_appearance_speed", stand_in)
    assert main(["bench", "appearance", "--speed", "--config", "configs/appearance/fast.yaml"]) == 0
    assert asked[0]["configs"] == ["configs/appearance/fast.yaml"]
