from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest
import pytorch_lightning as pl
import yaml
from jsonargparse import ArgumentParser

from readavatar.appearance import AppearanceModule
from readavatar.appearance.augmentation import Augmentation
from readavatar.appearance.networks import AppearanceRenderer
from readavatar.appearance.settings import LossWeights, NetworkSettings, OptimizationSettings
from readavatar.data.datasets.appearance import AppearanceData
from readavatar.gaze import FaceGazeNetwork
from readavatar.gaze.expert import ResNet18

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
SMALL_FILES = sorted([*(CONFIGS / "appearance").glob("*.yaml"), *(CONFIGS / "ablations" / "appearance").glob("*.yaml")])


def _instantiated(*paths: Path):
    parser = ArgumentParser(parser_mode="omegaconf")
    parser.add_argument("--config", action="config")
    parser.add_argument("--seed_everything", type=int)
    parser.add_subclass_arguments(pl.LightningModule, "model")
    parser.add_subclass_arguments(pl.LightningDataModule, "data")
    parser.add_argument("--trainer", type=dict)
    parsed = parser.parse_args([f"--config={path}" for path in paths])
    return parser.instantiate_classes(parsed)


@pytest.mark.parametrize("path", SMALL_FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_config_builds_its_module_data_and_network(path, monkeypatch):
    # The ablations' base has the gaze loss, whose weights are not on every machine.
    tiny = FaceGazeNetwork(ResNet18(2, width=4), crop_size=64)
    monkeypatch.setattr("readavatar.appearance.module.load_gaze_expert", lambda name: tiny)
    built = _instantiated(CONFIGS / "appearance" / "default.yaml", path)
    assert isinstance(built.model, AppearanceModule) and isinstance(built.data, AppearanceData)
    AppearanceRenderer(8, 14, built.data.speech_window, built.model.network)


def test_small_configs_hold_only_what_differs():
    default = yaml.safe_load((CONFIGS / "appearance" / "default.yaml").read_text())

    def repeated(config: dict, base: dict) -> list[str]:
        same = [key for key, value in config.items() if not isinstance(value, dict) and base.get(key) == value]
        nested = ((value, base.get(key, {})) for key, value in config.items() if isinstance(value, dict))
        return [*same, *(key for pair in nested for key in repeated(*pair))]

    preset = yaml.safe_load((CONFIGS / "ablations" / "appearance" / "_base.yaml").read_text())
    for path in SMALL_FILES:
        if path.stem not in ("default", "concatenation"):
            under_preset = path.parent.name == "appearance" and path.parents[1].name == "ablations"
            base = _merged(default, preset) if under_preset and path.stem != "_base" else default
            assert not repeated(yaml.safe_load(path.read_text()), base), path


def _merged(base: dict, over: dict) -> dict:
    nested = {key: _merged(base.get(key, {}), value) for key, value in over.items() if isinstance(value, dict)}
    return {**base, **over, **nested}


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("network", NetworkSettings),
        ("weights", LossWeights),
        ("optimization", OptimizationSettings),
        ("augmentation", Augmentation),
    ],
)
def test_the_default_config_writes_every_setting_at_its_default(name, settings):
    default = yaml.safe_load((CONFIGS / "appearance" / "default.yaml").read_text())
    assert default["model"]["init_args"][name] == asdict(settings())


def test_the_default_config_is_what_the_code_defaults_to():
    built = _instantiated(CONFIGS / "appearance" / "default.yaml")
    model = built.model
    assert (model.network, model.augmentation) == (NetworkSettings(), Augmentation())
    assert asdict(model.weights) == asdict(LossWeights()) and model.optimization == OptimizationSettings()
    plain = AppearanceData([])
    for name in ("size", "painted", "speech_window", "held_out_seconds", "batch_size", "validation_frames"):
        assert getattr(built.data, name) == getattr(plain, name)
