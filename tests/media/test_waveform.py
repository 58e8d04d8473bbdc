"""Every sound file that people bring becomes a mono waveform in its place, or is refused in one line."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest
import torch

from readavatar.errors import UserError
from readavatar.media.waveform import read_waveform


def tone(rate, seconds=0.5, frequency=440.0, level=0.5):
    return level * np.sin(2 * np.pi * frequency * np.arange(round(rate * seconds)) / rate)


def refusal(path):
    with pytest.raises(UserError) as caught:
        read_waveform(path)
    message = str(caught.value)
    assert "\n" not in message and message.startswith("Expected") and str(path) in message
    return message


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000, 192_000])
def test_every_rate_keeps_pitch_level_and_length(write_sound, rate):
    waveform = read_waveform(write_sound("tone.wav", tone(rate), rate))
    assert waveform.dtype == torch.float32 and abs(len(waveform) - 8_000) <= 1
    expected = torch.from_numpy(tone(16_000)).float()[: len(waveform)]
    assert (waveform - expected)[200:-200].abs().max() < 2e-3


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000, 192_000])
def test_a_click_stays_in_its_place_at_every_rate(write_sound, rate):
    samples = np.zeros(rate)
    samples[round(0.3 * rate)] = 1.0
    waveform = read_waveform(write_sound("click.wav", samples, rate))
    assert abs(int(waveform.abs().argmax()) / 16_000 - 0.3) < 1 / 8_000


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 6, 7, 8])
def test_channels_are_averaged(write_sound, channels):
    samples = np.stack([tone(16_000) * (index + 1) / channels for index in range(channels)], axis=1)
    waveform = read_waveform(write_sound("channels.wav", samples, 16_000))
    assert np.abs(waveform.numpy() - samples.mean(1)).max() < 1e-3


@pytest.mark.parametrize(
    ("name", "subtype", "tolerance"),
    [
        ("a.wav", "PCM_U8", 0.01),
        ("a.wav", "PCM_16", 1e-4),
        ("a.wav", "PCM_24", 1e-6),
        ("a.wav", "PCM_32", 1e-6),
        ("a.wav", "FLOAT", 1e-6),
        ("a.wav", "DOUBLE", 1e-6),
        ("a.wav", "ULAW", 0.02),
        ("a.flac", "PCM_24", 1e-6),
        ("a.aiff", "PCM_16", 1e-4),
        ("a.ogg", "VORBIS", 0.05),
        ("a.mp3", None, 0.05),
    ],
)
def test_every_sample_format_keeps_its_values(write_sound, name, subtype, tolerance):
    samples = tone(16_000)
    waveform = read_waveform(write_sound(name, samples, 16_000, subtype))
    longest_tail = 1024 if name.endswith("ogg") else 1  # Vorbis' last packet is not cut
    assert -1 <= len(waveform) - len(samples) <= longest_tail
    assert np.abs(waveform.numpy()[: len(samples)] - samples[: len(waveform)])[400:-400].max() < tolerance


def test_the_same_rate_is_not_touched(write_sound):
    samples = np.random.default_rng(0).uniform(-0.9, 0.9, 3_001).astype(np.float32)
    assert np.array_equal(read_waveform(write_sound("a.wav", samples, 16_000, "FLOAT"), 16_000).numpy(), samples)


def test_a_twentieth_of_a_second_is_read(write_sound):
    assert len(read_waveform(write_sound("short.wav", tone(44_100, 0.05), 44_100))) == 800


def test_one_sample_is_read(write_sound):
    assert len(read_waveform(write_sound("one.wav", np.array([0.5]), 16_000))) == 1


def test_no_samples_are_one_line(write_sound):
    assert "none" in refusal(write_sound("nothing.wav", np.zeros(0), 16_000))


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_samples_that_are_no_numbers_are_one_line(write_sound, wrong):
    samples = tone(16_000)
    samples[100] = wrong
    assert "NaN" in refusal(write_sound("broken.wav", samples, 16_000, "FLOAT"))


def test_a_silent_video_is_one_line(write_raw):
    assert "no sound track" in refusal(write_raw("silent.mp4"))


def test_a_missing_file_is_one_line(tmp_path):
    refusal(tmp_path / "absent.wav")


def test_a_file_of_another_kind_is_one_line(tmp_path):
    path = tmp_path / "notes.wav"
    path.write_text("Not a sound. " * 100)
    refusal(path)


def test_a_wav_cut_short_is_read_as_far_as_it_goes(write_sound, tmp_path):
    whole = write_sound("whole.wav", tone(16_000), 16_000).read_bytes()
    path = tmp_path / "half.wav"
    path.write_bytes(whole[: len(whole) // 2])
    assert 3_800 < len(read_waveform(path)) < 4_100


def write_video_with_sound(path, sound_start, video_start, gap=0.0):
    """A Matroska file of PCM sound (a click at 0.5 s of the container's clock) and of video, from different times."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.height, video.width, video.pix_fmt = 48, 64, "yuv420p"
        audio = container.add_stream("pcm_s16le", rate=16_000, layout="mono")
        for index in range(25):
            picture = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), "rgb24").reformat(format="yuv420p")
            picture.pts, picture.time_base = index + round(25 * video_start), Fraction(1, 25)
            container.mux(video.encode(picture))
        container.mux(video.encode(None))
        for start in np.arange(sound_start, 1.0, 0.02):
            if 0.6 < start < 0.6 + gap:
                continue
            times = round(start * 16_000) + np.arange(320)
            samples = (30_000 * ((times == 8_000) | (times == 14_400))).astype(np.int16)[None]
            sound = av.AudioFrame.from_ndarray(samples, "s16", "mono")
            sound.sample_rate, sound.pts, sound.time_base = 16_000, int(times[0]), Fraction(1, 16_000)
            container.mux(audio.encode(sound))
        container.mux(audio.encode(None))


def clicks(path):
    return (np.flatnonzero(read_waveform(path).numpy() > 0.5) / 16_000).tolist()


@pytest.mark.parametrize(("sound_start", "video_start"), [(0.0, 0.0), (0.2, 0.0), (0.0, 0.2), (0.2, 0.4)])
def test_time_zero_is_the_videos_first_frame_however_the_tracks_start(tmp_path, sound_start, video_start):
    path = tmp_path / "offset.mkv"
    write_video_with_sound(path, sound_start, video_start)
    assert clicks(path) == pytest.approx([0.5 - video_start, 0.9 - video_start], abs=2e-3)


def test_a_gap_in_the_sound_does_not_move_what_follows(tmp_path):
    path = tmp_path / "gap.mkv"
    write_video_with_sound(path, 0.0, 0.0, gap=0.2)
    assert clicks(path) == pytest.approx([0.5, 0.9], abs=2e-3)


def test_the_real_recordings_are_read_whole(shared_data):
    lengths = {"english_1.wav": 8.0, "german.wav": 9.3427, "chinese.wav": 8.0}
    for name, seconds in lengths.items():
        assert len(read_waveform(shared_data / "speech" / name)) / 16_000 == pytest.approx(seconds, abs=1e-3)
    assert len(read_waveform(shared_data / "video" / "speech_8s_512.mp4")) == 128_000
