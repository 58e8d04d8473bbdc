"""The appearance scorecard: on digital actors, on held-out footage, or driven by a recording."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from readavatar.benchmarks.scorecard import Figure
from readavatar.errors import UserError


def bench_appearance(
    *,
    morphable_model: str | None = None,
    actors: int = 3,
    footage: str | Path | None = None,
    avatar: str | Path | None = None,
    speech: str | Path | None = None,
    emotions: str = "all",
    strengths: str = "0.3,0.6,1.0",
    held_out: float = 10.0,
    configs: Sequence[str] = (),
    others: str | Path | None = None,
    work: str | Path = "bench_appearance",
    sheets: str | Path | None = None,
    console: Console | None = None,
) -> dict[str, Figure]:
    """Measure what the appearance network renders.

    With ``footage``: the clip's held-out end, rendered from its tracked coefficients by ``avatar``, or by an avatar
    that is trained on the rest. With ``speech``: ``avatar`` speaks the recording with every emotion at every strength.
    With
    neither: digital actors, whose tongue and teeth are not in the coefficients.

    Args:
        morphable_model: Of the digital actors; by default ``ict`` if it is installed, else ``builtin``.
        actors: How many of them.
        footage: A fitted clip with sound.
        avatar: Trained on ``footage`` without its end; or, with ``speech``, one with an expression part.
        speech: A recording.
        emotions: Names separated by commas, or ``all`` for those of the avatar.
        strengths: Numbers in (0, 1], separated by commas.
        held_out: Seconds at the footage's end.
        configs: Applied over the training's default, one after the other.
        others: With ``speech``: a folder with clip stores of other people, to compare the likeness with.
        work: Folder for films and avatars, which are kept.
        sheets: Folder for contact sheets.
        console: Where a table of the scores is printed; by default nowhere.

    Raises:
        UserError: Speech without an avatar, or together with footage.
    """
    if speech is None and footage is None:
        # Imported here, since each kind loads networks of its own.
        from readavatar.benchmarks.appearance.actor import bench_appearance_actor

        return bench_appearance_actor(
            morphable_model=morphable_model,
            actors=actors,
            configs=configs,
            work=work,
            sheets=sheets,
            console=console,
        )
    if speech is None:
        from readavatar.benchmarks.appearance.footage import bench_appearance_footage

        return bench_appearance_footage(
            footage, avatar=avatar, held_out=held_out, configs=configs, work=work, sheets=sheets, console=console
        )
    if footage is not None or avatar is None:
        raise UserError(
            "Expected --speech FILE with --avatar FOLDER and without --footage, to choose the avatar that speaks."
        )
    from readavatar.benchmarks.appearance.driven import bench_appearance_driven

    return bench_appearance_driven(
        avatar,
        speech,
        emotions=emotions,
        strengths=strengths,
        others=others,
        work=work,
        sheets=sheets,
        console=console,
    )
