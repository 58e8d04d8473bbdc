"""``readavatar fit|validate|test|predict``: LightningCLI over the three stages' configs.

example: readavatar fit --config configs/tracking/default.yaml --data.clips clips/jane
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import re
import typing
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytorch_lightning as pl
import yaml
from jsonargparse import ArgumentError, Namespace
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI
from pytorch_lightning.loggers import CSVLogger

from readavatar.cli.log_filters import install_log_filters
from readavatar.cli.memory import keep_freed_memory
from readavatar.config_paths import with_found_configs
from readavatar.data.store import ClipStore
from readavatar.data.store.avatar import AvatarExport, has_part
from readavatar.errors import UserError, did_you_mean
from readavatar.files import replacing_file
from readavatar.training.progress import TrainingProgress
from readavatar.training.rehearse import rehearse
from readavatar.training.resume import ExactResume

_CHECKPOINT_INTERVAL = timedelta(seconds=60)
"""A kill costs at most this much training."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The stage commands parse their own arguments."""


class StageCLI(LightningCLI):
    """LightningCLI with an avatar's folder: where the stage's training goes on from and where its network is put."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add ``--avatar`` and ``--fresh``."""
        parser.add_argument(
            "--avatar",
            type=str | None,
            default=None,
            help="The avatar's folder (default: avatars/<first clip's name>).",
        )
        parser.add_argument(
            "--fresh", type=bool, default=False, help="Start anew, even where the same training was stopped halfway."
        )

    def before_instantiate_classes(self) -> None:
        """Settle where the run lives and which checkpoint it starts from."""
        config = self.config[self.subcommand]
        self.clip = _first_clip(config)
        if not (config.avatar or self.clip):
            raise UserError("Expected --avatar FOLDER, since these data are no clips that an avatar could be named by.")
        self.avatar = Path(config.avatar or Path("avatars") / Path(self.clip).resolve().name)
        package, *rest = config.model.class_path.split(".")
        self.stage = rest[0] if package == "readavatar" else package
        self.run_folder = Path(config.trainer.default_root_dir or self.avatar / "training" / self.stage)
        config.trainer.default_root_dir = str(self.run_folder)
        config.ckpt_path = config.ckpt_path or self._checkpoint_to_start_from(config)

    def instantiate_trainer(self, **kwargs) -> pl.Trainer:
        """The configured trainer, with exact resuming, checkpoints in time and the export of the trained network."""
        configured = self._get(self.config_init, "trainer.callbacks", default=None) or []
        configured = configured if isinstance(configured, list) else [configured]
        checkpoints = {
            "dirpath": self.run_folder / "checkpoints",
            "filename": "last",
            "enable_version_counter": False,
        }
        own = [
            ExactResume(),
            ModelCheckpoint(**checkpoints, train_time_interval=_CHECKPOINT_INTERVAL),
            ModelCheckpoint(**checkpoints, every_n_epochs=1, save_on_train_epoch_end=True),
            AvatarExport(self.avatar, self.clip),
        ]
        if self._get(self.config_init, "trainer.enable_progress_bar", default=None) is not False:
            own.append(TrainingProgress(self.stage))
        if self._get(self.config_init, "trainer.logger", default=None) is None:
            kwargs["logger"] = CSVLogger(self.run_folder, name="logs")
        return super().instantiate_trainer(callbacks=[*configured, *own], **kwargs)

    def _checkpoint_to_start_from(self, config) -> str | None:
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
            print(f"readavatar: '{self.run_folder}' holds a training with other settings; starting anew.")
            return None
        print(f"readavatar: going on from '{last}' (--fresh true starts anew).")
        return str(last)

    def before_fit(self) -> None:
        """Let an avatar that speaks rehearse what its looks are learned from; remember the settings.

        By the settings the same command goes on and another one starts anew.
        """
        data = self.config[self.subcommand].data.init_args
        if data.get("driven_share", 0) > 0:
            clips = [data.clips] if isinstance(data.clips, str) else data.clips
            for clip in clips:  # another avatar's rehearsal is nothing for this one to learn from
                ClipStore(clip).drop_rehearsal()
            if has_part(self.avatar, "expression"):
                rehearse(self.avatar, clips)
        with replacing_file(self.run_folder / "settings.json") as temporary:
            temporary.write_text(json.dumps(_settings(self.config[self.subcommand])))


