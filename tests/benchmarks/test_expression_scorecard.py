"""The expression scorecard from end to end, with networks that have learnt nothing and a short trial."""

from __future__ import annotations

import json

import pytest
import torch
from expression_motions import delayed, small_trial, truth
from untrained_avatars import write_untrained

from readavatar.benchmarks import trained
from readavatar.benchmarks.expression import bench as expression
from readavatar.benchmarks.expression import dial as expression_dial
from readavatar.benchmarks.expression import sync as expression_sync
from readavatar.benchmarks.expression import takes as expression_takes
from readavatar.benchmarks.expression.bench import ROWS, over_twin, summarise_actors
from readavatar.benchmarks.expression.cost import CHUNKS, COST_ROWS, measure_cost
from readavatar.benchmarks.expression.lips import FACE_DISTANCE, LIP_ERROR
from readavatar.benchmarks.expression.motion import SPACE, TrainedMotion
from readavatar.benchmarks.expression.reader import ReaderSettings, find_reader
from readavatar.benchmarks.expression.sync import OFFSET, JudgeSettings, find_judge, measure_sync
from readavatar.benchmarks.expression.takes import GAN, TUNED, TWIN, make_trial, train_actor
from readavatar.cli import main
from readavatar.errors import UserError
from readavatar.morphable import EXPRESSION_NAMES

QUICK_JUDGE = JudgeSettings(num_characters=4, minutes=0.5, steps=120)


@pytest.fixture(scope="module")
def trial():
    return small_trial()


@pytest.fixture
def quick(monkeypatch):
    """A scorecard that takes seconds."""
    tiny = ReaderSettings(num_characters=1, sentences=1, emotions=2, seconds=2.0, steps=3)
    monkeypatch.setattr(expression, "find_reader", lambda work: find_reader(work, tiny))
    judge = JudgeSettings(num_characters=1, minutes=0.2, steps=2)
    monkeypatch.setattr(expression, "find_judge", lambda work: find_judge(work, judge))
    brief = make_trial(901, "builtin", num_lines=2, minutes=0.15, training_minutes=0.4)
    monkeypatch.setattr(expression, "make_trial", lambda seed, model, fps: brief)
    monkeypatch.setattr(expression_dial, "MIXED", ((0.5, 0.5),))
    monkeypatch.setattr(expression_dial, "NUM_STEPS", 3)
    monkeypatch.setattr(expression, "measure_cost", lambda trial, motion: {CHUNKS: 0.0})


@pytest.fixture
def trainings(monkeypatch) -> list[dict]:
    """What was trained, by a stand-in that leaves untrained networks."""
    made: list[dict] = []

    def train_nothing(stage, clips, **options):
        made.append(options)
        write_untrained(options["avatar"], seed=len(made))

    monkeypatch.setattr(trained, "train", train_nothing)
    return made


def test_the_gan_its_twin_and_the_one_from_the_prior_stand_beside_the_truth(quick, trainings, tmp_path):
    plot = tmp_path / "plot.png"
    scores = expression.bench_expression("builtin", actors=1, work=tmp_path, plot=plot)
    assert len(trainings) == 3 and plot.stat().st_size > 10_000
    assert "configs/ablations/expression/regression.yaml" in trainings[0]["configs"]
    assert "configs/ablations/expression/regression.yaml" not in trainings[1]["configs"]
    assert "configs/expression/actor_from_prior.yaml" in trainings[2]["configs"]
    for column in ("truth", TWIN, GAN, TUNED):
        assert f"{column}: {LIP_ERROR}" in scores and f"actor 901, {column}: {LIP_ERROR}" in scores
    assert scores[f"truth: {LIP_ERROR}"].value < 0.05 < scores[f"{GAN}: {LIP_ERROR}"].value
    for column in (GAN, TUNED):
        ratio = scores[f"{column}: {FACE_DISTANCE}, over the twin's"]
        distances = [scores[f"{each}: {FACE_DISTANCE}"].value for each in (column, TWIN)]
        assert ratio.value == pytest.approx(distances[0] / distances[1]) and ratio.aim == "≤ 0.5"
    assert f"{TUNED}: {CHUNKS}" in scores and f"{TWIN}: {CHUNKS}" not in scores


