"""The sync network, its training and its loss."""

from __future__ import annotations

import json

import pytest
import torch
from talking_clips import talking_model
from talking_takes import NUM_FEATURES, make_take, small_network

from readavatar.errors import UserError
from readavatar.expression.sync import SyncNetwork, contrastive_loss, lip_landmarks, sync_loss
from readavatar.expression.sync_training import MOST_STEPS, _num_steps, train_sync_expert
from readavatar.morphable.model import expression_displacements


@pytest.fixture(scope="module")
def lips():
    return lip_landmarks(talking_model())


@pytest.fixture(scope="module")
def expert(lips):
    takes = [make_take(seed) for seed in range(12)]
    return train_sync_expert(takes, lips, steps=60, network=small_network(takes, lips, 0))


@pytest.fixture
def untrained(lips):
    return small_network([make_take(0)], lips, 0).eval()


def test_lips_are_measured_in_millimetres_of_their_landmarks():
    model = talking_model()
    moved = lip_landmarks(model).unflatten(1, (20, 3))
    assert moved.shape == (3, 20, 3)
    torch.testing.assert_close(moved[1, 67 - 48, 1], torch.tensor(-20.0), atol=1e-2, rtol=0)
    torch.testing.assert_close(moved, 1000 * model.landmarks_3d(expression_displacements(model))[:, 48:])


def test_windows_in_chunks_equal_the_whole(untrained):
    speech, expressions = (part[None] for part in make_take(1))
    whole = untrained(speech, expressions)
    assert whole.shape == (1, 150) and untrained.context == 5
    part = untrained(speech[:, 40:71], expressions[:, 40:71])
    torch.testing.assert_close(part, whole[:, 40:61], atol=1e-5, rtol=0)


def test_both_towers_look_at_the_same_frames_and_nothing_beyond(untrained):
    speech, expressions = (part[None].clone().requires_grad_() for part in make_take(1, 40))
    untrained(speech, expressions)[0, 12].backward()
    for inputs, seen in ((speech, range(12, 23)), (expressions, range(12, 23))):
        touched = torch.nonzero(inputs.grad[0].abs().sum(1) > 0)[:, 0].tolist()
        assert set(touched) <= set(seen) and {12, 22} <= set(touched)


def test_a_resting_mouth_of_another_shape_changes_nothing(expert):
    speech, plain = make_take(20)
    _, smiling = make_take(20, smile=0.7)
    torch.testing.assert_close(expert(speech[None], plain[None]), expert(speech[None], smiling[None]))


def test_lips_that_do_not_move_have_a_finite_gradient(untrained):
    expressions = torch.zeros(1, 30, 3, requires_grad=True)
    with torch.no_grad():
        for parameter in untrained.lip_tower.parameters():
            parameter.zero_()
    sync_loss(untrained, torch.randn(1, 30, NUM_FEATURES), expressions).backward()
    assert expressions.grad.isfinite().all()


def test_contrast_is_least_where_each_window_meets_its_own():
    vectors = torch.nn.functional.normalize(torch.randn(2, 6, 16), dim=-1)
    scale = torch.tensor(10.0)
    matched = contrastive_loss(vectors, vectors, scale)
    assert matched < contrastive_loss(vectors, vectors.roll(1, 1), scale)


def test_contrast_of_windows_that_are_all_alike_is_chance():
    alike = torch.ones(2, 6, 4) / 2
    torch.testing.assert_close(contrastive_loss(alike, alike, torch.tensor(7.0)), torch.tensor(6.0).log())


def test_a_trained_network_tells_true_motion_from_late_foreign_and_smoothed(expert):
    speech, expressions = make_take(30)
    true = sync_loss(expert, speech[None], expressions[None])
    smoothed = torch.nn.functional.avg_pool1d(expressions.mT[None], 9, 1, 4)[0].mT
    for other in (expressions.roll(5, 0), make_take(31)[1], smoothed):
        assert true + 0.2 < sync_loss(expert, speech[None], other[None])
    assert true < 0.5


def test_the_critic_pulls_motion_towards_the_speech_and_stays_as_it_is(expert):
    speech, expressions = make_take(32, 60)
    before = {name: value.clone() for name, value in expert.state_dict().items()}
    late = expressions.roll(2, 0).requires_grad_()
    optimizer = torch.optim.Adam([late], lr=0.02)
    first = sync_loss(expert, speech[None], late[None])
    for _ in range(40):
        optimizer.zero_grad()
        loss = sync_loss(expert, speech[None], late[None])
        loss.backward()
        optimizer.step()
    assert loss < 0.7 * first
    assert all(parameter.grad is None for parameter in expert.parameters())
    assert all(torch.equal(before[name], value) for name, value in expert.state_dict().items())


def test_a_critic_in_training_mode_is_refused(lips):
    takes = [make_take(0)]
    with pytest.raises(ValueError, match="evaluation mode"):
        sync_loss(small_network(takes, lips, 0).train(), takes[0][0][None], takes[0][1][None])


def test_the_seed_fixes_the_network_and_leaves_global_random_numbers_alone(lips):
    takes = [make_take(seed) for seed in range(3)]
    state = torch.get_rng_state()
    first, same, other = (train_sync_expert(takes, lips, steps=3, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), same.parameters(), strict=True))
    assert not torch.equal(first.lip_tower[0].weight, other.lip_tower[0].weight)
    assert not first.training and not any(parameter.requires_grad for parameter in first.parameters())


def test_little_data_is_not_gone_through_more_often_than_helps():
    takes = [make_take(0, 1000), make_take(1, 200)]
    assert _num_steps(takes) == 150 and _num_steps(40 * takes) == MOST_STEPS


def test_the_configuration_rebuilds_the_network(untrained):
    twin = SyncNetwork(**json.loads(json.dumps(untrained.config))).eval()
    twin.load_state_dict(untrained.state_dict())
    speech, expressions = (part[None] for part in make_take(1))
    torch.testing.assert_close(twin(speech, expressions), untrained(speech, expressions))


def test_the_same_lip_motion_in_other_coefficients_has_the_same_similarity(expert, lips):
    speech, expressions = make_take(33)
    mixing = torch.tensor([[1.0, 0.2, 0.0], [0.0, 0.5, 0.3], [0.1, 0.0, 2.0]])
    other = expert.on_face(torch.linalg.solve(mixing, lips))
    torch.testing.assert_close(
        other(speech[None], (expressions @ mixing)[None]), expert(speech[None], expressions[None]), atol=1e-3, rtol=0
    )


def test_takes_that_do_not_fit_are_refused_in_one_line(lips):
    speech, expressions = make_take(0)
    with pytest.raises(UserError, match="same frames, but got 159 and 160"):
        train_sync_expert([(speech[:-1], expressions)], lips, steps=1)
    with pytest.raises(UserError, match=r"32 frames or more .* but got 20"):
        train_sync_expert([(speech[:20], expressions[:20])], lips, steps=1)
    with pytest.raises(UserError, match="but got 0"):
        train_sync_expert([], lips, steps=1)
