"""Claims on what the expression stage is given to learn from."""

from __future__ import annotations

import pytest
import torch
from talking_clips import use_talking_model, write_talking_clip

from readavatar.data.datasets.expression import ExpressionData
from readavatar.emotion import EmotionSpace, EmotionTrack
from readavatar.errors import UserError

SPACE = EmotionSpace(("happy", "sad"))


@pytest.fixture(autouse=True)
def _talking_model(monkeypatch):
    use_talking_model(monkeypatch)


def _data(clips, **settings) -> ExpressionData:
    data = ExpressionData(
        [str(store.path) for store in clips] if isinstance(clips, list) else str(clips.path),
        **{"speech_encoder": "log_mel", "window_seconds": 0.4, "muted_share": 0.0, **settings},
    )
    data.setup("fit")
    return data


def test_windows_hold_the_same_frames_of_speech_emotion_and_motion(tmp_path):
    store = write_talking_clip(tmp_path / "a", emotion=EmotionTrack.parse("0s happy:0, 4s happy:1", SPACE))
    data = _data(store, batch_size=3)
    data.context = 5
    batch = next(iter(data.train_dataloader()))
    assert (
        batch.speech.shape == (3, 20, 80)
        and batch.emotion.shape == (3, 20, 2)
        and batch.expressions.shape == (3, 10, 3)
    )
    truth = store.tracking().coefficients.expression_coefficients
    for speech, emotion, expressions in zip(batch.speech, batch.emotion, batch.expressions, strict=True):
        first = int((truth - expressions[0]).abs().sum(1).argmin())
        torch.testing.assert_close(truth[first : first + 10], expressions)
        if first >= 5 and first + 15 <= 80:
            torch.testing.assert_close(speech, data.training[0].speech[first - 5 : first + 15])
            torch.testing.assert_close(emotion[:, 0], (torch.arange(first - 5, first + 15) + 0.5) / 100)


def test_training_never_sees_the_end_that_is_held_out(tmp_path):
    store = write_talking_clip(tmp_path / "a", seconds=4.0)
    data = _data(store, held_out_seconds=0.6)
    data.context = 7
    truth = store.tracking().coefficients.expression_coefficients
    assert len(data.training[0].speech) == 85 and max(first for _, first in data.places) == 75
    (held_out,) = data.test_dataloader()
    torch.testing.assert_close(held_out.expressions[0], truth[85:])
    assert held_out.speech.shape[1] == 15 + 14
    assert len(_data(store, held_out_seconds=60.0).training[0].speech) == 80  # a fifth at most


def test_clips_of_another_rate_are_learned_at_the_networks(tmp_path):
    store = write_talking_clip(tmp_path / "fast", seconds=4.0, fps="50", unseen=slice(60, 62))
    data = _data(store, held_out_seconds=1e-6)
    (clip,) = data.training
    assert clip.speech.shape == (50, 80) and clip.expressions.shape == (50, 3)
    truth = store.tracking().coefficients.expression_coefficients
    torch.testing.assert_close(clip.expressions, (truth[0::2] + truth[1::2]) / 2, atol=0.01, rtol=0)
    assert torch.nonzero(~clip.is_valid)[:, 0].tolist() == [30]


def test_everybody_has_a_code(tmp_path):
    clips = [write_talking_clip(tmp_path / name) for name in "abc"]
    data = _data(clips, people=["ann", "bob", "ann"], batch_size=200)
    assert data.people == ["ann", "bob"] and [clip.person for clip in data.training] == [0, 1, 0]
    batch = next(iter(data.train_dataloader()))
    for person, expressions in zip(batch.person.tolist(), batch.expressions, strict=True):
        own = [clip for clip in data.training if clip.person == person]
        assert any(torch.equal(window, expressions) for clip in own for window in clip.expressions.unfold(0, 10, 1).mT)


def test_frames_without_a_face_are_in_no_window(tmp_path):
    data = _data(write_talking_clip(tmp_path / "a", unseen=slice(30, 32)))
    assert all(first + 10 <= 30 or first >= 32 for _, first in data.places)
    assert len(data.specification().training_expressions()) == 78


