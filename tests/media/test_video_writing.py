"""What is written comes back: frames, colours, sound in its place; whole or not at all."""

from __future__ import annotations

import os
import resource
import signal
from fractions import Fraction

import av
import numpy as np
import pytest
import torch

from readavatar.errors import UserError
from readavatar.media.container import STATEMENT, Provenance, provenance_metadata, read_provenance
from readavatar.media.video import VideoWriter, probe, read_video, write_video
from readavatar.media.waveform import read_waveform

COLOURS = [(200, 60, 30), (20, 180, 60), (30, 50, 220), (255, 255, 255), (0, 0, 0), (128, 128, 128), (224, 172, 150)]


def flat(colour, height=32, width=48):
    return np.broadcast_to(np.array(colour, np.uint8), (height, width, 3)).copy()


def click(num_samples, position):
    waveform = torch.zeros(num_samples)
    waveform[position] = 0.9
    return waveform


@pytest.fixture
def small_disk():
    """A disk that is full after 30 kB of one file (a limit on file sizes, which needs no rights)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("colour", COLOURS)
def test_flat_colours_come_back_within_two_levels(tmp_path, colour):
    path = tmp_path / "flat.mp4"
    write_video(path, [flat(colour)] * 3, 25)
    for frame in read_video(path):
        assert np.abs(frame.astype(int) - colour).max() <= 2


def test_the_file_is_h264_420_tagged_bt709_limited_range(tmp_path):
    path = tmp_path / "tags.mp4"
    write_video(path, [flat(COLOURS[0])] * 3, 25, torch.zeros(4800), 48_000)
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
        assert (context.colorspace, context.color_primaries, context.color_trc, context.color_range) == (1, 1, 1, 1)
        assert container.streams.audio[0].codec_context.name == "aac"


def test_the_index_comes_first_so_that_browsers_start_at_once(tmp_path):
    path = tmp_path / "fast.mp4"
    write_video(path, [flat(COLOURS[0])] * 3, 25)
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


@pytest.mark.parametrize("fps", [24, 25, "30000/1001", Fraction(30), 59.94])
def test_rates_and_frame_counts_come_back(tmp_path, fps):
    path = tmp_path / "rate.mp4"
    frames = [flat((20 * i, 20 * i, 20 * i)) for i in range(12)]
    write_video(path, frames, fps)
    back = [round(frame.mean() / 20) for frame in read_video(path)]
    assert back == list(range(12))
    assert abs(float(probe(path).fps) - float(Fraction(fps))) < 0.002


def test_odd_sides_repeat_their_last_row_and_column_and_nothing_moves(tmp_path):
    picture = np.zeros((33, 47, 3), np.uint8)
    picture[8:16, 8:24] = 255
    write_video(tmp_path / "odd.mp4", [picture] * 2, 25, crf=4)
    frame = next(read_video(tmp_path / "odd.mp4"))
    assert frame.shape == (34, 48, 3)
    assert np.abs(frame[:33, :47].astype(int) - picture).mean() < 2


@pytest.mark.parametrize("sample_rate", [8_000, 16_000, 22_050, 24_000, 44_100, 48_000])
@pytest.mark.parametrize("num_samples", [16_000, 15_877, 1_000])
def test_sound_comes_back_sample_for_sample_in_place(tmp_path, sample_rate, num_samples):
    path = tmp_path / "click.mp4"
    write_video(path, [flat(COLOURS[1])] * 25, 25, click(num_samples, 500), sample_rate)
    back = read_waveform(path, sample_rate)
    assert len(back) == num_samples
    assert abs(int(back.abs().argmax()) - 500) <= 1


def test_sound_stays_within_5_ms_of_the_picture_after_the_whole_way(tmp_path):
    path = tmp_path / "sync.mp4"
    frames = [flat((250, 250, 250) if i == 30 else (5, 5, 5)) for i in range(50)]
    write_video(path, frames, 25, click(2 * 44_100, round(1.2 * 44_100)), 44_100)
    flash = int(np.argmax([frame.mean() for frame in read_video(path)])) / 25
    sound = int(read_waveform(path, 16_000).abs().argmax()) / 16_000
    assert flash == 1.2 and abs(sound - flash) < 0.005


@pytest.mark.parametrize(("sample_rate", "channels"), [(96_000, 1), (192_000, 2), (37_000, 1), (48_000, 6)])
def test_what_aac_does_not_know_is_resampled_or_mixed(tmp_path, sample_rate, channels):
    path = tmp_path / "odd_sound.mp4"
    time = torch.arange(sample_rate) / sample_rate
    tone = 0.5 * torch.sin(2 * torch.pi * 440 * time)
    write_video(path, [flat(COLOURS[1])] * 25, 25, tone[:, None].expand(-1, channels), sample_rate)
    back = read_waveform(path, 48_000)
    assert abs(len(back) - 48_000) <= 1
    expected = 0.5 * torch.sin(2 * torch.pi * 440 * torch.arange(len(back)) / 48_000)
    assert (back - expected)[2_000:-2_000].abs().mean() < 0.02


def test_sound_is_interleaved_with_the_frames_it_belongs_to(tmp_path):
    path = tmp_path / "interleaved.mp4"
    rng = np.random.default_rng(0)
    noise = torch.from_numpy(rng.normal(0, 0.1, 10 * 16_000).astype(np.float32))
    write_video(path, [flat(COLOURS[i % 7]) for i in range(250)], 25, noise, 16_000)
    with av.open(str(path)) as container:
        order = [packet.stream.type for packet in container.demux() if packet.size]
    longest = max(
        len(run) for run in "".join(kind[0] for kind in order).replace("va", "v a").replace("av", "a v").split()
    )
    assert longest < 60


@pytest.mark.parametrize("waveform", [torch.zeros(0), torch.tensor([0.0, float("nan")]), torch.tensor([float("inf")])])
def test_an_empty_or_broken_waveform_is_refused_in_one_line(tmp_path, waveform):
    with pytest.raises(UserError, match="waveform"):
        write_video(tmp_path / "out.mp4", [flat(COLOURS[0])], 25, waveform, 16_000)
    assert os.listdir(tmp_path) == []


def test_a_name_that_is_no_mp4_is_refused_in_one_line(tmp_path):
    with pytest.raises(UserError, match=r"\.mp4"):
        write_video(tmp_path / "out.gif", [flat(COLOURS[0])], 25)


def test_no_frames_are_refused_and_leave_nothing(tmp_path):
    with pytest.raises(UserError, match="frames"):
        write_video(tmp_path / "out.mp4", [], 25)
    assert os.listdir(tmp_path) == []


def test_frames_of_another_size_are_refused_and_leave_nothing(tmp_path):
    with pytest.raises(ValueError, match="32, 48"):
        write_video(tmp_path / "out.mp4", [flat(COLOURS[0]), flat(COLOURS[0], 34)], 25)
    assert os.listdir(tmp_path) == []


def test_an_error_on_the_way_leaves_the_old_file(tmp_path):
    path = tmp_path / "out.mp4"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError, match="stop"), VideoWriter(path, 25) as writer:
        writer.add(flat(COLOURS[0]))
        raise RuntimeError("stop")
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["out.mp4"]


@pytest.mark.parametrize("num_frames", [8, 12, 24, 60])
def test_a_full_disk_raises_and_leaves_nothing(tmp_path, small_disk, num_frames):
    rng = np.random.default_rng(0)
    frames = (rng.integers(0, 255, (64, 64, 3), dtype=np.uint8) for _ in range(num_frames))
    hiss = torch.rand(16_000, generator=torch.Generator().manual_seed(0))
    with pytest.raises(OSError):
        write_video(tmp_path / "out.mp4", frames, 25, hiss, 16_000)
    assert os.listdir(tmp_path) == []


def test_a_generated_clip_says_where_it_comes_from(tmp_path):
    metadata = provenance_metadata(avatar="Zoë", audio_sha256="ab" * 32, emotion="0s neutral, 2s happy:0.8", seed=3)
    write_video(tmp_path / "clip.mp4", [flat(COLOURS[0])], 25, metadata=metadata)
    found = read_provenance(tmp_path / "clip.mp4")
    assert found == Provenance("Zoë", "ab" * 32, "0s neutral, 2s happy:0.8", 3)
    assert found.software == "readavatar" and found.statement == STATEMENT


def test_other_footage_has_no_provenance(tmp_path):
    write_video(tmp_path / "clip.mp4", [flat(COLOURS[0])], 25, metadata={"comment": '{"mood": "good"}'})
    assert read_provenance(tmp_path / "clip.mp4") is None
    write_video(tmp_path / "clip.mp4", [flat(COLOURS[0])], 25)
    assert read_provenance(tmp_path / "clip.mp4") is None


def test_memory_stays_flat_over_a_long_clip(tmp_path):
    def peak(num_frames):
        with VideoWriter(
            tmp_path / "long.mp4", 25, waveform=torch.zeros(640 * num_frames), sample_rate=16_000
        ) as writer:
            for index in range(num_frames):
                writer.add(flat(COLOURS[index % 7], 256, 256))
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    first = peak(60)
    assert peak(240) - first < 30  # MiB; 180 frames are 35 MiB of RGB


def test_key_frames_come_as_often_as_asked_and_none_is_bidirectional(tmp_path):
    frames = [np.random.default_rng(i).integers(0, 255, (32, 48, 3), np.uint8) // 8 + 5 * i for i in range(14)]
    with VideoWriter(tmp_path / "seek.mp4", 25, keyframe_interval=4) as writer:
        for frame in frames:
            writer.add(frame.astype(np.uint8))
    with av.open(str(tmp_path / "seek.mp4")) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    keys = [number for number, packet in enumerate(packets) if packet.is_keyframe]
    assert keys[0] == 0 and max(np.diff([*keys, len(frames)])) <= 4
    assert [packet.pts for packet in packets] == [packet.dts for packet in packets]
