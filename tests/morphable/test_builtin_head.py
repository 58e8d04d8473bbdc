"""The built-in head is a sound mesh, a plausible face, and its expressions do what their names say."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from readavatar.morphable import EXPRESSION_NAMES, MASK_NAMES, REGION_NAMES, MorphableModel
from readavatar.morphable.builtin import IDENTITY_MODES, build_builtin_head
from readavatar.rendering.camera import head_to_world, world_to_clip
from readavatar.rendering.rasterize import rasterize
from readavatar.types import default_camera

MILLIMETRE = 1e-3
EYE_RADIUS = 12 * MILLIMETRE
SKIN = ("face", "head")
INTERIOR = ("teeth_upper", "teeth_lower", "tongue", "gums")


@pytest.fixture(scope="module")
def model() -> MorphableModel:
    return MorphableModel(build_builtin_head())


def _vertices(model: MorphableModel, shape: Tensor | None = None, **expressions: float) -> Tensor:
    """(V, 3); a name without its side stands for both."""
    coefficients = torch.zeros(1, model.num_expressions)
    for name, value in expressions.items():
        for full in (name, f"{name}_L", f"{name}_R"):
            if full in EXPRESSION_NAMES:
                coefficients[0, EXPRESSION_NAMES.index(full)] = value
    return model(torch.zeros(1, model.num_shape) if shape is None else shape, coefficients)[0]


def _landmarks(model: MorphableModel, **expressions: float) -> Tensor:
    return model.landmarks_3d(_vertices(model, **expressions)[None])[0]


def _in_regions(model: MorphableModel, names: tuple[str, ...]) -> Tensor:
    return torch.isin(model.vertex_regions, torch.tensor([REGION_NAMES.index(name) for name in names]))


def _mirror(vertices: Tensor) -> Tensor:
    """The index of each vertex' mirror image."""
    distance = torch.cdist(vertices * torch.tensor([-1.0, 1.0, 1.0]), vertices)
    return distance.argmin(1)


def _visible_faces(model: MorphableModel, vertices: Tensor, yaw: float) -> Tensor:
    """Faces seen from a camera 0.7 m away; yaw in degrees turns the head."""
    camera = default_camera(384, 384)
    rotation, translation = torch.tensor([[0.0, math.radians(yaw), 0.0]]), torch.tensor([[0.0, 0.02, -0.7]])
    clip = world_to_clip(head_to_world(vertices[None], rotation, translation), camera)
    index = rasterize(clip, model.faces, (384, 384), backend="cpu").face_index.unique()
    return model.faces[index[index >= 0]]


def test_the_data_is_complete_and_its_indices_are_valid(model):
    data = model.data
    assert 5_000 <= model.num_vertices <= 10_500
    assert data.expression_names == EXPRESSION_NAMES
    assert data.expression_basis.shape == (53, model.num_vertices, 3)
    assert data.shape_basis.shape[0] == len(IDENTITY_MODES) >= 12
    assert data.faces.min() == 0 and data.faces.max() == model.num_vertices - 1
    assert len(data.faces.unique()) == model.num_vertices, "every vertex is part of the surface"
    assert data.uv_faces.min() >= 0 and data.uv_faces.max() < len(data.uvs)
    assert data.uvs.min() >= 0 and data.uvs.max() <= 1
    assert set(data.vertex_masks) == set(MASK_NAMES) and all(mask.any() for mask in data.vertex_masks.values())
    assert data.albedo.shape == (3, 512, 512) and data.albedo.min() >= 0 and data.albedo.max() <= 1
    for values in (data.template, data.shape_basis, data.expression_basis, data.albedo):
        assert values.isfinite().all()
    for region in set(REGION_NAMES) - {"brows", "other"}:
        assert len(model.region(region)) > 0, region


def test_no_triangle_is_degenerate(model):
    corners = model.template[model.faces].double()
    area = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]).norm(dim=1) / 2
    assert area.min() > 1e-11  # square metres: a hundredth of a millimetre across
    assert (model.faces[:, [0, 1, 2]] != model.faces[:, [1, 2, 0]]).all()


def test_every_edge_is_shared_by_at_most_two_faces_of_opposite_direction(model):
    directed = model.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    _, counts = directed.unique(dim=0, return_counts=True)
    assert counts.max() == 1, "two faces that run along an edge in the same direction are flipped against each other"


def test_the_normals_point_out_of_the_head(model):
    faces = model.faces[_in_regions(model, SKIN)[model.faces].all(1)]
    corners = model.template[faces]
    normals = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    centres = corners.mean(1)
    away = (normals * (centres - torch.tensor([0.0, -0.01, 0.0]))).sum(-1) > 0
    assert away.float().mean() > 0.9
    for eye in ("eyeball_left", "eyeball_right"):
        ball = torch.zeros(model.num_vertices, dtype=torch.bool)
        ball[model.region(eye)] = True
        corners = model.template[model.faces[ball[model.faces].all(1)]]
        normals = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        assert ((normals * (corners.mean(1) - model.template[ball].mean(0))).sum(-1) > 0).all()


