"""The appearance scorecard on digital actors: what an audio-conditioned texture improves inside the mouth.

An actor's tongue and bite are in the sound and in the picture, but not in the coefficients. Three textures are trained
in the same way and render sentences that none of them was trained on: the default's, which is conditioned on audio; a
learned image; and a SIREN without audio.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from readavatar.benchmarks.appearance.actor_films import (
    ELSEWHERE,
    EYES,
    INTERIOR,
    MOUTH_LPIPS,
    Films,
    default_model,
    film_speaker,
    measure_on_film,
    write_mouth_sheet,
)
from readavatar.benchmarks.scorecard import Row, Score, widened
from readavatar.benchmarks.statistics import estimate_mean
from readavatar.benchmarks.trained import train_once
from readavatar.errors import UserError

_LOGGER = logging.getLogger(__name__)

FIRST_SEED = 301
PUBLISHED_MODEL = "ict"
"""Of the actors whose figures the documents give."""
_OTHER_HEAD = (
    "ICT-FaceKit is not on this machine, so that the actors have the head '%s': another film, whose figures can't be "
    "compared with the published ones; see 'readavatar assets'."
)
ACTOR_CONFIG = "configs/appearance/actor.yaml"
CONDITIONED, IMAGE, PLAIN = "audio-conditioned texture", "texture image", "plain SIREN"
VARIANTS = {
    CONDITIONED: (),
    IMAGE: ("configs/ablations/appearance/texture_image.yaml",),
    PLAIN: ("configs/ablations/appearance/siren_plain.yaml",),
}
_ROWS = {INTERIOR: Row("dB"), MOUTH_LPIPS: Row(""), ELSEWHERE: Row("dB"), EYES: Row("dB")}
_GAINS = {INTERIOR: Row("dB", at_least=1.5), MOUTH_LPIPS: Row("", at_most=0.0), ELSEWHERE: Row("dB", at_least=-0.1)}
"""Gain of the audio-conditioned texture over each of the others: 1.5 dB inside the mouth and no loss elsewhere (0.1 dB
is half of the difference between two seeds of the same training)."""
_FILE_WIDTH = 150

ByActor = dict[str, dict[str, float]]
"""By actor, the measured values by name."""


def bench_appearance_actor(
    *,
    morphable_model: str | None = None,
    actors: int = 3,
    configs: Sequence[str] = (),
    work: str | Path = "bench_appearance",
    sheets: str | Path | None = None,
    console: Console | None = None,
) -> dict[str, Score]:
    """Train three textures on each actor's film with equal steps, and paint held-out sentences.

    Films and trained avatars are kept in ``work``, so that another run only repeats the measurement.

    Args:
        morphable_model: What actors are made of; by default ICT's head where it is here, else the built-in one.
        actors: How many, with seeds from ``FIRST_SEED`` on. Actor i is trained with the training seed i.
        configs: Applied over the actor preset, for all three.
        work: Folder for films and avatars.
        sheets: Folder for one contact sheet for each actor.
        console: Where a table of the scores is printed; by default nowhere.

    Returns:
        By ``texture: measure`` the means over actors, by ``gain over texture: measure`` the paired differences, both
        with the 95 % interval of Student's t; then by ``actor N, texture: measure``.

    Raises:
        UserError: No actors.
    """
    if actors < 1:
        raise UserError(f"Expected one or more digital actors, but got {actors}.")
    model, work = morphable_model or default_model(), Path(work)
    if morphable_model is None and model != PUBLISHED_MODEL:
        _LOGGER.warning(_OTHER_HEAD, model)
    found: dict[str, ByActor] = {name: {} for name in VARIANTS}
    for number in range(actors):
        seed = FIRST_SEED + number
        films = film_speaker(seed, model, work)
        avatars = {name: train_on_film(films, name, configs, number, work) for name in VARIANTS}
        for name, avatar in avatars.items():
            found[name][f"actor {seed}"] = measure_on_film(avatar, films.held_out)
        if sheets is not None:
            sheet = write_mouth_sheet(Path(sheets) / f"actor_{seed}.png", films.held_out, avatars)
            _LOGGER.info("see '%s'", sheet)
    scores = summarise_textures(found)
    if console is not None:
        print_textures(f"appearance, {actors} digital actor(s) ({model}), held-out sentences", scores, console)
    return scores


def train_on_film(films: Films, variant: str, configs: Sequence[str], seed: int, work: Path) -> Path:
    """Train one of ``VARIANTS`` if that was not done yet; a training that was stopped is resumed.

    Returns:
        The avatar's folder.
    """
    names = [ACTOR_CONFIG, *configs, *VARIANTS[variant]]
    clip = films.training.path
    settings, folder = {"seed_everything": seed}, work / "avatars" / clip.parent.name
    return train_once("appearance", [clip], names, settings, folder, f"{clip.resolve()} {seed}", f"the {variant}")[0]


def summarise_textures(found: Mapping[str, ByActor]) -> dict[str, Score]:
    """Means and paired differences over actors. A sample is one actor's network: its frames are not independent."""
    scores: dict[str, Score] = {}
    for name, by_actor in found.items():
        for measure, row in _ROWS.items():
            scores |= _score(f"{name}: {measure}", row, [each.get(measure) for each in by_actor.values()])
    ours = found[CONDITIONED]
    for name in (IMAGE, PLAIN):
        for measure, row in _GAINS.items():
            pairs = [(ours[actor].get(measure), each.get(measure)) for actor, each in found[name].items()]
            gains = [a - b for a, b in pairs if a is not None and b is not None]
            scores |= _score(f"gain over {name}: {measure}", row, gains)
    for name, by_actor in found.items():
        for actor, each in by_actor.items():
            for measure, value in each.items():
                scores |= _score(f"{actor}, {name}: {measure}", Row(_ROWS[measure].unit), [value])
    return scores


