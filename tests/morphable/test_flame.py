"""FLAME from pickles of the published structure, on a small mesh."""

from __future__ import annotations

import os
import pickle
import sys
import types

import numpy as np
import pytest
import scipy.sparse
import torch
from other_device import other_device

from readavatar.errors import UserError
from readavatar.morphable import MASK_NAMES, load_morphable_model
from readavatar.morphable.flame import LANDMARK_VERTICES, NUM_EXPRESSION, NUM_SHAPE, FlameModel
from readavatar.morphable.model import expression_displacements
from readavatar.morphable.surface import MIRRORED, face_origin

pytestmark = pytest.mark.usefixtures("private_cache")


def sphere(centre, radius=0.012, size=8):
    polar, around = np.meshgrid(np.linspace(0.05, np.pi - 0.05, size), np.linspace(0, 2 * np.pi, size, endpoint=False))
    directions = np.stack([np.sin(polar) * np.cos(around), np.cos(polar), np.sin(polar) * np.sin(around)], -1)
    quads = [(i * size + j, (i + 1) % size * size + j, (i + 1) % size * size + j + 1, i * size + j + 1)
             for i in range(size) for j in range(size - 1)]  # fmt: skip
    faces = np.array([t for a, b, c, d in quads for t in ((a, b, c), (a, c, d))])
    return np.array(centre) + radius * directions.reshape(-1, 3), faces


@pytest.fixture(scope="module")
def arrays(face_mesh):
    """What a FLAME pickle holds: face, then two eyeballs, with the listed landmark vertices where they should be."""
    rng = np.random.default_rng(0)
    eyes = [sphere((x, 0.0, 0.085)) for x in (0.032, -0.032)]
    vertices = np.concatenate([face_mesh.vertices, *(eye[0] for eye in eyes)])
    num_face = len(face_mesh.vertices)
    faces = np.concatenate([face_mesh.faces, *(eye[1] + num_face + 64 * i for i, eye in enumerate(eyes))])
    # Renumber the face's vertices so that LANDMARK_VERTICES are its landmarks. Landmarks that share a vertex get copies
    # of their own nearby instead: the free vertices that are nearest.
    order, free = np.full(num_face, -1), np.ones(num_face, dtype=bool)
    for listed, landmark in zip(LANDMARK_VERTICES, face_mesh.landmark_vertices, strict=True):
        distance = np.linalg.norm(face_mesh.vertices - face_mesh.vertices[landmark], axis=1)
        chosen = np.where(free, distance, np.inf).argmin()
        order[listed], free[chosen] = chosen, False
    order[order < 0] = np.flatnonzero(free)
    order = np.concatenate([order, np.arange(num_face, len(vertices))])
    renumber = np.argsort(order)
    vertices, faces = vertices[order], renumber[faces]
    num_vertices = len(vertices)
    weights = np.zeros((num_vertices, 5))
    weights[:num_face, 2] = np.clip((-0.05 - vertices[:num_face, 1]) / 0.03, 0, 1)
    weights[:num_face, 1] = 1 - weights[:num_face, 2]
    weights[num_face : num_face + 64, 3] = weights[num_face + 64 :, 4] = 1
    regressor = np.zeros((5, num_vertices))
    for joint, y in enumerate((-0.1, -0.05, 0.0)):
        regressor[joint, np.linalg.norm(vertices[:, :2] - [0, y], axis=1).argsort()[:6]] = 1 / 6
    regressor[3, num_face : num_face + 64] = regressor[4, num_face + 64 :] = 1 / 64
    return {
        "v_template": vertices,
        "f": faces.astype(np.uint32),
        "shapedirs": rng.normal(size=(num_vertices, 3, 310)) * 1e-4,
        "posedirs": rng.normal(size=(num_vertices, 3, 36)) * 1e-4,
        "J_regressor": regressor,
        "weights": weights,
        "kintree_table": np.array([[2**32 - 1, 0, 1, 1, 1], [0, 1, 2, 3, 4]], dtype=np.uint32),
        "bs_style": "lbs",
    }


def write_flame(path, arrays):
    """Pickle as FLAME's authors did: chumpy arrays, a scipy.sparse regressor, protocol 2. chumpy is gone afterwards."""
    module = types.ModuleType("chumpy.ch")
    module.Ch = type("Ch", (), {"__module__": "chumpy.ch"})
    sys.modules["chumpy"], sys.modules["chumpy.ch"] = types.ModuleType("chumpy"), module

    def chumpy(array):
        instance = module.Ch()
        instance.__dict__.update({"x": array, "_dirty_vars": set(), "_itr": None, "_parents": None, "_cache": {}})
        return instance

    content = dict(arrays)
    for key in ("v_template", "shapedirs", "posedirs"):
        content[key] = chumpy(arrays[key])
    content["J_regressor"] = scipy.sparse.csc_matrix(arrays["J_regressor"])
    path.write_bytes(pickle.dumps(content, protocol=2))
    del sys.modules["chumpy"], sys.modules["chumpy.ch"]
    return path


