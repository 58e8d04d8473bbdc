"""The page: what is in it, and that its script does what a user asks for."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import av
import pytest
import torch
from viewed_clips import SIZE, WRONG_FRAME

from readavatar.cli import main
from readavatar.data.store import ClipStore
from readavatar.errors import UserError
from readavatar.viewer import view_clip, view_clips
from readavatar.viewer.view import envelope

STUB = Path(__file__).with_name("stub_browser.js")


@pytest.fixture(scope="module")
def page(actor_clip, tmp_path_factory) -> Path:
    """The page of the fitted clip, with its video beside it."""
    out = tmp_path_factory.mktemp("page") / "jane.html"
    view_clip(actor_clip.path, out, size=SIZE, video=out.with_suffix(".mp4"))
    return out


@pytest.fixture
def prepared(actor_clip, tmp_path) -> ClipStore:
    """The same clip before any fit, real (no truth), without a face in its first half."""
    path = tmp_path / "prepared"
    shutil.copytree(actor_clip.path, path)
    (path / "tracking.safetensors").unlink()
    (path / "truth.safetensors").unlink()
    store = ClipStore(path)
    landmarks = store.landmarks()
    confidence, points = landmarks.landmark_confidence.clone(), landmarks.landmarks_2d.clone()
    confidence[:8], points[:8] = 0, 0
    store.write_landmarks(replace(landmarks, landmark_confidence=confidence, landmarks_2d=points))
    return store


def data_of(page: Path) -> dict:
    """The page's JSON."""
    text = page.read_text()
    return json.loads(re.search(r'<script type="application/json" id="view-data">(.*?)</script>', text)[1])


def series_of(page: Path) -> dict:
    """Its curves by name."""
    return {one["name"]: one for one in data_of(page)["series"]}


def test_the_page_is_one_file_without_addresses(page):
    text = page.read_text()
    without_video = re.sub(r'id="view-video">[^<]*<', "<", text)
    assert not re.search(r"https?:|src=|href=\"(?!#)|url\(|@import", without_video)


def test_the_video_in_the_page_is_the_file_and_has_every_frame_once(page, actor_clip):
    text = page.read_text()
    video = base64.b64decode(re.search(r'id="view-video">([^<]*)<', text)[1])
    assert video == page.with_suffix(".mp4").read_bytes()
    with av.open(str(page.with_suffix(".mp4"))) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264" and stream.start_time == 0
        assert float(stream.duration * stream.time_base) == pytest.approx(actor_clip.num_frames / actor_clip.fps)
        frames = list(container.decode(stream))
    assert [round(frame.time * actor_clip.fps) for frame in frames] == list(range(actor_clip.num_frames))
    with av.open(str(page.with_suffix(".mp4"))) as container:
        assert container.streams.audio, "the clip's sound is in it"


def test_a_player_seeks_by_five_frames_at_most_and_finds_no_bidirectional_ones(page):
    with av.open(str(page.with_suffix(".mp4"))) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    keys = [number for number, packet in enumerate(packets) if packet.is_keyframe]
    assert keys[0] == 0 and max(b - a for a, b in zip(keys, [*keys[1:], len(packets)], strict=True)) <= 5
    assert all(packet.pts == packet.dts for packet in packets)


def test_curves_are_the_fits_and_stand_beside_the_truth(page, actor_clip):
    found = series_of(page)
    face, truth = (one().coefficients.expression_coefficients for one in (actor_clip.tracking, actor_clip.truth))
    column = actor_clip.tracking().expression_names.index("jawOpen")
    jaw = found["jawOpen"]
    for curve, expected in ((jaw["values"], face), (jaw["references"]["truth"], truth)):
        torch.testing.assert_close(torch.tensor(curve), expected[:, column], atol=6e-4, rtol=0)
    assert {len(one["values"]) for one in found.values()} == {actor_clip.num_frames}
    assert {"lip gap", "yaw", "gaze pitch", "landmark error", "photometric error", "shape error", "jump"} <= set(found)
    assert found["jump"]["values"][0] is None


def test_the_worst_frames_are_links_and_the_wrong_frame_leads_them(page):
    section = re.search(r'<section id="view-worst">(.*?)</section>', page.read_text(), re.DOTALL)[1]
    first = {
        re.search(r"highest ([\w ]+)<", line)[1]: int(re.search(r"#frame=(\d+)", line)[1])
        for line in section.split("</p>")[:-1]
    }
    assert first == dict.fromkeys(("landmark error", "jump", "photometric error", "shape error"), WRONG_FRAME)


def test_every_element_that_the_script_asks_for_is_in_the_page(page):
    text = page.read_text()
    asked = set(re.findall(r'element\("([\w-]+)"\)', text))
    assert asked and asked <= set(re.findall(r' id="([\w-]+)"', text))