def test_the_neutral_head_and_each_identity_mode_are_symmetric(model):
    mirror = _mirror(model.template)
    flip = torch.tensor([-1.0, 1.0, 1.0])
    assert (model.template[mirror] * flip - model.template).abs().max() < 1e-6
    # Both lips share the slit's points, so that a vertex may find the other lip's twin: compare where it is sure.
    sure = mirror[mirror] == torch.arange(model.num_vertices)
    assert sure.float().mean() > 0.97
    assert (model.shape_basis[:, mirror[sure]] * flip - model.shape_basis[:, sure]).abs().max() < 1e-5


@pytest.mark.parametrize("left", [name for name in EXPRESSION_NAMES if name.endswith(("_L", "Left"))])
def test_the_right_expression_mirrors_the_left_one(model, left):
    right = left[:-2] + "_R" if left.endswith("_L") else left.replace("Left", "Right")
    mirror = _mirror(model.template)
    sure = mirror[mirror] == torch.arange(model.num_vertices)
    basis = {name: model.expression_basis[EXPRESSION_NAMES.index(name)] for name in (left, right)}
    assert (basis[left][mirror[sure]] * torch.tensor([-1.0, 1.0, 1.0]) - basis[right][sure]).abs().max() < 1e-5
    assert basis[left].norm(dim=1).max() > 0.5 * MILLIMETRE, "it moves something"
    if left != "jawLeft" and left != "mouthLeft":
        moved = basis[left].norm(dim=1) * model.template[:, 0].sign()
        assert moved.sum() > 0, "the left expression moves the subject's left"


def test_its_size_is_a_human_head_s(model):
    landmarks = _landmarks(model)
    eyes = [model.template[model.region(f"eyeball_{side}")].mean(0) for side in ("left", "right")]
    assert torch.dist(*eyes) == pytest.approx(0.063, abs=0.003)
    assert torch.dist(landmarks[48], landmarks[54]) == pytest.approx(0.051, abs=0.004)
    skin = model.template[_in_regions(model, SKIN)]
    assert skin[:, 1].max() - landmarks[8, 1] == pytest.approx(0.235, abs=0.015)
    ball = model.template[model.region("eyeball_left")]
    assert (ball.amax(0) - ball.amin(0)).max() / 2 == pytest.approx(EYE_RADIUS, abs=2e-4)
    assert 0.13 < landmarks[16, 0] - landmarks[0, 0] < 0.16


def test_landmarks_lie_in_the_ibug_order_on_the_face(model):
    x, y, z = _landmarks(model).T
    for increasing in (range(17), range(17, 27), range(31, 36), (36, 37, 38, 39), (42, 43, 44, 45), range(48, 55)):
        index = torch.tensor(list(increasing))
        assert (x[index].diff() > 0).all(), f"{list(increasing)} run from the image's left to its right"
    assert (y[torch.arange(27, 31)].diff() < 0).all()
    assert y[8] == y.min() and z[30] == z.max()
    assert abs(x[[8, 27, 28, 29, 30, 33, 51, 57, 62, 66]]).max() < 0.5 * MILLIMETRE
    assert y[17:27].min() > y[36:48].max() and y[36:48].min() > y[31:36].max() and y[31:36].min() > y[48:60].max()
    assert (y[[37, 38, 43, 44]] > y[[41, 40, 47, 46]]).all() and y[51] > y[62] >= y[66] > y[57]


@pytest.mark.parametrize("yaw", [0.0, 35.0, -70.0])
def test_nothing_in_the_mouth_shows_while_it_is_closed(model, yaw):
    inner = _in_regions(model, INTERIOR)
    assert not inner[_visible_faces(model, model.template, yaw)].any()


def test_teeth_show_when_the_mouth_opens(model):
    seen = _visible_faces(model, _vertices(model, jawOpen=0.6), 0.0)
    for region in ("teeth_upper", "teeth_lower", "tongue"):
        assert _in_regions(model, (region,))[seen].any(), region


def test_lips_touch_in_neutral(model):
    landmarks = _landmarks(model)
    for upper, lower in ((61, 67), (62, 66), (63, 65)):
        assert torch.dist(landmarks[upper], landmarks[lower]) < 0.5 * MILLIMETRE


def test_jaw_open_parts_the_lips_by_two_to_four_centimetres(model):
    landmarks = _landmarks(model, jawOpen=1.0)
    assert 0.02 < torch.dist(landmarks[62], landmarks[66]) < 0.04
    assert torch.dist(landmarks[30], _landmarks(model)[30]) < MILLIMETRE, "the nose stays"


def test_mouth_close_closes_the_lips_over_an_open_jaw(model):
    neutral, closed = _landmarks(model), _landmarks(model, jawOpen=1.0, mouthClose=1.0)
    for upper, lower in ((61, 67), (62, 66), (63, 65)):
        assert torch.dist(closed[upper], closed[lower]) < 3 * MILLIMETRE
    assert closed[8, 1] < neutral[8, 1] - 0.015, "the chin stays down"


