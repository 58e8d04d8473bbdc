"""Claims on beginning from a generator that many people trained."""

from __future__ import annotations

import pytest
import pytorch_lightning as pl
import torch
from talking_clips import FPS, talking_model, use_talking_model, write_talking_clip

import readavatar.expression.build_networks
from readavatar.data.datasets.expression import ExpressionData
from readavatar.data.store.avatar import Avatar, write_avatar_part
from readavatar.emotion import EmotionSpace, EmotionTrack
from readavatar.errors import UserError
from readavatar.expression import ExpressionModule, generate_expressions
from readavatar.expression.build_networks import EmotionDistillation, find_prior
from readavatar.expression.settings import LossWeights, NetworkSettings, OptimizationSettings
from readavatar.training import connect

SMALL = NetworkSettings(
    width=16, reaches=(1, 2), num_noise=6, code_width=4, dropout=0.0, discriminator_width=8, discriminator_scales=1
)
SPACE = EmotionSpace(("happy", "sad"))


def _fit(folder, clips, steps=3, **settings) -> ExpressionModule:
    pl.seed_everything(0, verbose=False)
    people = [clip.path.name for clip in clips]
    data = ExpressionData([str(clip.path) for clip in clips], people, "log_mel", window_seconds=0.6, batch_size=8)
    module = ExpressionModule(**{"network": SMALL, "prior": "none", **settings})
    trainer = pl.Trainer(
        default_root_dir=folder,
        max_steps=steps,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        limit_val_batches=0,
    )
    connect(module, data)
    trainer.fit(module, data)
    return module


@pytest.fixture(autouse=True)
def _talking_model(monkeypatch):
    use_talking_model(monkeypatch)


@pytest.fixture
def clips(tmp_path):
    """A person who is filmed happy and sad, and another who is filmed in neutral alone."""
    track = EmotionTrack.parse("0s happy:1, 2s happy:1, 2.1s sad:1", SPACE)
    return write_talking_clip(tmp_path / "ann", emotion=track), write_talking_clip(tmp_path / "bob", seed=1)


@pytest.fixture
def prior(tmp_path, clips):
    """Of both."""
    module = _fit(tmp_path, clips, weights=LossWeights(sync=0.1))
    for part in module.avatar_parts():
        write_avatar_part(tmp_path / "prior", **part, footage=None)
    return tmp_path / "prior", module


def _description(prior, **changes) -> dict:
    return {**prior[1].specification.description(), **changes}


def test_a_training_begins_where_the_prior_ended(tmp_path, clips, prior):
    folder, taught = prior
    begun = _fit(tmp_path, clips[1:], prior=str(folder), steps=1,
                 optimization=OptimizationSettings(learning_rate=0.0, ema_decay=0.0))  # fmt: skip
    spoken = begun.trainer.datamodule.training[0]
    emotion = torch.zeros(len(spoken.speech), 2)
    assert begun.specification.emotion_names != SPACE.names  # bob's clip has no labels: MEAD's seven
    network = taught.ema.module
    with torch.no_grad():
        network.codes[:] = network.codes.mean(0)
    for mine, theirs in ((4, 0), (5, 1)):  # happy and sad of MEAD's seven, of the prior's two
        ours, known = torch.zeros(len(emotion), 7), torch.zeros(len(emotion), 2)
        ours[:, mine], known[:, theirs] = 0.7, 0.7
        torch.testing.assert_close(
            generate_expressions(begun.generator, spoken.speech, ours),
            generate_expressions(network, spoken.speech, known),
        )


def test_expressions_are_found_by_name(prior):
    folder, taught = prior
    names = ["jawOpen", "browInnerUp_L"]
    found = find_prior(str(folder), _description(prior, expression_names=names))
    network = found.build_generator(1, torch.tensor([[0.0, 1.0]] * 2))
    theirs = taught.ema.module
    assert torch.equal(network.head.weight, theirs.head.weight[[1, 0]])
    assert torch.equal(network.expression_mean, theirs.expression_mean[[1, 0]])
    assert found.build_discriminator() is None  # its input is all of the prior's expressions


