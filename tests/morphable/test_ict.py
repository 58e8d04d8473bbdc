"""ICT-FaceKit from its published folder: the real one where it is, else a small stand-in with the same numbering."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
import torch

from readavatar.errors import UserError
from readavatar.morphable import EXPRESSION_NAMES, MASK_NAMES, ict, load_morphable_model
from readavatar.morphable.ict import _VERTEX_RANGES, NUM_VERTICES
from readavatar.morphable.surface import MIRRORED

MATERIALS = {"M_Face": ("face",), "M_BackHead": ("head", "mouth_socket", "eye_socket_left", "eye_socket_right")}
MATERIALS |= {"M_GumsTongue": ("gums",), "M_Teeth": ("teeth_upper", "teeth_lower")}
MATERIALS |= {"M_ScleraLeft": ("eyeball_left",), "M_ScleraRight": ("eyeball_right",)}

pytestmark = pytest.mark.usefixtures("private_cache")


@pytest.fixture(scope="module")
def ict_folder(tmp_path_factory, face_mesh):
    """26,719 vertices, of which each region has a few faces; two identities, two expressions."""
    folder = tmp_path_factory.mktemp("ict") / "FaceXModel"
    folder.mkdir()
    rng = np.random.default_rng(0)
    vertices = rng.normal(size=(NUM_VERTICES, 3))
    vertices[: len(face_mesh.vertices)] = face_mesh.vertices * 100
    lines = [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in vertices]
    lines += [f"vt {u:.6f} {v:.6f}" for u, v in rng.random((NUM_VERTICES, 2)) * 0.98 + 0.01]
    for material, regions in MATERIALS.items():
        lines.append(f"usemtl {material}")
        for region in regions:
            start, stop = _VERTEX_RANGES[region]
            corners = face_mesh.faces if region == "face" else np.arange(stop - start - 3)[:, None] + [0, 1, 3, 2]
            if region == "gums":  # the tongue is a texture island of its own, the rest another
                corners = corners[(corners < 2_000).all(1) | (corners >= 2_000).all(1)]
            lines += ["f " + " ".join(f"{index}/{index}" for index in row + start + 1) for row in corners]
    lines += ["usemtl M_EyeLashes", "f 25352/25352 25353/25353 25354/25354"]
    (folder / "generic_neutral_mesh.obj").write_text("\n".join(lines) + "\n")
    indices = {"expressions": ["eyeBlink_L", "jawOpen"], "idx_to_landmark_verts": face_mesh.landmark_vertices.tolist()}
    (folder / "vertex_indices.json").write_text(json.dumps(indices))
    for number, name in enumerate(("identity000", "identity001", "eyeBlink_L", "jawOpen")):
        moved = vertices + np.array([number + 1, 0, 0])
        mode = [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in moved]
        (folder / f"{name}.obj").write_text("# comment\n" + "\n".join(mode) + "\nvt 0 0\nf 1/1 2/1 3/1\n")
    return folder


def test_a_mode_is_the_obj_minus_the_neutral_one_in_metres(ict_folder):
    model = load_morphable_model(str(ict_folder))
    assert model.expression_names == ("eyeBlink_L", "jawOpen") and model.num_shape == 2
    for basis, centimetres in ((model.shape_basis, (1, 2)), (model.expression_basis, (3, 4))):
        for mode, distance in zip(basis, centimetres, strict=True):
            assert torch.allclose(mode, torch.tensor([distance / 100, 0.0, 0.0]), atol=1e-6)


def test_quads_become_two_triangles_and_transparent_strips_go(ict_folder):
    model = load_morphable_model(str(ict_folder))
    kept = sum(stop - start for start, stop in _VERTEX_RANGES.values())
    assert model.num_vertices == kept < NUM_VERTICES
    assert model.faces.max() < model.num_vertices and model.uv_faces.max() < len(model.uvs)
    assert len(model.region("tongue")) > 0 and len(model.region("lashes")) == 0


def test_the_cache_is_renewed_when_a_file_changes(ict_folder, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in ict_folder.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    before = load_morphable_model(str(copy)).shape_basis
    (copy / "identity000.obj").write_bytes((ict_folder / "identity001.obj").read_bytes())
    os.utime(copy / "identity000.obj", ns=(1, 1))
    after = load_morphable_model(str(copy)).shape_basis
    assert torch.allclose(before[0] * 2, after[0], atol=1e-6)


def test_a_damaged_cache_is_read_anew(ict_folder, tmp_path):
    load_morphable_model(str(ict_folder))
    (cached,) = (tmp_path / "cache" / "morphable").glob("*.safetensors")
    cached.write_bytes(cached.read_bytes()[:100])
    assert load_morphable_model(str(ict_folder)).num_shape == 2


def test_a_missing_expression_is_named(ict_folder, tmp_path):
    for path in ict_folder.iterdir():
        if path.name != "jawOpen.obj":
            (tmp_path / path.name).symlink_to(path)
    with pytest.raises(UserError, match=r"jawOpen\.obj.*assets get ict_facekit"):
        load_morphable_model(str(tmp_path))


def test_ict_is_found_through_the_assets_folder(ict_folder, monkeypatch):
    monkeypatch.setenv("READAVATAR_ASSETS", str(ict_folder.parent))
    assert load_morphable_model("ict").name == "ict"


def test_an_unknown_model_is_a_user_error(tmp_path):
    with pytest.raises(UserError, match="which does not exist"):
        load_morphable_model(str(tmp_path / "nothing"))


# The real model


@pytest.fixture(scope="module")
def real(request, tmp_path_factory):
    folder = request.getfixturevalue("shared_data") / "ict_facekit"
    if not folder.is_dir():
        pytest.skip(f"no ICT-FaceKit at {folder}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("READAVATAR_CACHE", str(tmp_path_factory.mktemp("cache")))
        first = load_morphable_model(str(folder))
        # Parsing the 150 text files takes seconds.
        patch.setattr(ict, "_read", lambda *_: pytest.fail("it is kept from the first time"))
        return first, load_morphable_model(str(folder))


def test_the_real_model_is_parsed_once(real):
    first, again = real
    assert torch.equal(first.template, again.template)


def test_the_real_model_has_the_shared_expressions_in_order(real):
    assert real[0].expression_names == EXPRESSION_NAMES and real[0].num_shape == 100


def test_the_real_model_is_metres_and_faces_forward(real):
    template = real[0].template
    height = float(template[:, 1].max() - template[:, 1].min())
    assert 0.25 < height < 0.4
    landmarks = real[0].landmarks_3d(template[None])[0]
    assert landmarks[30, 2] == landmarks[:, 2].max() and landmarks[8, 1] == landmarks[:, 1].min()


def test_landmarks_are_in_ibug_order_and_symmetric(real):
    landmarks = real[0].landmarks_3d(real[0].template[None])[0].numpy()
    assert (np.diff(landmarks[:17, 0]) > 0).all() and (np.diff(landmarks[17:27, 0]) > 0).all()
    assert landmarks[36:42, 0].max() < 0 < landmarks[42:48, 0].min()
    reflected = landmarks[MIRRORED] * [-1, 1, 1]
    assert np.abs(reflected - landmarks)[:60].max() < 2e-3


def test_left_expressions_move_the_subjects_left(real):
    model = real[0]
    for name in ("eyeBlink_L", "mouthSmile_L", "browDown_L"):
        moved = model.expression_basis[model.expression_names.index(name)].norm(dim=-1)
        assert float((moved * model.template[:, 0]).sum()) > 0
    outward = model.expression_basis[model.expression_names.index("jawLeft")]
    assert float(outward[model.region("teeth_lower"), 0].mean()) > 0


def test_regions_are_where_they_should_be(real):
    model = real[0]
    centre = {
        name: model.template[model.region(name)].mean(0) for name in model.region_names if len(model.region(name))
    }
    assert centre["teeth_upper"][1] > centre["tongue"][1] > centre["teeth_lower"][1] - 0.01
    assert centre["eyeball_left"][0] > 0.02 and centre["eyeball_right"][0] < -0.02
    assert float(model.template[model.region("tongue"), 0].abs().max()) < 0.03
    jaw_open = model.expression_basis[model.expression_names.index("jawOpen")]
    assert jaw_open[model.region("teeth_upper")].abs().max() < 1e-5
    assert jaw_open[model.region("teeth_lower"), 1].max() < -0.01
    assert jaw_open[model.region("tongue"), 1].mean() < -0.01


def test_masks_cover_what_their_names_say(real):
    model = real[0]
    assert all(model.vertex_mask(name).sum() > 300 for name in MASK_NAMES)
    triangle = model.landmark_vertices[:, 0]
    assert model.vertex_mask("lips")[triangle[48:68]].all() and not model.vertex_mask("lips")[triangle[:48]].any()
    assert model.vertex_mask("eyes")[triangle[36:48]].all() and not model.vertex_mask("eyes")[triangle[:27]].any()
    assert model.vertex_mask("face")[triangle[17:]].all()
    assert not model.vertex_mask("upper_face")[triangle[48:]].any()


def test_charts_of_the_atlas_do_not_overlap(real):
    model = real[0]
    size = 512
    owner = torch.full((size, size), -1)
    corner_regions = model.vertex_regions[model.faces[:, 0]]
    groups = {
        "face": 0,
        "eyeball_left": 1,
        "eyeball_right": 2,
        "gums": 3,
        "tongue": 3,
        "teeth_upper": 4,
        "teeth_lower": 4,
    }
    for name, group in groups.items():
        chosen = corner_regions == model.region_names.index(name)
        texels = (model.uvs[model.uv_faces[chosen]].mean(1) * size).long()
        taken = owner[texels[:, 1], texels[:, 0]]
        assert ((taken == -1) | (taken == group)).all()
        owner[texels[:, 1], texels[:, 0]] = group
    brow, chin = model.landmark_vertices[19, 0], model.landmark_vertices[8, 0]
    rows = model.uvs[torch.stack([model.uv_faces[(model.faces == index).any(1)][0, 0] for index in (brow, chin)]), 1]
    assert rows[0] < rows[1]  # row 0 is at the top


def test_eyes_turn_in_their_sockets(real):
    model = real[0]
    shape, expression = torch.zeros(1, 100), torch.zeros(1, 53)
    index = model.region("eyeball_left")
    ahead = model(shape, expression)[0, index]
    turned = model(shape, expression, torch.tensor([[0.4, 0.2]]))[0, index]
    pupil = ahead[:, 2].argmax()
    assert turned[pupil, 0] > ahead[pupil, 0] + 0.004 and turned[pupil, 1] > ahead[pupil, 1] + 0.002
    # The globe itself stays in place: but for the cornea its outline is the same within half a millimetre.
    assert (turned.amin(0) - ahead.amin(0)).abs().max() < 5e-4
