"""Ablation runs: plan them, train and measure each one, and read the results.

A base configuration and each of its variants are trained with the same seeds.
"""

from __future__ import annotations

import json
import logging
import math
import shutil
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import yaml

from readavatar.benchmarks.ablation.stages import (
    FIRST_ACTOR,
    STAGES,
    AblationRun,
    AblationStage,
    RunStage,
    Scorer,
    names_footage,
)
from readavatar.config_paths import find_config, find_config_folder
from readavatar.errors import UserError, did_you_mean
from readavatar.files import replacing_file

_LOGGER = logging.getLogger(__name__)

BASE = "base"
_PRESET = "_base.yaml"
_SETTINGS, _RESULT = "settings.json", "result.json"
_OWN_OPTIONS = ("--avatar", "--seed_everything", "--fresh")
"""Options that every run sets itself. A user cannot set them: the folders' names would no longer be true."""


def find_ablations(folder: str) -> tuple[AblationStage, Path | None, dict[str, Path]]:
    """List the ablations in a folder.

    Args:
        folder: The user's folder or one that ships with readavatar; it has the stage's name.

    Returns:
        The stage; the preset that all runs share (``_base.yaml``), if there is one; the ablations' files by name.

    Raises:
        UserError: There is no such folder, no stage of that name, or the folder is empty.
    """
    path = find_config_folder(folder)
    stage = STAGES.get(path.resolve().name)
    if stage is None:
        raise UserError(
            f"Expected a folder named after a stage ({' or '.join(STAGES)}), but got '{folder}'; "
            "configs/ablations/expression is one."
        )
    files = {file.stem: file for file in sorted(path.glob("*.yaml")) if not file.name.startswith("_")}
    if not files:
        raise UserError(f"Expected one .yaml file for each ablation in '{folder}', but there is none.")
    if BASE in files:
        raise UserError(f"Expected the preset of all runs to be named {_PRESET}, but got '{files[BASE]}'; rename it.")
    preset = path / _PRESET
    return stage, preset if preset.is_file() else None, files


def choose_ablations(files: dict[str, Path], only: Sequence[str] | None) -> dict[str, Path]:
    """The requested ablations, in the folder's order.

    Raises:
        UserError: A name in ``only`` is not in the folder; the message names the nearest.
    """
    if only is None:
        return files
    for name in only:
        if name not in files and name != BASE:
            hint = did_you_mean(name, files, cutoff=0.4)
            raise UserError(f"Expected --only of {', '.join(files)}, but got '{name}'.{hint}")
    return {name: path for name, path in files.items() if name in only}


def plan_runs(
    stage: AblationStage,
    preset: Path | None,
    ablations: dict[str, Path],
    seeds: Sequence[int],
    out: Path,
    overrides: Sequence[str] = (),
) -> list[AblationRun]:
    """The base and each ablation with each seed, seed by seed: a command that is stopped leaves complete pairs.

    Args:
        stage: What is trained.
        preset: Applied over the stage's configuration in all runs.
        ablations: By name, the files that hold only what differs.
        seeds: Of the runs. Without footage, each seed has its own digital actor, which all ablations share.
        out: A run's folder is ``out/name/seed``.
        overrides: Options of every run.

    Raises:
        UserError: The stage needs footage and none is given, or an override is one that each run sets itself.
    """
    for option in _OWN_OPTIONS:
        if any(word.partition("=")[0] == option for word in overrides):
            raise UserError(f"Expected options for every run, but {option} is set by every run; give --out or --seeds.")
    on_footage = names_footage(overrides)
    performs = stage.actor_config is not None
    if not (on_footage or performs or stage.actor_clip):
        raise UserError(f"Expected clips for the {stage.name} stage, but got none; add --data.clips clips/jane.")
    names = [*stage.configs, *([stage.actor_config] if performs and not on_footage else [])]
    shared = [*map(find_config, names), *([preset] if preset else [])]
    runs = []
    for seed in seeds:
        actor = None if on_footage else FIRST_ACTOR + seed
        own, film = [f"--seed_everything={seed}"], None
        if actor is not None and performs:
            own.append(f"--data.first_actor={actor}")
        elif actor is not None:
            own.append(f"--data.clips={stage.actor_clip(actor, out)}")
            film = partial(stage.film, actor, out)
        for name, ablation in {BASE: None, **ablations}.items():
            avatar = out / name / str(seed)
            configs = [*shared, *([ablation] if ablation else [])]
            arguments = [word for path in configs for word in ("--config", str(path))]
            arguments += [*own, *overrides, f"--avatar={avatar}"]
            common = {"configs": [_read(path) for path in shared], "overrides": list(overrides)}
            settings = {"common": common, "ablation": _read(ablation) if ablation else {}, "own": own}
            runs.append(AblationRun(name, seed, avatar, tuple(arguments), settings, actor, film))
    return runs


