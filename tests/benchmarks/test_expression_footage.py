"""The expression scorecard on footage and recordings: the ridge regression, and single samples and their mean."""

from __future__ import annotations

import dataclasses

import pytest
import soundfile
import torch
from expression_motions import small_trial
from untrained_avatars import write_untrained

from readavatar.benchmarks.expression import footage as expression_footage
from readavatar.benchmarks.expression import sync as expression_sync
from readavatar.benchmarks.expression.footage import (
    OF_MEAN,
    OF_SAMPLES,
    OPENING_SPREAD,
    UPPER_SPREAD,
    bench_expression_footage,
    frame_windows,
    predict_by_ridge,
    sample_scores,
)
from readavatar.benchmarks.expression.sync import (
    JudgeSettings,
    bench_expression_recordings,
    find_judge,
    find_recordings,
)
from readavatar.cli import main
from readavatar.emotion import EmotionSpace, EmotionTrack
from readavatar.errors import UserError
from readavatar.metrics import pearson_correlation
from readavatar.synthetic import write_actor_clip

TINY_JUDGE = JudgeSettings(num_characters=1, minutes=0.2, steps=2)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    store = write_actor_clip(
        tmp_path_factory.mktemp("clip") / "jane",
        sentences=["Mum baked a pie by the map.", "Bring me the rope, the hammer and a box of bolts."],
        emotion=EmotionTrack.constant(EmotionSpace()),
        size=32,
        fps=30,
    )
    store.write_tracking(store.truth())
    return store


@pytest.fixture
def judge(monkeypatch):
    for module in (expression_footage, expression_sync):
        monkeypatch.setattr(module, "find_judge", lambda work: find_judge(work, TINY_JUDGE))


def test_a_window_holds_the_frames_around_and_repeats_the_ends():
    windows = frame_windows(torch.arange(4.0)[:, None], reach=1)
    assert windows.tolist() == [[0, 0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 3]]


def test_a_ridge_finds_a_line_and_shrinks_where_that_predicts_better():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(300, 20, generator=generator)
    clean = features[:, 0] - 2 * features[:, 1] + 5
    found = predict_by_ridge(features[:200], clean[:200], features[200:])
    assert found == pytest.approx(clean[200:], abs=0.2)
    hidden = torch.randn(300, 3, generator=generator)  # what many noisy features all tell a little of
    wide = hidden @ torch.randn(3, 150, generator=generator) + torch.randn(300, 150, generator=generator)
    noisy = hidden[:, 0] + torch.randn(300, generator=generator)
    chosen, unshrunk = (predict_by_ridge(wide[:200], noisy[:200], wide[200:], p) for p in ((1e-3, 1e3), (1e-3,)))
    assert pearson_correlation(chosen, hidden[200:, 0]) > pearson_correlation(unshrunk, hidden[200:, 0]) + 0.1
    assert float(chosen.std()) < float(unshrunk.std())


def test_the_mean_of_noisy_samples_correlates_better_and_moves_less():
    trial = small_trial()
    true = trial.lines[0].expressions
    noise = 0.05 * torch.randn(8, *true.shape, generator=torch.Generator().manual_seed(0))
    scores = sample_scores(true + noise, true, trial.space, 0.78)
    assert scores[OF_MEAN].value > scores[OF_SAMPLES].value and scores[OF_MEAN].holds
    exact = sample_scores(true.expand(2, -1, -1), true, trial.space)
    assert exact[OPENING_SPREAD].holds and exact[UPPER_SPREAD].value == pytest.approx(1.0)
    one_of_two = torch.stack([true, 0.5 * true])
    spread = sample_scores(one_of_two, true, trial.space)[OPENING_SPREAD]
    assert spread.holds is False and (spread.low, spread.high) == (pytest.approx(0.5), pytest.approx(1.0))


def test_a_clips_end_is_measured_at_its_own_rate(clip, judge, tmp_path):
    avatar = write_untrained(tmp_path / "avatar")  # moves at 25 frames a second, the clip at 30
    scores = bench_expression_footage(clip.path, avatar, held_out=1.5, work=tmp_path)
    assert scores[f"footage: {OF_SAMPLES}"].n == 8
    assert scores[f"footage: {OF_MEAN}"].aim == "≥ 0.6"  # its encoder is log_mel
    assert "footage: ridge, ±3 frames, log-mel: correlation" in scores


@pytest.mark.parametrize("held_out", [0.0, 60.0])
def test_an_end_that_leaves_too_little_is_refused(clip, held_out):
    with pytest.raises(UserError, match="at most half"):
        bench_expression_footage(clip.path, held_out=held_out)


def test_an_avatar_of_another_face_is_refused(clip, tmp_path):
    avatar = write_untrained(tmp_path / "avatar", expression_names=["a"] * 53, morphable_model="flame")
    with pytest.raises(UserError, match="fitted with 'builtin'"):
        bench_expression_footage(clip.path, avatar, held_out=1.5)


def test_every_recording_is_measured_or_named_as_too_short(clip, judge, tmp_path, caplog):
    (tmp_path / "sounds" / "deep").mkdir(parents=True)
    soundfile.write(tmp_path / "sounds" / "long.wav", clip.waveform().numpy(), 16_000)
    soundfile.write(tmp_path / "sounds" / "deep" / "short.wav", clip.waveform().numpy()[:16_000], 16_000)
    avatar, sheets = write_untrained(tmp_path / "avatar"), tmp_path / "sheets"
    scores = bench_expression_recordings(tmp_path / "sounds", avatar, tmp_path, "happy:0.5", sheets)
    assert set(scores) == {"recordings: offset, long.wav", "recordings: confidence, long.wav"}
    assert "short.wav: too short" in caplog.text
    assert sorted(sheet.name for sheet in sheets.iterdir()) == ["long.png", "short.png"]
    assert find_recordings(tmp_path / "sounds" / "long.wav") == [tmp_path / "sounds" / "long.wav"]


def test_a_folder_without_recordings_and_a_voice_without_a_face_are_one_line(tmp_path, capsys):
    with pytest.raises(UserError, match="found none"):
        find_recordings(tmp_path)
    assert main(["bench", "expression", "--speech", str(tmp_path)]) == 2
    assert "--avatar" in capsys.readouterr().err
    assert dataclasses.asdict(TINY_JUDGE)["steps"] == 2
