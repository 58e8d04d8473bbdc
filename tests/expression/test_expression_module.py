"""Claims on training the expression network: it learns, keeps the spread, resumes bit for bit and is exported."""

from __future__ import annotations

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from talking_clips import use_talking_model, write_talking_clip

import readavatar.expression.losses
from readavatar.data.datasets.expression import ExpressionData
from readavatar.data.store.avatar import Avatar, load_network, write_avatar_part
from readavatar.errors import UserError
from readavatar.expression import ExpressionGenerator, ExpressionModule, generate_expressions
from readavatar.expression.settings import LossWeights, NetworkSettings, OptimizationSettings
from readavatar.optimization.losses import r1_penalty
from readavatar.training import connect
from readavatar.training.resume import ExactResume

SMALL = NetworkSettings(
    width=16, reaches=(1, 2), num_noise=6, dropout=0.1, discriminator_width=8, discriminator_scales=2
)


@pytest.fixture(autouse=True)
def _talking_model(monkeypatch):
    use_talking_model(monkeypatch)


@pytest.fixture
def clip(tmp_path):
    """Four fitted seconds."""
    return write_talking_clip(tmp_path / "clip").path


def _data(clip, **settings) -> ExpressionData:
    defaults = {"speech_encoder": "log_mel", "window_seconds": 0.6, "batch_size": 8, "muted_share": 0.0}
    return ExpressionData(str(clip), **{**defaults, **settings})


def _trainer(folder, max_steps, callbacks=(), **settings) -> pl.Trainer:
    return pl.Trainer(
        default_root_dir=folder,
        max_steps=max_steps,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        callbacks=[ExactResume(), *callbacks],
        **{"enable_checkpointing": bool(callbacks), "limit_val_batches": 0, **settings},
    )


def _fit(trainer, module, data, **options):
    connect(module, data)
    trainer.fit(module, data, **options)


def _module(**settings) -> ExpressionModule:
    pl.seed_everything(0, verbose=False)
    return ExpressionModule(network=SMALL, prior="none", **settings)


