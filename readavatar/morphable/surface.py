"""Geometry of a mesh and its 68 iBUG landmarks: landmark checks, masks, connected parts, cylindrical uvs."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components as graph_components
from scipy.sparse.csgraph import dijkstra

from readavatar.errors import UserError
from readavatar.morphable.model import MASK_NAMES, MorphableData

LIP_WIDTH = 0.012
"""Metres along the skin around the mouth's landmarks: the vermilion and about a finger's width."""
LID_WIDTH = 0.009
"""Metres along the skin around the eyes' landmarks: the lids up to their creases."""
BROW_MARGIN = 0.012
"""Metres above the brows' landmarks that belong to the face mask (the hair of the brows)."""
JAW_MARGIN = 0.006
"""Metres outside the jaw's landmarks that belong to the face mask (the line of the chin)."""
JAW_LANDMARKS, BROW_LANDMARKS, NOSE_TIP = range(0, 17), range(17, 27), 30
EYE_RINGS, MOUTH_RINGS = (range(36, 42), range(42, 48)), (range(48, 60), range(60, 68))
SKIN_REGIONS = ("face", "head", "brows")
MOUTH_REGIONS = ("mouth_socket", "gums", "tongue", "teeth_upper", "teeth_lower")


def edge_graph(vertices: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"]) -> csr_matrix:
    """The mesh's edges as a (V, V) graph weighted by their lengths, in the vertices' unit."""
    edges = np.unique(np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1), axis=0)
    # Duplicate vertices would give weights of zero, which a sparse graph treats as no edge.
    lengths = np.maximum(np.linalg.norm(vertices[edges[:, 0]] - vertices[edges[:, 1]], axis=1), 1e-9)
    return csr_matrix((lengths, (edges[:, 0], edges[:, 1])), shape=(len(vertices), len(vertices)))


def connected_parts(num_vertices: int, faces: Int[np.ndarray, "F 3"]) -> Int[np.ndarray, " V"]:
    """A number for each vertex, equal within a connected part of the mesh."""
    rows, columns = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]]]).T
    graph = csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(num_vertices, num_vertices))
    return graph_components(graph, directed=False)[1]


def corner_landmarks(
    vertex_indices: Int[np.ndarray, " L"], faces: Int[np.ndarray, "F 3"]
) -> tuple[Int[torch.Tensor, "L 3"], Float[torch.Tensor, "L 3"]]:
    """Landmarks that are vertices, as a triangle with that corner and the barycentrics (1, 0, 0)."""
    triangles = []
    for index in vertex_indices:
        touching = np.argwhere(faces == index)
        if len(touching) == 0:
            raise ValueError(f"Expected landmark vertices that lie on faces, but vertex {index} does not.")
        row, column = touching[0]
        triangles.append(np.roll(faces[row], -column))
    barycentrics = torch.zeros(len(triangles), 3)
    barycentrics[:, 0] = 1
    return torch.from_numpy(np.stack(triangles)), barycentrics


def landmark_masks(data: MorphableData) -> dict[str, Bool[torch.Tensor, " V"]]:
    """``MASK_NAMES`` from a model's regions and its 68 landmarks.

    ``lips`` and ``eyes`` are geodesic neighbourhoods (along edges) of the mouth's and the eyes' landmarks; ``face`` is
    the skin that lies inside the polygon of jaw and brow landmarks when the head is unrolled on a cylinder.
    """
    vertices, faces = data.template.double().numpy(), data.faces.numpy()
    corners = data.landmark_vertices.numpy()
    landmarks = np.einsum("lkc,lk->lc", vertices[corners], data.landmark_barycentrics.double().numpy())
    skin = _in_regions(data, SKIN_REGIONS)
    graph = edge_graph(vertices, faces)

    def near(rings: tuple[range, ...], limit: float) -> np.ndarray:
        named = corners[np.arange(len(corners)), data.landmark_barycentrics.argmax(1).numpy()]
        sources = np.concatenate([_ring(graph, named[list(ring)]) for ring in rings])
        return dijkstra(graph, directed=False, indices=sources, limit=limit, min_only=True) <= limit

    eyes = near(EYE_RINGS, LID_WIDTH) & (skin | _in_regions(data, ("eye_socket_left", "eye_socket_right")))
    masks = {
        "face": skin & _inside_outline(vertices, landmarks),
        "lips": skin & near(MOUTH_RINGS, LIP_WIDTH),
        "eyes": eyes | _in_regions(data, ("eyeball_left", "eyeball_right", "lashes")),
        "upper_face": _in_regions(data, ("face", "brows"))
        & (vertices[:, 1] > landmarks[NOSE_TIP, 1])
        & (vertices[:, 2] > landmarks[[0, 16], 2].mean()),
        "mouth_interior": _in_regions(data, MOUTH_REGIONS),
    }
    return {name: torch.from_numpy(masks[name]) for name in MASK_NAMES}


def _in_regions(data: MorphableData, names: tuple[str, ...]) -> np.ndarray:
    wanted = [index for index, name in enumerate(data.region_names) if name in names]
    return np.isin(data.vertex_regions.numpy(), wanted)


def _ring(graph: csr_matrix, corners: np.ndarray) -> np.ndarray:
    """The vertices on the shortest closed path through ``corners`` in turn."""
    found = [corners]
    for start, stop in zip(corners, np.roll(corners, -1), strict=True):
        _, previous = dijkstra(graph, directed=False, indices=start, limit=0.05, return_predecessors=True)
        path, vertex = [], previous[stop]
        while vertex >= 0:  # −9999 ends the path
            path.append(vertex)
            vertex = previous[vertex]
        found.append(np.array(path, dtype=corners.dtype))
    return np.unique(np.concatenate(found))


