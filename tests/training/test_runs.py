"""Claims on runs of a stage: their configuration, their errors, what Python and the command line share."""

from __future__ import annotations

from pathlib import Path

import pytest

from readavatar.config_paths import CONFIG_FOLDERS
from readavatar.errors import UserError
from readavatar.training import run_stage, train
from readavatar.training.runs import stage_arguments

CONFIGS = next(folder for folder in CONFIG_FOLDERS if folder.is_dir())
OVERLAYS = [
    path
    for stage in ("tracking", "expression", "appearance")
    for path in sorted((CONFIGS / stage).glob("*.yaml"))
    if path.name != "default.yaml"
]


@pytest.mark.parametrize("path", OVERLAYS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_an_overlay_alone_is_one_line_that_names_the_file_before_it(path):
    with pytest.raises(UserError, match=f"overlay.* --config configs/{path.parent.name}/default.yaml --config"):
        run_stage("fit", ["--config", str(path), "--data.clips", "clips/jane"])


def test_a_users_own_overlay_is_told_alike(tmp_path):
    own = tmp_path / "own.yaml"
    own.write_text("trainer: {max_steps: 3}")
    with pytest.raises(UserError, match="is an overlay"):
        run_stage("fit", [f"--config={own}"])


def test_python_and_the_command_line_give_a_run_the_same_words():
    words = stage_arguments(
        "appearance",
        ["clips/a", Path("clips/b")],
        ["configs/appearance/fast.yaml"],
        {"trainer.max_steps": 20, "model.prior": "none", "data.layers": [1, 2], "data.size": None, "fresh": True},
        "avatars/a",
    )
    assert words == [
        "--config", "configs/appearance/default.yaml", "--config", "configs/appearance/fast.yaml",
        '--data.clips=["clips/a", "clips/b"]', "--trainer.max_steps=20", "--model.prior=none", "--data.layers=[1, 2]",
        "--data.size=null", "--fresh=true", "--avatar=avatars/a",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("stage", "overrides", "message"),
    [
        ("apearance", {}, "a stage of tracking, expression, appearance"),
        ("tracking", {"data.clip": "x"}, "'clip'"),
        ("tracking", {"device": "tpu"}, "a device of auto, cpu, cuda, mps"),
        ("expression", {"model.network.widht": 3}, "Did you mean 'width'"),
    ],
)
def test_a_mistake_from_python_is_a_user_error(tmp_path, stage, overrides, message):
    with pytest.raises(UserError, match=message):
        train(stage, tmp_path / "clip", overrides=overrides, avatar=tmp_path / "avatar")
    assert not (tmp_path / "avatar").exists()


def test_no_optimizer_of_lightnings_takes_the_place_of_the_gans():
    with pytest.raises(UserError, match="optimizer"):
        run_stage("fit", ["--config", "configs/expression/default.yaml", "--optimizer", "SGD", "--data.clips", "x"])
