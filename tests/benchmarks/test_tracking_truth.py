"""What is measured against a digital actor's truth: zero for the truth itself, and known for known mistakes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from readavatar.benchmarks.tracking import actors as bench
from readavatar.emotion import EmotionSpace, EmotionTrack
from readavatar.morphable import MorphableModel, load_morphable_model
from readavatar.synthetic import film, make_actor, perform_sentences
from readavatar.types import TrackedFace

FPS = 25.0


@pytest.fixture(scope="module")
def model() -> MorphableModel:
    return load_morphable_model("builtin")


@pytest.fixture(scope="module")
def truth(model) -> TrackedFace:
    actor = make_actor(3, model)
    neutral = EmotionTrack.constant(EmotionSpace())
    performance = perform_sentences(actor, sentences=["Mum baked a pie by the map."], emotion=neutral, fps=FPS, turn=20)
    return film(actor, performance, model, "builtin", 64).face


def measure(face: TrackedFace, truth: TrackedFace, model: MorphableModel) -> dict[str, float]:
    return bench.measure_against_truth(face, truth, model, FPS)


def changed(face: TrackedFace, **coefficients: torch.Tensor) -> TrackedFace:
    return replace(face, coefficients=replace(face.coefficients, **coefficients))


def test_the_truth_itself_reaches_every_aim(truth, model):
    errors = measure(truth, truth, model)
    assert set(errors) == set(bench.TRUTH_ROWS)
    for name, row in bench.TRUTH_ROWS.items():
        assert row.holds(errors[name]) is not False, name
    assert errors[bench.VERTICES] < 1e-3 and errors[bench.LIP_MOTION] < 1e-3
    assert errors[bench.CLOSURE] == 1.0 and errors[bench.JITTER] == pytest.approx(1.0)


def test_a_gaze_and_a_head_that_are_turned_are_found_turned(truth, model):
    coefficients = truth.coefficients
    yaw = torch.tensor([0.0, torch.pi / 90, 0.0])
    turned = changed(
        truth,
        gaze=coefficients.gaze + torch.tensor([torch.pi / 36, 0.0]),
        rotation=yaw.expand_as(coefficients.rotation),
    )
    straight = changed(truth, rotation=torch.zeros_like(coefficients.rotation))
    errors = measure(turned, straight, model)
    assert errors[bench.GAZE] == pytest.approx(5.0, rel=1e-3)
    assert errors[bench.ROTATION] == pytest.approx(2.0, rel=1e-3)
    assert errors[bench.VERTICES] < 0.5  # of the eyeballs alone, if at all


def test_a_head_that_is_farther_away_in_the_same_direction_is_no_error(truth, model):
    errors = measure(changed(truth, translation=1.2 * truth.coefficients.translation), truth, model)
    assert errors[bench.TRANSLATION] < 1e-3


def test_lips_that_never_move_have_no_closures_and_no_fast_motion(truth, model):
    still = changed(truth, expression_coefficients=torch.zeros_like(truth.coefficients.expression_coefficients))
    still.coefficients.expression_coefficients[:, truth.expression_names.index("jawOpen")] += torch.linspace(
        0.2, 0.3, truth.coefficients.num_frames
    )
    errors = measure(still, truth, model)
    assert errors[bench.CLOSURE] < 0.5
    assert errors[bench.JITTER] < 0.1
    assert errors[bench.LIP_MOTION] > 1.0


def test_a_trembling_jaw_is_jitter(truth, model):
    trembling = truth.coefficients.expression_coefficients.clone()
    trembling[::2, truth.expression_names.index("jawOpen")] += 0.15
    errors = measure(changed(truth, expression_coefficients=trembling), truth, model)
    assert errors[bench.JITTER] > 1.25


def test_one_scale_for_all_frames_is_what_similarity_alignment_takes_out():
    generator = torch.Generator().manual_seed(0)
    target = torch.randn(3, 20, 3, generator=generator)
    turn, _ = torch.linalg.qr(torch.randn(3, 3, 3, generator=generator))
    turn = turn * torch.linalg.det(turn).sign()[:, None, None]
    source = 0.8 * target @ turn.mT + torch.randn(3, 1, 3, generator=generator)
    assert float(bench.best_scale(source, target)) == pytest.approx(1.25, rel=1e-4)
    assert float(bench.vertex_error(1.25 * source, target).max()) < 1e-4


def test_a_film_is_made_once(monkeypatch, tmp_path):
    made = []

    def write(path, **options):
        made.append(options["seed"])
        return original(path, **options)

    original = bench.write_actor_clip
    monkeypatch.setattr(bench, "write_actor_clip", write)
    monkeypatch.setattr(
        bench, "prepare_clip", lambda source, out, **options: original(out, duration=0.2, sentences=[], size=32)
    )
    settings = {"size": 32, "duration": 0.2, "sentences": []}
    for _ in range(2):
        filmed, clip = bench.film_actor(101, "builtin", tmp_path, settings)
    assert made == [101] and filmed.has_truth and clip.num_frames == 5
    bench.film_actor(101, "builtin", tmp_path, {**settings, "turn": 5})
    assert made == [101, 101]
