"""ICT-FaceKit's light face model, read from its published folder of OBJ files (``FaceXModel``).

Li et al. 2020, *Learning Formation of Physically-Based Face Attributes*. The neutral mesh is centimetres, x to the
subject's left, y up, z out of the face; each mode is a whole OBJ, its displacement that OBJ minus the neutral one. The
identity modes are principal components scaled by their standard deviations (the authors sample identities from N(0, 1)
weights); the expressions are ARKit-like blendshapes in [0, 1].

What is left out: the lacrimal fluid, eye blend, eye occlusion and lash strips (made for shaders with transparency;
opaque, they would hide the eyes) and the iris discs, which lie behind the eyeball's cornea: the iris is painted on the
eyeball. Neck and back of the head stay: without them it would still be nine tenths of the vertices.

The head frame's origin is ``surface.face_origin``.
"""

from __future__ import annotations

import dataclasses
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

from readavatar.errors import UserError
from readavatar.morphable.model import REGION_NAMES, MorphableData
from readavatar.morphable.model_files import ObjMesh, cached_data, files_key, read_obj, read_obj_vertices
from readavatar.morphable.surface import connected_parts, corner_landmarks, face_origin, landmark_masks

NEUTRAL_FILE = "generic_neutral_mesh.obj"
INDICES_FILE = "vertex_indices.json"
METRES_PER_UNIT = 0.01
NUM_VERTICES = 26_719

_VERTEX_RANGES = {
    "face": (0, 9_409),
    "head": (9_409, 11_248),
    "mouth_socket": (11_248, 13_294),
    "eye_socket_left": (13_294, 13_678),
    "eye_socket_right": (13_678, 14_062),
    "gums": (14_062, 17_039),
    "teeth_upper": (17_039, 19_247),
    "teeth_lower": (19_247, 21_451),
    "eyeball_left": (21_451, 22_221),
    "eyeball_right": (23_021, 23_791),
}
"""First vertex and one past the last, from the topology tables of ICT-FaceKit's README."""
_TONGUE_TIP = 16_761
"""A vertex at the tongue's tip. Tongue, gums, palate and throat are one connected mesh, but the tongue is a texture
island of its own, from this vertex back to its root."""

_CHARTS = {
    "M_Face": (0.0, 0.0, 0.75, 0.75),
    "M_BackHead": (0.75, 0.0, 0.25, 0.5),
    "M_GumsTongue": (0.75, 0.5, 0.25, 0.25),
    "M_Teeth": (0.0, 0.75, 0.5, 0.25),
    "M_ScleraLeft": (0.5, 0.75, 0.25, 0.25),
    "M_ScleraRight": (0.75, 0.75, 0.25, 0.25),
}
"""Left, top, width and height in the atlas. The published materials use a unit tile each (several of them the same
one); here they share one texture, of which the face gets more than half."""
_CHART_MARGIN = 0.004
"""Atlas units kept free inside each chart's edge: two texels of a 512² texture, so that bilinear look-ups don't mix."""


def find_ict_folder(path: Path) -> Path | None:
    """The folder with the OBJ files: ``path``, or ``FaceXModel`` in it (a checkout of the repository)."""
    for folder in (path, path / "FaceXModel"):
        if (folder / NEUTRAL_FILE).is_file():
            return folder
    return None


def load_ict(folder: str | Path, name: str = "ict") -> MorphableData:
    """Read the model (a few seconds the first time, then from the cache).

    Args:
        folder: Holds ``generic_neutral_mesh.obj``, ``vertex_indices.json``, ``identity000.obj`` … and the expressions.
        name: ``MorphableData.name``.

    Raises:
        UserError: A file is missing or damaged, or the mesh is not the light model's.
    """
    folder = Path(folder)
    try:
        indices = json.loads((folder / INDICES_FILE).read_text())
        expression_names = tuple(indices["expressions"])
        landmarks = np.array(indices["idx_to_landmark_verts"], dtype=np.int64)
    except (OSError, KeyError, ValueError) as error:
        raise UserError(
            f"Expected ICT-FaceKit's '{INDICES_FILE}' in '{folder}', but reading it failed: {error}."
        ) from None
    identity_paths = sorted(folder.glob("identity[0-9][0-9][0-9].obj"))
    paths = identity_paths + [folder / f"{expression}.obj" for expression in expression_names]
    missing = [path.name for path in [folder / NEUTRAL_FILE, *paths] if not path.is_file()]
    if missing or not identity_paths:
        raise UserError(
            f"Expected ICT-FaceKit's OBJ files in '{folder}', but {len(missing) or 'all identity'} are missing "
            f"({', '.join(missing[:3]) or 'identity000.obj, …'}); fetch them with 'readavatar assets get ict_facekit'."
        )
    key = files_key([folder / NEUTRAL_FILE, folder / INDICES_FILE, *paths], model="ict")
    return cached_data(name, key, lambda: _read(folder, paths, expression_names, landmarks))