@pytest.fixture
def model(tmp_path, arrays):
    return load_morphable_model(str(write_flame(tmp_path / "flame2023.pkl", arrays)))


def rotation_matrix(axis_angle):
    angle = np.linalg.norm(axis_angle)
    if angle == 0:
        return np.eye(3)
    x, y, z = np.asarray(axis_angle) / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def published_vertices(arrays, shape, expression, jaw, eye_rotation):
    """Li et al. 2017, eq. 1–4, with 4 × 4 transforms down the whole kinematic chain."""
    identity = arrays["v_template"] + arrays["shapedirs"][:, :, : len(shape)] @ shape
    joints = arrays["J_regressor"] @ identity
    rotations = [np.eye(3), np.eye(3), rotation_matrix(jaw), eye_rotation, eye_rotation]
    features = np.concatenate([(rotation - np.eye(3)).ravel() for rotation in rotations[1:]])
    expressed = identity + arrays["shapedirs"][:, :, 300 : 300 + len(expression)] @ expression
    posed = expressed + arrays["posedirs"] @ features
    parents, chain = [-1, 0, 1, 1, 1], []
    for joint, parent in enumerate(parents):
        local = np.eye(4)
        local[:3, :3] = rotations[joint]
        local[:3, 3] = joints[joint] - (joints[parent] if parent >= 0 else 0)
        chain.append(local if parent < 0 else chain[parent] @ local)
    for joint in range(5):
        back = np.eye(4)
        back[:3, 3] = -joints[joint]
        chain[joint] = chain[joint] @ back
    blended = np.einsum("vj,jab->vab", arrays["weights"], np.stack(chain))
    return np.einsum("vab,vb->va", blended, np.concatenate([posed, np.ones((len(posed), 1))], 1))[:, :3]


def test_flame_vertices_equal_the_published_equations(model, arrays):
    rng = np.random.default_rng(1)
    shape, expression = rng.normal(size=NUM_SHAPE), rng.normal(size=10)
    jaw, gaze = np.array([0.4, -0.1, 0.05]), np.array([0.3, -0.2])
    eye_rotation = rotation_matrix([0, gaze[0], 0]) @ rotation_matrix([-gaze[1], 0, 0])
    expected = published_vertices(arrays, shape, expression, jaw, eye_rotation)
    coefficients = torch.from_numpy(np.concatenate([expression, jaw])).float()[None]
    vertices = model(torch.from_numpy(shape).float()[None], coefficients, torch.from_numpy(gaze).float()[None])
    origin = face_origin(arrays["v_template"][list(LANDMARK_VERTICES)])
    assert np.abs(vertices[0].numpy() + origin - expected).max() < 1e-6


def test_flame_is_read_without_chumpy(model):
    assert "chumpy" not in sys.modules
    assert isinstance(model, FlameModel)
    assert model.num_expressions == 10 + 3 <= NUM_EXPRESSION + 3
    assert model.expression_names[-3:] == ("jaw_x", "jaw_y", "jaw_z")


def test_the_jaw_columns_of_the_basis_are_derivatives(model):
    shape, step = torch.zeros(1, model.num_shape), 1e-3
    for axis in (-3, -2, -1):
        coefficients = torch.zeros(1, model.num_expressions)
        coefficients[0, axis] = step
        slope = (model(shape, coefficients) - model(shape, -coefficients))[0] / (2 * step)
        assert torch.allclose(slope, model.expression_basis[axis], atol=2e-4)


def test_gradients_at_rest_are_finite(model):
    shape = torch.zeros(1, model.num_shape, requires_grad=True)
    coefficients = torch.zeros(1, model.num_expressions, requires_grad=True)
    model(shape, coefficients, torch.zeros(1, 2)).square().sum().backward()
    assert shape.grad.isfinite().all() and coefficients.grad.isfinite().all() and coefficients.grad[0, -3:].any()


@pytest.mark.parametrize("kind", ["cuda", "mps"])
def test_flame_on_another_device_has_the_same_vertices_there(model, kind):
    generator = torch.Generator().manual_seed(0)
    sizes = (model.num_shape, model.num_expressions, 2)
    coefficients = [0.3 * torch.randn(2, size, generator=generator) for size in sizes]
    expected, expected_shifts = model(*coefficients), expression_displacements(model)
    with other_device(kind) as (device, _):
        model.to(device)
        vertices, shifts = model(*(each.to(device) for each in coefficients)), expression_displacements(model)
        assert vertices.device == shifts.device == device
        torch.testing.assert_close(vertices.cpu(), expected)
        torch.testing.assert_close(shifts.cpu(), expected_shifts)