def test_unlabelled_clips_are_neutral_and_labels_meet_in_one_space(tmp_path):
    happy = EmotionTrack.constant(SPACE, SPACE.vector("happy:0.6"))
    data = _data([write_talking_clip(tmp_path / "a"), write_talking_clip(tmp_path / "b", emotion=happy)])
    assert data.emotion_space.names == ("happy", "sad")
    assert not data.training[0].emotion.any()
    assert (data.training[1].emotion == torch.tensor([0.6, 0.0])).all()
    assert len(_data(write_talking_clip(tmp_path / "c")).emotion_space.names) == 7


@pytest.mark.parametrize(("coding", "expected"), [("one_hot", [1.0, 0.0]), ("none", [0.0, 0.0])])
def test_codings_forget_the_strength_or_the_label(tmp_path, coding, expected):
    happy = EmotionTrack.constant(SPACE, SPACE.vector("happy:0.6+sad:0.1"))
    data = _data(write_talking_clip(tmp_path / "a", emotion=happy), emotion_coding=coding)
    assert (data.training[0].emotion == torch.tensor(expected)).all()


def test_an_emotion_that_is_not_to_be_steered_by_is_refused(tmp_path):
    sad = EmotionTrack.constant(SPACE, SPACE.vector("sad"))
    with pytest.raises(UserError, match="it shows 'sad'"):
        _data(write_talking_clip(tmp_path / "a", emotion=sad), emotion_names=["happy"])


def test_muted_windows_rest_the_mouth_and_leave_the_brows(tmp_path):
    data = _data(write_talking_clip(tmp_path / "a"), muted_share=0.5)
    spoken, muted = data.training
    assert len(data.spoken) == 1 and data.spoken[0] is spoken
    num_spoken = sum(clip == 0 for clip, _ in data.places)
    assert len(data.places) == num_spoken + round(0.5 * num_spoken)
    assert torch.equal(spoken.expressions[:, 0], muted.expressions[:, 0])
    assert muted.expressions[:, 1].std() < 1e-6 and muted.expressions[0, 1] < spoken.expressions[:, 1].quantile(0.1)
    silence = data.encoder.encode(torch.zeros(80 * 640), 25.0, 80)
    torch.testing.assert_close(muted.speech, silence)


def test_the_order_of_the_windows_depends_on_seed_and_epoch_alone(tmp_path):
    store = write_talking_clip(tmp_path / "a")

    def order(seed, epoch):
        sampler = _data(store, seed=seed).train_dataloader().sampler
        sampler.set_epoch(epoch)
        return list(sampler)

    assert order(0, 3) == order(0, 3) and order(0, 3) != order(0, 4) and order(0, 3) != order(1, 3)
    assert sorted(order(0, 3)) == list(range(71))


def test_fewer_windows_than_a_batch_still_make_one(tmp_path):
    batches = list(_data(write_talking_clip(tmp_path / "a", seconds=0.6), batch_size=64).train_dataloader())
    assert len(batches) == 1 and 0 < len(batches[0].speech) < 64


def test_the_description_names_the_networks_inputs_and_outputs(tmp_path):
    description = _data(write_talking_clip(tmp_path / "a")).specification().description()
    assert description["speech_encoder"]["name"] == "log_mel" and description["fps"] == 25.0
    assert description["expression_names"] == ["browInnerUp_L", "jawOpen", "mouthSmile_L"]
    assert description["morphable_model"] == "talking" and len(description["emotion_names"]) == 7


def test_clips_that_cannot_be_learned_from_are_refused_in_one_line(tmp_path):
    good = write_talking_clip(tmp_path / "good")
    cases = {
        "readavatar fit": [write_talking_clip(tmp_path / "untracked", is_tracked=False)],
        "has none": [write_talking_clip(tmp_path / "silent", has_audio=False)],
        "before the held-out end": [write_talking_clip(tmp_path / "short", seconds=0.2)],
        "one morphable model": [good, write_talking_clip(tmp_path / "other", names=("a", "b", "c"))],
    }
    for message, clips in cases.items():
        with pytest.raises(UserError, match=message) as error:
            _data(clips)
        assert "\n" not in str(error.value)
    for settings in ({"clips": []}, {"clips": "x", "window_seconds": 0.0}, {"clips": ["x", "y"], "people": ["a"]}):
        with pytest.raises(UserError, match="Expected"):
            ExpressionData(**settings)
