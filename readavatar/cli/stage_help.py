"""The help of ``readavatar fit``, ``validate`` and ``test``: the options that people set.

LightningCLI's own help has hundreds of options and takes seconds to import; ``--help-all`` prints it. Defaults are read
from the stages' configs.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass

from readavatar.config_paths import CONFIG_FOLDERS

STAGES = ("tracking", "expression", "appearance")


@dataclass(frozen=True)
class Option:
    """One option of the stage commands."""

    name: str
    metavar: str
    help: str
    stages: tuple[str, ...] = STAGES
    """Whose configs have it."""
    default: str | None = None
    """For people; None for an option whose default is in the stages' configs."""
    for_fit_only: bool = False


_BOTH = ("expression", "appearance")
OPTIONS = (
    Option("--config", "FILE", "the stage's config; a second one, such as fast.yaml, changes settings", (), "required"),
    Option("--data.clips", "CLIP", "a clip store, or several as '[clips/jane, clips/jane_happy]'", default="required"),
    Option("--avatar", "FOLDER", "where the avatar is kept", (), "avatars/, under the first clip's name"),
    Option("--fresh", "true", "start anew, even where the same training was stopped", (), "false", for_fit_only=True),
    Option("--ckpt_path", "FILE", "the checkpoint to start from", (), "the avatar's last one"),
    Option("--seed_everything", "N", "seed of everything random"),
    Option("--device", "NAME", "where to compute: cpu, cuda or mps", (), "auto: a GPU if there is one"),
    Option("--trainer.logger", "CLASS", "WandbLogger, TensorBoardLogger …", default="CSV files in the avatar's folder"),
    Option("--print_config", "", "print every setting with its value and stop", (), ""),
    Option("--model.morphable_model", "MODEL", "ict, builtin, or a path to FLAME's or Basel's files", ("tracking",)),
    Option("--model.keyframes", "N", "how many frames shape and albedo are fitted to", ("tracking",)),
    Option("--model.pixels", "N", "how many pixels of a frame are compared", ("tracking",)),
    Option("--model.texture_size", "TEXELS", "height and width of the albedo", ("tracking",)),
    Option("--data.resolution", "PIXELS", "height and width of the frames that a fit is scored on", ("tracking",)),
    Option("--trainer.max_steps", "N", "length of the training, in batches", _BOTH, for_fit_only=True),
    Option("--data.batch_size", "N", "windows (expression) or frames (appearance) of a batch", _BOTH),
    Option("--data.held_out_seconds", "SECONDS", "at the end of each clip, never trained on", _BOTH),
    Option("--data.speech_encoder", "NAME", "auto (the best that is here), wav2vec2, whisper or log_mel", _BOTH),
    Option(
        "--model.prior", "PRIOR", "where to begin: auto, none or an avatar's folder", ("expression",), for_fit_only=True
    ),
    Option("--data.people", "NAMES", "who moves in each clip, as '[ann, bob]'", ("expression",), "all one person"),
    Option("--data.strengths", "NAME", "how strong an emotion is: labelled or measured on the face", ("expression",)),
    Option("--data.size", "PIXELS", "height and width of the frames", ("appearance",), "the first clip's"),
    Option(
        "--model.feature_loss", "NAME", "auto, bands (needs no file) or vgg (LPIPS)", ("appearance",), for_fit_only=True
    ),
    Option("--model.weights.gaze", "WEIGHT", "of the loss on where the eyes look", ("appearance",), for_fit_only=True),
)
_HEADINGS = {
    (): "all stages",
    STAGES: "all stages",
    ("tracking",): "tracking",
    _BOTH: "expression and appearance",
    ("expression",): "expression",
    ("appearance",): "appearance",
}
_EXAMPLE_STAGES = {"fit": "tracking"}


def format_stage_help(command: str, description: str) -> str:
    """The text that ``readavatar COMMAND --help`` prints.

    Args:
        command: ``fit``, ``validate`` or ``test``.
        description: What it does.
    """
    settings = read_defaults()
    stage = _EXAMPLE_STAGES.get(command, "appearance")
    formatter = argparse.RawDescriptionHelpFormatter("readavatar", max_help_position=32)
    formatter.add_text(f"example: readavatar {command} --config configs/{stage}/default.yaml --data.clips clips/jane")
    formatter.add_text(f"{description[0].upper()}{description[1:]}. The config says which stage.")
    chosen = [option for option in OPTIONS if command == "fit" or not option.for_fit_only]
    for heading in dict.fromkeys(_HEADINGS.values()):
        formatter.start_section(heading)
        for option in (option for option in chosen if _HEADINGS[option.stages] == heading):
            formatter.add_argument(_action(option, settings))
        formatter.end_section()
    formatter.add_text(
        "The defaults are those of configs/<stage>/default.yaml, each of whose keys has an option of its name:\n"
        f"model.network.width is --model.network.width. Everything else: readavatar {command} --help-all"
    )
    return formatter.format_help()


def read_defaults() -> dict[str, dict]:
    """By stage, the settings of its ``default.yaml`` by option; ``init_args`` has no part in an option's name."""
    import yaml

    folder = next(folder for folder in CONFIG_FOLDERS if folder.is_dir())
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return {
        stage: dict(_flat(yaml.load((folder / stage / "default.yaml").read_bytes(), loader), "--")) for stage in STAGES
    }


def _flat(section: Mapping, prefix: str):
    for key, value in section.items():
        if isinstance(value, Mapping):
            yield from _flat(value, prefix if key == "init_args" else f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def default_text(option: Option, settings: Mapping[str, Mapping]) -> str:
    """``auto``, or where stages differ ``expression 1000, appearance 1600``."""
    if option.default is not None:
        return option.default
    values = {stage: settings[stage][option.name] for stage in option.stages}
    if len(set(values.values())) == 1:
        return str(next(iter(values.values())))
    return ", ".join(f"{stage} {value}" for stage, value in values.items())


def _action(option: Option, settings: Mapping[str, Mapping]) -> argparse.Action:
    default = default_text(option, settings)
    text = f"{option.help} ({default})" if default else option.help
    nargs = None if option.metavar else 0
    return argparse.Action([option.name], dest=option.name, nargs=nargs, metavar=option.metavar, help=text)
