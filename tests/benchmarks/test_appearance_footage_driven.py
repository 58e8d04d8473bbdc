"""An avatar is driven through the emotions, drawn and compared; what it cannot do is one line before it begins."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_footage import face_points, write_footage, write_painter
from untrained_avatars import write_untrained

from readavatar.benchmarks import bench_appearance
from readavatar.benchmarks.appearance import driven as appearance_driven
from readavatar.benchmarks.appearance.driven import (
    NUM_MOMENTS,
    ON_THE_WAY,
    OTHER_PEOPLE,
    REAL_FRAMES,
    bench_appearance_driven,
    parse_emotions,
    parse_strengths,
)
from readavatar.benchmarks.appearance.identity import Embedded
from readavatar.data.store.avatar import Avatar
from readavatar.detection import LANDMARKS_68, FaceDetector
from readavatar.emotion import MEAD_EMOTIONS, EmotionSpace
from readavatar.errors import UserError
from readavatar.media.video import VideoWriter

POINTS = torch.full((478, 2), 32.0)
POINTS[list(LANDMARKS_68)] = face_points()[:, :2] * torch.tensor([300.0, -300.0]) + 32


class _Detector(FaceDetector):
    """Needs no model."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None


def _embed(faces):
    flat = torch.nn.functional.normalize(faces.images.flatten(1), dim=1)
    return Embedded(flat, torch.ones(len(flat), 1))


@pytest.fixture
def driven(monkeypatch) -> list[str]:
    """No detector, no network, and clips that are filmed by hand; returns what was asked for."""
    asked = []

    def animate(avatar, speech, out, *, emotion, crop_only):
        assert crop_only
        asked.append(emotion)
        shade = 40 if emotion == "sad:1" else 160
        with VideoWriter(out, Fraction(25)) as writer:
            for index in range(20):
                writer.add(np.full((64, 64, 3), 0 if shade == 40 and index < 10 else shade, np.uint8))

    monkeypatch.setattr(appearance_driven, "animate", animate)
    monkeypatch.setattr(appearance_driven, "FaceDetector", _Detector)
    monkeypatch.setattr(
        appearance_driven, "detected_landmarks", lambda _, frame: POINTS if float(frame.mean()) > 0.05 else None
    )
    monkeypatch.setattr(appearance_driven, "load_embedding", lambda: _embed)
    return asked


@pytest.fixture
def avatar(tmp_path) -> Path:
    store = write_footage(tmp_path / "clips" / "jane", num_frames=60)
    write_untrained(tmp_path / "avatar")
    return write_painter(tmp_path / "avatar", store.path)


def test_every_emotion_is_driven_at_every_strength_and_drawn(avatar, driven, tmp_path):
    write_footage(tmp_path / "others" / "john")
    scores = bench_appearance(
        avatar=avatar,
        speech=tmp_path / "hello.wav",
        emotions="happy, sad",
        strengths="1,0.5",
        others=tmp_path / "others",
        work=tmp_path / "work",
        sheets=tmp_path / "sheets",
    )
    assert driven == ["neutral", "happy:0.5", "happy:1", "sad:0.5", "sad:1"]
    assert scores["driven: likeness, happy:0.5"].n == NUM_MOMENTS
    assert scores["driven: likeness, sad:1"].n == NUM_MOMENTS // 2  # half of it is dark
    assert scores["driven: no face found, sad:1"].value == 50
    assert "driven: no face found, sad:0.5" not in scores
    assert {f"driven: {name}" for name in (REAL_FRAMES, OTHER_PEOPLE, ON_THE_WAY)} <= set(scores)
    assert sorted(sheet.name for sheet in (tmp_path / "sheets").iterdir()) == ["avatar-happy.png", "avatar-sad.png"]
    assert (tmp_path / "work" / "driven" / "avatar-hello-happy-0.5.mp4").exists()


def test_without_other_people_there_is_no_scale(avatar, driven, tmp_path):
    scores = bench_appearance_driven(avatar, tmp_path / "hello.wav", emotions="happy", strengths="1", work=tmp_path)
    assert f"driven: {REAL_FRAMES}" in scores and f"driven: {ON_THE_WAY}" not in scores
    (tmp_path / "nobody").mkdir()
    with pytest.raises(UserError, match="found none"):
        bench_appearance_driven(avatar, tmp_path / "hello.wav", others=tmp_path / "nobody", work=tmp_path)


def test_emotions_and_strengths_are_read_or_refused(avatar):
    space = Avatar(avatar).emotion_space
    assert tuple(parse_emotions("all", space)) == MEAD_EMOTIONS
    assert parse_emotions("sad, happy,sad", space) == ["sad", "happy"]
    assert parse_strengths("1, 0.3,0.3") == [0.3, 1.0]
    for text in ("", "0", "1.2", "much", "nan"):
        with pytest.raises(UserError, match="strengths in"):
            parse_strengths(text)
    for text in ("hapy", ""):
        with pytest.raises(UserError, match="Expected"):
            parse_emotions(text, EmotionSpace())
    with pytest.raises(UserError, match="as --strengths"):
        parse_emotions("happy:0.5", EmotionSpace())


def test_an_avatar_without_a_face_is_refused_at_once(tmp_path):
    voice = write_untrained(tmp_path / "voice")
    with pytest.raises(UserError, match="appearance part"):
        bench_appearance_driven(voice, tmp_path / "hello.wav")
