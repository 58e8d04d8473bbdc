"""From film to clip in small, through the commands that a user types, and what bad input gets on the way."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
import torch

from readavatar.cli import main
from readavatar.data.store import ClipStore
from readavatar.data.store.avatar import Avatar
from readavatar.media.container import read_provenance
from readavatar.media.video import probe

STAGES = ("tracking", "expression", "appearance")


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> Path:
    """The quick demo's folder."""
    out = tmp_path_factory.mktemp("demo") / "demo"
    assert main(["demo", "--quick", "--out", str(out)]) == 0
    return out


@pytest.fixture
def speech(tmp_path) -> Path:
    """Half a second that sounds a little like a voice."""
    times = np.arange(8000) / 16_000
    path = tmp_path / "speech.wav"
    soundfile.write(path, 0.3 * np.sin(2 * np.pi * 140 * times) * (1 + np.sin(2 * np.pi * 5 * times)), 16_000)
    return path


def _error(capsys) -> str:
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1 and "Traceback" not in error[0], error
    return error[0]


def test_the_demo_ends_in_a_clip_that_browsers_play(demo):
    with av.open(demo / "clip.mp4") as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.codec_context.name, video.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert audio.codec_context.name == "aac"
        duration = float(video.duration * video.time_base)
        assert abs(duration - float(audio.duration * audio.time_base)) < 0.1
    samples = soundfile.info(demo / "speech.wav")
    assert abs(duration - samples.duration) <= 1 / 25 + 1e-6, "the clip lasts as long as the speech"


def test_the_demo_leaves_pictures_and_a_report(demo):
    page = (demo / "report.html").read_text()
    assert 'src="clip.mp4"' in page and page.count("data:image/png;base64,") == 2
    assert "landmarks" in page, "the report says what the fit started from"
    assert 'src="fit.html"' in page and "view-data" in (demo / "fit.html").read_text()


def test_a_second_run_does_nothing_twice(demo, capsys):
    before = (demo / "clip.mp4").stat().st_mtime_ns
    assert main(["demo", "--quick", "--out", str(demo)]) == 0
    assert capsys.readouterr().out.count("done before") == 7
    assert (demo / "clip.mp4").stat().st_mtime_ns == before


def test_the_clip_says_that_it_is_synthetic(demo):
    provenance = read_provenance(demo / "clip.mp4")
    assert provenance.avatar == "avatar" and "synthetic" in provenance.statement and len(provenance.audio_sha256) == 64


def test_the_avatar_is_whole(demo):
    avatar = Avatar(demo / "avatar")
    assert set(avatar.card.parts) == {"expression", "expression_critics", "appearance"}
    assert avatar.footage.is_tracked


def test_emotion_changes_the_frames_and_a_seed_repeats_them(demo, speech, tmp_path):
    clips = {}
    for name, options in {"a": [], "again": [], "other": ["--seed", "1"], "happy": ["--emotion", "happy:1"]}.items():
        out = tmp_path / f"{name}.mp4"
        assert main(["animate", str(demo / "avatar"), "--audio", str(speech), "--out", str(out), *options]) == 0
        with av.open(out) as container:
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        clips[name] = np.stack(frames).astype(float)
    change = {name: np.abs(clip - clips["a"]).mean() for name, clip in clips.items()}
    # To the eye, not to the bit: on a busy machine sums are taken in another order, and H.264 makes much of a last bit.
    assert change["again"] < 0.1, change
    assert min(change["other"], change["happy"]) > 0.5, change


@pytest.mark.parametrize(
    ("sample_rate", "channels", "num_samples"), [(16_000, 1, 800), (8_000, 1, 4_000), (44_100, 6, 22_050)]
)
def test_any_sound_can_drive_the_avatar(demo, tmp_path, sample_rate, channels, num_samples):
    sound = np.random.default_rng(0).normal(0, 0.1, (num_samples, channels))
    soundfile.write(tmp_path / "s.wav", sound, sample_rate)
    out = tmp_path / "out.mp4"
    assert main(["animate", str(demo / "avatar"), "--audio", str(tmp_path / "s.wav"), "--out", str(out)]) == 0
    assert probe(out).num_frames == -(-num_samples * 25 // sample_rate)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--emotion", "hapy"], "Did you mean 'happy'"),
        (["--emotion", "happy:1.3"], "[0, 1]"),
        (["--emotion", "1 happy"], "1.5s happy:0.8"),
        (["--start", "999"], "start"),
        (["--out", "clip.gif"], ".mp4"),
    ],
)
def test_a_mistake_in_directing_is_one_line_and_leaves_no_clip(
    demo, speech, tmp_path, capsys, monkeypatch, options, expected
):
    monkeypatch.chdir(tmp_path)
    code = main(["animate", str(demo / "avatar"), "--audio", str(speech), "--out", "out.mp4", *options])
    assert code == 2 and expected in _error(capsys)
    assert {path.name for path in tmp_path.iterdir()} == {"speech.wav"}


def test_nan_in_the_sound_is_one_line(demo, tmp_path, capsys):
    soundfile.write(tmp_path / "s.wav", np.full(8000, np.nan, np.float32), 16_000, subtype="FLOAT")
    code = main(["animate", str(demo / "avatar"), "--audio", str(tmp_path / "s.wav"), "--out", str(tmp_path / "o.mp4")])
    assert code == 2 and "NaN" in _error(capsys)
    assert not (tmp_path / "o.mp4").exists()


