"""Claims on what a training step of any stage is made of."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from readavatar.errors import UserError
from readavatar.optimization.losses import (
    discriminator_hinge_loss,
    feature_matching_loss,
    generator_hinge_loss,
    r1_penalty,
    weighted_sum,
)
from readavatar.optimization.training_module import LAST_SHARE, cosine_decay, make_ema


def _judgement(logit, feature=0.0):
    return [[torch.full((2, 4, 5), feature), torch.full((2, 1, 5), logit)]]


def test_hinge_losses_have_their_hand_values():
    assert generator_hinge_loss(_judgement(0.7)) == pytest.approx(-0.7)
    fakes = [(1.0, _judgement(-2.0)), (0.5, _judgement(1.0))]
    assert discriminator_hinge_loss(_judgement(0.25), fakes) == pytest.approx(0.75 + 0.0 + 0.5 * 2.0)


def test_the_hinge_is_satisfied_by_logits_beyond_one():
    real, fake = _judgement(1.5), _judgement(-1.5)
    assert discriminator_hinge_loss(real, [(1.0, fake)]) == 0
    assert discriminator_hinge_loss(fake, [(1.0, real)]) == 5


def test_scales_count_alike():
    both = [*_judgement(1.0), *_judgement(3.0)]
    assert generator_hinge_loss(both) == -2.0
    assert discriminator_hinge_loss(both, [(1.0, both)]) == pytest.approx((2.0 + 4.0) / 2)


def test_features_are_matched_where_they_are_counted():
    real = [[torch.stack([torch.full((4, 5), 3.0), torch.full((4, 5), 7.0)]), torch.zeros(2, 1, 5)]]
    fake = _judgement(0.0, 1.0)
    assert feature_matching_loss(fake, real) == pytest.approx(4.0)
    assert feature_matching_loss(fake, real, torch.tensor([True, False])) == pytest.approx(2.0)
    assert feature_matching_loss(fake, real, torch.tensor([False, False])) == 0
    assert feature_matching_loss(real, real) == 0


def test_the_gradient_penalty_of_a_linear_discriminator_is_its_slope():
    motion = torch.randn(3, 10, 2, requires_grad=True)
    slope = torch.tensor([3.0, 4.0])
    penalty = 10 * r1_penalty([[(motion @ slope)[:, None]]], motion)
    assert penalty.item() == pytest.approx(0.5 * 25.0)


def test_the_objective_is_a_weighted_sum_of_named_terms():
    terms = {"lips": lambda: torch.tensor(2.0), "face": lambda: torch.tensor(3.0), "unused": lambda: 1 / 0}
    total, values = weighted_sum(terms, {"lips": 1.0, "face": 0.5, "unused": 0.0}, step=1)
    assert total == 3.5 and {name: float(value) for name, value in values.items()} == {"lips": 2.0, "face": 3.0}


def test_a_weight_without_a_term_is_refused_by_name():
    with pytest.raises(UserError, match="'sync'"):
        weighted_sum({"lips": lambda: torch.tensor(2.0)}, {"lips": 1.0, "sync": 1.0}, step=1)


def test_a_loss_that_is_not_finite_stops_with_its_name():
    terms = {"lips": lambda: torch.tensor(2.0), "face": lambda: torch.tensor(float("nan"))}
    with pytest.raises(UserError, match=r"step 7 got \{'face': nan\}"):
        weighted_sum(terms, {"lips": 1.0, "face": 0.5}, step=7)


def test_every_groups_rate_falls_to_a_share_of_its_own():
    first, second = (torch.nn.Parameter(torch.zeros(1)) for _ in range(2))
    optimizer = torch.optim.SGD([{"params": [first], "lr": 1.0}, {"params": [second], "lr": 0.1}])
    schedule = cosine_decay(optimizer, 10)
    rates = []
    for _ in range(12):
        rates.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        schedule.step()
    assert rates[0] == [1.0, 0.1]
    assert rates[5] == pytest.approx([(1 + LAST_SHARE) / 2, (1 + LAST_SHARE) / 20])
    assert rates[10] == rates[11] == pytest.approx([LAST_SHARE, LAST_SHARE / 10])
    assert all(before > after for (before, _), (after, _) in pairwise(rates[:11]))


def test_an_average_forgets_its_first_weights_sooner_than_its_decay_says():
    network = torch.nn.Linear(1, 1, bias=False)
    average = make_ema(network, decay=0.999)
    torch.nn.init.zeros_(network.weight)
    average.update_parameters(network)  # the first is a copy
    torch.nn.init.ones_(network.weight)
    for _ in range(20):
        average.update_parameters(network)
    assert average.module.weight.item() > 0.9
