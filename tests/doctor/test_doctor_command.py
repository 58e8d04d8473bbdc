"""The command: exit codes, page, JSON, and the corrected offset."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from good_clips import write_clip

from readavatar.cli import main
from readavatar.data.store import ClipStore


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")


@pytest.fixture
def late_sound(good_take, tmp_path) -> ClipStore:
    """Twelve seconds whose sound comes five frames late."""
    landmarks, waveform, emotion, _ = good_take
    late = torch.nn.functional.pad(waveform[: 12 * 16_000], (3_200, 0))[: 12 * 16_000]
    return write_clip(tmp_path / "late", landmarks[:300], late, emotion)


def test_a_good_clip_is_exit_code_0_and_a_page_without_anything_from_outside(good_store, tmp_path, capsys):
    page, data = tmp_path / "page.html", tmp_path / "checks.json"
    assert main(["doctor", str(good_store.path), "--html", str(page), "--json", str(data)]) == 0
    output = capsys.readouterr().out
    assert output.startswith("This clip will train well: 21 of 21 checks pass.")
    text = page.read_text()
    assert text.count("data:image/png;base64,") == 2 and 'src="http' not in text and "No frame needs" in text
    content = json.loads(data.read_text())
    assert not content["failed"] and len(content["clips"][str(good_store.path)]) + len(content["together"]) == 21
    assert {"name", "status", "measured", "threshold", "reason", "remedy", "value"} == set(content["together"][0])


def test_a_failing_check_is_exit_code_1_with_its_remedy(short_store, capsys):
    assert main(["doctor", str(short_store.path)]) == 1
    output = " ".join(capsys.readouterr().out.split())
    assert "will not train well" in output and "Record more" in output


def test_a_missing_clip_is_exit_code_2(tmp_path, capsys):
    assert main(["doctor", str(tmp_path / "absent")]) == 2
    assert "readavatar prepare" in capsys.readouterr().err


def test_a_clip_without_landmarks_is_one_failing_check_beside_the_others(good_store, copy, tmp_path, capsys):
    (copy.path / "landmarks.safetensors").write_bytes(b"half")
    page = tmp_path / "page.html"
    assert main(["doctor", str(copy.path), str(good_store.path), "--html", str(page)]) == 1
    output = " ".join(capsys.readouterr().out.split())
    assert "landmarks.safetensors" in output and "These 2 clips will not train well" in output
    assert "landmarks.safetensors" in page.read_text()


def test_frames_to_leave_out_are_shown_on_the_page(copy, tmp_path):
    for index in range(40, 50):
        shutil.copy(copy.path / "frames" / "000039.png", copy.path / "frames" / f"{index:06d}.png")
    page = tmp_path / "page.html"
    main(["doctor", str(copy.path), "--html", str(page)])
    text = page.read_text()
    assert text.count("data:image/png;base64,") == 3 and "the picture is frozen" in text and "40–49" in text


def test_the_sound_is_moved_to_the_lips_once(late_sound, capsys):
    before = late_sound.waveform()
    samples = (late_sound.path / "audio.wav").read_bytes()
    main(["doctor", str(late_sound.path), "--fix-offset"])
    store = ClipStore(late_sound.path)
    assert store.info.audio_delay == pytest.approx(-0.2, abs=0.04)
    moved = round(-store.info.audio_delay * 16_000)
    assert torch.equal(store.waveform()[:-moved], before[moved:]) and bool((store.waveform()[-moved:] == 0).all())
    assert (store.path / "audio.wav").read_bytes() == samples
    assert "is shifted by" in " ".join(capsys.readouterr().out.split())
    main(["doctor", str(late_sound.path), "--fix-offset"])
    assert ClipStore(late_sound.path).info == store.info
    assert "is not shifted" in " ".join(capsys.readouterr().out.split())


def test_an_unsure_offset_is_never_corrected(good_take, tmp_path, capsys):
    landmarks, waveform, _, _ = good_take
    store = write_clip(tmp_path / "foreign", landmarks[:200], waveform.flip(0)[:128_000])
    main(["doctor", str(store.path), "--fix-offset"])
    assert ClipStore(store.path).info.audio_delay == 0
    assert "not sure" in " ".join(capsys.readouterr().out.split())


def test_known_offsets_are_tried_and_their_error_is_printed(good_take, tmp_path, capsys):
    landmarks, waveform, _, _ = good_take
    store = write_clip(tmp_path / "ten", landmarks[:250], waveform[:160_000])
    assert main(["doctor", str(store.path), "--try-offsets"]) == 0
    assert "10 s" in capsys.readouterr().out