def test_a_full_disk_is_one_line_and_leaves_no_clip(demo, speech, tmp_path):
    """A limit on the file size stands in for a full disk: the write fails halfway in the same way."""
    program = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000));"
        "from readavatar.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    command = ["animate", str(demo / "avatar"), "--audio", str(speech), "--out", str(tmp_path / "out" / "o.mp4")]
    result = subprocess.run([sys.executable, "-c", program, *command], capture_output=True, text=True)
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr and result.stderr.strip().splitlines()[-1].startswith("readavatar:")
    assert not list((tmp_path / "out").glob("*"))


@pytest.mark.parametrize("stage", STAGES)
def test_each_stage_is_measured_on_held_out_seconds(demo, stage, capsys):
    arguments = ["--config", f"configs/{stage}/default.yaml", "--config", f"configs/{stage}/quick.yaml"]
    clips = f"[{','.join(str(demo / 'clips' / name) for name in ('neutral', 'happy', 'angry'))}]"
    model = ["--model.morphable_model", "builtin"] if stage == "tracking" else []
    code = main(["test", *arguments, "--data.clips", clips, "--avatar", str(demo / "avatar"), *model])
    assert code == 0
    assert {"tracking": "landmark_error", "expression": "lip error", "appearance": "dB"}[
        stage
    ] in capsys.readouterr().out


def test_a_checkpoint_of_another_number_of_emotions_is_one_line(demo, tmp_path, capsys):
    command = ["fit", "--config", "configs/expression/default.yaml", "--config", "configs/expression/quick.yaml"]
    command += ["--data.clips", str(demo / "clips" / "neutral"), "--avatar", str(tmp_path / "avatar")]
    command += ["--data.emotion_names", "[happy,sad]"]
    last = demo / "avatar" / "training" / "expression" / "checkpoints" / "last.ckpt"
    assert main([*command, "--ckpt_path", str(last)]) == 2
    assert "checkpoint" in _error(capsys)
    assert not (tmp_path / "avatar" / "avatar.json").exists()


def test_a_stopped_training_goes_on_and_other_settings_start_anew(demo, tmp_path, capsys):
    command = ["fit", "--config", "configs/expression/default.yaml", "--config", "configs/expression/quick.yaml"]
    command += ["--data.clips", str(demo / "clips" / "neutral"), "--avatar", str(tmp_path / "avatar")]
    assert main([*command, "--trainer.max_steps", "4"]) == 0
    assert main([*command, "--trainer.max_steps", "8"]) == 0
    assert "Resuming from" in capsys.readouterr().out
    last = tmp_path / "avatar" / "training" / "expression" / "checkpoints" / "last.ckpt"
    assert torch.load(last, weights_only=True)["global_step"] == 8
    assert main([*command, "--trainer.max_steps", "4", "--model.network.width", "8"]) == 0
    assert "starting again" in capsys.readouterr().err
    assert torch.load(last, weights_only=True)["global_step"] == 4


def test_weights_and_biases_logs_offline(demo, tmp_path):
    pytest.importorskip("wandb")
    command = ["fit", "--config", "configs/expression/default.yaml", "--config", "configs/expression/quick.yaml"]
    command += ["--data.clips", str(demo / "clips" / "neutral"), "--avatar", str(tmp_path / "avatar")]
    command += ["--trainer.logger", "WandbLogger", "--trainer.logger.offline", "true"]
    assert main([*command, "--trainer.max_steps", "4", "--trainer.val_check_interval", "4"]) == 0
    folder = tmp_path / "avatar" / "training" / "expression"
    (run,) = (folder / "wandb").glob("offline-run-*/*.wandb")
    assert list(run.parent.glob("files/media/images/val/*.png")), "the curves reach the logger"
    assert (folder / "val-000004.png").is_file() and (folder / "config.yaml").is_file(), "and the disk"
    assert b"rate_from_prior" in run.read_bytes(), "and the settings"


def test_an_untracked_clip_says_how_to_fit_it(demo, tmp_path, capsys):
    shutil.copytree(demo / "clips" / "neutral", tmp_path / "clip")
    (tmp_path / "clip" / "tracking.safetensors").unlink()
    for stage in ("expression", "appearance"):
        command = ["fit", "--config", f"configs/{stage}/default.yaml", "--data.clips", str(tmp_path / "clip")]
        assert main([*command, "--avatar", str(tmp_path / "avatar")]) == 2
        assert "configs/tracking/default.yaml" in _error(capsys)


def test_a_damaged_fit_is_one_line(demo, tmp_path, capsys):
    shutil.copytree(demo / "clips" / "neutral", tmp_path / "clip")
    with (tmp_path / "clip" / "tracking.safetensors").open("r+b") as file:
        file.truncate(1000)
    command = ["fit", "--config", "configs/expression/default.yaml", "--data.clips", str(tmp_path / "clip")]
    assert main([*command, "--avatar", str(tmp_path / "avatar")]) == 2
    assert "damaged" in _error(capsys)


def test_a_real_video_is_prepared_and_fitted(shared_data, tmp_path):
    pytest.importorskip("mediapipe")
    from readavatar.assets import find_asset

    if find_asset("face_landmarker") is None:
        pytest.skip("the face landmarker is not on this machine ('readavatar assets get face_landmarker')")
    video = shared_data / "video" / "emotion" / "W009_happy_level3.mp4"
    clip = tmp_path / "clip"
    assert main(["prepare", str(video), "--out", str(clip), "--emotion", "happy:1", "--size", "128"]) == 0
    command = ["fit", "--config", "configs/tracking/default.yaml", "--config", "configs/tracking/quick.yaml"]
    command += ["--data.clips", str(clip), "--avatar", str(tmp_path / "avatar"), "--model.morphable_model", "builtin"]
    assert main(command) == 0
    face = ClipStore(clip).tracking()
    smile = face.coefficients.expression_coefficients[:, face.expression_names.index("mouthSmile_L")]
    assert smile.mean() > 0.2, "a happy face smiles"
