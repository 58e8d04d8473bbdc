"""The actor on film: the clip store it writes is whole, and the frames show what the truth says."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch

from readavatar.data.store import ClipStore
from readavatar.emotion import EmotionSpace, EmotionTrack
from readavatar.errors import UserError
from readavatar.media.video import probe
from readavatar.morphable import EXPRESSION_NAMES, MorphableModel, load_morphable_model
from readavatar.rendering.camera import project
from readavatar.synthetic import SENTENCES, film, make_actor, perform_sentences, write_actor_clip
from readavatar.synthetic.mouth_interior import move_teeth, move_tongue
from readavatar.synthetic.render import Scene, projected_landmarks, render, world_vertices
from readavatar.synthetic.retarget import retarget

SPACE = EmotionSpace()


@pytest.fixture(scope="module")
def model() -> MorphableModel:
    return load_morphable_model("builtin")


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> ClipStore:
    track = EmotionTrack.parse("0s neutral, 0.5s happy:0.8", SPACE)
    return write_actor_clip(
        tmp_path_factory.mktemp("actor") / "clip", seed=1, sentences=["Bob."], emotion=track, size=96, duration=1.0
    )


def _frames(scene: Scene, index) -> Scene:
    index = torch.as_tensor(index)
    coefficients = scene.face.coefficients.frames(index)
    face = replace(scene.face, coefficients=coefficients, lighting=scene.face.lighting[index])
    return Scene(face, scene.tongue[index], scene.bite[index], scene.background)


def _scene(model, *, seed=0, emotion="neutral", sentences=(), size=96, **options) -> Scene:
    actor = make_actor(seed, model, texture_size=256)
    track = EmotionTrack.parse(emotion, SPACE)
    performance = perform_sentences(actor, sentences=list(sentences), emotion=track, **options)
    return film(actor, performance, model, "builtin", size)


def _image(model, scene: Scene) -> np.ndarray:
    return next(iter(render(model, scene)))[0].astype(np.float32) / 255


def test_the_clip_store_is_whole_and_consistent(clip):
    store = ClipStore(clip.path)
    truth, landmarks = store.truth(), store.landmarks()
    assert store.num_frames == truth.coefficients.num_frames == len(landmarks.landmarks_2d) >= 25
    assert store.frames(range(2)).shape == (2, 3, 96, 96)
    assert store.waveform().abs().max() > 0.05
    assert store.emotion().space.names == SPACE.names
    assert truth.expression_names == EXPRESSION_NAMES and truth.morphable_model == "builtin"
    assert truth.lighting.shape == (store.num_frames, 9, 3) and 0 <= truth.albedo.min() <= truth.albedo.max() <= 1
    assert landmarks.landmark_confidence.eq(1).all() and landmarks.landmarks_2d.shape[1:] == (68, 2)
    assert not store.is_tracked


def test_the_source_video_has_the_frames_and_the_sound(clip):
    info = probe(clip.source)
    assert (info.height, info.width, info.num_frames, info.has_audio) == (96, 96, clip.num_frames, True)
    assert info.fps == Fraction(25)


def test_landmarks_are_the_truth_s_projection(clip, model):
    truth = clip.truth()
    vertices = world_vertices(model, truth.coefficients, torch.zeros(clip.num_frames, 2), torch.zeros(clip.num_frames))
    assert torch.allclose(clip.landmarks().landmarks_2d, project(model.landmarks_3d(vertices), truth.camera), atol=1e-3)


def test_masks_hold_the_face_s_inner_landmarks_and_not_the_corners(clip):
    landmarks = clip.landmarks().landmarks_2d
    masks = clip.masks(range(clip.num_frames))
    for index in range(clip.num_frames):
        column, row = landmarks[index, 27:].long().unbind(-1)
        assert masks[index, 0, row, column].min() > 0.9
    assert masks[:, 0, 0].max() == 0 and masks[:, 0, -1].max() == 0
    assert 0.08 < float(masks.mean()) < 0.5


def test_an_open_mouth_is_dark_where_the_landmarks_say_it_is(model):
    scene = _frames(_scene(model, size=128), [0])
    opened = scene.face.coefficients.expression_coefficients.clone()
    opened[:, EXPRESSION_NAMES.index("jawOpen")] = 0.8
    open_face = replace(scene.face, coefficients=replace(scene.face.coefficients, expression_coefficients=opened))
    shut, wide = scene, replace(scene, face=open_face)
    x, y = projected_landmarks(model, wide)[0, 60:68].mean(0).round().long().tolist()
    nose_x, nose_y = projected_landmarks(model, wide)[0, 30].round().long().tolist()
    patch = (slice(y - 1, y + 2), slice(x - 2, x + 3))
    dark, light = _image(model, wide), _image(model, shut)
    assert dark[patch].mean() < 0.7 * light[patch].mean()
    assert np.allclose(dark[nose_y, nose_x], light[nose_y, nose_x], atol=0.02)


def test_an_iris_is_where_its_gaze_points(model):
    scene = _frames(_scene(model, size=192), [0])

    def darkest(gaze: list[float]) -> float:
        coefficients = replace(
            scene.face.coefficients,
            gaze=torch.tensor([gaze]),
            rotation=torch.zeros(1, 3),
            expression_coefficients=torch.zeros(1, 53),
        )
        looking = replace(scene, face=replace(scene.face, coefficients=coefficients))
        eye = projected_landmarks(model, looking)[0, 42:48]  # the subject's left eye, right in the picture
        left, right = int(eye[0, 0]) + 1, int(eye[3, 0])
        top, bottom = int(eye[1:3, 1].mean()) + 1, int(eye[4:6, 1].mean())
        darkness = 1 - _image(model, looking)[top:bottom, left:right].mean((0, 2))
        return float((darkness**4 * np.arange(len(darkness))).sum() / (darkness**4).sum())

    # Yaw to the subject's left is to the picture's right.
    assert darkest([0.35, 0.0]) > darkest([0.0, 0.0]) + 1 > darkest([-0.35, 0.0]) + 2


def test_emotion_and_tongue_show_in_the_pixels(model):
    neutral, angry = (_image(model, _frames(_scene(model, emotion=e), [5])) for e in ("neutral", "angry"))
    assert np.abs(neutral - angry).max() > 0.2
    scene = _frames(_scene(model, size=128), [0])
    opened = scene.face.coefficients.expression_coefficients.clone()
    opened[:, EXPRESSION_NAMES.index("jawOpen")] = 0.5
    face = replace(scene.face, coefficients=replace(scene.face.coefficients, expression_coefficients=opened))
    still = replace(scene, face=face, tongue=torch.zeros(1, 2), bite=torch.zeros(1))
    for other in ({"tongue": [[1.0, 0.9]]}, {"tongue": [[0.45, 0.9]]}, {"tongue": [[0.0, -0.6]]}, {"bite": [1.0]}):
        moved = replace(still, **{name: torch.tensor(value) for name, value in other.items()})
        assert np.abs(_image(model, still) - _image(model, moved)).max() > 0.1, other


def test_only_the_tongue_moves_with_the_tongue(model):
    vertices = model.template[None]
    moved = move_tongue(model, vertices, torch.tensor([[0.8, 0.5]]))
    distance = (moved - vertices).norm(dim=-1)[0]
    index = model.region("tongue")
    assert distance[index].max() > 0.005
    rest = torch.ones(model.num_vertices, dtype=torch.bool)
    rest[index] = False
    assert distance[rest].max() == 0
    assert torch.equal(move_tongue(model, vertices, torch.zeros(1, 2)), vertices)


def test_a_tip_comes_out_between_the_teeth_only_where_it_is_not_raised(model):
    def tip(raised: float, advance: float) -> float:
        tongue = torch.tensor([[raised, advance]])
        return float(move_tongue(model, model.template[None], tongue)[0, model.region("tongue"), 2].max())

    teeth = float(model.template[model.region("teeth_lower"), 2].max())
    assert tip(0.45, 0.92) > teeth > tip(1.0, 0.92)  # /θ/, /l/
    assert tip(0.55, 0.75) < teeth  # /s/
    assert tip(0.05, -0.6) < tip(0.0, 0.0) - 0.005


def test_the_bite_moves_the_lower_teeth_alone(model):
    distance = (move_teeth(model, model.template[None], torch.ones(1)) - model.template).norm(dim=-1)[0]
    lower = torch.zeros(model.num_vertices, dtype=torch.bool)
    lower[model.region("teeth_lower")] = True
    assert distance[lower].min() > 0.003 and distance[~lower].max() == 0
    assert torch.equal(move_teeth(model, model.template[None], torch.zeros(1)), model.template[None])


def test_a_seed_gives_the_same_pixels_bit_for_bit_and_another_seed_another_person(tmp_path):
    options = {"sentences": [], "duration": 0.2, "size": 64}
    first, again, other = (
        write_actor_clip(tmp_path / name, seed=seed, **options) for name, seed in (("a", 2), ("b", 2), ("c", 3))
    )
    assert torch.equal(first.frames(range(5)), again.frames(range(5)))
    assert torch.equal(first.truth().albedo, again.truth().albedo)
    assert torch.equal(first.waveform(), again.waveform())  # source.mp4 is lossy, and its encoders not bit-exact
    difference = (first.frames(range(5)) - other.frames(range(5))).abs().mean()
    assert difference > 0.02
    assert not torch.equal(first.truth().coefficients.shape_coefficients, other.truth().coefficients.shape_coefficients)


def test_takes_are_the_same_person_who_does_something_else(model):
    actor = make_actor(4, model, texture_size=64)
    track = EmotionTrack.constant(SPACE)
    first, second = (perform_sentences(actor, take=take, sentences=None, emotion=track) for take in (0, 1))
    assert torch.equal(first.coefficients.shape_coefficients, second.coefficients.shape_coefficients)
    assert len(first.waveform) != len(second.waveform)


def test_the_pixels_do_not_depend_on_the_number_of_threads(model):
    scene = _frames(_scene(model, size=64), range(4))
    before = torch.get_num_threads()
    try:
        pictures = []
        for num_threads in (1, 3):
            torch.set_num_threads(num_threads)
            pictures.append(np.stack([frame for frame, _ in render(model, scene, noise=0.01, seed=1)]))
            assert torch.get_num_threads() == num_threads
    finally:
        torch.set_num_threads(before)
    assert np.array_equal(*pictures)


def test_compressed_frames_are_those_of_the_video(tmp_path):
    options = {"seed": 2, "sentences": [], "duration": 0.2, "size": 64}
    clean = write_actor_clip(tmp_path / "clean", **options)
    compressed = write_actor_clip(tmp_path / "compressed", compress=38, **options)
    difference = (clean.frames(range(5)) - compressed.frames(range(5))).abs().mean()
    assert 0.002 < difference < 0.05
    assert torch.equal(clean.masks(range(5)), compressed.masks(range(5)))


def test_a_fractional_frame_rate_is_kept(tmp_path):
    store = write_actor_clip(tmp_path / "clip", sentences=[], duration=0.3, size=32, fps="30000/1001")
    assert store.info.fps == "30000/1001" and store.num_frames == 9


def test_wrong_options_are_a_user_s_errors_and_leave_nothing(tmp_path):
    for options, message in (
        ({"size": 97}, "even size"),
        ({"fps": 0}, "frames a second"),
        ({"fps": "fast"}, "frames a second"),
        ({"duration": -1.0}, "duration"),
        ({"emotion": EmotionTrack.constant(EmotionSpace(("bored",)))}, "bored"),
    ):
        with pytest.raises(UserError, match=message):
            write_actor_clip(tmp_path / "clip", sentences=[SENTENCES[0]], **options)
    assert list(tmp_path.iterdir()) == []


def test_a_model_with_other_expressions_is_acted_through_its_landmarks(model):
    generator = torch.Generator().manual_seed(0)
    mixing = torch.linalg.qr(torch.randn(53, 53, generator=generator))[0]
    mixed = replace(
        model.data,
        expression_basis=torch.einsum("em,mvc->evc", mixing, model.expression_basis),
        expression_names=tuple(f"mode_{index}" for index in range(53)),
        expression_bounds=torch.tensor([[-5.0, 5.0]]).repeat(53, 1),
    )
    other = MorphableModel(mixed)
    acted = torch.zeros(2, 53)
    acted[0, EXPRESSION_NAMES.index("jawOpen")] = 0.6
    acted[1, [EXPRESSION_NAMES.index(f"mouthSmile_{side}") for side in "LR"]] = 0.8
    shape = torch.zeros(1, model.num_shape)
    wanted = model.landmarks_3d(model(shape, acted))
    neutral = model.landmarks_3d(model(shape, torch.zeros(1, 53)))
    got = other.landmarks_3d(other(shape, retarget(acted, other)))
    assert (got - wanted).norm() < 0.1 * (wanted - neutral).norm()
    assert torch.equal(retarget(acted, model), acted)


def test_the_actor_plays_on_the_ict_model(shared_data, tmp_path):
    folder = str(shared_data / "ict_facekit" / "FaceXModel")
    store = write_actor_clip(tmp_path / "clip", sentences=[], duration=0.1, size=64, morphable_model=folder)
    assert store.truth().morphable_model == folder and 0.05 < float(store.masks(range(2)).mean()) < 0.6
