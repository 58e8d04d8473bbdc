"""Claims on the expression stage's configuration files."""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path

import pytest
import yaml

from readavatar.data.datasets.expression import ExpressionData
from readavatar.expression.settings import LossWeights, NetworkSettings, OptimizationSettings
from readavatar.synthetic.actor_data import ActorData

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
DEFAULT = yaml.safe_load((CONFIGS / "expression" / "default.yaml").read_text())
ACTORS = inspect.signature(ActorData).parameters
OVERRIDES = sorted({*(CONFIGS / "expression").glob("*.yaml"), *(CONFIGS / "ablations" / "expression").glob("*.yaml")})


def _paths(tree, prefix=()):
    """The paths of all leaves, without those of the trainer, which has more keys than the default names."""
    for key, value in tree.items():
        if isinstance(value, dict) and key != "trainer":
            yield from _paths(value, (*prefix, key))
        elif key != "trainer":
            yield (*prefix, key), value


@pytest.mark.parametrize("path", [path for path in OVERRIDES if path.stem != "default"], ids=lambda path: path.stem)
def test_an_override_names_only_keys_of_the_default_and_only_what_differs(path):
    default = dict(_paths(DEFAULT))
    if path.stem.startswith("actor_"):  # over actor.yaml
        default |= dict(_paths(yaml.safe_load(path.with_name("actor.yaml").read_text())))
    for key, value in _paths(yaml.safe_load(path.read_text())):
        if key[0] == "trainer" or key == ("data", "class_path"):
            continue
        assert key in default or key[-1] in ACTORS, ".".join(key)
        assert value != default.get(key), ".".join(key)


@pytest.mark.parametrize(
    ("name", "settings"),
    [("network", NetworkSettings), ("weights", LossWeights), ("optimization", OptimizationSettings)],
)
def test_the_default_config_writes_every_setting_at_its_default(name, settings):
    written = DEFAULT["model"]["init_args"][name]
    written = {key: tuple(value) if isinstance(value, list) else value for key, value in written.items()}
    assert written == dataclasses.asdict(settings())


def test_the_default_config_writes_the_datas_defaults():
    parameters = inspect.signature(ExpressionData).parameters
    for name, value in DEFAULT["data"]["init_args"].items():
        if name != "clips":
            assert value == parameters[name].default, name
