"""The tracking scorecard: fits by the user's command are measured on digital actors and on footage."""

from __future__ import annotations

import logging
from pathlib import Path

from rich.console import Console

from readavatar.assets import find_asset
from readavatar.benchmarks.scorecard import Score, print_scores, summarise_subjects
from readavatar.benchmarks.tracking.actors import ACTOR_ROWS, FIRST_SEED, score_actor
from readavatar.benchmarks.tracking.fit import DEFAULT_CONFIG
from readavatar.benchmarks.tracking.footage import FOOTAGE_ROWS, find_people, score_person, transfer_scores
from readavatar.errors import UserError

_LOGGER = logging.getLogger(__name__)

ACTORS, FOOTAGE = "digital actors", "footage"


def bench_tracking(
    morphable_model: str | None = None,
    actors: int = 3,
    footage: str | Path | None = None,
    config: str = DEFAULT_CONFIG,
    work: str | Path = "bench_tracking",
    film: dict | None = None,
    console: Console | None = None,
) -> dict[str, Score]:
    """Fit and measure digital actors and footage.

    Films and prepared videos are kept in ``work``, so that another run only repeats the fits. (Their names hold a hash
    of the settings: delete the folder after changing how actors move or look.)

    Args:
        morphable_model: Of the actors and of all fits; by default ``ict`` if it is installed, else ``builtin``.
        actors: How many, with seeds from ``FIRST_SEED`` on; 0 for none.
        footage: A folder with one folder for each person.
        config: Applied over the tracking stage's default.
        work: Folder for films, links to clips, and fits.
        film: Arguments of ``write_actor_clip`` that replace the scorecard's.
        console: Where tables of the scores are printed; by default nowhere.

    Returns:
        By row: over all actors or clips (``digital actors: …``, ``footage: …``), then for each of them.

    Raises:
        UserError: There is nothing to measure, or the footage folder is empty.
    """
    people = find_people(footage) if footage is not None else {}
    if actors < 0 or not (actors or people):
        raise UserError(f"Expected one or more digital actors, or a folder of footage, but got {actors} actors.")
    model, work = morphable_model or ("ict" if find_asset("ict_facekit") else "builtin"), Path(work)
    scores: dict[str, Score] = {}
    if actors:
        seeds = range(FIRST_SEED, FIRST_SEED + actors)
        measured = {f"actor {seed}": score_actor(seed, model, work, config, film) for seed in seeds}
        scores |= summarise_subjects(ACTORS, ACTOR_ROWS, measured)
        if console is not None:
            print_scores(f"tracking, digital actors ({model})", ACTORS, scores, list(measured), console)
    if people:
        found = {name: score_person(name, sources, model, work, config) for name, sources in people.items()}
        own = summarise_subjects(FOOTAGE, FOOTAGE_ROWS, {name: each.values for name, each in found.items()})
        across = {f"{FOOTAGE}: {name}": score for name, score in transfer_scores(found).items()}
        scores |= own | across
        if console is not None:
            print_scores(f"tracking, footage ({model})", FOOTAGE, own | across, list(found), console)
        for remark in (remark for each in found.values() for remark in each.remarks):
            _LOGGER.info("%s", remark)
    return scores
