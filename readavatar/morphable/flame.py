"""FLAME 2020 and 2023, read from the user's own licensed ``.pkl``.

Li, Bolkart, Black, Li, Romero 2017, *Learning a model of facial shape and expression from 4D scans*. A FLAME head is

    T(β, θ, ψ) = T̄ + B_S(β) + B_P(θ) + B_E(ψ)                   (eq. 2: identity, pose correctives, expression)
    M(β, θ, ψ) = W(T(β, θ, ψ), J(β), θ, 𝒲)                      (eq. 1: linear blend skinning about the joints J(β))

with B_P linear in the joints' rotation matrices minus the identity (eq. 4) and J regressed from the identity's
vertices. Root and neck stay at rest here (the head's pose is the tracker's), the jaw turns by the last three expression
coefficients, the eyes by the gaze. The model is metres, x to the subject's left, y up, z out of the face.

Files that are used when they lie beside the ``.pkl``: landmarks from ``landmark_embedding.npy`` (DECA) or
``flame_static_embedding.pkl`` (RingNet); texture coordinates from ``head_template.obj`` (DECA) or any ``FLAME*.npz``
with ``vt`` and ``ft``. Without them the landmarks are vertices listed here and the uvs those of a cylinder.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from readavatar.errors import UserError
from readavatar.morphable.model import REGION_NAMES, MorphableData, MorphableModel, gaze_rotation
from readavatar.morphable.model_files import read_obj
from readavatar.morphable.surface import (
    checked_landmarks,
    connected_parts,
    corner_landmarks,
    cylindrical_uvs,
    face_origin,
    landmark_masks,
)
from readavatar.pickles import as_array, read_array_pickle

NUM_PUBLISHED_SHAPE = 300
"""Of the published ``shapedirs``' 400 columns, the identity's; the rest are expressions."""
NUM_SHAPE = 100
NUM_EXPRESSION = 50
"""Leading components that are kept: what most trackers use (DECA: Feng et al. 2021)."""
NUM_JOINTS, JAW, EYES = 5, 2, (3, 4)
"""Root, neck, jaw, left eye, right eye."""
EXPRESSION_BOUND = 3.0
"""Standard deviations."""
JAW_BOUNDS = ((-0.05, 0.6), (-0.2, 0.2), (-0.1, 0.1))
"""Radians about x (opening), y and z."""
LANDMARK_VERTICES = (
    2210, 1963, 3056, 3424, 3423, 3421, 3419, 3416, 3414, 3635, 3643, 3646, 3650, 3652, 2004, 568, 728,
    2567, 337, 338, 3154, 3712, 3868, 2135, 27, 18, 1430, 3560, 3561, 3501, 3564, 2751, 2793, 3556, 1676, 1623,
    2428, 2453, 2494, 3631, 2278, 2359, 3832, 1343, 1218, 1154, 995, 829,
    2820, 2864, 2774, 3543, 1657, 1749, 1703, 1774, 1802, 3503, 2905, 2881,
    2845, 2787, 3531, 1670, 1730, 1804, 3504, 2907,
)  # fmt: skip
"""The vertex nearest to each iBUG landmark on FLAME's topology (Park & Cho 2023, SAiD, ``FLAME_landmarks.txt``)."""


@dataclass(frozen=True)
class Articulation:
    """What FLAME has beyond a linear model."""

    pose_basis: Float[Tensor, "36 V 3"]
    """Correctives by each entry of the four joints' rotation matrices (row by row) minus the identity."""
    joint_regressor: Float[Tensor, "5 V"]
    skinning_weights: Float[Tensor, "V 5"]


class FlameModel(MorphableModel):
    """FLAME with a jaw: ``expression_coefficients`` are the components (sd), then the jaw's axis-angle (radians)."""

    def __init__(self, data: MorphableData, articulation: Articulation) -> None:
        super().__init__(data)
        for key, value in vars(articulation).items():
            self.register_buffer(key, value.float(), persistent=False)

    def deform(
        self, shape_coefficients: Float[Tensor, "#B S"], expression_coefficients: Float[Tensor, "#B E"]
    ) -> Float[Tensor, "B V 3"]:
        """Vertices with the eyes straight ahead; the head frame, metres."""
        return self._skinned(shape_coefficients, expression_coefficients, None)

    def forward(
        self,
        shape_coefficients: Float[Tensor, "#B S"],
        expression_coefficients: Float[Tensor, "#B E"],
        gaze: Float[Tensor, "#B 2"] | None = None,
    ) -> Float[Tensor, "B V 3"]:
        """Vertices in the head frame, metres; the gaze poses FLAME's own eye joints. Arguments as in the base class."""
        return self._skinned(shape_coefficients, expression_coefficients, gaze)

    def _skinned(self, shape: Tensor, expression: Tensor, gaze: Tensor | None) -> Tensor:
        identity = self.template + torch.einsum("bs,svc->bvc", shape, self.shape_basis)
        joints = torch.einsum("jv,bvc->bjc", self.joint_regressor, identity)
        jaw = _rotation(expression[:, -3:])
        eyes = torch.eye(3).to(jaw)[None] if gaze is None else gaze_rotation(gaze)
        batch = max(len(identity), len(jaw), len(eyes))
        turns = {JAW: jaw, **{eye: eyes for eye in EYES}}
        still = torch.eye(3).to(jaw).expand(batch, 3, 3)
        rotations = torch.stack([turns.get(k, still).expand(batch, 3, 3) for k in range(1, NUM_JOINTS)], 1)
        features = (rotations - still[:, None]).flatten(1)
        vertices = (
            identity
            + torch.einsum("be,evc->bvc", expression[:, :-3], self.expression_basis[:-3])
            + torch.einsum("bp,pvc->bvc", features, self.pose_basis)
        )
        # Jaw and eyes hang on the neck, which does not move: each joint's transform is a turn about its own place, and
        # blending the transforms (eq. 1) adds each one's displacement times its weight.
        skinned = vertices
        for joint, turn in turns.items():
            centre = joints[:, joint, None]
            displacement = (vertices - centre) @ turn.mT + centre - vertices
            skinned = skinned + self.skinning_weights[:, joint, None] * displacement
        return skinned