def _settings(config: Namespace) -> dict:
    """What has to be equal for a training to be the same one: all but the trainer."""
    plain = config.as_dict()
    return json.loads(json.dumps({key: plain[key] for key in ("model", "data", "seed_everything")}, default=str))


def _first_clip(config: Namespace) -> str | None:
    """The clip that the avatar's footage is; None for data that are not clips."""
    if "clips" not in config.data.init_args:
        return None
    clips = config.data.init_args.clips
    clip = clips if isinstance(clips, str) else (clips or [None])[0]
    if clip is None:
        raise UserError("Expected one or more clip stores, but got none; name them with --data.clips clips/jane.")
    return clip


def run(arguments: list[str]) -> int:
    """Run ``fit``, ``validate``, ``test`` or ``predict``."""
    keep_freed_memory()
    install_log_filters()
    arguments = with_found_configs(arguments)
    try:
        StageCLI(
            subclass_mode_model=True,
            subclass_mode_data=True,
            parser_kwargs={"parser_mode": "omegaconf", "exit_on_error": False},
            save_config_kwargs={"overwrite": True},
            seed_everything_default=0,
            args=arguments,
        )
    except ArgumentError as error:
        raise _mistake_behind(error) or UserError(_explain(str(error), arguments)) from None
    except ValueError as error:
        if mistake := _mistake_behind(error):
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
    return 0


def _mistake_behind(error: BaseException | None) -> UserError | None:
    """The user's mistake that jsonargparse found while it built an object, and reported as its own."""
    while error is not None and not isinstance(error, UserError):
        error = error.__cause__ or error.__context__
    return error


def _explain(message: str, arguments: list[str]) -> str:
    """One line for what jsonargparse says in many: the key at fault, and the nearest right one."""
    if match := re.search(r"(?:[Uu]nrecognized arguments|ambiguous option): --([\w.]+)", message):
        return _unknown_key(match[1], arguments)
    section = re.search(r'(?:key|Key) "([\w.]+)"', message)
    place = section[1] if section else "the config"
    if match := re.findall(r"Option '([\w.]+)' is not accepted|Key '([\w.]+)' is not expected", message):
        return _unknown_key(f"{place}.{next(filter(None, match[-1]))}", arguments)
    if match := re.search(r"the following arguments are required: (.*)", message):
        return f"Expected {place}.{match[1]}, but it is not given; add --{place}.{match[1].split(',')[0]} VALUE."
    if match := re.findall(r"Expected an? (?:<class '(\w+)'>|(.*?))\. Got value: (.*)", message):
        kind, other, value = match[0]
        return f"Expected {kind or other} in {place}, but got '{value}'."
    return message


def _unknown_key(key: str, arguments: list[str]) -> str:
    # jsonargparse leaves the section out of a nested key's name; the command line still has it whole.
    given = (argument[2:].partition("=")[0] for argument in arguments if argument.startswith("--"))
    key = next((name for name in given if name.endswith(f".{key}")), key)
    section, _, wrong = key.rpartition(".")
    hint = did_you_mean(wrong, _known_keys(section, arguments), cutoff=0.5)
    return f"Expected a known key{f' in {section}' if section else ''}, but got '{wrong}'.{hint}"


def _known_keys(section: str, arguments: list[str]) -> list[str]:
    """The names that a section of the config may hold: a class's parameters, or a nested dataclass's fields."""
    first, *nested = section.split(".")
    constructor = pl.Trainer.__init__ if first == "trainer" else _configured_class(first, arguments)
    for name in nested:
        constructor = typing.get_type_hints(constructor).get(name, object) if constructor else object
    return list(inspect.signature(constructor).parameters) if constructor else []


def _configured_class(section: str, arguments: list[str]) -> Callable | None:
    for index, argument in enumerate(arguments):
        path = arguments[index + 1] if argument == "--config" else argument.removeprefix("--config=")
        if path == argument:
            continue
        class_path = (yaml.safe_load(Path(path).read_text()).get(section) or {}).get("class_path", "")
        if class_path.startswith("readavatar."):
            module, _, name = class_path.rpartition(".")
            return getattr(importlib.import_module(module), name).__init__
    return None
