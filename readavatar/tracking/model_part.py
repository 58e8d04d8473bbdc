"""Parts of a morphable model: only some vertices, since a fit evaluates the model thousands of times."""

from __future__ import annotations

import dataclasses

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from readavatar.morphable.model import MorphableData, MorphableModel
from readavatar.rendering.shading import vertex_normals

EYEBALLS = ("eyeball_left", "eyeball_right")
NORMAL_PROBE = 0.05
"""Step of a coefficient for the finite differences of normals."""
SMALL_IMPORTANCE = 3.0
"""Weight of a pixel of eyes or lips relative to one of a cheek: they are few, but show speech and gaze."""
HIDDEN = ("gums", "eye_socket_left", "eye_socket_right")


class ModelPart(nn.Module):
    """Some vertices of a model. For a linear model only they are computed, for others (FLAME's jaw) all vertices.

    ``by_expression`` (n, 3, E) and ``by_shape`` (n, 3, S) are their derivatives, head frame; of an
    articulated model, those at rest.
    """

    def __init__(self, model: MorphableModel, vertex_index: Int[Tensor, " n"]) -> None:
        """
        Args:
            model: The whole model.
            vertex_index: The vertices; for an eye that rotates, at least its extremes in x, y and z.
        """
        super().__init__()
        is_linear = type(model) is MorphableModel
        self.model = MorphableModel(_cut(model, vertex_index)) if is_linear else model
        self.register_buffer("kept", None if is_linear else vertex_index, persistent=False)
        for name in ("expression", "shape"):
            basis = getattr(model, f"{name}_basis")[:, vertex_index]
            self.register_buffer(f"by_{name}", basis.permute(1, 2, 0).contiguous(), persistent=False)

    def forward(
        self,
        shape_coefficients: Float[Tensor, "#B S"],
        expression_coefficients: Float[Tensor, "#B E"],
        gaze: Float[Tensor, "#B 2"] | None = None,
    ) -> Float[Tensor, "B n 3"]:
        """As ``MorphableModel.forward``."""
        vertices = self.model(shape_coefficients, expression_coefficients, gaze)
        return vertices if self.kept is None else vertices[:, self.kept]


class LandmarkModel(nn.Module):
    """Coefficients → the 68 iBUG landmarks and the two pupils.

    ``by_expression`` (68 + P, 3, E) and ``by_shape`` (68 + P, 3, S) are their derivatives, as ``ModelPart``'s.
    """

    def __init__(self, model: MorphableModel) -> None:
        super().__init__()
        eyeballs = [_extremes(model, name) for name in EYEBALLS]
        self.has_eyes = all(len(eyeball) > 0 for eyeball in eyeballs)
        self.is_linear = type(model) is MorphableModel
        # In a linear model, a point of a triangle can be a vertex: 68 instead of 204 corners.
        self.model = MorphableModel(_landmarks_as_vertices(model, torch.cat(eyeballs))) if self.is_linear else model
        pupils = [int(eyeball[model.template[eyeball, 2].argmax()]) for eyeball in eyeballs if self.has_eyes]
        if self.is_linear:
            pupils = [68 + torch.cat(eyeballs).tolist().index(pupil) for pupil in pupils]
        self.register_buffer("pupils", torch.tensor(pupils, dtype=torch.long), persistent=False)
        for name in ("expression", "shape"):
            basis = getattr(self.model, f"{name}_basis")
            landmarks = basis[:, :68] if self.is_linear else model.landmarks_3d(basis)
            points = torch.cat([landmarks, basis[:, self.pupils]], 1)
            self.register_buffer(f"by_{name}", points.permute(1, 2, 0).contiguous(), persistent=False)

    def forward(
        self,
        shape_coefficients: Float[Tensor, "#B S"],
        expression_coefficients: Float[Tensor, "#B E"],
        gaze: Float[Tensor, "#B 2"],
    ) -> tuple[Float[Tensor, "B 68 3"], Float[Tensor, "B P 3"]]:
        """Head frame, metres.

        Returns:
            The landmarks, and the left and the right pupil (P = 2; 0 for a model without eyeballs).
        """
        vertices = self.model(shape_coefficients, expression_coefficients, gaze)
        landmarks = vertices[:, :68] if self.is_linear else self.model.landmarks_3d(vertices)
        return landmarks, vertices[:, self.pupils]


