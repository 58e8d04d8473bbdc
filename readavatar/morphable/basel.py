"""Basel Face Model 2009 with the expression basis of Guo et al., read from the user's own licensed files.

Paysan et al. 2009: shape and texture are ``mean + PC · (coefficient × EV)``, EV the standard deviations; micrometres,
x to the subject's left, y up, z out of the face. Guo et al. 2018 (*CNN-based Real-time Dense Face Reconstruction*) give
79 expression components learnt from FaceWarehouse on 53,215 of the 53,490 vertices; the first 64 are used, as in Deng
et al. 2019. Their mean displacement is left out, so that zero coefficients are the neutral face.

In the model's folder:

    01_MorphableModel.mat   the model
    Exp_Pca.bin             int32 number of components, then float32 mean and components
    std_exp.txt             the components' standard deviations
    BFM_exp_idx.mat         ``trimIndex``: the expression basis's vertices among the model's, from 1
    BFM_front_idx.mat       optional, ``idx``: the front of the face among those, from 1 (35,709 vertices, Deng et al.)
    landmarks68.txt         optional: one vertex of ``01_MorphableModel.mat`` a line, from 1, in the iBUG order

The surface is open: it has no eyeballs, teeth or mouth cavity, and its uvs are a cylinder's.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
import torch
from jaxtyping import Float, Int
from scipy.interpolate import LinearNDInterpolator, NearestNDInterpolator
from scipy.spatial import cKDTree

from readavatar.errors import UserError
from readavatar.morphable.model import REGION_NAMES, MorphableData
from readavatar.morphable.model_files import cached_data, files_key
from readavatar.morphable.surface import (
    NUM_LANDMARKS,
    checked_landmarks,
    corner_landmarks,
    cylindrical_uvs,
    face_origin,
    landmark_masks,
)

MODEL_FILE = "01_MorphableModel.mat"
EXPRESSION_FILE, DEVIATIONS_FILE = "Exp_Pca.bin", "std_exp.txt"
TRIM_FILE, FRONT_FILE, LANDMARKS_FILE = "BFM_exp_idx.mat", "BFM_front_idx.mat", "landmarks68.txt"
METRES_PER_UNIT = 1e-6
NUM_SHAPE, NUM_EXPRESSION = 80, 64
"""Leading components that are kept, as in Deng et al. 2019."""
EXPRESSION_BOUND = 3.0
"""Standard deviations."""
ALBEDO_SIZE = 512
LANDMARK_VERTICES = (
    22143, 22813, 22840, 23250, 44124, 45884, 47085, 47668, 48188, 48708, 49299, 50498, 52457,
    32022, 32386, 32359, 32979,
    38886, 39636, 40030, 40238, 40433, 41172, 41368, 41578, 42011, 42646,
    8291, 8305, 8314, 8320, 6783, 7687, 8331, 8977, 9879,
    1832, 3760, 5050, 6087, 4546, 3516, 10731, 11758, 12919, 14859, 13191, 12157,
    5523, 6155, 7442, 8345, 9506, 10799, 11199, 10179, 9277, 8374, 7471, 6566,
    5909, 7322, 8354, 9386, 10941, 9141, 8367, 7194,
)  # fmt: skip
"""Each iBUG landmark's vertex on the full mesh, from 1 (Bas et al. 2016, BFMLandmarks, ``Landmarks68_BFM.anl``)."""


