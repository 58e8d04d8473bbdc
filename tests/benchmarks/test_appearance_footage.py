"""The appearance scorecard on footage: the avatar and the baselines on a clip's held-out end."""

from __future__ import annotations

import json

import pytest
import torch
import torch.nn.functional as F
from tiny_face import tiny_model
from tiny_footage import write_footage, write_painter

from readavatar.benchmarks import bench_appearance, trained
from readavatar.benchmarks.appearance import footage as appearance_footage
from readavatar.benchmarks.appearance.footage import AVATAR, NEAREST, OVER_NEAREST, bench_appearance_footage
from readavatar.benchmarks.appearance.likeness import LPIPS_ALEX, PAINTED, PSNR
from readavatar.benchmarks.appearance.painting import AvatarPainter, avatar_speech_features, check_unseen
from readavatar.benchmarks.trained import train_on_footage
from readavatar.cli import main
from readavatar.data.store import ClipStore
from readavatar.errors import UserError


class _Distance(torch.nn.Module):
    def forward(self, predicted, target, mask=None):
        return (predicted - target).abs().mean((1, 2, 3))


FAST, DEFAULT = "configs/appearance/fast.yaml", "configs/appearance/default.yaml"


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    """The tiny face, a distance without weights, and no detector, which would find no face here."""
    monkeypatch.setattr(appearance_footage, "load_morphable_model", lambda name: tiny_model())
    monkeypatch.setattr(appearance_footage, "load_lpips_networks", lambda: {"alex": _Distance()})
    monkeypatch.setattr(appearance_footage, "find_asset", lambda name: None)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_footage(tmp_path_factory.mktemp("clip") / "jane")


def _says(avatar, clips, held_out):
    path = avatar / "training" / "appearance" / "settings.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"data": {"init_args": {"clips": clips, "held_out_seconds": held_out}}}))


def test_an_avatar_is_measured_with_the_baselines_and_drawn(store, tmp_path, caplog):
    avatar = write_painter(tmp_path / "avatar", store.path, size=32)
    scores = bench_appearance(footage=store.path, avatar=avatar, held_out=0.24, sheets=tmp_path / "sheets")
    assert scores[f"{AVATAR}: {PSNR}"].value < scores[f"{NEAREST}: {PSNR}"].value  # it has learnt nothing
    gain = scores[f"{AVATAR}: {OVER_NEAREST}"]
    assert gain.value == pytest.approx(scores[f"{AVATAR}: {PSNR}"].value - scores[f"{NEAREST}: {PSNR}"].value)
    assert gain.holds is False and gain.aim == "≥ 10"
    assert scores[f"{AVATAR}: {PAINTED}"].value > 90 and f"{NEAREST}: {LPIPS_ALEX}" in scores
    assert [sheet.name for sheet in (tmp_path / "sheets").iterdir()] == ["tiny.png"]
    assert "may have been trained on the frames" in caplog.text


def test_what_is_not_painted_is_the_footage_to_the_bit_at_any_size(store, tmp_path):
    for size in (32, 48):
        avatar = write_painter(tmp_path / str(size), store.path, size=size)
        painter = AvatarPainter(avatar, store, tiny_model(), store.tracking())
        painting = painter.paint(range(18, 21))
        near = F.max_pool2d(painting.alphas, 7, stride=1, padding=3)  # as far as bicubic resampling reaches
        untouched = (near == 0).expand_as(painting.images)
        real = store.frames(range(18, 21))
        assert untouched.any() and torch.equal(painting.images[untouched], real[untouched])
        assert float((painting.images - real).abs().max()) > 0.1
        alone = painter.paint(range(20, 21))
        torch.testing.assert_close(alone.images[0], painting.images[2], atol=1e-5, rtol=0)


def test_an_avatar_of_another_face_or_another_ear_is_refused(store, tmp_path):
    other = write_painter(tmp_path / "other", store.path, expression_names=["smile"], morphable_model="flame")
    with pytest.raises(UserError, match="fitted with 'flame'"):
        AvatarPainter(other, store, tiny_model(), store.tracking())
    with pytest.raises(UserError, match="speech encoder 'log_mel'"):
        avatar_speech_features(store, {"name": "log_mel", "layers": None, "fingerprint": "another", "num_features": 80})


def test_an_avatar_that_was_trained_on_the_end_is_refused(store, tmp_path):
    fair, unfair = (write_painter(tmp_path / name, store.path) for name in ("fair", "unfair"))
    _says(fair, [str(store.path)], 0.24)
    _says(unfair, str(store.path), 0.08)
    assert check_unseen(fair, store, 6) is None
    with pytest.raises(UserError, match=r"--held-out 0\.08 or less"):
        check_unseen(unfair, store, 6)
    elsewhere = write_footage(tmp_path / "somebody")
    assert check_unseen(unfair, elsewhere, 6) is None


def test_without_an_avatar_one_is_trained_once_on_all_but_the_end(store, tmp_path, monkeypatch):
    trainings = []

    def paint_nothing(stage, clips, **options):
        trainings.append(options)
        write_painter(options["avatar"], store.path)

    monkeypatch.setattr(trained, "train", paint_nothing)
    scores = bench_appearance_footage(store.path, held_out=0.24, configs=[FAST], work=tmp_path)
    assert scores[f"{AVATAR}: training"].aim == "≤ 60"
    (training,) = trainings
    assert training["overrides"] == {"data.held_out_seconds": 0.24} and training["configs"] == [FAST]
    again, minutes = train_on_footage(ClipStore(store.path), 0.24, [FAST], tmp_path)
    assert len(trainings) == 1 and minutes is None and again.exists()
    other, _ = train_on_footage(ClipStore(store.path), 0.24, [], tmp_path)
    assert len(trainings) == 2 and other != again


def test_a_training_that_was_stopped_is_told(store, tmp_path, monkeypatch):
    monkeypatch.setattr(trained, "train", lambda *_, **__: None)
    with pytest.raises(UserError, match="was stopped"):
        train_on_footage(store, 0.24, [], tmp_path)


def test_an_end_without_a_face_is_refused(tmp_path):
    store = write_footage(tmp_path / "jane")
    seen = store.landmarks()
    seen.landmark_confidence[10:] = 0
    store.write_landmarks(seen)
    with pytest.raises(UserError, match="there is none"):
        bench_appearance_footage(store.path, held_out=0.24)


def test_speech_without_a_face_is_one_line(capsys):
    assert main(["bench", "appearance", "--speech", "hello.wav"]) == 2
    assert "--avatar" in capsys.readouterr().err
