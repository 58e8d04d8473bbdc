"""A run of a stage: its configuration, its checkpoint to resume from, and its results.

LightningCLI reads the configuration (YAML files, then overrides). Runs from Python and from the command line are the
same.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from jsonargparse import ArgumentError, Namespace
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI
from pytorch_lightning.loggers import CSVLogger

from readavatar.config_paths import with_found_configs
from readavatar.data.store import Avatar, ClipStore, has_part
from readavatar.errors import UserError
from readavatar.files import replacing_file
from readavatar.rendering.rasterize import has_gpu_rasterizer
from readavatar.throughput import keep_freed_memory
from readavatar.training.callbacks import AvatarExport, EvaluationPictures, SaveSettings, make_checkpoints
from readavatar.training.config_errors import STAGES, check_overlays, explain, mistake_behind
from readavatar.training.driven import driven_expressions
from readavatar.training.progress import TrainingProgress
from readavatar.training.resume import ExactResume

_ACCELERATORS = {"auto": "auto", "cpu": "cpu", "cuda": "gpu", "mps": "mps"}

_LOGGER = logging.getLogger(__name__)


def train(
    stage: str,
    clips: str | Path | Sequence[str | Path] = (),
    *,
    configs: Sequence[str | Path] = (),
    overrides: Mapping[str, Any] | None = None,
    avatar: str | Path | None = None,
    fresh: bool = False,
    progress: bool = False,
) -> Avatar:
    """Train a stage, or resume a training that was stopped; the same as ``readavatar fit``.

    Args:
        stage: One of ``STAGES``.
        clips: Clip stores of one person; may be empty if ``configs`` define other data.
        configs: Applied over ``configs/<stage>/default.yaml``, one after the other; the user's own files, or names of
            shipped ones such as ``configs/appearance/fast.yaml``.
        overrides: Single settings by dotted key, such as ``{"trainer.max_steps": 2000, "data.size": 128}``.
        avatar: The avatar's folder; by default ``avatars/<first clip's name>``.
        fresh: Start again, even if the same training was stopped before its end.
        progress: Show a progress bar.

    Returns:
        The avatar, with the stage's networks.

    Raises:
        UserError: The configuration or the clips are not valid, or the training diverged.
    """
    own = {"fresh": fresh, "trainer.enable_progress_bar": progress}
    return Avatar(run_stage("fit", stage_arguments(stage, clips, configs, {**own, **(overrides or {})}, avatar)).avatar)


def test(
    stage: str,
    clips: str | Path | Sequence[str | Path] = (),
    *,
    configs: Sequence[str | Path] = (),
    overrides: Mapping[str, Any] | None = None,
    avatar: str | Path | None = None,
    progress: bool = False,
) -> dict[str, float]:
    """Measure a trained stage on its held-out seconds; the same as ``readavatar test``.

    Args:
        stage: See ``train``. All arguments have to be those of the training.
        clips: See ``train``.
        configs: See ``train``.
        overrides: See ``train``.
        avatar: See ``train``.
        progress: Show a progress bar.

    Returns:
        Metrics by name, such as ``psnr_face``.

    Raises:
        UserError: The stage is not trained.
    """
    own = {"trainer.enable_progress_bar": progress, "verbose": progress}
    run = run_stage("test", stage_arguments(stage, clips, configs, {**own, **(overrides or {})}, avatar))
    return {name.removeprefix("test/"): float(value) for name, value in run.trainer.callback_metrics.items()}


def connect(
    module: pl.LightningModule,
    data: pl.LightningDataModule,
    avatar: str | Path | None = None,
    device: torch.device | None = None,
) -> None:
    """Build a stage's networks for its data, and set the networks' requirements on the data.

    Call it before ``Trainer.fit`` and the like: ``connect(module, data); trainer.fit(module, data)``.

    Args:
        module: The stage's module.
        data: The stage's data module.
        avatar: Its expression part drives some training frames of the appearance stage. There are none if it is None or
            has no such part.
        device: Where the trainer computes; meshes are rasterised there if it has a rasteriser, else on the CPU.
    """
    if device is not None and has_gpu_rasterizer(device) and hasattr(data, "rasterize_on_device"):
        data.rasterize_on_device()
    if getattr(data, "driven_share", 0) > 0 and avatar and has_part(avatar, "expression"):
        data.drive([driven_expressions(Avatar(avatar), ClipStore(path)) for path in data.paths])
    data.setup("fit")
    module.build(data.specification())
    data.require(**module.requirements())


def stage_arguments(
    stage: str,
    clips: str | Path | Sequence[str | Path],
    configs: Sequence[str | Path],
    overrides: Mapping[str, Any],
    avatar: str | Path | None,
) -> list[str]:
    """A run's command line without its command; see ``train``."""
    if stage not in STAGES:
        raise UserError(f"Expected a stage of {', '.join(STAGES)}, but got '{stage}'.")
    names = [f"configs/{stage}/default.yaml", *map(str, configs)]
    words = [word for name in names for word in ("--config", name)]
    paths = [str(clips)] if isinstance(clips, str | Path) else [str(clip) for clip in clips]
    if paths:
        words.append(f"--data.clips={json.dumps(paths)}")
    for key, value in overrides.items():
        words.append(f"--{key}={value if isinstance(value, str) else json.dumps(value, default=str)}")
    return [*words, *([f"--avatar={avatar}"] if avatar else [])]