def _read(folder: Path, paths: list[Path], expression_names: tuple[str, ...], landmarks: np.ndarray) -> MorphableData:
    mesh = read_obj(folder / NEUTRAL_FILE)
    if len(mesh.vertices) != NUM_VERTICES:
        raise UserError(
            f"Expected {NUM_VERTICES} vertices in '{folder / NEUTRAL_FILE}' (ICT Face Model Light), "
            f"but got {len(mesh.vertices)}."
        )
    regions = _regions(mesh)
    kept = np.flatnonzero(regions >= 0)
    new_index = np.full(NUM_VERTICES, -1)
    new_index[kept] = np.arange(len(kept))
    kept_faces = (regions[mesh.faces] >= 0).all(1)
    uvs, uv_faces = _packed_uvs(mesh, kept_faces)

    def displacement(path: Path) -> torch.Tensor:
        vertices = read_obj_vertices(path)
        if vertices.shape != mesh.vertices.shape:
            raise UserError(f"Expected {NUM_VERTICES} vertices in '{path}', but got {len(vertices)}.")
        return torch.from_numpy((vertices - mesh.vertices)[kept] * METRES_PER_UNIT).float()

    with ThreadPoolExecutor(2) as pool:  # one reads a file while the other parses
        displacements = torch.stack(list(pool.map(displacement, paths)))
    num_shape = len(paths) - len(expression_names)
    faces = new_index[mesh.faces[kept_faces]]
    landmark_vertices, landmark_barycentrics = corner_landmarks(new_index[landmarks], faces)
    data = MorphableData(
        name="ict",
        template=torch.from_numpy(
            (mesh.vertices[kept] - face_origin(mesh.vertices[landmarks])) * METRES_PER_UNIT
        ).float(),
        shape_basis=displacements[:num_shape],
        expression_basis=displacements[num_shape:],
        expression_names=expression_names,
        expression_bounds=torch.tensor([[0.0, 1.0]]).expand(len(expression_names), 2).contiguous(),
        faces=torch.from_numpy(faces),
        uvs=uvs,
        uv_faces=uv_faces,
        vertex_regions=torch.from_numpy(regions[kept]),
        region_names=REGION_NAMES,
        landmark_vertices=landmark_vertices,
        landmark_barycentrics=landmark_barycentrics,
    )
    return dataclasses.replace(data, vertex_masks=landmark_masks(data))


def _regions(mesh: ObjMesh) -> np.ndarray:
    """Index into ``REGION_NAMES`` for each published vertex; −1 for what is left out."""
    regions = np.full(NUM_VERTICES, -1)
    for name, (start, stop) in _VERTEX_RANGES.items():
        regions[start:stop] = REGION_NAMES.index(name)
    islands = connected_parts(len(mesh.uvs), mesh.uv_faces)
    on_tongue = islands[mesh.uv_faces] == islands[mesh.uv_faces[mesh.faces == _TONGUE_TIP][0]]
    regions[mesh.faces[on_tongue]] = REGION_NAMES.index("tongue")
    return regions


def _packed_uvs(mesh: ObjMesh, kept_faces: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """The kept faces' uvs, each material's unit tile moved into its chart, v turned down."""
    uvs = np.full_like(mesh.uvs, np.nan)
    for number, material in enumerate(mesh.materials):
        used = np.unique(mesh.uv_faces[kept_faces & (mesh.face_materials == number)])
        if len(used) == 0:
            continue
        if material not in _CHARTS:
            raise UserError(f"Expected ICT-FaceKit's materials ({', '.join(_CHARTS)}, …), but got '{material}'.")
        left, top, width, height = _CHARTS[material]
        tile = mesh.uvs[used] - np.floor(mesh.uvs[used].min(0))
        inside = np.stack([tile[:, 0], 1 - tile[:, 1]], axis=1)
        size = np.array([width, height]) - 2 * _CHART_MARGIN
        uvs[used] = np.array([left, top]) + _CHART_MARGIN + inside * size
    used = np.flatnonzero(~np.isnan(uvs[:, 0]))
    new_index = np.full(len(uvs), -1)
    new_index[used] = np.arange(len(used))
    return torch.from_numpy(uvs[used]).float(), torch.from_numpy(new_index[mesh.uv_faces[kept_faces]])
