"""Basel 2009 with the expression basis, from small files of the published structure."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.io
import torch

from readavatar.errors import UserError
from readavatar.morphable import load_morphable_model

NUM_SHAPE, NUM_EXPRESSION, NUM_TRIMMED_AWAY = 3, 4, 61

pytestmark = pytest.mark.usefixtures("private_cache")


@pytest.fixture(scope="module")
def published(face_mesh):
    """The arrays of the files: micrometres, indices from 1; the first row of vertices has no expressions."""
    rng = np.random.default_rng(0)
    num_vertices = len(face_mesh.vertices)
    return {
        "shapeMU": face_mesh.vertices.reshape(-1, 1) * 1e6 + 7.0,
        "shapePC": rng.normal(size=(3 * num_vertices, NUM_SHAPE)),
        "shapeEV": np.array([[500.0], [300.0], [200.0]]),
        "texMU": np.tile([[200.0], [150.0], [100.0]], (num_vertices, 1)),
        "tl": face_mesh.faces[:, ::-1] + 1,
        "trimIndex": np.arange(NUM_TRIMMED_AWAY, num_vertices)[:, None] + 1,
        "expressions": rng.normal(size=(1 + NUM_EXPRESSION, num_vertices - NUM_TRIMMED_AWAY, 3)).astype("<f4"),
        "deviations": np.array([900.0, 800.0, 700.0, 600.0]),
        "landmarks": face_mesh.landmark_vertices + 1,
    }


def write_basel(folder, published, front=None):
    folder.mkdir(exist_ok=True)
    model = {key: published[key] for key in ("shapeMU", "shapePC", "shapeEV", "texMU", "tl")}
    scipy.io.savemat(folder / "01_MorphableModel.mat", model)
    scipy.io.savemat(folder / "BFM_exp_idx.mat", {"trimIndex": published["trimIndex"]})
    if front is not None:
        scipy.io.savemat(folder / "BFM_front_idx.mat", {"idx": front[:, None] + 1})
    content = np.int32(NUM_EXPRESSION).astype("<i4").tobytes() + published["expressions"].tobytes()
    (folder / "Exp_Pca.bin").write_bytes(content)
    np.savetxt(folder / "std_exp.txt", published["deviations"][None])
    np.savetxt(folder / "landmarks68.txt", published["landmarks"], fmt="%d", header="iBUG", comments="%")
    return folder


@pytest.fixture
def model(tmp_path, published):
    return load_morphable_model(str(write_basel(tmp_path / "basel", published)))


def test_basel_vertices_equal_mean_plus_scaled_components(model, published):
    shape, expression = torch.tensor([[1.0, -2.0, 0.5]]), torch.tensor([[0.3, 0.0, -1.0, 2.0]])
    micrometres = published["shapeMU"][:, 0] + published["shapePC"] @ (shape[0].numpy() * published["shapeEV"][:, 0])
    expected = micrometres.reshape(-1, 3)[NUM_TRIMMED_AWAY:]
    scaled = expression[0].numpy() * published["deviations"]
    expected = expected + np.einsum("e,evc->vc", scaled, published["expressions"][1:])
    mean = published["shapeMU"].reshape(-1, 3)
    landmarks = mean[published["landmarks"] - 1]
    origin = [landmarks[[0, 16], 0].mean(), landmarks[36:48, 1].mean(), landmarks[[0, 16], 2].mean()]
    vertices = model(shape, expression)[0].numpy()
    assert np.abs(vertices - (expected - origin) * 1e-6).max() < 1e-7


def test_basel_faces_are_turned_outwards(model):
    corners = model.template[model.faces]
    normals = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert (normals[:, 2] > 0).float().mean() > 0.99


def test_basel_landmarks_are_the_listed_vertices(model, published):
    mean = published["shapeMU"].reshape(-1, 3) * 1e-6
    listed = mean[published["landmarks"] - 1]
    found = model.landmarks_3d(model.template[None])[0].numpy()
    assert np.abs((found - found[30]) - (listed - listed[30])).max() < 1e-6


def test_basel_albedo_is_the_mean_colour_in_linear_light(model):
    expected = ((np.array([200, 150, 100]) / 255 + 0.055) / 1.055) ** 2.4
    assert torch.allclose(model.data.albedo[:, 256, 256], torch.from_numpy(expected).float(), atol=1e-4)
    assert model.data.albedo.isfinite().all()


def test_the_front_index_reduces_shape_and_expressions_alike(tmp_path, published, face_mesh):
    whole = load_morphable_model(str(write_basel(tmp_path / "whole", published)))
    front = np.flatnonzero(np.abs(face_mesh.vertices[NUM_TRIMMED_AWAY:, 0]) < 0.0741)
    part = load_morphable_model(str(write_basel(tmp_path / "front", published, front)))
    shape, expression = torch.ones(1, NUM_SHAPE), torch.ones(1, NUM_EXPRESSION)
    assert part.num_vertices == len(front) < whole.num_vertices
    assert torch.allclose(part(shape, expression)[0], whole(shape, expression)[0, front], atol=1e-6)


def test_basel_is_cached_and_named_after_its_path(tmp_path, published):
    folder = write_basel(tmp_path / "basel", published)
    first, again = (load_morphable_model(str(folder)) for _ in range(2))
    assert first.name == str(folder.resolve())
    assert torch.equal(first.expression_basis, again.expression_basis)
    assert list((tmp_path / "cache" / "morphable").glob("*.safetensors"))


@pytest.mark.parametrize("name", ["Exp_Pca.bin", "std_exp.txt", "BFM_exp_idx.mat"])
def test_a_missing_file_is_named(tmp_path, published, name):
    folder = write_basel(tmp_path / "basel", published)
    (folder / name).unlink()
    with pytest.raises(UserError, match=name):
        load_morphable_model(str(folder))


@pytest.mark.parametrize("name", ["01_MorphableModel.mat", "Exp_Pca.bin", "std_exp.txt", "BFM_exp_idx.mat"])
def test_a_truncated_file_is_a_user_error(tmp_path, published, name):
    folder = write_basel(tmp_path / "basel", published)
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError):
        load_morphable_model(str(folder))