def test_flame_has_regions_masks_uvs_and_landmarks(model, arrays):
    assert (model.template[model.region("eyeball_left"), 0] > 0).all() and len(model.region("eyeball_left")) == 64
    assert len(model.region("eyeball_right")) == 64 and len(model.region("face")) > 1000
    assert all(model.vertex_mask(name).any() for name in MASK_NAMES if name != "mouth_interior")
    assert model.uvs.min() >= 0 and model.uvs.max() <= 1 and model.uv_faces.shape == model.faces.shape
    landmarks = model.landmarks_3d(model.template[None])[0]
    assert landmarks[36, 0] < 0 < landmarks[45, 0] and landmarks[8, 1] < landmarks[27, 1]


def test_a_landmark_embedding_beside_the_model_is_used(tmp_path, arrays):
    path = write_flame(tmp_path / "generic_model.pkl", arrays)
    triangles = np.array([np.argwhere(arrays["f"] == vertex)[0, 0] for vertex in LANDMARK_VERTICES])
    content = {
        "full_lmk_faces_idx": triangles[None],
        "full_lmk_bary_coords": np.full((1, 68, 3), 1 / 3),
        "dynamic_lmk_faces_idx": torch.zeros(79, 17, dtype=torch.long),  # as DECA's file has them
    }
    np.save(tmp_path / "landmark_embedding.npy", np.array(content, dtype=object), allow_pickle=True)
    model = load_morphable_model(str(path))
    assert torch.equal(model.landmark_vertices, torch.from_numpy(arrays["f"].astype(np.int64)[triangles]))
    assert torch.allclose(model.landmark_barycentrics, torch.tensor(1 / 3))


def test_the_static_embedding_keeps_the_listed_jaw(tmp_path, arrays):
    path = write_flame(tmp_path / "generic_model.pkl", arrays)
    triangles = np.array([np.argwhere(arrays["f"] == vertex)[0, 0] for vertex in LANDMARK_VERTICES[17:]])
    content = {"lmk_face_idx": triangles.astype(np.uint32), "lmk_b_coords": np.full((51, 3), 1 / 3)}
    (tmp_path / "flame_static_embedding.pkl").write_bytes(pickle.dumps(content, protocol=2))
    model = load_morphable_model(str(path))
    assert model.landmark_vertices[:17, 0].tolist() == list(LANDMARK_VERTICES[:17])
    assert torch.allclose(model.landmark_barycentrics[17:], torch.tensor(1 / 3))


def test_landmarks_listed_from_the_left_are_mirrored(tmp_path, arrays):
    triangles = np.array([np.argwhere(arrays["f"] == vertex)[0, 0] for vertex in LANDMARK_VERTICES])
    path = write_flame(tmp_path / "generic_model.pkl", arrays)
    content = {"full_lmk_faces_idx": triangles[MIRRORED][None], "full_lmk_bary_coords": np.full((1, 68, 3), 1 / 3)}
    np.save(tmp_path / "landmark_embedding.npy", np.array(content, dtype=object), allow_pickle=True)
    landmarks = load_morphable_model(str(path)).landmarks_3d(torch.from_numpy(arrays["v_template"]).float()[None])[0]
    assert landmarks[36, 0] < 0 < landmarks[45, 0]


def test_landmarks_of_another_topology_are_refused(tmp_path, arrays):
    shuffled = np.random.default_rng(0).permutation(len(arrays["v_template"]))
    renumber = np.argsort(shuffled)
    other = {
        **arrays,
        "v_template": arrays["v_template"][shuffled],
        "f": renumber[arrays["f"].astype(np.int64)].astype(np.uint32),
    }
    with pytest.raises(UserError, match="topology"):
        load_morphable_model(str(write_flame(tmp_path / "other.pkl", other)))


class Malicious:
    def __reduce__(self):
        return os.system, (f"touch {Malicious.target}",)


def test_a_pickle_that_runs_code_is_refused_and_not_run(tmp_path, arrays):
    Malicious.target = tmp_path / "owned"
    path = tmp_path / "flame.pkl"
    path.write_bytes(pickle.dumps({**arrays, "J": Malicious()}, protocol=2))
    with pytest.raises(UserError, match="refused: it asks for"):
        load_morphable_model(str(path))
    assert not Malicious.target.exists()


@pytest.mark.parametrize("payload", [b"", b"not a pickle", b"\x80\x02}q\x00U\x03"])
def test_a_damaged_pickle_is_a_user_error(tmp_path, payload):
    path = tmp_path / "flame.pkl"
    path.write_bytes(payload)
    with pytest.raises(UserError, match="refused"):
        load_morphable_model(str(path))


@pytest.mark.parametrize(("key", "value"), [("weights", None), ("posedirs", np.zeros((3, 3, 36))), ("f", "text")])
def test_a_pickle_that_is_not_flame_is_a_user_error(tmp_path, arrays, key, value):
    content = {**arrays, key: value} if value is not None else {k: v for k, v in arrays.items() if k != key}
    path = tmp_path / "flame.pkl"
    path.write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(UserError, match=key):
        load_morphable_model(str(path))
