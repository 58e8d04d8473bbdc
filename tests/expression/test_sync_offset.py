"""Measuring the offset of a take."""

from __future__ import annotations

import pytest
from talking_clips import talking_model
from talking_takes import make_take, small_network

from readavatar.errors import UserError
from readavatar.expression.sync import lip_landmarks
from readavatar.expression.sync_training import MAX_OFFSET, describe_offset, sync_offset, train_sync_expert


@pytest.fixture(scope="module")
def judge():
    takes = [make_take(seed) for seed in range(100, 112)]
    lips = lip_landmarks(talking_model())
    return train_sync_expert(takes, lips, steps=60, network=small_network(takes, lips, 1))


@pytest.mark.parametrize("late", [-8, -3, 0, 1, 8])
def test_a_known_offset_is_found_with_its_sign(judge, late):
    speech, expressions = make_take(40, 200)
    found = sync_offset(judge, speech[20:180], expressions[20 - late : 180 - late])
    assert abs(found.frames - late) < 0.5 and found.is_sure
    assert found.distances.shape == (2 * MAX_OFFSET + 1,)
    assert int(found.distances.argmin()) - MAX_OFFSET == late


def test_foreign_speech_is_not_trusted(judge):
    confidences = [
        sync_offset(judge, make_take(50 + index)[0], make_take(70 + index)[1]).confidence for index in range(8)
    ]
    own = [sync_offset(judge, *make_take(50 + index)).confidence for index in range(8)]
    assert max(confidences) < min(own)
    foreign = sync_offset(judge, make_take(50)[0], make_take(70)[1])
    assert not foreign.is_sure and "do not follow the speech" in describe_offset(foreign)


def test_the_description_says_what_is_late(judge):
    speech, expressions = make_take(41, 200)
    late_lips = sync_offset(judge, speech[20:180], expressions[16:176])
    late_speech = sync_offset(judge, speech[16:176], expressions[20:180])
    assert describe_offset(sync_offset(judge, speech, expressions)).startswith("lips and speech are in time")
    assert describe_offset(late_lips).startswith("the lips are late by 4.")
    assert describe_offset(late_speech).startswith("the speech is late by 4.")


def test_a_take_that_is_too_short_is_refused(judge):
    speech, expressions = make_take(42)
    with pytest.raises(UserError, match=r"70 frames or more .* but got 69"):
        sync_offset(judge, speech[:69], expressions[:69])