class _Stop(pl.Callback):
    """Ends the process's training as a kill would, after the checkpoint of ``step`` was written."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step == self.step:
            raise KeyboardInterrupt


@pytest.mark.parametrize("num_workers", [0, 1])
@pytest.mark.parametrize("stop", [5, 8, 11])  # 8 batches an epoch: in the first, at its end, in the second
def test_stopping_and_resuming_ends_with_the_weights_of_one_run(tmp_path, clip, stop, num_workers):
    if num_workers and stop != 11:
        pytest.skip("one case with a loading process is enough")

    def checkpoints():
        return ModelCheckpoint(tmp_path / "kept", "{step}", every_n_train_steps=stop, save_top_k=-1)

    whole = _module()
    _fit(_trainer(tmp_path, 14, [checkpoints()]), whole, _data(clip, num_workers=num_workers))
    assert whole.trainer.num_training_batches == 8

    stopped = _module()
    with pytest.raises(SystemExit):
        again = ModelCheckpoint(tmp_path / "stopped", "last", every_n_train_steps=stop)
        _fit(_trainer(tmp_path, 14, [again, _Stop(stop)]), stopped, _data(clip, num_workers=num_workers))
    pl.seed_everything(123, verbose=False)
    resumed = ExpressionModule(network=SMALL, prior="none")
    last = tmp_path / "stopped" / "last.ckpt"
    _fit(_trainer(tmp_path, 14, [checkpoints()]), resumed, _data(clip, num_workers=num_workers), ckpt_path=last)
    assert resumed.global_step == whole.global_step == 14
    for (name, expected), actual in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(expected, actual), name


def test_a_window_is_fitted(tmp_path, clip):
    weights = LossWeights(adversarial=0.0, matching=0.0)
    network = NetworkSettings(width=32, reaches=(1, 2, 4), num_noise=0, dropout=0.0, speech_noise=0.0)
    pl.seed_everything(0, verbose=False)
    module = ExpressionModule(
        network, weights, OptimizationSettings(learning_rate=1e-2, samples=1, ema_decay=0.9), prior="none"
    )
    data = _data(clip)
    _fit(_trainer(tmp_path, 150), module, data)
    spoken = data.training[0]
    motion = generate_expressions(module.ema.module, spoken.speech, spoken.emotion)
    assert module.objective.space.distance("face", motion, spoken.expressions).mean() < 0.25 * _spread(
        module, spoken.expressions
    )


def _spread(module, motion):
    return module.objective.space.distance("face", motion, motion.mean(0).expand_as(motion)).mean()


def test_adversarial_training_keeps_the_spread_that_regression_mutes(tmp_path):
    """Brows that the sound does not tell: half the clips' brows mirror the others', under the same sound."""
    store = write_talking_clip(tmp_path / "clip", seconds=6.0)
    ratios = {}
    for name, weights, samples in (
        ("regression", LossWeights(adversarial=0.0, matching=0.0), 1),
        ("adversarial", LossWeights(adversarial=0.1), 2),
    ):
        pl.seed_everything(0, verbose=False)
        optimization = OptimizationSettings(4e-3, 4e-3, samples=samples, ema_decay=0.95)
        module = ExpressionModule(SMALL, weights, optimization, "none")
        data = _data(store.path, window_seconds=0.8)
        data.setup("fit")
        mirrored = data.training[0].expressions.clone()
        mirrored[:, 0] = 2 * mirrored[:, 0].mean() - mirrored[:, 0]
        data.training.append(type(data.training[0])(**{**vars(data.training[0]), "expressions": mirrored}))
        data.places += [(1, first) for _, first in data.places]
        _fit(_trainer(tmp_path, 160), module, data)
        spoken = data.training[0]
        brows = torch.stack(
            [
                generate_expressions(module.ema.module, spoken.speech, spoken.emotion, seed=seed)[:, 0]
                for seed in range(4)
            ]
        )
        ratios[name] = float(brows.std() / torch.cat([spoken.expressions[:, 0], mirrored[:, 0]]).std())
    assert ratios["regression"] < 0.5 < 0.7 < ratios["adversarial"] < 1.3


def test_the_gradient_penalty_does_not_depend_on_units(tmp_path, clip, monkeypatch):
    """On raw coefficients, one that hardly moves had a gradient ten thousand times the others'."""
    spreads = []

    def watched(real, motion):
        spreads.append(motion.detach().flatten(0, 1).std(0))
        return r1_penalty(real, motion)

    monkeypatch.setattr(readavatar.expression.losses, "r1_penalty", watched)
    module, data = _module(), _data(clip)
    data.setup("fit")
    data.training[0].expressions[:, 2] *= 0.1
    _fit(_trainer(tmp_path, 1), module, data)
    assert len(spreads) == 1 and (spreads[0] > 0.3).all() and (spreads[0] < 3).all()


def test_held_out_seconds_are_scored_and_told(tmp_path, clip, caplog):
    caplog.set_level("INFO", "readavatar")
    module, data = _module(), _data(clip)
    trainer = _trainer(tmp_path, 2, limit_val_batches=1, val_check_interval=2)
    _fit(trainer, module, data)
    assert "held out, 2 steps: lip error" in caplog.text
    (scores,) = trainer.test(module, data, verbose=False)
    assert 0 < scores["test/lip_error"] < 50 and "test/opening_correlation" in scores


def test_the_averaged_network_becomes_the_avatars_part(tmp_path, clip):
    module, data = _module(), _data(clip)
    _fit(_trainer(tmp_path, 3), module, data)
    part, _ = module.avatar_parts()
    write_avatar_part(tmp_path / "avatar", **part, footage=clip)
    stored = Avatar(tmp_path / "avatar").part("expression")
    network = load_network(ExpressionGenerator(**stored.config["network"]), stored)
    spoken = data.training[0]
    torch.testing.assert_close(
        generate_expressions(network, spoken.speech, spoken.emotion),
        generate_expressions(module.ema.module, spoken.speech, spoken.emotion),
    )
    assert stored.config["speech_encoder"]["name"] == "log_mel" and stored.config["expression_names"]
    assert Avatar(tmp_path / "avatar").emotion_space.num_emotions == 7


def test_training_steps_are_counted_once_a_batch(tmp_path, clip):
    module = _module()
    _fit(_trainer(tmp_path, 5), module, _data(clip))
    assert module.global_step == 5


def test_motion_that_is_not_finite_stops_the_training(tmp_path, clip):
    module, data = _module(), _data(clip)
    data.setup("fit")
    data.training[0].expressions[3] = float("nan")
    with pytest.raises(UserError, match="Expected finite losses"):
        _fit(_trainer(tmp_path, 5), module, data)
