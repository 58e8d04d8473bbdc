"""Claims on `readavatar ablate`: what it runs, what it does not run again, what its table says."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

import readavatar.training.subprocess_runner
from readavatar.benchmarks.ablation import stages as ablation_stages
from readavatar.benchmarks.appearance.actor_films import default_model, training_clip
from readavatar.cli import main
from readavatar.errors import UserError

SCORES = {
    "base": {"lip_error": [1.0, 2.0, 3.0], "upper_face_std_ratio": [0.95, 0.97, 0.93]},
    "one_hot": {"lip_error": [1.1, 1.9, 3.2], "upper_face_std_ratio": [0.96, 0.94, 0.95]},
    "regression": {"lip_error": [0.9, 1.9, 2.9], "upper_face_std_ratio": [0.30, 0.35, 0.31]},
}


class Trainings:
    """Stands in for the stages: keeps the command lines, and leaves ``SCORES`` where figures are looked for."""

    def __init__(self) -> None:
        self.fits: list[list[str]] = []
        self.tests: list[list[str]] = []
        self.fails_at: tuple[str, int] | None = None

    def __call__(self, kind: str, arguments: Sequence[str], initializer=None) -> dict[str, float]:
        rest = list(arguments)
        avatar = Path(next(word for word in rest if word.startswith("--avatar=")).partition("=")[2])
        name, seed = avatar.parent.name, int(avatar.name)
        if (name, seed) == self.fails_at:
            raise UserError("Expected finite losses, but at step 3 got nan.")
        (self.fits if kind == "fit" else self.tests).append(rest)
        (avatar / "training").mkdir(parents=True, exist_ok=True)
        return {f"test/{figure}": values[seed] for figure, values in SCORES[name].items()} if kind == "test" else {}

    @property
    def names(self) -> list[str]:
        """Of the runs that were trained, as ``name/seed``."""
        return [_option(fit, "--avatar").partition("runs/")[2] for fit in self.fits]


def _option(arguments: list[str], name: str) -> str:
    return next(word for word in arguments if word.startswith(f"{name}=")).partition("=")[2]


@pytest.fixture
def trainings(monkeypatch) -> Trainings:
    stand_in = Trainings()

    monkeypatch.setattr(readavatar.training.subprocess_runner, "run_stage_in_subprocess", stand_in)
    return stand_in


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A user's own folder of two ablations, from which the command is given."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "own" / "expression"
    path.mkdir(parents=True)
    (path / "_base.yaml").write_text("trainer: {max_steps: 10}")
    (path / "one_hot.yaml").write_text("data: {init_args: {emotion_coding: one_hot}}")
    (path / "regression.yaml").write_text("model: {init_args: {weights: {adversarial: 0.0}}}")
    return path


def _ablate(folder: Path, *options: str) -> int:
    return main(["ablate", str(folder), "--out", "runs", *options, "--data.clips", "clips/jane"])


def _one_line(capsys) -> str:
    error = capsys.readouterr().err.strip()
    assert len(error.splitlines()) == 1, error
    return error


def test_the_base_and_each_ablation_are_trained_with_each_seed(trainings, folder):
    assert _ablate(folder, "--seeds", "2") == 0
    assert trainings.names == [f"{name}/{seed}" for seed in (0, 1) for name in ("base", "one_hot", "regression")]
    base, one_hot = trainings.fits[:2]
    assert [Path(word).name for word in base if word.endswith(".yaml")] == ["default.yaml", "_base.yaml"]
    assert [Path(word).name for word in one_hot if word.endswith(".yaml")][2:] == ["one_hot.yaml"]
    assert _option(trainings.fits[-1], "--seed_everything") == "1"
    assert all(fit[fit.index("--data.clips") + 1] == "clips/jane" for fit in trainings.fits)


def test_without_footage_each_seed_has_a_digital_actor_of_its_own(trainings, folder, monkeypatch):
    measured = []

    def score(avatar, actor, work):
        measured.append((avatar, actor, work))
        return {"lip_error_mm": 1.0, "change_delay_s": math.nan}

    monkeypatch.setattr(ablation_stages, "score_expression_avatar", score)
    assert main(["ablate", str(folder), "--out", "runs", "--seeds", "2"]) == 0
    assert measured[-1] == (Path("runs/regression/1"), ablation_stages.FIRST_ACTOR + 1, Path("runs"))
    assert json.loads(Path("runs/base/0/result.json").read_text())["scores"] == {"lip_error_mm": 1.0}
    actors = {(Path(_option(fit, "--avatar")).name, _option(fit, "--data.first_actor")) for fit in trainings.fits}
    assert actors == {("0", str(ablation_stages.FIRST_ACTOR)), ("1", str(ablation_stages.FIRST_ACTOR + 1))}
    assert all(any(word.endswith("actor.yaml") for word in fit) for fit in trainings.fits)


def test_the_same_command_runs_only_what_is_not_done(trainings, folder, capsys):
    trainings.fails_at = ("regression", 1)
    assert _ablate(folder) == 2
    assert "regression, seed 1: Expected finite losses" in _one_line(capsys)
    assert trainings.names[-1] == "one_hot/1"
    kept = (folder.parents[1] / "runs" / "base" / "0" / "result.json").stat().st_mtime_ns
    trainings.fits, trainings.fails_at = [], None
    assert _ablate(folder) == 0
    assert trainings.names == ["regression/1", "base/2", "one_hot/2", "regression/2"]
    trainings.fits = []
    assert _ablate(folder) == 0 and not trainings.fits
    assert (folder.parents[1] / "runs" / "base" / "0" / "result.json").stat().st_mtime_ns == kept


def test_a_run_that_was_stopped_goes_on_in_its_folder_and_one_of_other_settings_does_not(trainings, folder):
    _ablate(folder, "--seeds", "1")
    begun = folder.parents[1] / "runs" / "one_hot" / "0"
    (begun / "result.json").unlink()
    (begun / "training" / "last.ckpt").touch()
    (folder / "regression.yaml").write_text("model: {init_args: {weights: {adversarial: 0.5}}}")
    (folder.parents[1] / "runs" / "regression" / "0" / "training" / "last.ckpt").touch()
    trainings.fits = []
    assert _ablate(folder, "--seeds", "1") == 0
    assert trainings.names == ["one_hot/0", "regression/0"]
    assert (begun / "training" / "last.ckpt").exists()
    assert not (folder.parents[1] / "runs" / "regression" / "0" / "training" / "last.ckpt").exists()


@pytest.mark.parametrize("change", ["preset", "override"])
def test_what_all_runs_share_is_of_their_settings(trainings, folder, change):
    _ablate(folder, "--seeds", "1")
    trainings.fits = []
    more = []
    if change == "preset":
        (folder / "_base.yaml").write_text("trainer: {max_steps: 20}")
    else:
        more = ["--trainer.max_steps=30"]
    assert _ablate(folder, "--seeds", "1", *more) == 0
    assert trainings.names == ["base/0", "one_hot/0", "regression/0"]


def test_figures_of_another_scorer_are_measured_again(trainings, folder):
    _ablate(folder, "--seeds", "1")
    assert len(trainings.tests) == 3
    _ablate(folder, "--seeds", "1", "--rescore")
    assert len(trainings.tests) == 6
    result = folder.parents[1] / "runs" / "base" / "0" / "result.json"
    result.write_text(json.dumps({**json.loads(result.read_text()), "scorer": "an older one"}))
    _ablate(folder, "--seeds", "1")
    assert len(trainings.tests) == 7


def test_a_folder_that_is_not_an_ablations_run_is_left_alone(trainings, folder, capsys):
    precious = folder.parents[1] / "runs" / "base" / "0"
    precious.mkdir(parents=True)
    (precious / "avatar.json").write_text("{}")
    assert _ablate(folder) == 2
    assert "give another --out" in _one_line(capsys) and (precious / "avatar.json").exists()


def test_the_tables_numbers_by_hand(trainings, folder, capsys):
    assert _ablate(folder) == 0
    figures = json.loads((folder.parents[1] / "runs" / "table.json").read_text())["figures"]
    lips, brows = figures["lip_error"]["runs"], figures["upper_face_std_ratio"]["runs"]
    assert lips["base"]["estimate"]["mean"] == 2.0 and lips["base"]["values"] == {"0": 1.0, "1": 2.0, "2": 3.0}
    # 0.1 better on every seed (p = 0) survives any correction; 0.1, -0.1, 0.2 is a mean of 0.0667 ± 0.0882.
    regression, one_hot = lips["regression"]["comparison"], lips["one_hot"]["comparison"]
    assert regression["is_significant"] and regression["direction"] == "better"
    assert one_hot["p"] == pytest.approx(0.5286, abs=1e-3) and not one_hot["is_significant"]
    assert brows["regression"]["comparison"]["is_significant"]
    assert brows["regression"]["comparison"]["direction"] == "worse"
    assert brows["regression"]["comparison"]["difference"]["mean"] == pytest.approx(0.68 - 0.05, abs=1e-9)
    markdown = (folder.parents[1] / "runs" / "table.md").read_text().splitlines()
    assert markdown[2] == "| | lip error ↓ | upper face std ratio →1 |"
    rows = {line.split("|")[1].strip(): line for line in markdown[4:7]}
    assert rows["`base`"] == "| `base` | 2.000 ± 2.484 | 0.950 ± 0.050 |"
    assert "1.900 ± 2.484 ▲" in rows["`regression`"] and "▼" in rows["`regression`"]
    assert not set("▲▼△▽") & set(rows["`one_hot`"])
    assert any("| `one_hot` | +0.067 ± 0.379 (p 0.529) |" in line for line in markdown)
    printed = capsys.readouterr().out
    assert "1.900 ± 2.484 ▲" in printed and "Holm" in printed


def test_two_seeds_say_that_there_is_no_significance(trainings, folder, capsys):
    _ablate(folder, "--seeds", "2")
    assert "n/a" in capsys.readouterr().out
    markdown = (folder.parents[1] / "runs" / "table.md").read_text()
    assert "(n/a)" in markdown and "±" not in markdown and not set("▲▼△▽") & set(markdown)


def test_the_table_alone_trains_nothing(trainings, folder, capsys):
    assert main(["ablate", str(folder), "--out", "runs", "--table-only"]) == 2
    assert "there are none" in _one_line(capsys)
    _ablate(folder)
    before = (folder.parents[1] / "runs" / "table.md").read_text()
    (folder.parents[1] / "runs" / "table.md").unlink()
    trainings.fits = []
    assert main(["ablate", str(folder), "--out", "runs", "--table-only"]) == 0
    assert not trainings.fits and (folder.parents[1] / "runs" / "table.md").read_text() == before


def test_runs_of_other_settings_are_not_compared(trainings, folder, capsys):
    _ablate(folder)
    _ablate(folder, "--only", "regression", "--trainer.max_steps=30")
    capsys.readouterr()
    assert main(["ablate", str(folder), "--out", "runs", "--table-only"]) == 0
    printed = capsys.readouterr().out
    assert "Left out: one_hot, seed 2: of other settings than the base." in printed
    runs = json.loads((folder.parents[1] / "runs" / "table.json").read_text())["figures"]["lip_error"]["runs"]
    assert list(runs) == ["base", "regression"]


def test_only_the_ablations_that_are_asked_for(trainings, folder):
    _ablate(folder, "--seeds", "1", "--only", "regression")
    assert trainings.names == ["base/0", "regression/0"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--only", "regresion"], "Did you mean 'regression'?"),
        (["--seeds", "0"], "--seeds of 1 or more"),
        (["--avatar=me"], "--avatar is set by every run"),
        (["--seed_everything", "3"], "--seed_everything is set by every run"),
    ],
)
def test_a_mistake_is_one_line(trainings, folder, capsys, options, said):
    assert _ablate(folder, *options) == 2
    assert said in _one_line(capsys) and not trainings.fits


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("own/nothing/expression", "one .yaml file for each ablation"),
        ("own", "named after a stage"),
        ("configs/ablations/expresion", "Did you mean 'configs/ablations/expression'?"),
    ],
)
def test_a_folder_of_no_ablations_is_one_line(trainings, folder, capsys, name, said):
    (folder.parent / "nothing" / "expression").mkdir(parents=True)
    assert main(["ablate", name]) == 2
    assert said in _one_line(capsys)


def test_the_appearance_stage_films_the_actor_that_it_learns_from(trainings, folder, monkeypatch):
    filmed, measured = [], []
    stage = ablation_stages.STAGES["appearance"]
    stage = dataclasses.replace(stage, film=lambda actor, out: filmed.append((actor, out)))
    monkeypatch.setitem(ablation_stages.STAGES, "appearance", stage)

    def score(avatar, actor, work):
        measured.append((avatar, actor, work))
        return {"psnr_mouth_inside": 25.0}

    monkeypatch.setattr(ablation_stages, "score_appearance_avatar", score)
    chosen = ["--only", "siren_plain", "--seeds", "2", "--out", "runs"]
    assert main(["ablate", "configs/ablations/appearance", *chosen]) == 0
    first = ablation_stages.FIRST_ACTOR
    assert filmed == [(actor, Path("runs")) for actor in (first, first, first + 1, first + 1)]
    clips = {Path(_option(fit, "--avatar")).name: _option(fit, "--data.clips") for fit in trainings.fits}
    assert clips == {str(seed): str(training_clip(first + seed, default_model(), Path("runs"))) for seed in range(2)}
    assert measured[-1] == (Path("runs/siren_plain/1"), first + 1, Path("runs"))
    base, plain = trainings.fits[:2]
    assert [Path(word).name for word in plain if word.endswith(".yaml")][2:] == ["siren_plain.yaml"]
    assert [Path(word).name for word in base if word.endswith(".yaml")] == ["default.yaml", "_base.yaml"]


def test_every_loss_that_an_ablation_takes_away_is_in_the_appearance_base():
    folder = Path(__file__).parents[2] / "configs" / "ablations" / "appearance"
    weights = lambda path: yaml.safe_load(path.read_text()).get("model", {}).get("init_args", {}).get("weights", {})  # noqa: E731
    default = weights(folder.parents[1] / "appearance" / "default.yaml")
    base = {**default, **weights(folder / "_base.yaml")}
    taken_away = {name for path in folder.glob("no_*.yaml") for name in weights(path)}
    assert taken_away == {"adversarial", "matching", "features", "gaze"}
    assert all(base[name] > 0 for name in taken_away)


@pytest.mark.parametrize("stage", ["expression", "appearance"])
def test_a_dry_run_prints_commands_that_parse(trainings, stage, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    asked = ["ablate", f"configs/ablations/{stage}", "--dry-run", "--seeds", "1", "--data.clips", "clips/jane"]
    assert main(asked) == 0
    commands = [line.split()[2:] for line in capsys.readouterr().out.splitlines()]
    assert len(commands) > 5 and not trainings.fits and not any(tmp_path.iterdir())
    monkeypatch.undo()
    for command in (commands[0], commands[-1]):
        with pytest.raises(SystemExit) as exit_code:
            main(["fit", *command, "--print_config"])
        assert exit_code.value.code in (0, None)
        assert yaml.safe_load(capsys.readouterr().out)["data"]["init_args"]["clips"] == "clips/jane"


TINY = """
model: {init_args: {network: {width: 8, reaches: [1], num_noise: 2, discriminator_width: 8, discriminator_scales: 1}}}
data: {init_args: {window_seconds: 1.0, batch_size: 4, speech_encoder: log_mel}}
trainer: {max_steps: 3, val_check_interval: 3, enable_progress_bar: false, accelerator: cpu}
"""


def test_real_trainings_are_measured_and_taken_up_again(folder, monkeypatch, capfd):
    stage = ablation_stages.STAGES["expression"]
    monkeypatch.setitem(ablation_stages.STAGES, "expression", dataclasses.replace(stage, bench=None))
    # In this process: a new one imports for ten seconds, and has tests of its own.
    here = lambda function, arguments, initializer=None: function(*arguments)  # noqa: E731
    monkeypatch.setattr(readavatar.training.subprocess_runner, "_in_subprocess", here)
    (folder / "_base.yaml").write_text(TINY)
    actor = ["--data.minutes=0.1", "--data.held_out_minutes=0.1", "--data.morphable_model=builtin"]
    command = ["ablate", str(folder), "--out", "runs", "--seeds", "1", "--only", "regression", *actor]
    assert main(command) == 0
    first = json.loads(Path("runs/table.json").read_text())
    assert set(first["figures"]["lip_error"]["runs"]) == {"base", "regression"}
    assert first["figures"]["lip_error"]["runs"]["base"]["values"]["0"] > 0
    Path("runs/regression/0/result.json").unlink()
    capfd.readouterr()
    assert main(command) == 0
    printed = capfd.readouterr().out
    assert "regression, seed 0" in printed and "base, seed 0" not in printed and "Resuming from" in printed
    assert json.loads(Path("runs/table.json").read_text()) == first