def _score(name: str, row: Row, values: Sequence[float | None]) -> dict[str, Score]:
    measured = [value for value in values if value is not None and value == value]
    if not measured:
        return {}
    estimate = estimate_mean(measured)
    low, high = (estimate.mean if end is None else end for end in (estimate.low, estimate.high))
    return {name: Score(estimate.mean, low, high, row.unit, row.aim, len(measured), row.holds(estimate.mean))}


def print_textures(title: str, scores: Mapping[str, Score], console: Console) -> None:
    """Print a row a measure: each texture's mean, and the gains with intervals beside their aim."""
    table = Table(title=title, caption="means over actors, each with a training of its own (95 %: Student's t, paired)")
    table.add_column("what")
    gains = [f"gain over {name}" for name in (IMAGE, PLAIN)]
    for column in (*VARIANTS, *gains):
        table.add_column(column, justify="right")
    for column in ("unit", "aim", "holds"):
        table.add_column(column)
    for measure, row in _ROWS.items():
        if f"{CONDITIONED}: {measure}" not in scores:
            continue
        cells = [_text(scores.get(f"{name}: {measure}")) for name in VARIANTS]
        found = [scores.get(f"{gain}: {measure}") for gain in gains]
        cells += [_text(each, signed=True) for each in found]
        holds = "" if None in found else "[green]yes[/]" if all(each.holds for each in found) else "[red]no[/]"
        table.add_row(measure, *cells, row.unit, found[0].aim if found[0] else "", holds)
    widened(console, _FILE_WIDTH).print(table)


def _text(score: Score | None, signed: bool = False) -> str:
    if score is None:
        return ""
    digits = 3 if abs(score.value) < 1 else 2
    text = f"{score.value:{'+' if signed else ''}.{digits}f}"
    return f"{text} ({score.low:.{digits}f}–{score.high:.{digits}f})" if signed and score.n > 2 else text