def load_flame(path: str | Path, name: str) -> FlameModel:
    """Read a FLAME ``.pkl`` (``generic_model.pkl``, ``flame2023.pkl``, …).

    Raises:
        UserError: The file is missing, damaged, asks for code to be run, or is not a FLAME model.
    """
    path = Path(path)
    arrays = _published_arrays(path)
    vertices, faces = arrays["v_template"], arrays["f"].astype(np.int64)
    landmark_vertices, landmark_barycentrics = _landmarks(path.parent, vertices, faces)
    landmarks = np.einsum("lkc,lk->lc", vertices[landmark_vertices], landmark_barycentrics)
    origin = face_origin(landmarks)
    basis = torch.from_numpy(np.moveaxis(arrays["shapedirs"], -1, 0)).float()
    expressions = basis[NUM_PUBLISHED_SHAPE:][:NUM_EXPRESSION]
    articulation = Articulation(
        pose_basis=torch.from_numpy(np.moveaxis(arrays["posedirs"], -1, 0)).float(),
        joint_regressor=torch.from_numpy(arrays["J_regressor"]).float(),
        skinning_weights=torch.from_numpy(arrays["weights"]).float(),
    )
    template = torch.from_numpy(vertices - origin).float()
    uvs, uv_faces = _uvs(path.parent, vertices - origin, faces)
    names = [f"expression_{index:03d}" for index in range(len(expressions))] + [f"jaw_{axis}" for axis in "xyz"]
    bounds = [(-EXPRESSION_BOUND, EXPRESSION_BOUND)] * len(expressions) + list(JAW_BOUNDS)
    data = MorphableData(
        name=name,
        template=template,
        shape_basis=basis[:NUM_PUBLISHED_SHAPE][:NUM_SHAPE],
        expression_basis=torch.cat([expressions, _jaw_derivatives(template, articulation)]),
        expression_names=tuple(names),
        expression_bounds=torch.tensor(bounds),
        faces=torch.from_numpy(faces),
        uvs=uvs,
        uv_faces=uv_faces,
        vertex_regions=_regions(vertices, faces, landmarks),
        region_names=REGION_NAMES,
        landmark_vertices=torch.from_numpy(landmark_vertices),
        landmark_barycentrics=torch.from_numpy(landmark_barycentrics).float(),
    )
    return FlameModel(dataclasses.replace(data, vertex_masks=landmark_masks(data)), articulation)


def _published_arrays(path: Path) -> dict[str, np.ndarray]:
    content = read_array_pickle(path)
    shapes = {
        "v_template": ("V", 3),
        "f": ("F", 3),
        "shapedirs": ("V", 3, "K"),
        "posedirs": ("V", 3, 9 * (NUM_JOINTS - 1)),
        "J_regressor": (NUM_JOINTS, "V"),
        "weights": ("V", NUM_JOINTS),
    }
    arrays: dict[str, np.ndarray] = {}
    sizes: dict[str, int] = {}
    for key, shape in shapes.items():
        try:
            array = as_array(content[key])
        except (KeyError, TypeError, IndexError, ValueError) as error:
            raise UserError(
                f"Expected a FLAME model in '{path}', but its '{key}' is missing or odd ({error})."
            ) from None
        if array.ndim == len(shape):
            for size, length in zip(shape, array.shape, strict=True):
                if isinstance(size, str):
                    sizes.setdefault(size, length)
        wanted = tuple(sizes.get(size, size) for size in shape)
        if array.shape != wanted:
            raise UserError(f"Expected '{key}' of shape {shape} in '{path}' (a FLAME model), but got {array.shape}.")
        arrays[key] = array if key == "f" else array.astype(np.float64)
    if sizes["K"] <= NUM_PUBLISHED_SHAPE:
        raise UserError(
            f"Expected more than {NUM_PUBLISHED_SHAPE} columns of 'shapedirs' in '{path}' (identity, then expression), "
            f"but got {sizes['K']}."
        )
    if arrays["f"].min() < 0 or arrays["f"].max() >= sizes["V"]:
        raise UserError(f"Expected the faces' indices below {sizes['V']} in '{path}', but got {arrays['f'].max()}.")
    return arrays


