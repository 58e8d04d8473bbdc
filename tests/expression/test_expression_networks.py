"""Claims on the generator, its noise and the discriminators."""

from __future__ import annotations

import inspect
import json

import pytest
import torch

from readavatar.data.datasets.annotations import blink_pulses, pulse_frames
from readavatar.expression import ExpressionDiscriminator, ExpressionGenerator, generate_expressions
from readavatar.expression.inference import random_blinks, slow_noise
from readavatar.expression.settings import NetworkSettings

BOUNDS = torch.tensor([[0.0, 1.0]] * 4 + [[-3.0, 3.0]])


@pytest.fixture(params=["convolution", "transformer"])
def generator(request):
    """Small, with statistics and random weights large enough to move."""
    torch.manual_seed(0)
    sizes = NetworkSettings(request.param, width=16, reaches=(1, 2, 4), num_noise=6).generator_sizes
    network = ExpressionGenerator(6, 2, 5, 25.0, num_people=2, **sizes)
    network.standardise_by(torch.randn(50, 6), 0.3 + 0.1 * torch.rand(50, 5), BOUNDS)
    return network.eval()


def test_any_length_in_chunks_equals_the_whole(generator):
    for num_frames in (1, 2, 30, 101):
        speech, emotion = torch.randn(num_frames, 6), torch.rand(num_frames, 2)
        whole = generate_expressions(generator, speech, emotion, seed=3, chunk=10_000)
        chunked = generate_expressions(generator, speech, emotion, seed=3, chunk=7)
        assert whole.shape == (num_frames, 5)
        assert (whole - chunked).abs().max() < 1e-5


def test_a_frame_depends_on_its_context_and_nothing_beyond(generator):
    speech = torch.randn(1, 60, 6, requires_grad=True)
    zeros = torch.zeros(1, 60, 2), torch.zeros(1, 60), torch.zeros(1, 1, 60, 6), torch.zeros(1, dtype=torch.long)
    output = generator(speech, *zeros)
    assert generator.context == 7 and output.shape == (1, 1, 46, 5)
    output[0, 0, 20].sum().backward()
    used = speech.grad[0].abs().sum(1) > 0
    assert torch.nonzero(used)[:, 0].tolist() == list(range(20, 35))


def test_coefficients_stay_within_their_bounds_and_begin_around_the_mean(generator):
    speech, emotion = 100 * torch.randn(200, 6), torch.ones(200, 2)
    output = generate_expressions(generator, speech, emotion)
    assert (output >= BOUNDS[:, 0]).all() and (output <= BOUNDS[:, 1]).all()
    with torch.no_grad():
        generator.head.weight.zero_()
        generator.head.bias.zero_()
    torch.testing.assert_close(
        generate_expressions(generator, speech, emotion)[0], generator.expression_mean, atol=1e-5, rtol=0
    )


def test_the_output_is_the_inverse_of_standardisation_within_bounds(generator):
    small = 0.01 * torch.randn(1, 3, 5)
    restored = generator.standard_expressions(generator._within_bounds(small))
    torch.testing.assert_close(restored, small, atol=1e-4, rtol=1e-3)


def test_a_coefficient_beyond_its_bounds_finds_back_in_training(generator):
    beyond = torch.full((1, 1, 5), -5000.0, requires_grad=True)
    generator._within_bounds(beyond).sum().backward()
    assert not beyond.grad.any()
    generator.train()._within_bounds(beyond).sum().backward()
    assert (beyond.grad > 0).all()


def test_blinks_come_when_they_are_asked_for_and_as_often_as_a_person_blinks(generator):
    speech, emotion = torch.randn(80, 6), torch.zeros(80, 2)
    open_eyed = generate_expressions(generator, speech, emotion)
    asked = blink_pulses(torch.tensor([40.0]), 80, 25.0)
    changed = (generate_expressions(generator, speech, emotion, blinks=asked) - open_eyed).abs().sum(1)
    assert changed[38:43].min() > 1e-4 and changed[:25].max() < 1e-4
    pulses = random_blinks(25 * 1200, 25.0, 0.4, torch.Generator().manual_seed(0))
    assert float(pulses.sum()) / pulse_frames(25.0) / 1200 == pytest.approx(0.4, abs=0.05)
    assert not random_blinks(100, 25.0, 0.0, torch.Generator()).any()