def test_smile_lifts_and_widens_the_mouth_and_frown_drops_it(model):
    neutral, smile, frown = (_landmarks(model, **e) for e in ({}, {"mouthSmile": 1.0}, {"mouthFrown": 1.0}))
    assert smile[54, 1] > neutral[54, 1] + 0.004 and smile[54, 0] > neutral[54, 0] + 0.003
    assert frown[54, 1] < neutral[54, 1] - 0.003


@pytest.mark.parametrize(
    ("name", "landmark", "axis", "sign"),
    [
        ("browInnerUp", 21, 1, 1),
        ("browOuterUp", 18, 1, 1),
        ("browDown", 20, 1, -1),
        ("eyeWide", 43, 1, 1),
        ("eyeLookDown", 43, 1, -1),
        ("mouthUpperUp", 63, 1, 1),
        ("mouthLowerDown", 65, 1, -1),
        ("mouthPucker", 54, 0, -1),
        ("mouthFunnel", 51, 2, 1),
        ("mouthRollUpper", 51, 1, -1),
        ("mouthRollLower", 57, 1, 1),
        ("mouthStretch", 54, 0, 1),
        ("mouthLeft", 51, 0, 1),
        ("jawLeft", 8, 0, 1),
        ("jawForward", 8, 2, 1),
        ("mouthShrugLower", 57, 1, 1),
        ("noseSneer", 31, 1, 1),
    ],
)
def test_expressions_move_the_face_the_way_they_are_named(model, name, landmark, axis, sign):
    moved = _landmarks(model, **{name: 1.0})[landmark] - _landmarks(model)[landmark]
    assert sign * moved[axis] > 0.8 * MILLIMETRE


@pytest.mark.parametrize("closing", [0.25, 0.5, 0.75, 1.0])
def test_blinking_lids_never_cut_into_the_eyeball(model, closing):
    vertices = _vertices(model, eyeBlink=closing)
    ball = model.template[model.region("eyeball_left")]
    centre = (ball.amax(0) + ball.amin(0)) / 2
    skin = _in_regions(model, SKIN)
    assert (vertices[skin] - centre).norm(dim=1).min() > EYE_RADIUS - MILLIMETRE


def test_a_blink_shuts_the_eye(model):
    landmarks = _landmarks(model, eyeBlink=1.0)
    for upper, lower in ((37, 41), (38, 40), (43, 47), (44, 46)):
        assert torch.dist(landmarks[upper], landmarks[lower]) < 1.5 * MILLIMETRE
    eyeballs = _in_regions(model, ("eyeball_left", "eyeball_right"))
    assert not eyeballs[_visible_faces(model, _vertices(model, eyeBlink=1.0), 0.0)].any()
    assert eyeballs[_visible_faces(model, model.template, 0.0)].any()


@pytest.mark.parametrize("deviations", [-2.0, 2.0])
def test_eyeballs_stay_behind_the_lids_for_every_identity(model, deviations):
    skin = _in_regions(model, SKIN)
    for mode in range(model.num_shape):
        shape = torch.zeros(1, model.num_shape)
        shape[0, mode] = deviations
        vertices = _vertices(model, shape)
        ball = vertices[model.region("eyeball_left")]
        centre, extent = (ball.amax(0) + ball.amin(0)) / 2, (ball.amax(0) - ball.amin(0)) / 2
        assert (vertices[skin] - centre).norm(dim=1).min() > extent.max() - 0.5 * MILLIMETRE, list(IDENTITY_MODES)[mode]
        assert extent.max() - extent.min() < 2e-4, "the eyeball stays round"


def test_gaze_turns_the_eyeballs_only(model):
    zeros = torch.zeros(1, model.num_shape), torch.zeros(1, model.num_expressions)
    turned = model(*zeros, torch.tensor([[0.3, 0.2]]))[0]
    moved = (turned - model.template).norm(dim=1) > 1e-6
    assert moved[model.region("eyeball_left")].float().mean() > 0.9
    assert not moved[~_in_regions(model, ("eyeball_left", "eyeball_right"))].any()


def test_the_charts_do_not_overlap(model):
    """Seen as a flat mesh, each point of the atlas lies in one triangle: the areas add up to the area covered."""
    corners = model.uvs[model.uv_faces].double()
    a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    total = (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).abs().sum() / 2
    flat = torch.cat([model.uvs * 2 - 1, torch.zeros(len(model.uvs), 1), torch.ones(len(model.uvs), 1)], 1)
    covered = rasterize(flat[None].float(), model.uv_faces, (1024, 1024), backend="cpu").face_index >= 0
    assert total.item() == pytest.approx(covered.double().mean().item(), rel=0.01)


def test_building_twice_gives_the_same_head():
    first = build_builtin_head()
    build_builtin_head.cache_clear()
    second = build_builtin_head()
    for name in ("template", "faces", "uvs", "shape_basis", "expression_basis", "albedo", "landmark_barycentrics"):
        assert torch.equal(getattr(first, name), getattr(second, name)), name