def load_basel(path: str | Path, name: str) -> MorphableData:
    """Read the model (some seconds the first time, then from the cache).

    Args:
        path: ``01_MorphableModel.mat``, or the folder with it.
        name: ``MorphableData.name``.

    Raises:
        UserError: A file is missing or damaged.
    """
    path = Path(path)
    folder = path if path.is_dir() else path.parent
    model_path = folder / MODEL_FILE if path.is_dir() else path
    needed = [model_path, *(folder / file for file in (EXPRESSION_FILE, DEVIATIONS_FILE, TRIM_FILE))]
    missing = [file.name for file in needed if not file.is_file()]
    if missing:
        raise UserError(
            f"Expected Basel 2009's files in '{folder}', but {', '.join(missing)} is missing (the model: "
            "https://faces.dmi.unibas.ch; the expressions: https://github.com/Juyong/3DFace and "
            "https://github.com/microsoft/Deep3DFaceReconstruction/tree/master/BFM)."
        )
    optional = [file for file in (folder / FRONT_FILE, folder / LANDMARKS_FILE) if file.is_file()]
    key = files_key([*needed, *optional], model="basel")
    return cached_data(name, key, lambda: _read(model_path, folder))


def _read(model_path: Path, folder: Path) -> MorphableData:
    model = _read_mat(model_path, ("shapeMU", "shapePC", "shapeEV", "texMU", "tl"))
    mean = model["shapeMU"].reshape(-1, 3) * METRES_PER_UNIT
    expressions, trimmed = _expressions(folder, len(mean))
    kept = trimmed
    if (folder / FRONT_FILE).is_file():
        front = _indices(_read_mat(folder / FRONT_FILE, ("idx",))["idx"], len(trimmed), folder / FRONT_FILE)
        kept, expressions = trimmed[front], expressions[:, front]
    new_index = np.full(len(mean), -1)
    new_index[kept] = np.arange(len(kept))
    faces = new_index[_indices(model["tl"], len(mean), model_path).reshape(-1, 3)]
    vertices = mean[kept]
    faces = _outward(vertices, faces[(faces >= 0).all(1)])

    listed = mean[_listed_landmarks(folder, len(mean))]
    used = np.unique(faces)
    nearest = used[cKDTree(vertices[used]).query(listed)[1]]  # a landmark's own vertex, unless it was cut away
    corners, barycentrics = checked_landmarks(*(part.numpy() for part in corner_landmarks(nearest, faces)), vertices)
    origin = face_origin(vertices[corners[:, 0]])

    deviations = model["shapeEV"].reshape(-1)
    num_shape = min(NUM_SHAPE, len(deviations))
    shape_modes = (model["shapePC"] * deviations)[:, :num_shape].T.reshape(num_shape, -1, 3)[:, kept] * METRES_PER_UNIT
    uvs, uv_faces = cylindrical_uvs(vertices - origin, faces)
    colours = model["texMU"].reshape(-1, 3)[kept] / 255
    data = MorphableData(
        name="basel",
        template=torch.from_numpy(vertices - origin).float(),
        shape_basis=torch.from_numpy(shape_modes).float(),
        expression_basis=torch.from_numpy(expressions).float(),
        expression_names=tuple(f"expression_{index:03d}" for index in range(len(expressions))),
        expression_bounds=torch.tensor([[-EXPRESSION_BOUND, EXPRESSION_BOUND]]).repeat(len(expressions), 1),
        faces=torch.from_numpy(faces),
        uvs=uvs,
        uv_faces=uv_faces,
        vertex_regions=torch.full((len(vertices),), REGION_NAMES.index("face")),
        region_names=REGION_NAMES,
        landmark_vertices=torch.from_numpy(corners),
        landmark_barycentrics=torch.from_numpy(barycentrics).float(),
        albedo=_albedo(colours, uvs[: len(vertices)].numpy()),
    )
    return dataclasses.replace(data, vertex_masks=landmark_masks(data))