def test_the_critics_come_along(prior):
    folder, taught = prior
    found = find_prior(str(folder), _description(prior))
    for name, value in found.build_discriminator().state_dict().items():
        assert torch.equal(value, taught.objective.discriminator.state_dict()[name]), name
    lips = torch.randn(3, 60)
    expert = found.build_sync_expert(lips)
    assert torch.equal(expert.lips, lips) and torch.equal(expert.speech_mean, taught.objective.sync_expert.speech_mean)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"speech_encoder": {"name": "whisper", "layers": [2], "fingerprint": "x"}}, "uses log_mel"),
        ({"expression_names": ["jawOpen", "tailWag"]}, "such as 'tailWag'"),
        ({"fps": 30.0}, f"moves at {FPS} fps"),
    ],
)
def test_a_prior_that_does_not_fit_is_refused_by_name_and_passed_over_by_default(prior, monkeypatch, changes, message):
    folder, _ = prior
    with pytest.raises(UserError, match=message):
        find_prior(str(folder), _description(prior, **changes))
    monkeypatch.setattr(readavatar.expression.build_networks, "_FOLDERS", (folder.parent,))
    assert find_prior("auto", _description(prior)).path == folder
    assert find_prior("auto", _description(prior, **changes)) is None
    assert find_prior("none", _description(prior)) is None


def test_seconds_of_footage_teach_a_code_and_nothing_else(tmp_path, clips, prior):
    folder, taught = prior
    before = taught.ema.module.state_dict()
    learnt = _fit(tmp_path, clips[1:], prior=str(folder), optimization=OptimizationSettings(train="code"), steps=5)
    after = learnt.generator.state_dict()
    for name in before:
        if name not in ("codes", "blink_rates", "condition.0.weight", "expression_bounds"):
            assert torch.equal(before[name], after[name]), name
    assert (after["codes"] - before["codes"].mean(0)).abs().max() > 1e-4
    with pytest.raises(UserError, match="Expected a prior"):
        _fit(tmp_path, clips[1:], prior="none", optimization=OptimizationSettings(train="code"))


def test_the_priors_response_to_an_unseen_emotion_is_kept(tmp_path, clips, prior):
    folder, _ = prior
    module = _fit(tmp_path, clips[1:], prior=str(folder), steps=1)
    assert module.objective.distillation.emotions == list(range(7))
    batch = next(iter(module.trainer.datamodule.train_dataloader()))
    untouched = find_prior(str(folder), module.specification.description())
    same = untouched.build_generator(1, talking_model().expression_bounds)
    distance = module.objective._distance("face")
    distillation = EmotionDistillation(untouched.build_generator(1, talking_model().expression_bounds), [4])
    equals = float(distillation(same, batch, distance).detach())
    assert equals == pytest.approx(0.01, abs=1e-3)  # not 0: the distance has a gradient everywhere
    with torch.no_grad():
        same.condition[0].weight[:, 4] = 5.0
    assert distillation(same, batch, distance) > 2 * equals
    assert "distillation" not in _fit(tmp_path, clips[:1], prior="none", steps=1).objective.weights


def test_what_begins_from_a_prior_learns_at_a_lower_rate(tmp_path, clips, prior):
    def rate(**settings):
        module = _fit(tmp_path, clips[1:], steps=1, optimization=OptimizationSettings(rate_from_prior=0.1), **settings)
        return module.optimizers()[0].param_groups[0]["initial_lr"]

    assert rate(prior=str(prior[0])) == pytest.approx(0.1 * rate(prior="none"))


def test_a_prior_is_nobodys_avatar(prior):
    with pytest.raises(UserError, match="it is a prior"):
        _ = Avatar(prior[0]).footage