def run_stage(command: str, arguments: Sequence[str]) -> StageRun:
    """Run ``fit``, ``validate`` or ``test`` with a command line's arguments.

    Raises:
        UserError: The arguments are not valid.
    """
    keep_freed_memory()
    for name in ("pytorch_lightning", "lightning_fabric"):  # they set their own level when they are imported
        logging.getLogger(name).setLevel(logging.WARNING)
    words = with_found_configs([command, *arguments])
    check_overlays(words)
    try:
        # A caller's own command line is none of Lightning's business.
        warnings.filterwarnings("ignore", "LightningCLI's args parameter is intended")
        run = StageRun(
            subclass_mode_model=True,
            subclass_mode_data=True,
            parser_kwargs={"parser_mode": "omegaconf", "exit_on_error": False},
            save_config_callback=SaveSettings,
            save_config_kwargs={"overwrite": True},
            seed_everything_default=0,
            auto_configure_optimizers=False,  # --optimizer would replace the two optimizers of a GAN
            args=words,
        )
    except ArgumentError as error:
        raise mistake_behind(error) or UserError(explain(str(error), words)) from None
    except ValueError as error:
        if mistake := mistake_behind(error):
            raise mistake from None
        raise
    except RuntimeError as error:
        if "loading state_dict" not in str(error):
            raise
        mismatch = str(error).splitlines()[-1].strip()
        raise UserError(
            f"Expected a checkpoint of the network that the config describes, but {mismatch} Use the config it was "
            "trained with, or --fresh true."
        ) from None
    for logger in run.trainer.loggers:  # else Weights & Biases would take the process's next run for this one's rest
        if finish := getattr(logger.experiment, "finish", None):
            finish()
    return run