def _inside_outline(vertices: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """Which vertices lie between brows and jaw when the head is unrolled on a cylinder (metres both ways)."""
    # The cylinder's axis passes between the two ends of the jaw line, beside the ears.
    axis, radius = landmarks[[0, 16]].mean(0), np.ptp(landmarks[[0, 16], 0]) / 2

    def unrolled(points: np.ndarray) -> np.ndarray:
        angle = np.arctan2(points[:, 0] - axis[0], points[:, 2] - axis[2])
        return np.stack([radius * angle, points[:, 1]], axis=1)

    jaw, brows = unrolled(landmarks[list(JAW_LANDMARKS)]), unrolled(landmarks[list(BROW_LANDMARKS)[::-1]])
    outward = jaw - unrolled(landmarks[[NOSE_TIP]])
    jaw = jaw + JAW_MARGIN * outward / np.linalg.norm(outward, axis=1, keepdims=True)
    outline = np.concatenate([jaw, brows + np.array([0.0, BROW_MARGIN])])
    return _in_polygon(unrolled(vertices), outline) & (vertices[:, 2] > axis[2] - JAW_MARGIN)


def _in_polygon(points: np.ndarray, polygon: np.ndarray) -> np.ndarray:
    """Even-odd rule: a ray to the right crosses the outline an odd number of times."""
    (x0, y0), (x1, y1) = polygon.T[:, :, None], np.roll(polygon, -1, axis=0).T[:, :, None]
    x, y = points.T[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        crossing = x0 + (y - y0) / (y1 - y0) * (x1 - x0)  # level edges never straddle y
        return (((y0 > y) != (y1 > y)) & (x < crossing)).sum(0) % 2 == 1


def cylindrical_uvs(
    vertices: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"]
) -> tuple[Float[torch.Tensor, "U 2"], Int[torch.Tensor, "F 3"]]:
    """Texture coordinates for a model without any: the head unrolled on a vertical cylinder, seam at the back.

    u runs with the angle around the vertical axis through the head's middle, from behind the subject's right ear over
    the face to behind the left one; v with the height, row 0 at the top. A triangle across the seam gets copies of its
    corners beyond the edge; the whole is then fitted to [0, 1].
    """
    middle = (vertices.min(0) + vertices.max(0)) / 2
    angle = np.arctan2(vertices[:, 0] - middle[0], vertices[:, 2] - middle[2]) / (2 * np.pi)
    height = (vertices[:, 1].max() - vertices[:, 1]) / max(np.ptp(vertices[:, 1]), 1e-9)
    corners = angle[faces]
    wrapped = corners < corners.max(1, keepdims=True) - 0.5  # the corners that lie on the seam's other side
    extra = np.unique(faces[wrapped])
    copies = np.full(len(vertices), -1)
    copies[extra] = len(vertices) + np.arange(len(extra))
    uv_faces = np.where(wrapped, copies[faces], faces)
    u = np.concatenate([angle, angle[extra] + 1])
    u = (u - u.min()) / max(np.ptp(u), 1e-9)
    uvs = np.stack([u, np.concatenate([height, height[extra]])], axis=1)
    return torch.from_numpy(uvs).float(), torch.from_numpy(uv_faces)


NUM_LANDMARKS = 68

MIRRORED = np.array(
    [
        *range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, 35, 34, 33, 32, 31,
        45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,
        54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65,
    ]
)  # fmt: skip
"""The landmark on the face's other side, for each landmark (Sagonas et al. 2013, 300-W)."""


def checked_landmarks(
    corners: Int[np.ndarray, "68 3"], barycentrics: Float[np.ndarray, "68 3"], vertices: Float[np.ndarray, "V 3"]
) -> tuple[Int[np.ndarray, "68 3"], Float[np.ndarray, "68 3"]]:
    """Check landmarks on a mesh (y up, x to the subject's left) and bring them into the iBUG order.

    A list that starts at the subject's left is mirrored. Landmarks of a face are symmetric, and chin, mouth, nose, eyes
    and brows follow each other from bottom to top.

    Raises:
        UserError: The landmarks are not those of a face: they belong to another mesh.
    """
    points = np.einsum("lkc,lk->lc", vertices[corners], barycentrics)
    if points[36:42, 0].mean() > points[42:48, 0].mean():
        corners, barycentrics, points = corners[MIRRORED], barycentrics[MIRRORED], points[MIRRORED]
    heights = [points[part, 1].mean() for part in ([8], range(48, 68), range(31, 36), range(36, 48), range(17, 27))]
    reflected = points[MIRRORED] * np.array([-1, 1, 1]) + np.array([2 * points[27:31, 0].mean(), 0, 0])
    asymmetry = np.linalg.norm(reflected - points, axis=1).max() / np.ptp(points[:, 0])
    if any(low >= high for low, high in pairwise(heights)) or asymmetry > 0.2:
        raise UserError(
            "Expected landmark indices that lie on this model's face, but they do not (the topology differs); "
            "put the model's own landmark file beside it."
        )
    return corners, barycentrics


def face_origin(landmarks: Float[np.ndarray, "68 3"]) -> Float[np.ndarray, " 3"]:
    """The head frame's origin: midway between the two ends of the jaw line (beside the ears), at the eyes' height."""
    return np.array([landmarks[[0, 16], 0].mean(), landmarks[36:48, 1].mean(), landmarks[[0, 16], 2].mean()])
