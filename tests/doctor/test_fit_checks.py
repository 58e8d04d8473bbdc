"""The truth as a fit passes; each way to be a bad fit fails."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from readavatar.doctor.checks import Status
from readavatar.doctor.fit_checks import RULES, fit_checks


def named(evidence, name):
    return next(check for check in fit_checks(evidence) if check.name == name)


def with_fit(good, **changes):
    return replace(good, tracking=replace(good.tracking, **changes))


def with_coefficients(good, **changes):
    return with_fit(good, coefficients=replace(good.tracking.coefficients, **changes))


def test_the_truth_passes_everything(good):
    assert {check.status for check in fit_checks(good)} == {Status.PASS}


def test_a_clip_that_is_not_fitted_skips_the_checks_of_the_fit(good):
    checks = fit_checks(replace(good, tracking=None))
    assert len(checks) == len(RULES) and {check.status for check in checks} == {Status.NOT_APPLICABLE}


def test_a_fit_of_a_model_that_is_not_here_fails(good):
    assert named(with_fit(good, morphable_model="/no/such/model"), "fit and model").status == Status.FAIL


def test_a_fit_of_another_models_expressions_fails(good):
    names = (*good.tracking.expression_names[:-1], "somethingElse")
    assert named(with_fit(good, expression_names=names), "fit and model").status == Status.FAIL


@pytest.mark.parametrize(("millimetres", "status"), [(3, Status.WARN), (12, Status.FAIL)])
def test_a_mesh_beside_the_face_is_found(good, millimetres, status):
    translation = good.tracking.coefficients.translation + torch.tensor([millimetres / 1000, 0.0, 0.0])
    assert named(with_coefficients(good, translation=translation), "landmark error of the fit").status == status


@pytest.mark.parametrize(("count", "status"), [(1, Status.WARN), (6, Status.FAIL)])
def test_coefficients_at_their_limits_are_named(good, count, status):
    expressions = good.tracking.coefficients.expression_coefficients.clone()
    expressions[: len(expressions) // 2, :count] = 1.0
    check = named(with_coefficients(good, expression_coefficients=expressions), "coefficients at their limits")
    assert check.status == status and good.tracking.expression_names[0] in check.measured


@pytest.mark.parametrize(("amount", "status"), [(0.05, Status.PASS), (1.5, Status.FAIL)])
def test_a_trembling_jaw_is_jitter(good, amount, status):
    expressions = good.tracking.coefficients.expression_coefficients.clone()
    jaw = good.tracking.expression_names.index("jawOpen")
    expressions[:, jaw] += amount * torch.rand(len(expressions), generator=torch.Generator().manual_seed(0))
    check = named(with_coefficients(good, expression_coefficients=expressions), "jitter of the fit")
    assert check.status == status
