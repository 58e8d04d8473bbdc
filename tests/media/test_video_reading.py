"""Every video that people bring is read upright, at a constant rate and in its colours, or refused in one line."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from readavatar.errors import UserError
from readavatar.media.container import tick
from readavatar.media.frame_rate import frame_rate, nominal_rate
from readavatar.media.video import probe, read_video

MILLISECOND = Fraction(1, 1000)


def numbers(frames):
    return [round(float(frame[-4:, -4:].mean()) / 8) for frame in frames]


def refusal(path):
    with pytest.raises(UserError) as caught:
        read_video(path)
    with pytest.raises(UserError):
        probe(path)
    message = str(caught.value)
    assert "\n" not in message and message.startswith("Expected") and str(path) in message
    return message


def test_a_constant_rate_gives_every_frame_once(write_raw):
    path = write_raw("plain.mp4")
    info = probe(path)
    assert (info.height, info.width, info.fps, info.num_frames) == (48, 64, 25, 10)
    assert info.duration == pytest.approx(0.4) and not info.has_audio
    assert numbers(read_video(path)) == list(range(10))


@pytest.mark.parametrize("rate", ["24", "24000/1001", "25", "30000/1001", "30", "50", "60000/1001", "12"])
def test_the_rate_is_found_exactly(write_raw, rate):
    path = write_raw("rate.mp4", times=range(12), time_base=1 / Fraction(rate))
    assert probe(path).fps == Fraction(rate)
    assert numbers(read_video(path)) == list(range(12))


@pytest.mark.parametrize(("rate", "name"), [(30, "ms.mkv"), (Fraction(60_000, 1001), "ms.mkv"), (24, "ms.webm")])
def test_timestamps_in_milliseconds_are_a_constant_rate(write_raw, rate, name):
    codec = "libvpx-vp9" if name.endswith("webm") else "libx264"
    path = write_raw(name, times=[round(1000 * i / rate) for i in range(20)], time_base=MILLISECOND, codec=codec)
    assert probe(path).fps == rate
    assert numbers(read_video(path)) == list(range(20))


def test_a_variable_rate_shows_at_each_output_frames_centre_what_a_player_shows(write_raw):
    shown_at = [0, 33, 67, 100, 200, 233, 300, 333, 367, 400]  # 30 fps that drops frames
    path = write_raw("phone.mp4", times=shown_at, time_base=MILLISECOND)
    info = probe(path)
    assert info.fps == 30
    centres = [(i + 0.5) / 30 * 1000 for i in range(info.num_frames)]
    expected = [max(i for i, time in enumerate(shown_at) if time <= centre) for centre in centres]
    assert numbers(read_video(path)) == expected
    assert expected[:7] == [0, 1, 2, 3, 3, 3, 4]


def test_halving_the_rate_takes_every_second_frame_without_wavering(write_raw):
    path = write_raw("sixty.mkv", times=[round(1000 * i / 60) for i in range(20)], time_base=MILLISECOND)
    steps = np.diff(numbers(read_video(path, fps=30)))
    assert (steps == 2).all()


def test_a_higher_rate_repeats_frames(write_raw):
    assert numbers(read_video(write_raw("slow.mp4", times=range(4)), fps=50)) == [0, 0, 1, 1, 2, 2, 3, 3]


def test_a_part_is_the_same_frames_as_in_the_whole(write_raw):
    path = write_raw("long.mp4", times=range(30), options={"crf": "10", "g": "7"})
    assert numbers(read_video(path, start=17, stop=24)) == list(range(17, 24))
    assert numbers(read_video(path, start=28)) == [28, 29]


def test_a_late_first_frame_is_time_zero(write_raw):
    path = write_raw("late.mkv", times=[1000 + 40 * i for i in range(5)], time_base=MILLISECOND)
    assert numbers(read_video(path)) == list(range(5))
    assert probe(path).duration == pytest.approx(0.2, abs=0.002)


@pytest.mark.parametrize(
    ("rotation", "hflip", "upright"),
    [
        (90, False, lambda picture: np.rot90(picture)),
        (-90, False, lambda picture: np.rot90(picture, -1)),
        (180, False, lambda picture: np.rot90(picture, 2)),
        (0, True, lambda picture: picture[:, ::-1]),
    ],
)
def test_a_phones_display_matrix_is_applied(write_raw, rotation, hflip, upright):
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:16, :24] = 255
    path = write_raw("phone.mp4", times=range(2), rotation=rotation, hflip=hflip, frame=lambda _: picture)
    expected = upright(picture)
    info = probe(path)
    (first, _) = read_video(path)
    assert first.shape == expected.shape == (info.height, info.width, 3)
    assert np.abs(first.astype(int) - expected).mean() < 3
    assert first.flags.c_contiguous


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("ten_bit.mp4", {"codec": "libx265", "pixel_format": "yuv420p10le"}),
        ("ten_bit.mkv", {"codec": "libx264", "pixel_format": "yuv422p10le"}),
        ("mpeg4.mp4", {"codec": "mpeg4"}),
        ("mpeg4.avi", {"codec": "mpeg4"}),
        ("full_range.mp4", {"pixel_format": "yuvj420p"}),
        ("chroma444.mp4", {"pixel_format": "yuv444p"}),
        ("prores.mov", {"codec": "prores_ks", "pixel_format": "yuva444p10le"}),
        ("animation.mov", {"codec": "qtrle", "pixel_format": "argb"}),
        ("transport.ts", {}),
        ("flash.flv", {"codec": "flv1"}),
    ],
)
def test_other_codecs_depths_and_containers_are_read(write_raw, name, options):
    path = write_raw(name, **options)
    frames = list(read_video(path))
    assert len(frames) == probe(path).num_frames == 10
    assert all(frame.shape == (48, 64, 3) and frame.dtype == np.uint8 for frame in frames)
    assert numbers(frames) == list(range(10))


def test_alpha_is_composited_over_black(write_raw):
    picture = np.full((48, 64, 4), 200, np.uint8)
    picture[:, :32, 3] = 0
    picture[:, 32:, 3] = 255
    frame = next(read_video(write_raw("alpha.mov", codec="qtrle", pixel_format="argb", frame=lambda _: picture)))
    assert frame[:, :32].max() == 0 and (frame[:, 32:] == 200).all()


@pytest.mark.parametrize("size", [(47, 63), (1, 1), (2, 99)])
def test_odd_sizes_are_read_as_they_are(write_raw, size):
    path = write_raw(
        "odd.mkv", codec="ffv1", pixel_format="bgr0", size=size, frame=lambda _: np.full((*size, 3), 90, np.uint8)
    )
    assert next(read_video(path)).shape == (*size, 3)


@pytest.mark.parametrize("tags", [(1, 1), (5, 1), (1, 2), (9, 1)])  # BT.709, 601, 709 in full range, 2020
def test_colours_follow_the_videos_own_matrix_and_range(write_raw, tags):
    colour = np.array([200, 60, 30])
    picture = np.broadcast_to(colour.astype(np.uint8), (48, 64, 3)).copy()
    path = write_raw("tagged.mp4", frame=lambda _: picture, tags=tags)
    assert np.abs(next(read_video(path)).reshape(-1, 3).mean(0) - colour).max() < 3


def test_one_frame_is_in_memory_at_a_time(write_raw):
    path = write_raw("many.mp4", times=range(31))
    reader = read_video(path)
    assert numbers([next(reader)]) == [0]
    reader.close()


def test_a_missing_file_is_one_line(tmp_path):
    assert "none" in refusal(tmp_path / "absent.mp4")


def test_a_folder_is_one_line(tmp_path):
    assert "folder" in refusal(tmp_path)


def test_an_empty_file_is_one_line(tmp_path):
    path = tmp_path / "empty.mp4"
    path.touch()
    assert "empty" in refusal(path)


def test_a_text_file_called_mp4_is_one_line(tmp_path):
    path = tmp_path / "letter.mp4"
    path.write_text("Dear reader,\nthis is no video.\n" * 20)
    refusal(path)


def test_sound_alone_is_one_line(write_sound):
    assert "only sound" in refusal(write_sound("speech.wav", np.zeros(1600), 16_000))


def test_a_song_with_a_cover_picture_is_sound_alone(tmp_path):
    path = tmp_path / "song.mp3"
    with av.open(str(path), "w") as container:
        cover = container.add_stream("mjpeg", rate=1)
        cover.height, cover.width, cover.pix_fmt = 16, 16, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        sound = container.add_stream("libmp3lame", rate=16000, layout="mono")
        picture = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), "rgb24").reformat(format="yuvj420p")
        container.mux([*cover.encode(picture), *cover.encode(None)])
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 4608), np.float32), "fltp", "mono")
        samples.sample_rate = 16_000
        container.mux([*sound.encode(samples), *sound.encode(None)])
    assert "only sound" in refusal(path)


def test_a_video_of_no_frames_is_one_line(tmp_path):
    path = tmp_path / "hollow.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        container.start_encoding()
    refusal(path)


@pytest.mark.parametrize("options", [{}, {"movflags": "+faststart"}])
def test_a_truncated_mp4_is_one_line(write_raw, tmp_path, options):
    whole = write_raw("whole.mp4", times=range(30), container_options=options).read_bytes()
    path = tmp_path / "half.mp4"
    path.write_bytes(whole[: int(len(whole) * 0.7)])
    assert "cut short" in refusal(path)


def test_a_video_damaged_in_the_middle_is_one_line_or_concealed(write_raw, tmp_path):
    content = bytearray(write_raw("whole.mp4", times=range(30)).read_bytes())
    content[len(content) // 3 : len(content) // 3 + 400] = bytes(400)
    path = tmp_path / "scratched.mp4"
    path.write_bytes(content)
    try:
        assert len(list(read_video(path))) == probe(path).num_frames
    except UserError as error:
        assert "\n" not in str(error) and str(path) in str(error)


def test_a_name_with_a_colon_is_a_file(write_raw):
    assert probe(write_raw("take 3: last.mkv")).num_frames == 10


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (29.97, Fraction(30_000, 1001)),
        (23.976, Fraction(24_000, 1001)),
        (59.94, Fraction(60_000, 1001)),
        ("30000/1001", Fraction(30_000, 1001)),
        ("25", Fraction(25)),
        (12.5, Fraction(25, 2)),
        (Fraction(241, 10), Fraction(241, 10)),
    ],
)
def test_a_written_rate_is_the_fraction_that_is_meant(given, meant):
    assert frame_rate(given) == meant


@pytest.mark.parametrize("rate", [0, -25, float("nan"), float("inf"), "fast", "1/0", 5000])
def test_an_impossible_rate_is_refused(rate):
    with pytest.raises(UserError, match="frame rate"):
        frame_rate(rate)


def test_one_frame_has_the_rate_that_its_container_states():
    assert nominal_rate(np.array([0.0]), Fraction(15)) == 15
    assert nominal_rate(np.array([0.0]), None) == 25


def test_the_real_clips_are_read_whole(shared_data):
    expected = {
        "expression_12s_512.mp4": (512, 30, 354),
        "speech_5s_844.mp4": (844, 25, 125),
        "speech_8s_512.mp4": (512, 25, 200),
    }
    for name, (side, fps, num_frames) in expected.items():
        info = probe(shared_data / "video" / name)
        assert (info.height, info.width, info.fps, info.num_frames) == (side, side, fps, num_frames) and info.has_audio
    assert sum(1 for _ in read_video(shared_data / "video" / "speech_8s_512.mp4")) == 200


def test_timestamps_without_a_unit_are_refused():
    with pytest.raises(ValueError, match="a unit"):
        tick(av.VideoFrame(16, 16, "rgb24"))
