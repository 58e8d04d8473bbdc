"""The appearance scorecard on digital actors: what is filmed, what is measured, what the gains are of."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console

from readavatar.appearance import AppearanceRenderer
from readavatar.appearance.settings import NetworkSettings
from readavatar.benchmarks import trained
from readavatar.benchmarks.appearance import actor as appearance_actor
from readavatar.benchmarks.appearance import actor_films as appearance_actor_films
from readavatar.benchmarks.appearance.actor import (
    CONDITIONED,
    IMAGE,
    PLAIN,
    bench_appearance_actor,
    summarise_textures,
    train_on_film,
)
from readavatar.benchmarks.appearance.actor_films import (
    ELSEWHERE,
    INTERIOR,
    LEAST_PIXELS,
    MOUTH_LPIPS,
    FilmPainter,
    Films,
    film_speaker,
    measure_on_film,
    training_clip,
)
from readavatar.data.datasets.speech_features import describe_encoder
from readavatar.data.store import ClipStore
from readavatar.data.store.avatar import write_avatar_part
from readavatar.errors import UserError
from readavatar.morphable import load_morphable_model
from readavatar.speech import load_speech_encoder

SIZE, SEED = 64, 1


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        _make_small(patch)
        yield film_speaker(SEED, "builtin", tmp_path_factory.mktemp("work"))


def _make_small(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(appearance_actor_films, "FILM", {"size": SIZE, "zoom": 1.6})
    patch.setattr(appearance_actor_films, "NUM_TRAINING", 1)
    patch.setattr(appearance_actor_films, "NUM_HELD_OUT", 1)


def _write_untrained(folder: Path, films: Films) -> Path:
    torch.manual_seed(0)
    encoder, model = load_speech_encoder("log_mel"), load_morphable_model("builtin")
    settings = NetworkSettings(texture_width=8, texture_depth=2, unet_width=4, unet_levels=3, unet_max_width=8)
    network = AppearanceRenderer(encoder.num_features, len(model.region_names), 5, settings)
    config = {
        "network": network.config,
        "speech_encoder": describe_encoder(encoder),
        "morphable_model": "builtin",
        "expression_names": list(films.training.tracking().expression_names),
        "size": SIZE,
        "maps": {},
    }
    write_avatar_part(folder, "appearance", network, config, films.training.path)
    return folder


def test_the_films_say_different_sentences_in_one_face_and_their_fit_is_the_truth(films):
    training, held_out = films.training, films.held_out
    assert torch.equal(
        training.truth().coefficients.shape_coefficients, held_out.tracking().coefficients.shape_coefficients
    )
    for store in (training, held_out):
        fit, truth = store.tracking().coefficients, store.truth().coefficients
        assert torch.equal(fit.expression_coefficients, truth.expression_coefficients)
    assert training.num_frames != held_out.num_frames or not torch.equal(training.waveform(), held_out.waveform())


def test_a_film_is_found_again_by_its_settings_and_not_made_twice(films, monkeypatch):
    _make_small(monkeypatch)
    work = films.training.path.parents[2]
    monkeypatch.setattr(appearance_actor_films, "write_actor_clip", None)
    assert film_speaker(SEED, "builtin", work).training.path == films.training.path
    assert training_clip(SEED, "builtin", work) == films.training.path
    assert training_clip(SEED + 1, "builtin", work) != films.training.path


def test_a_painter_that_gives_the_footage_back_has_no_error_and_blackening_the_mouth_shows_only_there(
    films, tmp_path, monkeypatch
):
    avatar = _write_untrained(tmp_path / "avatar", films)
    monkeypatch.setattr(appearance_actor_films, "find_asset", lambda name: None)
    monkeypatch.setattr(appearance_actor_films, "LEAST_PIXELS", 4)

    def measured(change) -> dict[str, float]:
        def paint(self, frames):
            for painted in original(self, frames):
                yield replace(painted, painted=change(painted))

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(FilmPainter, "paint", paint)
            return measure_on_film(avatar, films.held_out)

    original = FilmPainter.paint
    assert MOUTH_LPIPS not in measured(lambda frames: frames.real)
    inside = measured(lambda frames: frames.real + 0.1 * frames.inputs.part("mouth_inside"))
    # 0.1 in the mouth's inside alone is 20 dB there, and nothing elsewhere.
    assert inside[INTERIOR] == pytest.approx(20.0, abs=0.01) and inside[ELSEWHERE] == math.inf
    around = measured(lambda frames: frames.real + 0.01 * (1 - frames.inputs.part("mouth")))
    assert around[ELSEWHERE] == pytest.approx(40.0, abs=0.01) and around[INTERIOR] == math.inf


def test_slits_of_mouths_do_not_count_inside(films, tmp_path, monkeypatch):
    avatar = _write_untrained(tmp_path / "avatar", films)
    monkeypatch.setattr(appearance_actor_films, "find_asset", lambda name: None)
    monkeypatch.setattr(appearance_actor_films, "LEAST_PIXELS", SIZE * SIZE)
    assert LEAST_PIXELS < SIZE * SIZE
    values = measure_on_film(avatar, films.held_out)
    assert math.isnan(values[INTERIOR]) and math.isfinite(values[ELSEWHERE])


def test_gains_are_paired_over_actors_with_their_interval_and_aim():
    found = {
        CONDITIONED: {f"actor {i}": {INTERIOR: 25.0 + i, ELSEWHERE: 40.0} for i in range(3)},
        IMAGE: {f"actor {i}": {INTERIOR: 23.0 + i, ELSEWHERE: 40.3} for i in range(3)},
        PLAIN: {f"actor {i}": {INTERIOR: 24.0 + i * 0.5, ELSEWHERE: 39.0} for i in range(3)},
    }
    scores = summarise_textures(found)
    over_image, over_plain = (scores[f"gain over {name}: {INTERIOR}"] for name in (IMAGE, PLAIN))
    # Every actor gains 2: the interval is a point, however much the actors themselves differ.
    assert (over_image.value, over_image.low, over_image.high, over_image.n) == (2.0, 2.0, 2.0, 3)
    assert over_image.holds and over_image.aim == "≥ 1.5"
    assert over_plain.value == pytest.approx(1.5) and over_plain.low < 1.0 < 2.0 < over_plain.high
    assert scores[f"gain over {IMAGE}: {ELSEWHERE}"].holds is False
    assert scores[f"gain over {PLAIN}: {ELSEWHERE}"].holds is True
    assert scores[f"actor 2, {CONDITIONED}: {INTERIOR}"].value == 27.0


def test_the_three_textures_are_trained_alike_once_and_drawn(films, tmp_path, monkeypatch, capsys):
    trainings: list[dict] = []

    def train_nothing(stage, clips, **options):
        trainings.append(options)
        _write_untrained(options["avatar"], films)

    monkeypatch.setattr(trained, "train", train_nothing)
    monkeypatch.setattr(appearance_actor, "film_speaker", lambda seed, model, work: films)
    monkeypatch.setattr(appearance_actor_films, "LEAST_PIXELS", 4)
    options = {"morphable_model": "builtin", "actors": 1, "work": tmp_path}
    scores = bench_appearance_actor(**options, sheets=tmp_path / "sheets", console=Console())
    assert len(trainings) == 3 and len({each["avatar"] for each in trainings}) == 3
    files = [[Path(name).name for name in each["configs"]] for each in trainings]
    assert files[0] == ["actor.yaml"]
    assert files[1:] == [[*files[0], "texture_image.yaml"], [*files[0], "siren_plain.yaml"]]
    assert scores[f"gain over {IMAGE}: {INTERIOR}"].value == 0.0  # the same untrained network thrice
    printed = capsys.readouterr().out
    assert "held-out sentences" in printed and (tmp_path / "sheets" / "actor_301.png").is_file()
    bench_appearance_actor(**options)
    assert len(trainings) == 3 and capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("asked", "found", "is_told"), [(None, "builtin", True), (None, "ict", False), ("builtin", "ict", False)]
)
def test_another_head_than_the_published_figures_are_of_is_told(
    films, tmp_path, monkeypatch, caplog, asked, found, is_told
):
    monkeypatch.setattr(trained, "train", lambda stage, clips, **options: _write_untrained(options["avatar"], films))
    monkeypatch.setattr(appearance_actor, "default_model", lambda: found)
    monkeypatch.setattr(appearance_actor, "film_speaker", lambda seed, model, work: films)
    monkeypatch.setattr(appearance_actor, "measure_on_film", lambda avatar, store: {INTERIOR: 25.0})
    bench_appearance_actor(morphable_model=asked, actors=1, work=tmp_path)
    assert ("have the head 'builtin'" in caplog.text) == is_told


def test_no_actors_and_a_stopped_training_are_told(films, tmp_path, monkeypatch):
    monkeypatch.setattr(trained, "train", lambda *_, **__: None)
    with pytest.raises(UserError, match="one or more digital actors"):
        bench_appearance_actor(actors=0, work=tmp_path)
    with pytest.raises(UserError, match="was stopped"):
        train_on_film(films, PLAIN, (), 0, tmp_path)
    assert isinstance(films.training, ClipStore)
