"""The tracking scorecard from end to end, on tiny actors taken for footage."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import yaml
from tracking_people import EMOTIONS, SIZE, fit_the_truth, puff_the_cheeks, write_people

from readavatar.benchmarks import bench_tracking
from readavatar.benchmarks.tracking import actors as tracking_actors
from readavatar.benchmarks.tracking import fit as tracking_fit
from readavatar.benchmarks.tracking import footage as tracking_footage
from readavatar.benchmarks.tracking.fit import (
    JITTER,
    LANDMARKS,
    OWN_LANDMARKS,
    PSNR,
    REJECTED,
    SEEN_JITTER,
    link_clip,
    lip_jitter,
    longest_run,
)
from readavatar.cli import main
from readavatar.data.store import ClipStore
from readavatar.errors import UserError


@pytest.fixture(scope="module")
def people(tmp_path_factory) -> Path:
    return write_people(tmp_path_factory.mktemp("people"))


def test_a_fit_that_is_the_truth_holds_on_footage(people, tmp_path, monkeypatch):
    monkeypatch.setattr(tracking_fit, "train", fit_the_truth)
    scores = bench_tracking("builtin", actors=0, footage=people, work=tmp_path)
    footage = {name.removeprefix("footage: "): score for name, score in scores.items() if name.startswith("footage: ")}
    assert footage[LANDMARKS].value < 0.01 and footage[LANDMARKS].n == 4
    assert footage[PSNR].value > 28
    assert footage[REJECTED].value == 0
    assert footage[JITTER].value == pytest.approx(footage[SEEN_JITTER].value, rel=0.1)
    assert footage[tracking_footage.HIDDEN].holds and footage[tracking_footage.HIDDEN].n == 2
    subtracted = footage["emotion across people, fitted − own neutral"]
    assert subtracted.holds and subtracted.n == 2 and "chance 50" in subtracted.aim
    assert not any("detector" in name for name in footage if "emotion" in name)  # actors have no blendshapes
    assert scores[f"jane: {LANDMARKS}"].n == len(EMOTIONS)


def test_cheeks_that_a_fit_blows_up_on_a_resting_face_fail(people, tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO", "readavatar")
    monkeypatch.setattr(tracking_fit, "train", puff_the_cheeks)
    scores = bench_tracking("builtin", actors=0, footage=people, work=tmp_path)
    assert scores[f"footage: {tracking_footage.HIDDEN}"].value == 1.0
    assert scores[f"footage: {tracking_footage.HIDDEN}"].holds is False
    assert scores[f"footage: {tracking_footage.AT_LIMIT}"].value >= 1
    assert scores[f"footage: {PSNR}"].holds is not None
    assert "at their limit: cheekPuff" in caplog.text


def test_the_clips_that_are_measured_are_left_as_they_are(people, tmp_path):
    clip = people / "jane" / "happy"
    before = sorted(path.name for path in clip.iterdir())
    link = ClipStore(link_clip(clip, tmp_path / "link"))
    link.write_tracking(link.truth())
    assert sorted(path.name for path in clip.iterdir()) == before and not ClipStore(clip).is_tracked
    assert link.is_tracked and (link.frame(3) == ClipStore(clip).frame(3)).all()
    assert not ClipStore(link_clip(link.path, tmp_path / "again")).is_tracked


def test_an_actor_is_filmed_fitted_and_measured(monkeypatch, tmp_path):
    # The detector is not on every machine: here the film itself is taken for what it would have prepared.
    monkeypatch.setattr(
        tracking_actors, "prepare_clip", lambda source, out, **options: link_clip(source.parent, Path(out))
    )
    film = {"size": SIZE, "duration": 2.0, "sentences": ["Mum baked a pie by the map."]}
    monkeypatch.setattr(tracking_fit, "train", fit_the_truth)
    scores = bench_tracking("builtin", actors=1, work=tmp_path, film=film)
    named = {name.partition(": ")[2]: score for name, score in scores.items() if name.startswith("digital actors")}
    assert set(named) >= set(tracking_actors.ACTOR_ROWS)
    missed = [name for name in tracking_actors.TRUTH_ROWS if named[name].holds is False]
    assert not missed


def test_the_command_fits_with_readavatars_own_fit(people, tmp_path, capsys):
    stages = [
        {"name": "landmarks", "free": ["expression", "rotation", "position", "gaze"], "passes": 2},
    ]
    config = {"model": {"init_args": {"stages": stages, "texture_size": 32, "keyframes": 4}}}
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump({**config, "data": {"init_args": {"resolution": 32}}}))
    one = tmp_path / "people" / "jane"
    one.mkdir(parents=True)
    for emotion in EMOTIONS:
        (one / emotion).symlink_to(people / "jane" / emotion)
    command = ["bench", "tracking", "--morphable-model", "builtin", "--actors", "0", "--footage", str(one.parent)]
    command += ["--config", str(tmp_path / "tiny.yaml"), "--work", str(tmp_path / "work")]
    assert main([*command, "--json", str(tmp_path / "scores.json")]) == 0
    written = json.loads((tmp_path / "scores.json").read_text())
    landmarks = written[f"footage: {OWN_LANDMARKS}"]
    assert {"value", "low", "high", "unit", "aim"} <= set(landmarks) and 0 < landmarks["value"] < 20
    assert "tracking, footage (builtin)" in capsys.readouterr().out
    assert not ClipStore(people / "jane" / "happy").is_tracked


@pytest.mark.parametrize("wrong", ["missing", "empty", "a store"])
def test_a_folder_without_people_is_one_line(people, tmp_path, capsys, wrong):
    (tmp_path / "empty" / "jane").mkdir(parents=True)
    folder = {"missing": tmp_path / "none", "empty": tmp_path / "empty", "a store": people / "jane" / "happy"}[wrong]
    assert main(["bench", "tracking", "--actors", "0", "--footage", str(folder), "--work", str(tmp_path / "w")]) == 2
    error = capsys.readouterr().err.strip()
    assert len(error.splitlines()) == 1 and str(folder) in error and "one folder for each person" in error


def test_nothing_to_measure_is_refused(tmp_path):
    with pytest.raises(UserError, match="one or more digital actors"):
        bench_tracking("builtin", actors=0, work=tmp_path)


def test_a_persons_clips_and_videos_are_found(tmp_path):
    (tmp_path / "joe").mkdir()
    for name in ("M030_angry_level3.mp4", "speech.MOV", "notes.txt"):
        (tmp_path / "joe" / name).touch()
    (tmp_path / "README.md").touch()
    assert tracking_footage.find_people(tmp_path) == {
        "joe": [tmp_path / "joe" / "M030_angry_level3.mp4", tmp_path / "joe" / "speech.MOV"]
    }


def test_meads_file_names_are_labels():
    angry = tracking_footage.emotion_of_name("M030_angry_level2.mp4")
    assert angry.space.describe(angry.vectors[0]) == "angry:0.666667"
    assert not tracking_footage.emotion_of_name("W009_neutral_level1.mp4").vectors.any()
    assert tracking_footage.emotion_of_name("speech_60s_256.mp4") is None


def test_jitter_is_the_share_of_fast_motion_of_the_lips_against_the_nose():
    time = torch.arange(100) / 25
    points = torch.zeros(100, 68, 2)
    points += 30 * torch.sin(12.0 * 2 * torch.pi * time)[:, None, None]  # the whole head shakes
    points[:, 48:, 1] += torch.sin(2.0 * 2 * torch.pi * time)[:, None]
    assert lip_jitter(points, 25.0) < 1
    points[:, 48:, 1] += torch.sin(10.0 * 2 * torch.pi * time)[:, None]
    assert lip_jitter(points, 25.0) == pytest.approx(50, abs=3)


def test_the_longest_stretch_with_a_face_is_measured():
    assert longest_run(torch.tensor([True, False, True, True, False])) == slice(2, 4)
    assert longest_run(torch.zeros(3, dtype=torch.bool)) == slice(0, 0)
