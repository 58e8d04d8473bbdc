"""Each recipe reads its dataset's names, makes stores by the one code, goes on where it stopped, tells what failed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import crema_d
import folder_csv
import hdtf
import mead
import numpy as np
import pytest
import recipe
import torch
from fake_faces import DiscDetector, write_discs

from readavatar.data.store import ClipStore
from readavatar.emotion import MEAD_EMOTIONS

RECIPES = {"mead": mead, "crema_d": crema_d, "hdtf": hdtf, "folder_csv": folder_csv}
SCRIPTS = Path(recipe.__file__).parent


def open_discs():
    return nullcontext(DiscDetector())


def run(module, *argv):
    arguments = [module.__doc__, module.find]
    if hasattr(module, "add_arguments"):
        arguments.append(module.add_arguments)
    return recipe.main(*arguments, argv=[*map(str, argv), "--size", "64"], open_detector=open_discs)


def stores(out):
    return sorted(path.parent.relative_to(out).as_posix() for path in out.rglob("clip.json"))


def emotion_of(store):
    vector = ClipStore(store).emotion().sample(torch.zeros(1))[0].tolist()
    return {name: round(value, 3) for name, value in zip(MEAD_EMOTIONS, vector, strict=True) if value}


@pytest.fixture(scope="module")
def one_face(tmp_path_factory):
    return write_discs(tmp_path_factory.mktemp("videos") / "face.mp4", [[(80, 60, 22)]] * 3)


@pytest.fixture(scope="module")
def mute_face(tmp_path_factory):
    return write_discs(tmp_path_factory.mktemp("videos") / "mute.mp4", [[(80, 60, 22)]] * 3, sound=False)


@pytest.fixture(scope="module")
def no_face(tmp_path_factory):
    return write_discs(tmp_path_factory.mktemp("videos") / "wall.mp4", [[]] * 3)


def put(video, *places):
    for place in places:
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(video, place)


# Names


def test_mead_tells_emotion_and_level_by_its_folders(tmp_path, one_face):
    source, out = tmp_path / "MEAD", tmp_path / "out"
    front = source / "M003" / "video" / "front"
    put(one_face, front / "angry" / "level_1" / "001.mp4", front / "surprised" / "level_3" / "012.mp4")
    put(one_face, source / "W009" / "video" / "front" / "neutral" / "level_1" / "030.mp4")
    put(one_face, source / "M003" / "video" / "left_30" / "angry" / "level_1" / "001.mp4")
    put(one_face, source / "readme_video.mp4")
    assert run(mead, source, "--out", out) == 0
    assert stores(out) == [
        "M003/front_angry_level1_001",
        "M003/front_surprised_level3_012",
        "W009/front_neutral_level1_030",
    ]
    assert emotion_of(out / "M003/front_angry_level1_001") == {"angry": 0.333}
    assert emotion_of(out / "M003/front_surprised_level3_012") == {"surprised": 1.0}
    assert emotion_of(out / "W009/front_neutral_level1_030") == {}


def test_meads_emotions_are_the_packages_names():
    alternatives = mead.PATTERN.pattern.split("(?P<emotion>")[1].split(")")[0].split("|")
    assert set(alternatives) == {*MEAD_EMOTIONS, "neutral"}


def test_mead_takes_the_sound_from_its_own_folder(tmp_path, mute_face, one_face):
    actor = tmp_path / "MEAD" / "M003"
    put(mute_face, actor / "video" / "front" / "happy" / "level_2" / "001.mp4")
    put(one_face, actor / "audio" / "happy" / "level_2" / "001.m4a")
    assert run(mead, actor, "--out", tmp_path / "out") == 0
    store = ClipStore(tmp_path / "out" / "M003" / "front_happy_level2_001")
    assert store.info.has_audio and len(store.waveform()) == 1_920
    assert emotion_of(store.path) == {"happy": 0.667}


def test_mead_can_be_asked_for_a_view_and_actors(tmp_path, one_face):
    for actor in ("M003", "W009"):
        put(one_face, tmp_path / actor / "video" / "down" / "sad" / "level_1" / "001.mp4")
    assert run(mead, tmp_path, "--out", tmp_path / "out", "--view", "down", "--actors", "W009") == 0
    assert stores(tmp_path / "out") == ["W009/down_sad_level1_001"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("1001_IEO_ANG_LO", {"angry": 0.333}),
        ("1001_IEO_DIS_MD", {"disgusted": 0.667}),
        ("1002_IEO_FEA_HI", {"fear": 1.0}),
        ("1001_DFA_HAP_XX", {"happy": 0.667}),
        ("1040_ITH_SAD_X", {"sad": 0.667}),
        ("1001_DFA_NEU_XX", {}),
    ],
)
def test_crema_d_tells_emotion_and_intensity_by_its_names(tmp_path, name, expected):
    (tmp_path / "VideoFlash").mkdir()
    (tmp_path / "VideoFlash" / f"{name}.flv").touch()
    (item,) = crema_d.find(argparse_like(source=tmp_path)).items
    assert item.store == f"{name[:4]}/{name}"
    vector = item.emotion.sample(torch.zeros(1))[0].tolist()
    assert {key: round(value, 3) for key, value in zip(MEAD_EMOTIONS, vector, strict=True) if value} == expected


def argparse_like(**values):
    from argparse import Namespace

    return Namespace(**values)


def test_crema_ds_flash_videos_become_stores(tmp_path):
    import av

    path = tmp_path / "VideoFlash" / "1001_DFA_ANG_XX.flv"
    path.parent.mkdir()
    from fake_faces import disc_frame

    with av.open(str(path), "w") as container:
        stream = container.add_stream("flv1", rate=30, options={"qscale": "1"})
        stream.height, stream.width, stream.pix_fmt, stream.bit_rate = 120, 160, "yuv420p", 8_000_000
        for index in range(3):
            frame = av.VideoFrame.from_ndarray(disc_frame([(80, 60, 22)]), "rgb24").reformat(format="yuv420p")
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    (path.parent / "notes_ABC.flv").touch()
    assert run(crema_d, tmp_path, "--out", tmp_path / "out") == 0
    assert stores(tmp_path / "out") == ["1001/1001_DFA_ANG_XX"]
    assert emotion_of(tmp_path / "out" / "1001" / "1001_DFA_ANG_XX") == {"angry": 0.667}


def test_hdtf_keeps_the_videos_names_and_labels_none(tmp_path, one_face):
    put(one_face, tmp_path / "HDTF" / "WDA_BarackObama_000.mp4", tmp_path / "HDTF" / "more" / "RD_Radio11_000.mp4")
    put(one_face, tmp_path / "HDTF" / ".trash" / "old.mp4")
    assert run(hdtf, tmp_path / "HDTF", "--out", tmp_path / "out") == 0
    assert stores(tmp_path / "out") == ["WDA_BarackObama_000", "more/RD_Radio11_000"]
    assert ClipStore(tmp_path / "out" / "WDA_BarackObama_000").emotion() is None


def write_table(path, text):
    path.write_text(text, encoding="utf-8-sig")
    return path


def test_a_table_labels_a_folder(tmp_path, one_face):
    put(one_face, tmp_path / "a.mp4", tmp_path / "b" / "c.mp4", tmp_path / "d.mp4")
    table = write_table(tmp_path / "t.csv", 'file,emotion\na.mp4,happy:0.66\nb/c.mp4,"0s neutral, 1s sad:1"\nd.mp4,\n')
    assert run(folder_csv, tmp_path, "--csv", table, "--out", tmp_path / "out") == 0
    assert stores(tmp_path / "out") == ["a", "b/c", "d"]
    assert emotion_of(tmp_path / "out" / "a") == {"happy": 0.66}
    assert ClipStore(tmp_path / "out" / "b" / "c").emotion().times.tolist() == [0, 1]
    assert ClipStore(tmp_path / "out" / "d").emotion() is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("file,emotion\na.mp4,hapy:0.5\n", "Did you mean 'happy'"),
        ("file,emotion\na.mp4,happy:1.3\n", "[0, 1]"),
        ("file,emotion\nzzz.mp4,happy\n", "zzz.mp4"),
        ("file,emotion\n../a.mp4,happy\n", "relative"),
        ("file,emotion\n,happy\n", "relative"),
        ("name,mood\na.mp4,happy\n", "columns file and emotion"),
        ("", "columns file and emotion"),
        ("file,emotion\n", "found none"),
        ("file,emotion\na.mp4,happy\na.mp4,sad\n", "'a'"),
    ],
)
def test_a_mistake_in_the_table_is_one_line_before_any_clip_is_made(tmp_path, one_face, capsys, text, said):
    put(one_face, tmp_path / "a.mp4")
    assert run(folder_csv, tmp_path, "--csv", write_table(tmp_path / "t.csv", text), "--out", tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1 and not (tmp_path / "out").exists()


def test_a_missing_table_is_one_line(tmp_path, capsys):
    assert run(folder_csv, tmp_path, "--csv", tmp_path / "absent.csv", "--out", tmp_path / "out") == 2
    assert capsys.readouterr().err.count("\n") == 1


# The loop


def test_a_second_run_makes_only_what_is_missing(tmp_path, one_face, capsys):
    source, out = tmp_path / "in", tmp_path / "out"
    put(one_face, source / "a.mp4", source / "b.mp4", source / "c.mp4")
    assert run(hdtf, source, "--out", out, "--limit", 2) == 0
    assert stores(out) == ["a", "b"]
    shutil.rmtree(out / "b")
    before = os.stat(out / "a" / "clip.json").st_mtime_ns
    assert run(hdtf, source, "--out", out) == 0
    assert stores(out) == ["a", "b", "c"] and os.stat(out / "a" / "clip.json").st_mtime_ns == before
    assert "2 clips made, 1 were there, 0 failed" in capsys.readouterr().out


def test_a_half_made_store_is_made_again(tmp_path, one_face):
    put(one_face, tmp_path / "in" / "a.mp4")
    (tmp_path / "out" / ".a.12345678.partial" / "frames").mkdir(parents=True)
    assert run(hdtf, tmp_path / "in", "--out", tmp_path / "out") == 0
    assert ClipStore(tmp_path / "out" / "a").num_frames == 3


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_failing_clip_does_not_stop_the_rest_and_is_named_at_the_end(tmp_path, one_face, no_face, capsys, jobs):
    source, out = tmp_path / "in", tmp_path / "out"
    put(one_face, source / "a.mp4", source / "c.mp4")
    put(no_face, source / "b.mp4")
    (source / "d.mp4").write_text("not a video")
    assert run(hdtf, source, "--out", out, "--jobs", jobs) == 1
    assert stores(out) == ["a", "c"]
    captured = capsys.readouterr()
    failures = sorted(captured.err.strip().splitlines())
    assert len(failures) == 2 and failures[0].startswith("failed: b: Expected one face") and "d.mp4" in failures[1]
    assert "2 clips made, 0 were there, 2 failed" in captured.out


def test_what_a_clip_lacks_is_said(tmp_path, mute_face, capsys):
    put(mute_face, tmp_path / "in" / "a.mp4")
    assert run(hdtf, tmp_path / "in", "--out", tmp_path / "out") == 0
    assert "a: a.mp4: no sound" in capsys.readouterr().out


def test_a_full_disk_stops_the_run_in_one_line(tmp_path, one_face, capsys, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    put(one_face, tmp_path / "in" / "a.mp4", tmp_path / "in" / "b.mp4")
    monkeypatch.setattr(recipe, "prepare_clip", full)
    assert run(hdtf, tmp_path / "in", "--out", tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert "No space left" in error and error.count("\n") == 1


def test_two_videos_of_one_name_are_refused_in_one_line(tmp_path, one_face, capsys):
    put(one_face, tmp_path / "in" / "a.mp4", tmp_path / "in" / "a.mov")
    assert run(hdtf, tmp_path / "in", "--out", tmp_path / "out") == 2
    assert "'a'" in capsys.readouterr().err


@pytest.mark.parametrize("name", RECIPES)
def test_a_missing_or_empty_folder_is_one_line(tmp_path, capsys, name):
    table = write_table(tmp_path / "t.csv", "file,emotion\n")
    extra = ["--csv", table] if name == "folder_csv" else []
    for source in (tmp_path, tmp_path / "absent"):
        assert run(RECIPES[name], source, "--out", tmp_path / "out", *extra) == 2
        error = capsys.readouterr().err
        assert "Expected" in error and error.count("\n") == 1


@pytest.mark.parametrize("option", [("--jobs", "0"), ("--limit", "-1")])
def test_an_impossible_number_is_one_line(tmp_path, capsys, option):
    assert run(hdtf, tmp_path, "--out", tmp_path / "out", *option) == 2
    assert "1 or more" in capsys.readouterr().err


@pytest.mark.parametrize("name", RECIPES)
def test_a_script_shows_its_help_with_an_example_from_any_folder(tmp_path, name):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(SCRIPTS / f"{name}.py"), "--help"]
    shown = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment, check=True).stdout
    assert f"example: python preprocessing/{name}.py" in shown and "--limit" in shown and "--jobs" in shown


def test_the_readme_names_every_recipe():
    text = (SCRIPTS / "README.md").read_text()
    assert all(f"`{name}.py`" in text for name in RECIPES)
    assert np.all([path.stem in {*RECIPES, "recipe"} for path in SCRIPTS.glob("*.py")])