def test_the_command_measures_a_given_avatar_without_training(quick, tmp_path, capsys):
    avatar = write_untrained(tmp_path / "avatar")
    command = ["bench", "expression", "--avatar", str(avatar), "--actors", "1", "--morphable-model", "builtin"]
    assert main([*command, "--work", str(tmp_path), "--json", str(tmp_path / "scores.json")]) == 0
    written = json.loads((tmp_path / "scores.json").read_text())
    assert {"value", "low", "high", "unit", "aim"} <= set(written[f"avatar: {LIP_ERROR}"])
    assert not any("twin" in name for name in written)
    assert "avatar holds" in capsys.readouterr().out


def test_a_training_is_known_by_what_its_configs_say(tmp_path, trainings):
    first = train_actor(2, GAN, "builtin", tmp_path)
    assert trainings[0]["overrides"] == {
        "data.first_actor": 903,
        "data.morphable_model": "builtin",
        "seed_everything": 2,
    }
    assert train_actor(2, GAN, "builtin", tmp_path) == first and len(trainings) == 1
    (tmp_path / "short.yaml").write_text("trainer: {max_steps: 1}\n")
    assert train_actor(2, GAN, "builtin", tmp_path, str(tmp_path / "short.yaml")) != first
    assert len(trainings[-1]["configs"]) == 2


def test_a_training_that_leaves_nothing_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(trained, "train", lambda *_, **__: None)
    with pytest.raises(UserError, match="run this again"):
        train_actor(0, TWIN, "builtin", tmp_path)
    assert expression_takes.FIRST_SEED == 901


def test_emotions_are_asked_for_by_name_and_the_gaze_is_nobodys(tmp_path, trial):
    with pytest.raises(UserError, match="lacks"):
        TrainedMotion(write_untrained(tmp_path / "few", emotion_names=[*SPACE.names[:6], "shy"]))
    turned = [*SPACE.names[1:], SPACE.names[0]]
    motion = TrainedMotion(write_untrained(tmp_path / "turned", emotion_names=turned))
    asked = motion.requested_emotion(torch.eye(7)[:1])
    assert turned[int(asked.argmax())] == SPACE.names[0]
    shown = motion(trial.lines[0], trial.lines[0].emotion, 0)
    gaze = [index for index, name in enumerate(EXPRESSION_NAMES) if name.startswith("eyeLook")]
    assert shown[:, gaze].abs().max() == 0 and shown.abs().max() > 0


def test_a_prior_starts_a_new_person_with_the_mean_style(tmp_path):
    motion = TrainedMotion(write_untrained(tmp_path / "prior", num_people=3))
    assert torch.equal(motion.generator.codes[0], motion.generator.codes[2])


def test_chunks_memory_and_speed_of_a_network_are_measured(tmp_path, trial):
    measured = measure_cost(trial, TrainedMotion(write_untrained(tmp_path / "avatar")))
    assert set(measured) == set(COST_ROWS)
    assert measured[CHUNKS] < 1e-4
    assert all(value > 0 for name, value in measured.items() if name != CHUNKS)


def test_the_judge_measures_how_late_lips_are(tmp_path, trial):
    judge = find_judge(tmp_path, QUICK_JUDGE)
    assert measure_sync(trial, truth(trial), judge)[OFFSET] < 1
    assert measure_sync(trial, delayed(trial, 5), judge)[OFFSET] == pytest.approx(5, abs=1)
    again = find_judge(tmp_path, QUICK_JUDGE)
    assert all(torch.equal(a, b) for a, b in zip(judge.network.parameters(), again.network.parameters(), strict=True))
    assert judge.offset(trial.lines[0].waveform, trial.lines[0].expressions[:20], 25.0) is None
    assert expression_sync.JudgeSettings().first_seed != ReaderSettings().first_seed


def test_actors_are_the_bootstraps_samples():
    actors = {f"actor {seed}": {"GAN": {LIP_ERROR: error}} for seed, error in ((901, 1.0), (902, 2.0), (903, 3.0))}
    scores = summarise_actors(actors)
    assert scores[f"GAN: {LIP_ERROR}"].value == pytest.approx(2.0) and scores[f"GAN: {LIP_ERROR}"].n == 3
    assert scores[f"actor 902, GAN: {LIP_ERROR}"].value == 2.0
    ratios = over_twin({LIP_ERROR: 2.0, FACE_DISTANCE: 1.0}, {LIP_ERROR: 4.0, FACE_DISTANCE: 0.0})
    assert ratios == {f"{LIP_ERROR}, over the twin's": 0.5} and set(ratios) <= set(ROWS)


def test_no_actors_are_refused(tmp_path):
    with pytest.raises(UserError, match="one or more digital actors"):
        expression.bench_expression("builtin", actors=0, work=tmp_path)