def _landmarks(folder: Path, vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Triangle corners (68, 3) and barycentrics (68, 3): a file's if there is one, else ``LANDMARK_VERTICES``."""
    full, static = folder / "landmark_embedding.npy", folder / "flame_static_embedding.pkl"
    triangles, weights = None, None
    try:
        if full.is_file():
            content = read_array_pickle(full)
            triangles = as_array(content["full_lmk_faces_idx"]).reshape(68)
            weights = as_array(content["full_lmk_bary_coords"]).reshape(68, 3)
        elif static.is_file():
            content = read_array_pickle(static)
            content = content if isinstance(content, dict) else vars(content)
            triangles = as_array(content["lmk_face_idx"]).reshape(51)
            weights = as_array(content["lmk_b_coords"]).reshape(51, 3)
        corners = None if triangles is None else faces[triangles.astype(np.int64)]
    except (KeyError, TypeError, ValueError, IndexError) as error:
        used = full if full.is_file() else static
        raise UserError(
            f"Expected FLAME's landmark embedding in '{used}', but it is odd ({error}); delete it."
        ) from None
    if corners is None or len(corners) == 51:
        if len(vertices) <= max(LANDMARK_VERTICES):
            raise UserError(
                f"Expected FLAME's 5,023 vertices or a 'landmark_embedding.npy' in '{folder}', but got {len(vertices)} "
                "vertices and no such file."
            )
        listed, listed_weights = (part.numpy() for part in corner_landmarks(np.array(LANDMARK_VERTICES), faces))
        if corners is None:
            corners, weights = listed, listed_weights
        else:  # the static embedding begins after the 17 landmarks of the jaw
            corners, weights = np.concatenate([listed[:17], corners]), np.concatenate([listed_weights[:17], weights])
    return checked_landmarks(corners, weights, vertices)


def _uvs(folder: Path, vertices: np.ndarray, faces: np.ndarray) -> tuple[Tensor, Tensor]:
    templates = [folder / "head_template.obj"] if (folder / "head_template.obj").is_file() else []
    for path in templates + sorted(folder.glob("FLAME*.npz")):
        if path.suffix == ".obj":
            mesh = read_obj(path)
            uvs, uv_faces = mesh.uvs, mesh.uv_faces
        else:
            with np.load(path, allow_pickle=False) as archive:
                if "vt" not in archive or "ft" not in archive:
                    continue
                uvs, uv_faces = archive["vt"], archive["ft"].astype(np.int64)
        if uv_faces.shape == faces.shape and uv_faces.min() >= 0 and uv_faces.max() < len(uvs):
            turned = np.stack([uvs[:, 0], 1 - uvs[:, 1]], axis=1).clip(0, 1)  # in the files v is up
            return torch.from_numpy(turned).float(), torch.from_numpy(uv_faces)
    return cylindrical_uvs(vertices, faces)


def _regions(vertices: np.ndarray, faces: np.ndarray, landmarks: np.ndarray) -> Tensor:
    """The largest connected part is the head, its front the face; the others are the eyeballs."""
    parts = connected_parts(len(vertices), faces)
    head = parts == np.bincount(parts).argmax()
    front = (vertices[:, 2] > landmarks[[0, 16], 2].mean()) & (vertices[:, 1] > landmarks[8, 1] - 0.01)
    left = vertices[:, 0] > landmarks[30, 0]
    names = np.where(head, np.where(front, "face", "head"), np.where(left, "eyeball_left", "eyeball_right"))
    return torch.tensor([REGION_NAMES.index(name) for name in names])


def _jaw_derivatives(template: Tensor, articulation: Articulation) -> Float[Tensor, "3 V 3"]:
    """How the vertices start to move as the jaw turns about x, y and z: what a linear model would have for it."""
    turns = _cross_matrix(torch.eye(3))
    centre = articulation.joint_regressor[JAW] @ template
    corrective = torch.einsum("kp,pvc->kvc", turns.flatten(1), articulation.pose_basis[9 * (JAW - 1) : 9 * JAW])
    return corrective + articulation.skinning_weights[:, JAW, None] * ((template - centre) @ turns.mT)


def _rotation(axis_angle: Float[Tensor, "B 3"]) -> Float[Tensor, "B 3 3"]:
    """Rodrigues' formula with a finite gradient at zero, where the jaw rests."""
    angle = (axis_angle.square().sum(-1)[:, None, None] + 1e-20).sqrt()
    cross = _cross_matrix(axis_angle)
    # sinc(x) = sin(πx) / (πx); (1 − cos a) / a² = sinc²(a / 2π) / 2, which does not cancel at small angles.
    half = torch.sinc(angle / (2 * torch.pi))
    return torch.eye(3).to(cross) + torch.sinc(angle / torch.pi) * cross + half.square() / 2 * cross @ cross


def _cross_matrix(axis_angle: Float[Tensor, "B 3"]) -> Float[Tensor, "B 3 3"]:
    """[a]× with [a]× b = a × b: how a vector starts to move as it turns about a."""
    x, y, z = axis_angle.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))
