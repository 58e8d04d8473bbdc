"""Claims on digital actors as what the expression stage learns from."""

from __future__ import annotations

import pytest
import torch

from readavatar.errors import UserError
from readavatar.synthetic.actor_data import ActorData


@pytest.fixture(scope="module")
def data():
    """Two characters, a few takes each."""
    data = ActorData(first_actor=7, num_actors=2, minutes=0.3, held_out_minutes=0.1, speech_encoder="log_mel",
                     morphable_model="builtin", batch_size=4)  # fmt: skip
    data.setup("fit")
    return data


def test_every_actor_has_a_code_and_minutes(data):
    assert data.people == ["actor 7", "actor 8"]
    for person in (0, 1):
        frames = sum(len(clip.speech) for clip in data.training if clip.person == person)
        assert 0.3 * 60 * 25 <= frames < 0.3 * 60 * 25 + 16 * 25
    batch = next(iter(data.train_dataloader()))
    assert batch.speech.dtype == torch.float32 and batch.expressions.shape[-1] == len(data.expression_names)


def test_held_out_takes_are_no_training_takes(data):
    (first, start), *_ = data.held_out
    assert start == 0
    assert all(len(clip.speech) != len(first.speech) or not torch.equal(clip.speech, first.speech)
               for clip in data.training)  # fmt: skip


def test_who_is_only_seen_in_neutral_shows_no_emotion():
    data = ActorData(first_actor=7, num_actors=2, minutes=0.3, held_out_minutes=0.1, speech_encoder="log_mel",
                     morphable_model="builtin", neutral_only=[8])  # fmt: skip
    data.setup("fit")
    shown = {person: any(bool(c.emotion.any()) for c in data.training if c.person == person) for person in (0, 1)}
    assert shown == {0: True, 1: False}
    frames = sum(len(clip.speech) for clip in data.training if clip.person == 1)
    assert frames >= 18 * 25


def test_no_actors_are_refused():
    with pytest.raises(UserError, match="one or more actors"):
        ActorData(num_actors=0)