def test_what_the_script_hides_stays_hidden_whatever_its_display(page):
    assert "[hidden]{display:none!important}" in page.read_text()


def test_the_script_does_what_a_user_asks_for(page, actor_clip):
    if shutil.which("node") is None:
        pytest.skip("node is not on this machine: the page's script is not run")
    run = subprocess.run(["node", STUB, page], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    report = json.loads(run.stdout)
    last = actor_clip.num_frames - 1
    expected = {
        "right": 1, "far right": 11, "left": 10, "end": last, "beyond the end": last, "slider": 4,
        "click in the middle": 8, "link": 5, "typing": 5, "two steps, reached": 7,
    }  # fmt: skip
    for name, frame in expected.items():
        assert report[name]["place"].startswith(f"frame {frame},"), name
        assert report[name]["time"] == pytest.approx((frame + 0.5) / actor_clip.fps), name
    assert report["playing"] and report["stopped"]
    data = data_of(page)
    assert report["named"] == len(data["series"]) and report["panels"] == len(data["panels"])
    assert report["found"] == sum("jaw" in one["name"].lower() for one in data["series"])
    assert report["lanes"] == len({one["group"] for one in data["series"]}) + 1  # and the sound
    assert report["drawn"] > 100 and not report["notANumber"]
    assert report["videoBytes"] == page.with_suffix(".mp4").stat().st_size


def test_a_clip_that_is_only_prepared_shows_what_the_detector_saw_and_says_so(prepared, tmp_path):
    out = tmp_path / "page.html"
    summary = view_clip(prepared.path, out, size=SIZE)
    text = out.read_text()
    assert "not fitted" in text and "configs/tracking/default.yaml" in text and "no face was found in 8" in text
    data = data_of(out)
    assert [one["name"] for one in data["panels"]] == ["footage", "landmarks", "eyes", "mouth"]
    gap = next(one for one in data["series"] if one["name"] == "lip gap")
    assert gap["values"][:8] == [None] * 8 and gap["values"][8] is not None
    assert summary.landmark_error != summary.landmark_error  # NaN


def test_the_truth_may_be_drawn_in_place_of_the_fit(actor_clip, tmp_path):
    summary = view_clip(actor_clip.path, tmp_path / "truth.html", truth=True, size=SIZE, start=0.3, stop=0.45)
    assert summary.num_frames == 3 and summary.landmark_error < 0.1
    assert data_of(tmp_path / "truth.html")["first"] == 8


def test_a_clips_name_cannot_break_the_page(actor_clip, tmp_path):
    path = tmp_path / "a<b></script>&'\"".replace("/", "")
    shutil.copytree(actor_clip.path, path)
    info = json.loads((path / "clip.json").read_text())
    (path / "clip.json").write_text(json.dumps({**info, "source_name": "</script><script>alert(1)</script>"}))
    view_clip(path, tmp_path / "page.html", size=SIZE, stop=0.1)
    text = (tmp_path / "page.html").read_text()
    assert "alert(1)</script>" not in text and "<b>" not in text.split("view-problem")[0]
    assert data_of(tmp_path / "page.html")["frames"] == 2


def test_several_clips_make_a_folder_with_an_index(actor_clip, prepared, tmp_path):
    found = view_clips([actor_clip.path, prepared.path], tmp_path / "out", size=SIZE, stop=0.2)
    index = (tmp_path / "out" / "index.html").read_text()
    for summary in found:
        assert summary.page.is_file() and f'href="{summary.page.name}"' in index
    with pytest.raises(UserError, match="twice"):
        view_clips([actor_clip.path, actor_clip.path], tmp_path / "again")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--start", "9"], "within the clip's 0.64 s"),
        (["--start", "0.4", "--stop", "0.2"], "start before the stop"),
        (["--size", "33"], "even size"),
        (["--truth"], "digital actor"),
        (["--video", "overlay.gif"], ".mp4"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_no_page(prepared, tmp_path, monkeypatch, capsys, options, expected):
    monkeypatch.chdir(tmp_path)
    assert main(["view", str(prepared.path), *options]) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1 and expected in error[0]
    assert {path.name for path in tmp_path.iterdir()} == {"prepared"}


def test_the_command_names_the_page_after_the_clip(actor_clip, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["view", str(actor_clip.path), "--size", str(SIZE), "--stop", "0.2"]) == 0
    assert (tmp_path / "jane.html").is_file() and "jane.html" in capsys.readouterr().out


def test_the_envelope_of_the_sound_reaches_its_peaks():
    waveform = torch.zeros(16_000)
    waveform[8_000], waveform[12_000] = 0.9, -0.8
    low, high = envelope(waveform, 25, 25.0)
    assert len(low) == len(high) == 100
    assert max(high) == high[50] == 0.9 and min(low) == low[75] == -0.8
