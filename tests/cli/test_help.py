"""The commands' help: it needs none of the libraries that the commands themselves need."""

from __future__ import annotations

import subprocess
import sys

import pytest
import yaml

from readavatar.cli import COMMANDS, STAGE_COMMANDS, main
from readavatar.cli.prepare import _EMOTIONS
from readavatar.cli.stage_help import OPTIONS, STAGES
from readavatar.config_paths import find_config
from readavatar.emotion import MEAD_EMOTIONS
from readavatar.speech import ENCODER_NAMES

HEAVY = (
    *("torch", "pytorch_lightning", "jsonargparse", "transformers", "numba", "mediapipe", "matplotlib", "librosa"),
    *("scipy", "numpy", "av", "PIL", "rich"),
)
"""Each takes from a tenth of a second to several seconds to import."""
LIGHT_MODULES = (
    *("readavatar", "readavatar.errors", "readavatar.files", "readavatar.config_paths", "readavatar.progress"),
    *("readavatar.assets", "readavatar.cli"),
)

GIVEN = {
    "--data.clips": "[clips/jane, clips/jane_happy]",
    "--avatar": "avatars/joan",
    "--fresh": "true",
    "--ckpt_path": "last.ckpt",
    "--seed_everything": "7",
    "--device": "cpu",
    "--trainer.logger": "WandbLogger",
    "--model.morphable_model": "ict",
    "--model.keyframes": "7",
    "--model.pixels": "700",
    "--model.texture_size": "64",
    "--data.resolution": "64",
    "--trainer.max_steps": "7",
    "--data.batch_size": "7",
    "--data.held_out_seconds": "7.0",
    "--data.speech_encoder": "log_mel",
    "--model.prior": "none",
    "--data.people": "[ann, bob]",
    "--data.strengths": "measured",
    "--data.size": "64",
    "--model.feature_loss": "vgg",
    "--model.weights.gaze": "0.07",
}
"""A value other than the default for each option of the stages' help."""


def _heavy_imports_of(program: str) -> list[str]:
    """What of ``HEAVY`` a fresh interpreter has imported once it has run ``program``."""
    report = f"import sys\nprint('imported:', *[name for name in {HEAVY!r} if name in sys.modules])"
    finished = subprocess.run([sys.executable, "-c", f"{program}\n{report}"], capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout.splitlines()[-1].split()[1:]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_imports_no_heavy_library(command):
    program = f"from readavatar.cli import main\ntry:\n    main([{command!r}, '--help'])\nexcept SystemExit:\n    pass"
    assert _heavy_imports_of(program) == []


@pytest.mark.parametrize("module", LIGHT_MODULES)
def test_importing_a_light_module_imports_no_heavy_library(module):
    assert _heavy_imports_of(f"import {module}") == []


def test_a_heavy_import_would_be_noticed():
    assert _heavy_imports_of("import readavatar.emotion") != []


def test_prepare_offers_the_emotions_of_mead():
    assert tuple(_EMOTIONS.split(",")) == MEAD_EMOTIONS


@pytest.mark.parametrize("command", STAGE_COMMANDS)
def test_help_of_a_stage_command_imports_no_heavy_library(command):
    assert _heavy_imports_of(f"from readavatar.cli import main\nmain([{command!r}, '--help'])") == []


@pytest.mark.parametrize("command", STAGE_COMMANDS)
def test_help_of_a_stage_command_begins_with_its_one_example(command, capsys):
    assert main([command, "--config", "configs/appearance/default.yaml", "-h"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"example: readavatar {command} --config configs/")
    assert text.count("example:") == 1


def test_help_all_is_the_whole_help_of_lightning(capsys):
    with pytest.raises(SystemExit) as exit_code:
        main(["fit", "--help-all"])
    assert exit_code.value.code == 0
    text = capsys.readouterr().out
    assert all(option in text for option in ("--trainer.accumulate_grad_batches", "--model.help", "--avatar"))


@pytest.mark.parametrize(
    ("command", "stage"),
    [*(("fit", stage) for stage in STAGES), *((command, "appearance") for command in ("validate", "test"))],
)
def test_every_option_in_the_help_is_accepted_and_set(command, stage, capsys):
    chosen = [option for option in OPTIONS if stage in option.stages or not option.stages]
    given = {option.name: GIVEN[option.name] for option in chosen if option.name not in ("--config", "--print_config")}
    options = [f"{name}={value}" for name, value in given.items()]
    with pytest.raises(SystemExit) as exit_code:
        main([command, "--config", f"configs/{stage}/default.yaml", *options, "--print_config"])
    assert exit_code.value.code in (0, None)
    printed = yaml.safe_load(capsys.readouterr().out)
    for name, value in given.items():
        found = _setting(printed, name)
        found = found["class_path"].rpartition(".")[2] if isinstance(found, dict) else found
        assert found == yaml.safe_load(value), name


def test_the_defaults_in_the_help_are_those_of_the_configs(capsys):
    main(["fit", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    for option in OPTIONS:
        values = [_setting(_config(stage), option.name) for stage in option.stages]
        if option.default is not None:
            assert all(value in (None, []) for value in values), f"{option.name} has a default in a config"
        else:
            shown = text.partition(f"{option.help} (")[2].partition(")")[0]
            said = [part.split()[-1] for part in shown.split(", ")]
            assert said == [str(value) for value in dict.fromkeys(values)], option.name


def test_the_help_names_all_speech_encoders():
    text = next(option.help for option in OPTIONS if option.name == "--data.speech_encoder")
    assert all(name in text for name in ENCODER_NAMES)


def _config(stage: str) -> dict:
    return yaml.safe_load(find_config(f"configs/{stage}/default.yaml").read_text())


def _setting(config: dict, option: str):
    """What a config sets an option to; None where it does not."""
    section, *names = option.removeprefix("--").split(".")
    found = config.get(section)
    found = found.get("init_args", found) if names and found else found
    for name in names:
        found = (found or {}).get(name)
    return found


def test_the_package_runs_as_a_module():
    finished = subprocess.run([sys.executable, "-m", "readavatar", "--version"], capture_output=True, text=True)
    assert (finished.returncode, finished.stdout.split()[0]) == (0, "readavatar"), finished
