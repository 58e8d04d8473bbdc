"""The command line: help, mistakes and their one line, config look-up, sweeps."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import yaml

import readavatar
from readavatar.cli import COMMANDS, STAGE_COMMANDS, main
from readavatar.cli.terminal import install_log_filters
from readavatar.config_paths import CONFIG_FOLDERS, find_config, with_found_configs
from readavatar.errors import UserError
from readavatar.training.sweeps import expand_sweep

CONFIGS = next(folder for folder in CONFIG_FOLDERS if folder.is_dir())
STAGES = ("tracking", "expression", "appearance")


def _one_line(capsys) -> str:
    error = capsys.readouterr().err.strip()
    assert "Traceback" not in error
    assert len(error.splitlines()) == 1, error
    return error


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command, capsys):
    with pytest.raises(SystemExit) as exit_code:
        main([command, "--help"])
    assert exit_code.value.code == 0
    assert f"example: readavatar {command}" in capsys.readouterr().out


def test_help_names_every_command_without_heavy_imports():
    program = "import sys; from readavatar.cli import main; main([]); sys.exit('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.returncode == 0, "readavatar --help imported torch"
    assert all(name in result.stdout for name in {**COMMANDS, **STAGE_COMMANDS})


def test_an_unknown_emotion_is_one_line_with_the_nearest(capsys, tmp_path):
    code = main(["prepare", "video.mp4", "--out", str(tmp_path / "clip"), "--emotion", "hapy:0.5"])
    assert code == 2
    assert "Did you mean 'happy'?" in _one_line(capsys)
    assert not any(tmp_path.iterdir())


def test_a_strength_above_one_is_one_line(capsys, tmp_path):
    assert main(["prepare", "video.mp4", "--out", str(tmp_path / "clip"), "--emotion", "happy:1.3"]) == 2
    assert "[0, 1]" in _one_line(capsys)


def test_a_missing_video_is_one_line_and_leaves_nothing(capsys, tmp_path):
    assert main(["prepare", str(tmp_path / "none.mp4"), "--out", str(tmp_path / "clip")]) == 2
    assert "none.mp4" in _one_line(capsys)
    assert not any(tmp_path.iterdir())


def test_a_missing_avatar_is_one_line_that_says_what_to_run(capsys, tmp_path):
    assert main(["animate", str(tmp_path / "nobody"), "--audio", "a.wav", "--out", str(tmp_path / "o.mp4")]) == 2
    assert "readavatar fit" in _one_line(capsys)


@pytest.mark.parametrize("stage", STAGES)
def test_a_wrong_key_is_one_line_with_the_nearest(stage, capsys):
    code = main(["fit", "--config", f"configs/{stage}/default.yaml", "--data.clip", "clips/jane"])
    assert code == 2
    assert "Did you mean 'clips'?" in _one_line(capsys)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--model.weights.gaze=0.01", "readavatar assets get eth_xgaze_resnet18"),
        ("--model.feature_loss=vgg", "readavatar assets get lpips_vgg"),
        ("--model.feature_loss=sharp", "auto, bands, vgg"),
        ("--model.optimization.attention={mouth: 2.0}", "at most 1"),
        ("--model.network.textur=image", "Did you mean 'texture'?"),
    ],
)
def test_what_a_stage_cannot_be_built_with_is_one_line(option, said, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("READAVATAR_CACHE", str(tmp_path))
    monkeypatch.delenv("READAVATAR_ASSETS", raising=False)
    code = main(["fit", "--config", "configs/appearance/default.yaml", "--data.clips", "clips/jane", option])
    assert code == 2
    assert said in _one_line(capsys)


def test_our_own_warnings_name_no_place_in_the_code():
    install_log_filters()
    ours = warnings.formatwarning(UserWarning("It is\n silent."), UserWarning, readavatar.__file__, 3)
    assert ours == "readavatar: It is silent.\n"
    assert "other.py:3: UserWarning" in warnings.formatwarning(UserWarning("No."), UserWarning, "other.py", 3)


@pytest.mark.parametrize("stage", STAGES)
def test_fit_without_clips_says_how_to_name_them(stage, capsys):
    assert main(["fit", "--config", f"configs/{stage}/default.yaml"]) == 2
    assert "--data.clips" in _one_line(capsys)


@pytest.mark.parametrize("stage", STAGES)
def test_fit_of_a_clip_that_does_not_exist_is_one_line(stage, capsys, tmp_path):
    arguments = ["fit", "--config", f"configs/{stage}/default.yaml", "--data.clips", str(tmp_path / "none")]
    assert main([*arguments, "--avatar", str(tmp_path / "avatar")]) == 2
    assert "readavatar prepare" in _one_line(capsys)


def test_a_misspelt_config_names_the_nearest(capsys):
    assert main(["fit", "--config", "configs/trakcing/default.yaml", "--data.clips", "x"]) == 2
    assert "configs/tracking/default.yaml" in _one_line(capsys)


def test_configs_are_found_from_any_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert find_config("configs/tracking/default.yaml").is_file()
    own = tmp_path / "configs" / "tracking" / "default.yaml"
    own.parent.mkdir(parents=True)
    own.write_text("{}")
    assert find_config("configs/tracking/default.yaml").resolve() == own, "the user's own file goes first"


def test_configs_are_found_in_both_spellings_of_the_option(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    name = "configs/appearance/default.yaml"
    assert with_found_configs(["fit", f"--config={name}"])[1] == f"--config={find_config(name)}"
    assert with_found_configs(["fit", "--config", name])[2] == str(find_config(name))


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("sweeps/*.yaml")), ids=lambda path: path.stem)
def test_a_sweep_expands_into_commands_that_start(path, capsys):
    commands = expand_sweep(path, count=2)
    assert commands
    for command in commands:
        assert command[0] == "fit"
        with pytest.raises(SystemExit) as exit_code:
            main([*command, "--data.clips", "clips/jane", "--print_config"])
        assert exit_code.value.code in (0, None)
        printed = yaml.safe_load(capsys.readouterr().out)
        asked = dict(argument[2:].split("=", 1) for argument in command if "=" in argument)
        for key, value in asked.items():
            section, *names = key.split(".")
            settings = printed[section]["init_args"]
            for name in names:
                settings = settings[name]
            assert float(settings) == pytest.approx(float(value))


def test_a_grid_is_every_combination_and_random_draws_repeat(tmp_path):
    path = tmp_path / "sweep.yaml"
    parameters = {"model.a": {"values": [1, 2]}, "model.b": {"values": ["x", "y", "z"]}}
    command = ["${env}", "readavatar", "fit", "${args}"]
    path.write_text(yaml.safe_dump({"method": "grid", "command": command, "parameters": parameters}))
    commands = expand_sweep(path)
    assert len(commands) == 6 and len({tuple(command) for command in commands}) == 6
    parameters = {"model.rate": {"distribution": "log_uniform_values", "min": 1e-4, "max": 1e-2}}
    path.write_text(yaml.safe_dump({"method": "random", "command": command, "parameters": parameters}))
    assert expand_sweep(path, 3, seed=1) == expand_sweep(path, 3, seed=1) != expand_sweep(path, 3, seed=2)
    rates = [float(command[1].split("=")[1]) for command in expand_sweep(path, 20)]
    assert all(1e-4 <= rate <= 1e-2 for rate in rates)


def test_a_bayesian_sweep_needs_the_server(tmp_path):
    path = Path(tmp_path / "sweep.yaml")
    path.write_text(yaml.safe_dump({"method": "bayes", "command": ["readavatar"], "parameters": {}}))
    with pytest.raises(UserError, match="server"):
        expand_sweep(path)


def test_a_sweeps_own_options_may_stand_behind_the_runs(capsys):
    sweep = "configs/sweeps/expression.yaml"
    assert main(["sweep", sweep, "--data.clips", "clips/jane", "--count", "2", "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and all("--data.clips clips/jane" in line and "--count" not in line for line in lines)


def test_a_file_where_a_folder_is_wanted_is_one_line(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["demo", "--quick", "--out", str(tmp_path / "file" / "demo")]) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1 and "Not a directory" in error[0]