def _read(path: Path) -> dict:
    try:
        return yaml.safe_load(path.read_text()) or {}
    except yaml.YAMLError as error:
        raise UserError(f"Expected YAML in '{path}', but {' '.join(str(error).split())}.") from None


def run_ablations(runs: Sequence[AblationRun], run_stage: RunStage, scorer: Scorer, rescore: bool = False) -> None:
    """Train and measure every run that is not done yet, one after the other.

    A run's settings are written before the training and its figures after the measurement. From these two files the
    function tells whether a run is done, unfinished, or has other settings (and is then repeated).

    Args:
        runs: Of ``plan_runs``.
        run_stage: Trains; it resumes a training that was stopped.
        scorer: Measures each run.
        rescore: Also measure finished runs again.

    Raises:
        UserError: A run failed. The finished runs are kept.
    """
    for number, run in enumerate(runs, 1):
        if is_done(run, scorer) and not rescore:
            continue
        _LOGGER.info("[%d/%d] %s", number, len(runs), run.label)
        started = time.perf_counter()
        try:
            _prepare_folder(run)
            if run.film is not None:
                run.film()
            run_stage("fit", run.arguments)
            scores = scorer.measure(run)
        except UserError as error:
            raise UserError(f"{run.label}: {error}") from error
        # JSON has no NaN, which means that there was nothing to measure.
        finite = {name: value for name, value in scores.items() if math.isfinite(value)}
        result = {"scorer": scorer.name, "seconds": time.perf_counter() - started, "scores": finite}
        with replacing_file(run.avatar / _RESULT) as temporary:
            temporary.write_text(json.dumps(result, indent=1))


def is_done(run: AblationRun, scorer: Scorer) -> bool:
    """Whether the run's figures exist for these settings and this scorer."""
    result = read_json(run.avatar / _RESULT)
    return result.get("scorer") == scorer.name and read_json(run.avatar / _SETTINGS) == _plain(run.settings)


def _prepare_folder(run: AblationRun) -> None:
    # The stage would resume from a checkpoint with another length or schedule, so the whole folder is removed.
    begun = read_json(run.avatar / _SETTINGS)
    if begun == _plain(run.settings):
        return
    if begun:
        _LOGGER.warning("'%s' holds a run with other settings; starting again.", run.avatar)
    elif run.avatar.exists() and any(run.avatar.iterdir()):
        raise UserError(f"Expected '{run.avatar}' to be an ablation's run or not to exist; give another --out.")
    shutil.rmtree(run.avatar, ignore_errors=True)
    with replacing_file(run.avatar / _SETTINGS) as temporary:
        temporary.write_text(json.dumps(run.settings, indent=1))


def _plain(settings: dict) -> dict:
    return json.loads(json.dumps(settings))


def read_json(path: Path) -> dict:
    """A file's JSON object; empty if the file is missing or damaged."""
    try:
        found = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def read_results(
    out: Path, names: Sequence[str], seeds: Sequence[int] | None = None
) -> tuple[dict[str, dict[int, dict[str, float]]], list[str]]:
    """The figures of the base and of those ablations that differ from it only by their own files.

    Args:
        out: Of ``plan_runs``.
        names: The ablations.
        seeds: Which seeds; None for all that exist.

    Returns:
        By run and seed, the figures by name; and a description of every run that was left out.
    """
    found: dict[str, dict[int, tuple[str, dict]]] = {}
    for name in (BASE, *names):
        folders = [folder for folder in sorted(out.glob(f"{name}/*/")) if folder.name.isdecimal()]
        for folder in sorted(folders, key=lambda folder: int(folder.name)):
            result, settings = read_json(folder / _RESULT), read_json(folder / _SETTINGS)
            if "scores" in result and "common" in settings and (seeds is None or int(folder.name) in seeds):
                made_of = json.dumps([settings["common"], result["scorer"]], sort_keys=True)
                found.setdefault(name, {})[int(folder.name)] = (made_of, result["scores"])
    if BASE not in found:
        return {}, []
    # The base's latest seed decides what the table is of.
    wanted = list(found[BASE].values())[-1][0]
    results, left_out = {}, []
    for name, by_seed in found.items():
        kept = {seed: scores for seed, (made_of, scores) in by_seed.items() if made_of == wanted}
        left_out += [f"{name}, seed {seed}: of other settings than the base" for seed in by_seed if seed not in kept]
        if kept:
            results[name] = kept
    return results, left_out
