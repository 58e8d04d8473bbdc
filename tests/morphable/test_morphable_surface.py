"""Derivations from a mesh alone, OBJ reading and the restricted unpickler's corners."""

from __future__ import annotations

import collections
import pickle

import numpy as np
import pytest
import scipy.sparse
import torch

from readavatar.errors import UserError
from readavatar.morphable.model_files import read_obj, read_obj_vertices
from readavatar.morphable.surface import connected_parts, corner_landmarks, cylindrical_uvs
from readavatar.pickles import as_array, read_array_pickle

QUAD = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\nusemtl skin\nf 1/1 2/2 3/3 4/4\n"


def test_obj_quads_are_split_and_materials_kept(tmp_path):
    path = tmp_path / "quad.obj"
    path.write_text(QUAD + "usemtl eye\nf 1/1/1 2/2/1 3/3/1\n")
    mesh = read_obj(path)
    assert mesh.faces.tolist() == [[0, 1, 2], [0, 2, 3], [0, 1, 2]]
    assert mesh.materials == ("skin", "eye") and mesh.face_materials.tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    "text",
    [
        "v 1 2 3\nv -4e-1 5 6\n",
        "# a comment\nv 1 2 3\nv -0.4 5 6",
        "v 1 2 3 0.5 0.5 0.5\nv -0.4 5 6 1 1 1\nvt 0 0\nvn 0 0 1\nf 1 2 1\n",
        "v 1 2 3\nvn 0 0 1\nv -0.4 5 6\n",
        "v 1 2 3\r\nv -0.4 5 6\r\nf 1 2 1\r\n",
    ],
)
def test_obj_vertices_are_read_from_every_layout(tmp_path, text):
    path = tmp_path / "mode.obj"
    path.write_bytes(text.encode())
    assert np.allclose(read_obj_vertices(path), [[1, 2, 3], [-0.4, 5, 6]])


@pytest.mark.parametrize("text", ["", "f 1 2 3\n", "v 1 2\nv 3 4 5\n", "v 1 2 x\n"])
def test_an_obj_without_whole_vertices_is_a_user_error(tmp_path, text):
    path = tmp_path / "mode.obj"
    path.write_text(text)
    with pytest.raises(UserError, match=r"mode\.obj"):
        read_obj_vertices(path)


@pytest.mark.parametrize("face", ["f 1 2 3", "f 1/1 2/2 9/3", "f 1/1 2/2 3/9"])
def test_an_obj_with_odd_faces_is_a_user_error(tmp_path, face):
    path = tmp_path / "mesh.obj"
    path.write_text(QUAD + face + "\n")
    with pytest.raises(UserError, match="textured faces"):
        read_obj(path)


def test_cylindrical_uvs_cover_the_square_without_a_torn_triangle():
    angles = np.linspace(-np.pi, np.pi, 24, endpoint=False)
    heights = np.linspace(0, 1, 5)
    vertices = np.array([[np.sin(a), h, np.cos(a)] for h in heights for a in angles])
    ring = np.arange(24)
    faces = np.concatenate(
        [np.stack([ring + 24 * i, (ring + 1) % 24 + 24 * i, ring + 24 * (i + 1)], 1) for i in range(4)]
    )
    uvs, uv_faces = cylindrical_uvs(vertices, faces)
    assert uvs.min() >= 0 and uvs.max() <= 1
    corners = uvs[uv_faces]
    assert (corners.amax(1) - corners.amin(1))[:, 0].max() < 0.06
    left, front = corners[(np.abs(vertices[faces[:, 0], 0] - 1) < 1e-6)], corners[vertices[faces[:, 0], 2] > 0.99]
    assert left[..., 0].mean() > front[..., 0].mean()
    assert uvs[0, 1] == 1 and uvs[24 * 4, 1] == 0  # the lowest vertices in the last row


def test_connected_parts_are_numbered_apart():
    assert connected_parts(6, np.array([[0, 2, 4], [1, 3, 5]])).tolist() == [0, 1, 0, 1, 0, 1]


def test_corner_landmarks_lie_on_their_vertices():
    faces = np.array([[0, 1, 2], [2, 1, 3]])
    triangles, barycentrics = corner_landmarks(np.array([3, 1]), faces)
    assert triangles[:, 0].tolist() == [3, 1] and torch.equal(barycentrics[:, 0], torch.ones(2))
    with pytest.raises(ValueError, match="vertex 7"):
        corner_landmarks(np.array([7]), faces)


@pytest.mark.parametrize("kind", [scipy.sparse.csc_matrix, scipy.sparse.csr_matrix, scipy.sparse.coo_matrix])
@pytest.mark.parametrize("shape", [(2, 5), (4, 4)])
def test_sparse_matrices_come_back_dense(tmp_path, kind, shape):
    dense = np.arange(shape[0] * shape[1], dtype=float).reshape(shape)
    path = tmp_path / "sparse.pkl"
    path.write_bytes(pickle.dumps(kind(dense), protocol=2))
    assert np.array_equal(as_array(read_array_pickle(path)), dense)


@pytest.mark.parametrize("protocol", [0, 1, 2, 5])
def test_plain_pickles_of_any_protocol_are_read(tmp_path, protocol):
    content = collections.OrderedDict(a=np.arange(3.0), b=np.float32(2), c=["x", {"y": None}])
    path = tmp_path / "plain.pkl"
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    loaded = read_array_pickle(path)
    assert np.array_equal(loaded["a"], content["a"]) and loaded["b"] == 2 and loaded["c"] == ["x", {"y": None}]


@pytest.mark.parametrize("named", [eval, print, np.load, pickle.loads, collections.Counter])
def test_any_other_name_in_a_pickle_is_refused(tmp_path, named):
    path = tmp_path / "names.pkl"
    path.write_bytes(pickle.dumps(named))
    with pytest.raises(UserError, match="refused"):
        read_array_pickle(path)