class StageRun(LightningCLI):
    """LightningCLI with an avatar's folder, which holds the stage's checkpoints and networks."""

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """Lightning's, without ``predict``: ``animate`` and ``view`` are what use a trained stage."""
        return {name: known for name, known in LightningCLI.subcommands().items() if name != "predict"}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add ``--avatar``, ``--fresh`` and ``--device``."""
        parser.add_argument(
            "--avatar",
            type=str | None,
            default=None,
            help="The avatar's folder (default: avatars/<first clip's name>).",
        )
        parser.add_argument(
            "--fresh",
            type=bool,
            default=False,
            help="Start again, even if the same training was stopped before its end.",
        )
        parser.add_argument(
            "--device",
            type=str | None,
            default=None,
            help="auto, cpu, cuda or mps: Lightning's trainer.accelerator by the device's name.",
        )

    def before_instantiate_classes(self) -> None:
        """Set the run's folder and the checkpoint to start from."""
        config = self.config[self.subcommand]
        self.clip = _first_clip(config)
        if not (config.avatar or self.clip):
            raise UserError("Expected --avatar FOLDER, since these data have no clips to name the avatar after.")
        self.avatar = Path(config.avatar or Path("avatars") / Path(self.clip).resolve().name)
        package, *rest = config.model.class_path.split(".")
        self.stage = rest[0] if package == "readavatar" else package
        self.run_folder = Path(config.trainer.default_root_dir or self.avatar / "training" / self.stage)
        config.trainer.default_root_dir = str(self.run_folder)
        logger = getattr(config.trainer.logger, "init_args", None)
        if logger is not None and logger.get("save_dir") == ".":  # WandbLogger's own: wherever the command was given
            logger.save_dir = str(self.run_folder)
        if config.device is not None:
            if config.device not in _ACCELERATORS:
                raise UserError(f"Expected a device of {', '.join(_ACCELERATORS)}, but got '{config.device}'.")
            config.trainer.accelerator = _ACCELERATORS[config.device]
        config.ckpt_path = config.ckpt_path or self._checkpoint_to_start_from(config)

    def instantiate_trainer(self, **kwargs) -> pl.Trainer:
        """The configured trainer, with exact resuming, regular checkpoints, pictures and the avatar's export."""
        configured = self._get(self.config_init, "trainer.callbacks", default=None) or []
        configured = configured if isinstance(configured, list) else [configured]
        own = [
            ExactResume(),
            *make_checkpoints(self.run_folder / "checkpoints"),
            EvaluationPictures(),
            AvatarExport(self.avatar, self.clip),
        ]
        if self._get(self.config_init, "trainer.enable_progress_bar", default=None) is not False:
            own.append(TrainingProgress(self.stage))
        if self._get(self.config_init, "trainer.logger", default=None) is None:
            kwargs["logger"] = CSVLogger(self.run_folder, name="logs")
        return super().instantiate_trainer(callbacks=[*configured, *own], **kwargs)

    def _checkpoint_to_start_from(self, config: Namespace) -> str | None:
        last = self.run_folder / "checkpoints" / "last.ckpt"
        if self.subcommand != "fit":
            if not last.exists():
                raise UserError(
                    f"Expected a trained stage in '{self.run_folder}', but there is none; run 'readavatar fit' with "
                    "the same config and clips first, or give --ckpt_path."
                )
            return str(last)
        if config.fresh or not last.exists():
            return None
        settings = self.run_folder / "settings.json"
        if not settings.exists() or json.loads(settings.read_text()) != _settings(config):
            _LOGGER.warning("'%s' holds a training with other settings; starting again.", self.run_folder)
            return None
        _LOGGER.info("Resuming from '%s' (--fresh true starts again).", last)
        return str(last)

    def before_fit(self) -> None:
        """Build the networks, and save the settings: the same command resumes, another one starts again."""
        connect(self.model, self.datamodule, self.avatar, self.trainer.strategy.root_device)
        with replacing_file(self.run_folder / "settings.json") as temporary:
            temporary.write_text(json.dumps(_settings(self.config[self.subcommand])))

    def before_validate(self) -> None:
        """Build the networks."""
        connect(self.model, self.datamodule, device=self.trainer.strategy.root_device)

    before_test = before_validate


def _settings(config: Namespace) -> dict:
    """The settings that identify a training: all except the trainer's."""
    plain = config.as_dict()
    return json.loads(json.dumps({key: plain[key] for key in ("model", "data", "seed_everything")}, default=str))


def _first_clip(config: Namespace) -> str | None:
    """The clip with the avatar's footage; None for data without clips."""
    if "clips" not in config.data.init_args:
        return None
    clips = config.data.init_args.clips
    clip = clips if isinstance(clips, str) else (clips or [None])[0]
    if clip is None:
        raise UserError("Expected one or more clip stores, but got none; name them with --data.clips clips/jane.")
    return clip
