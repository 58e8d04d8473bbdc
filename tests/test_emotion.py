"""Emotion vectors and tracks: what is read, what is refused, what lies between keyframes."""

from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from readavatar.emotion import MEAD_EMOTIONS, EmotionSpace, EmotionTrack
from readavatar.errors import UserError

SPACE = EmotionSpace()


def vector(**strengths):
    return torch.tensor([strengths.get(name, 0.0) for name in MEAD_EMOTIONS])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("neutral", vector()),
        ("happy", vector(happy=1.0)),
        ("happy:0.8", vector(happy=0.8)),
        (" happy : 0.2 + surprised : 0.6 ", vector(happy=0.2, surprised=0.6)),
        ("sad:0", vector()),
    ],
)
def test_an_emotion_is_read_from_text(text, expected):
    assert torch.equal(SPACE.vector(text), expected)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("hapy", "Did you mean 'happy'"),
        ("happy:1.3", "1.3"),
        ("happy:-0.1", "-0.1"),
        ("happy:nan", "nan"),
        ("happy:much", "much"),
        ("happy:0.2+happy:0.3", "twice"),
        ("", "got the emotion ''"),
        ("neutral+happy", "neutral"),
    ],
)
def test_what_is_no_emotion_is_refused_in_one_line(text, complaint):
    with pytest.raises(UserError) as error:
        SPACE.vector(text)
    assert complaint in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("names", [(), ("happy", "happy"), ("neutral",), ("very happy",), ("a:b",)])
def test_ambiguous_spaces_are_refused(names):
    with pytest.raises(UserError):
        EmotionSpace(names)


@given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=7, max_size=7))
def test_describe_inverts_vector(strengths):
    emotion = torch.tensor(strengths)
    assert torch.equal(SPACE.vector(SPACE.describe(emotion)), emotion)


def test_a_track_is_linear_between_keyframes_and_constant_outside():
    track = EmotionTrack.parse("0s neutral, 2s happy:0.8, 4s happy:0.2+surprised:0.6", SPACE)
    sampled = track.sample(torch.tensor([-1.0, 0.0, 1.0, 2.0, 3.0, 9.0]))
    expected = [vector(), vector(), vector(happy=0.4), vector(happy=0.8), vector(happy=0.5, surprised=0.3)]
    expected.append(vector(happy=0.2, surprised=0.6))
    assert torch.allclose(sampled, torch.stack(expected), atol=1e-6)


def test_frames_are_sampled_at_their_centres():
    track = EmotionTrack.parse("0s neutral, 1s happy", SPACE)
    happy = track.sample_frames(25, 25.0)[:, MEAD_EMOTIONS.index("happy")]
    assert torch.allclose(happy, (torch.arange(25) + 0.5) / 25, atol=1e-6)


def test_a_single_emotion_is_a_constant_track():
    assert torch.equal(EmotionTrack.parse("sad:0.5", SPACE).sample_frames(3, 25.0), vector(sad=0.5).expand(3, 7))
    assert not EmotionTrack.constant(SPACE).sample_frames(2, 30.0).any()


@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=4), st.floats(-10, 10))
def test_samples_stay_between_zero_and_one(strengths, time):
    vectors = torch.zeros(len(strengths), 7)
    vectors[:, 3] = torch.tensor(strengths)
    sampled = EmotionTrack(SPACE, torch.arange(len(strengths)).float(), vectors).sample(torch.tensor([time]))
    assert sampled.min() >= 0 and sampled.max() <= 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        " , ",
        "1s",
        "1 happy",
        "1s happy, 1s sad",
        "2s happy, 1s sad",
        "0s happy, 1s hapy",
        "-1s happy",
        "happy, sad",
    ],
)
def test_odd_tracks_are_refused(text):
    with pytest.raises(UserError):
        EmotionTrack.parse(text, SPACE)


@pytest.mark.parametrize(
    ("times", "vectors"),
    [
        (torch.tensor([0.0, 0.0]), torch.zeros(2, 7)),
        (torch.tensor([float("nan")]), torch.zeros(1, 7)),
        (torch.zeros(1), torch.zeros(1, 7) + 1.3),
        (torch.zeros(1), torch.zeros(1, 7) + float("nan")),
        (torch.zeros(1), torch.zeros(1, 3)),
    ],
)
def test_odd_keyframes_are_refused(times, vectors):
    with pytest.raises(UserError):
        EmotionTrack(SPACE, times, vectors)


def test_a_written_track_reads_back_equal(tmp_path):
    track = EmotionTrack.parse("0.25s neutral, 1.5s happy:0.8, 4s happy:0.2+surprised:0.6", SPACE)
    track.write(tmp_path / "emotion.json")
    for again in (
        EmotionTrack.read(tmp_path / "emotion.json"),
        EmotionTrack.parse(str(tmp_path / "emotion.json"), SPACE),
    ):
        assert again.space == SPACE and torch.equal(again.times, track.times)
        assert torch.allclose(again.vectors, track.vectors, atol=1e-6)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"names": ["happy"]}', '{"names": 3, "keyframes": []}'])
def test_a_damaged_track_is_a_user_error(tmp_path, content):
    (tmp_path / "emotion.json").write_text(content)
    with pytest.raises(UserError, match=r"emotion\.json"):
        EmotionTrack.read(tmp_path / "emotion.json")


def test_a_missing_track_is_a_user_error(tmp_path):
    with pytest.raises(UserError, match=r"absent\.json"):
        EmotionTrack.parse(str(tmp_path / "absent.json"), SPACE)


def test_a_track_of_other_names_is_refused(tmp_path):
    bored = EmotionSpace(("bored",))
    EmotionTrack.constant(bored, bored.vector("bored:0.5")).write(tmp_path / "emotion.json")
    assert json.loads((tmp_path / "emotion.json").read_text())["names"] == ["bored"]
    with pytest.raises(UserError):
        EmotionTrack.read(tmp_path / "emotion.json", SPACE)