class FaceSurface(nn.Module):
    """The part of the mesh that footage shows: skin, lips, eyes, teeth, and the mouth's cavity.

    Gums and eye sockets are left out: they have many vertices and are hardly visible. ``by_expression``
    (n, 6, E) and ``by_shape`` (n, 6, S) are derivatives of its vertices (head frame, metres) and of their unit normals,
    the latter on the mean face.
    """

    def __init__(self, model: MorphableModel) -> None:
        super().__init__()
        seen = torch.stack([model.vertex_mask(name) for name in model.data.vertex_masks]).any(0)
        for name in HIDDEN:
            seen[model.region(name)] = False
        triangles = seen[model.faces].all(1)
        kept, places = model.faces[triangles].unique(return_inverse=True)
        self.part = ModelPart(model, kept)
        self.register_buffer("faces", places.view(-1, 3), persistent=False)
        self.register_buffer("uvs", model.uvs, persistent=False)
        self.register_buffer("uv_faces", model.uv_faces[triangles], persistent=False)
        for name in ("expression", "shape"):
            turns = _normals_by(self.part, name, self.faces)
            moves_and_turns = torch.cat([getattr(self.part, f"by_{name}"), turns], 1)
            self.register_buffer(f"by_{name}", moves_and_turns, persistent=False)
        small = (model.vertex_mask("eyes") | model.vertex_mask("lips"))[model.faces[triangles]].all(1)
        self.register_buffer("importance", torch.where(small, SMALL_IMPORTANCE, 1.0), persistent=False)

    def forward(
        self,
        shape_coefficients: Float[Tensor, "#B S"],
        expression_coefficients: Float[Tensor, "#B E"],
        gaze: Float[Tensor, "#B 2"],
    ) -> Float[Tensor, "B n 3"]:
        """Its vertices, head frame, metres."""
        return self.part(shape_coefficients, expression_coefficients, gaze)


def _normals_by(part: ModelPart, name: str, faces: Int[Tensor, "F 3"]) -> Float[Tensor, "n 3 c"]:
    """Derivatives of the mean face's vertex normals by its coefficients."""
    model = part.model
    rest = [torch.zeros(1, model.num_shape), torch.zeros(1, model.num_expressions)]
    mean = part(*rest)
    basis = getattr(part, f"by_{name}")
    columns = []
    for column in basis.unbind(2):
        sides = [vertex_normals(mean + sign * NORMAL_PROBE * column, faces) for sign in (1, -1)]
        columns.append((sides[0] - sides[1])[0] / (2 * NORMAL_PROBE))
    return torch.stack(columns, 2)


def _extremes(model: MorphableModel, region: str) -> Int[Tensor, " n"]:
    """The outermost vertices of a region along each axis: they give its bounding box."""
    index = model.region(region)
    if len(index) == 0:
        return index
    vertices = model.template[index]
    return index[torch.cat([vertices.argmin(0), vertices.argmax(0)])]


def _landmarks_as_vertices(model: MorphableModel, others: Int[Tensor, " n"]) -> MorphableData:
    """A model of the 68 landmarks and some other vertices, without triangles."""

    def points(vertices: Float[Tensor, "B V 3"]) -> Float[Tensor, "B n 3"]:
        return torch.cat([model.landmarks_3d(vertices), vertices[:, others]], 1)

    on_face = torch.full((68,), -1)
    none = torch.zeros(0, 3, dtype=torch.long)
    return dataclasses.replace(
        model.data,
        template=points(model.template[None])[0],
        shape_basis=points(model.shape_basis),
        expression_basis=points(model.expression_basis),
        faces=none,
        uv_faces=none,
        vertex_regions=torch.cat([on_face, model.vertex_regions[others]]),
        vertex_masks={},
    )


def _cut(model: MorphableModel, kept: Int[Tensor, " n"]) -> MorphableData:
    """A linear model of some vertices and the triangles between them."""
    data = model.data
    new_index = torch.full((model.num_vertices,), -1)
    new_index[kept] = torch.arange(len(kept))
    faces = new_index[data.faces.long()]
    whole = (faces >= 0).all(1)
    return dataclasses.replace(
        data,
        template=data.template[kept],
        shape_basis=data.shape_basis[:, kept],
        expression_basis=data.expression_basis[:, kept],
        faces=faces[whole],
        uv_faces=data.uv_faces[whole],
        vertex_regions=data.vertex_regions[kept],
        landmark_vertices=new_index[data.landmark_vertices.long()].clamp(min=0),
        vertex_masks={name: mask[kept] for name, mask in data.vertex_masks.items()},
    )