def _read_mat(path: Path, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    try:
        content: dict[str, Any] = scipy.io.loadmat(path, variable_names=names)
        return {name: np.asarray(content[name], dtype=np.float64) for name in names}
    except KeyError as error:
        raise UserError(f"Expected {', '.join(names)} in '{path}', but {error} is missing.") from None
    except Exception as error:  # scipy's reader fails on damaged files in many ways
        raise UserError(f"Expected a MATLAB file at '{path}', but reading it failed: {error}.") from None


def _expressions(folder: Path, num_vertices: int) -> tuple[Float[np.ndarray, "E N 3"], Int[np.ndarray, " N"]]:
    """The expression modes (metres for one standard deviation) and their vertices among the model's."""
    path = folder / EXPRESSION_FILE
    trimmed = _indices(_read_mat(folder / TRIM_FILE, ("trimIndex",))["trimIndex"], num_vertices, folder / TRIM_FILE)
    try:
        num_components = int(np.fromfile(path, dtype="<i4", count=1)[0])
        numbers = np.fromfile(path, dtype="<f4", offset=4).reshape(1 + num_components, len(trimmed), 3)
        deviations = np.loadtxt(folder / DEVIATIONS_FILE, dtype=np.float64).reshape(-1)
    except (ValueError, IndexError, OSError) as error:
        raise UserError(
            f"Expected the mean and the components of {len(trimmed)} vertices in '{path}' and their deviations in "
            f"'{DEVIATIONS_FILE}', but {error}."
        ) from None
    if len(deviations) < num_components:
        raise UserError(
            f"Expected {num_components} numbers in '{folder / DEVIATIONS_FILE}', but got {len(deviations)}."
        )
    kept = min(NUM_EXPRESSION, num_components)
    return numbers[1 : 1 + kept] * deviations[:kept, None, None] * METRES_PER_UNIT, trimmed


def _indices(numbers: np.ndarray, limit: int, path: Path) -> Int[np.ndarray, " N"]:
    indices = numbers.astype(np.int64).reshape(-1, order="C") - 1
    if len(indices) == 0 or indices.min() < 0 or indices.max() >= limit:
        raise UserError(f"Expected indices from 1 to {limit} in '{path}', but got others.")
    return indices


def _listed_landmarks(folder: Path, num_vertices: int) -> Int[np.ndarray, " 68"]:
    path = folder / LANDMARKS_FILE
    if not path.is_file():
        if max(LANDMARK_VERTICES) > num_vertices:
            raise UserError(
                f"Expected Basel 2009's 53,490 vertices or '{LANDMARKS_FILE}' in '{folder}', but got {num_vertices} "
                "vertices and no such file."
            )
        return np.array(LANDMARK_VERTICES) - 1
    try:
        numbers = np.loadtxt(path, dtype=np.int64, comments=("%", "#")).reshape(-1)
    except ValueError as error:
        raise UserError(f"Expected a vertex number on each line of '{path}', but {error}.") from None
    if len(numbers) != NUM_LANDMARKS:
        raise UserError(f"Expected {NUM_LANDMARKS} vertex numbers in '{path}', but got {len(numbers)}.")
    return _indices(numbers, num_vertices, path)


def _outward(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """The faces, turned round if most of their area is seen from behind (from −z) as counter-clockwise."""
    first, second, third = vertices[faces].transpose(1, 0, 2)
    area_forward = np.cross(second - first, third - first)[:, 2].sum()
    return faces if area_forward > 0 else np.ascontiguousarray(faces[:, ::-1])


def _albedo(colours: Float[np.ndarray, "V 3"], uvs: Float[np.ndarray, "V 2"]) -> Float[torch.Tensor, "3 H W"]:
    """The vertices' colours (gamma-encoded, [0, 1]) as a linear-light texture; the nearest one outside the face."""
    centres = (np.arange(ALBEDO_SIZE) + 0.5) / ALBEDO_SIZE
    texels = np.stack(np.meshgrid(centres, centres), axis=-1)
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)  # IEC 61966-2-1
    texture = LinearNDInterpolator(uvs, linear)(texels)
    outside = np.isnan(texture[..., 0])
    texture[outside] = NearestNDInterpolator(uvs, linear)(texels[outside])
    return torch.from_numpy(texture.transpose(2, 0, 1).copy()).float()