def test_a_seed_fixes_one_of_many_motions(generator):
    speech, emotion = torch.randn(80, 6), torch.zeros(80, 2)
    first, same, other = (generate_expressions(generator, speech, emotion, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first, same) and (first - other).abs().max() > 1e-4


def test_each_person_has_a_style_of_their_own(generator):
    speech, emotion = torch.randn(80, 6), torch.zeros(80, 2)
    first, second = (generate_expressions(generator, speech, emotion, person=person) for person in (0, 1))
    assert (first - second).abs().max() > 1e-4


def test_emotion_steers_from_the_frame_it_changes_in(generator):
    speech, emotion = torch.randn(80, 6), torch.zeros(80, 2)
    changed = emotion.clone()
    changed[40:, 0] = 1
    difference = generate_expressions(generator, speech, emotion) - generate_expressions(generator, speech, changed)
    assert difference[:33].abs().max() < 1e-6 and difference[40:].abs().max() > 1e-4


def test_the_configuration_rebuilds_the_network(generator):
    twin = ExpressionGenerator(**json.loads(json.dumps(generator.config)))
    twin.load_state_dict(generator.state_dict())
    speech, emotion = torch.randn(20, 6), torch.rand(20, 2)
    torch.testing.assert_close(
        generate_expressions(twin, speech, emotion), generate_expressions(generator, speech, emotion)
    )


def test_the_settings_hold_all_default_sizes_of_the_networks():
    assert NetworkSettings().generator_sizes.keys() < inspect.signature(ExpressionGenerator).parameters.keys()
    for network in (ExpressionGenerator, ExpressionDiscriminator):
        parameters = inspect.signature(network).parameters.values()
        assert all(parameter.default is inspect.Parameter.empty for parameter in parameters)


def test_generating_leaves_training_mode_and_global_random_numbers_alone(generator):
    generator.train()
    state = torch.get_rng_state()
    generate_expressions(generator, torch.randn(20, 6, generator=torch.Generator()), torch.zeros(20, 2))
    assert generator.training and torch.equal(state, torch.get_rng_state())


def test_noise_has_unit_variance_and_each_channel_its_pace():
    noise = slow_noise(8, 2000, 6, 25.0, torch.Generator().manual_seed(0))
    torch.testing.assert_close(noise.var(dim=(0, 1)), torch.ones(6), atol=0.25, rtol=0)
    speed = noise.diff(dim=1).square().mean(dim=(0, 1))
    assert speed[0] > 5 * speed[1] > 25 * speed[2]
    assert slow_noise(2, 5, 0, 25.0).shape == (2, 5, 0)


def test_without_noise_there_is_one_motion():
    sizes = NetworkSettings(width=8, reaches=(1,), num_noise=0).generator_sizes
    network = ExpressionGenerator(6, 2, 5, 25.0, num_people=1, **sizes)
    speech, emotion = torch.randn(20, 6), torch.zeros(20, 2)
    first, second = (generate_expressions(network, speech, emotion, seed=seed) for seed in (0, 1))
    assert torch.equal(first, second)


def test_discriminators_work_at_several_rates_and_depend_on_the_sound():
    torch.manual_seed(0)
    discriminator = ExpressionDiscriminator(6, 2, 5, 3, width=8, scales=3).eval()
    motion, speech, emotion = torch.randn(2, 50, 5), torch.randn(2, 50, 6), torch.zeros(2, 50, 2)
    code = torch.zeros(2, 3)
    results = discriminator(motion, speech, emotion, code)
    lengths = [result[-1].shape[-1] for result in results]
    assert len(lengths) == 3 and lengths == sorted(lengths, reverse=True)
    other = discriminator(motion, speech.flip(1), emotion, code)
    assert (results[0][-1] - other[0][-1]).abs().max() > 1e-5


def test_every_parameter_of_the_generator_gets_a_gradient(generator):
    generator.train()
    people = torch.tensor([0, 1])
    inputs = torch.randn(2, 40, 6), torch.rand(2, 40, 2), torch.rand(2, 40)
    output = generator(*inputs, slow_noise(2, 40, 6, 25.0)[None], people)
    output.square().mean().backward()
    for name, parameter in generator.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
