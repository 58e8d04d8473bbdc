"""The interface of all 3D morphable models: coefficients → vertices, and the names of the shared expressions.

The expressions' names are ICT-FaceKit's (Li et al. 2020): ARKit's, with ``_L`` and ``_R`` for the subject's left and
right, and with the symmetric ``browInnerUp`` and ``cheekPuff`` split in two.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn


@dataclass(frozen=True)
class MorphableData:
    """The arrays of a linear face model (head frame, metres)."""

    name: str
    """The argument of ``load_morphable_model``."""
    template: Float[Tensor, "V 3"]
    """The mean identity's neutral vertices."""
    shape_basis: Float[Tensor, "S V 3"]
    """Displacement by one standard deviation of each identity mode."""
    expression_basis: Float[Tensor, "E V 3"]
    """Displacement by one unit of each expression."""
    expression_names: tuple[str, ...]
    """E names; the ARKit-named ones are spelt as in ``EXPRESSION_NAMES``."""
    expression_bounds: Float[Tensor, "E 2"]
    """The least and greatest meaningful value: (0, 1) for blendshapes."""
    faces: Int[Tensor, "F 3"]
    """Counter-clockwise from outside."""
    uvs: Float[Tensor, "U 2"]
    """In [0, 1], row 0 at the top."""
    uv_faces: Int[Tensor, "F 3"]
    vertex_regions: Int[Tensor, " V"]
    """Index into ``region_names``."""
    region_names: tuple[str, ...]
    """Of ``REGION_NAMES``."""
    landmark_vertices: Int[Tensor, "68 3"]
    """The triangle's corners that each iBUG landmark lies on."""
    landmark_barycentrics: Float[Tensor, "68 3"]
    albedo: Float[Tensor, "3 texture_height texture_width"] | None = None
    """A typical linear-light albedo over the uvs, where the model has one."""
    vertex_masks: dict[str, Bool[Tensor, " V"]] = field(default_factory=dict)
    """Overlapping parts of the face: see ``MASK_NAMES``."""


REGION_NAMES = (
    "face", "head", "mouth_socket", "eye_socket_left", "eye_socket_right", "gums", "tongue", "teeth_upper",
    "teeth_lower", "eyeball_left", "eyeball_right", "lashes", "brows", "other",
)  # fmt: skip
"""Separate surfaces of the models. *left* is the subject's."""

MASK_NAMES = ("face", "lips", "eyes", "upper_face", "mouth_interior")
"""``face``: the skin from brow to chin and ear to ear. ``lips``: the vermilion and a finger's width around it.
``eyes``: lids and eyeballs. ``upper_face``: the face's skin above the nose's tip, up to the scalp. ``mouth_interior``:
teeth, tongue, gums, socket."""


def gaze_rotation(gaze: Float[Tensor, "*batch 2"]) -> Float[Tensor, "*batch 3 3"]:
    """(yaw, pitch), radians → the rotation of an eye that looks along +z: yaw towards +x, pitch towards +y.

    Example:
        >>> import math
        >>> import torch
        >>> from readavatar.morphable.model import gaze_rotation
        >>> ahead = torch.tensor([0.0, 0.0, 1.0])
        >>> gaze_rotation(torch.tensor([math.pi / 6, 0.0])) @ ahead
        tensor([0.5000, 0.0000, 0.8660])
    """
    yaw, pitch = gaze.unbind(-1)
    zero, one = torch.zeros_like(yaw), torch.ones_like(yaw)
    turn_yaw = torch.stack([yaw.cos(), zero, yaw.sin(), zero, one, zero, -yaw.sin(), zero, yaw.cos()], -1)
    turn_pitch = torch.stack([one, zero, zero, zero, pitch.cos(), pitch.sin(), zero, -pitch.sin(), pitch.cos()], -1)
    return turn_yaw.unflatten(-1, (3, 3)) @ turn_pitch.unflatten(-1, (3, 3))


class MorphableModel(nn.Module):
    """Coefficients → vertices in the head frame, for any model; buffers only, no parameters.

    ``vertices = template + shape · shape_basis + expression · expression_basis``, then each eyeball is rotated about
    its own centre by the gaze (Li et al. 2020, ICT-FaceKit; Blanz & Vetter 1999, eq. 1). Models that articulate beyond
    that (FLAME's jaw) subclass it and override ``deform``.
    """

    template: Float[Tensor, "V 3"]
    shape_basis: Float[Tensor, "S V 3"]
    expression_basis: Float[Tensor, "E V 3"]
    expression_bounds: Float[Tensor, "E 2"]
    uvs: Float[Tensor, "U 2"]
    faces: Int[Tensor, "F 3"]
    uv_faces: Int[Tensor, "F 3"]
    vertex_regions: Int[Tensor, " V"]
    landmark_vertices: Int[Tensor, "68 3"]
    landmark_barycentrics: Float[Tensor, "68 3"]

    def __init__(self, data: MorphableData) -> None:
        super().__init__()
        self.data = data
        self.name = data.name
        self.expression_names = data.expression_names
        self.region_names = data.region_names
        for key in ("template", "shape_basis", "expression_basis", "expression_bounds", "uvs"):
            self.register_buffer(key, getattr(data, key).float(), persistent=False)
        for key in ("faces", "uv_faces", "vertex_regions", "landmark_vertices"):
            self.register_buffer(key, getattr(data, key).long(), persistent=False)
        self.register_buffer("landmark_barycentrics", data.landmark_barycentrics.float(), persistent=False)

    @property
    def num_shape(self) -> int:
        """S."""
        return self.shape_basis.shape[0]

    @property
    def num_expressions(self) -> int:
        """E."""
        return self.expression_basis.shape[0]

    @property
    def num_vertices(self) -> int:
        """V."""
        return self.template.shape[0]

    def deform(
        self, shape_coefficients: Float[Tensor, "#B S"], expression_coefficients: Float[Tensor, "#B E"]
    ) -> Float[Tensor, "B V 3"]:
        """Vertices before the eyes are rotated; head frame, metres.

        Args:
            shape_coefficients: Standard deviations; of one identity, or of each of B.
            expression_coefficients: The model's own units; of one expression, or of each of B.
        """
        shape = torch.einsum("bs,svc->bvc", shape_coefficients, self.shape_basis)
        expression = torch.einsum("be,evc->bvc", expression_coefficients, self.expression_basis)
        return self.template + shape + expression

    def forward(
        self,
        shape_coefficients: Float[Tensor, "#B S"],
        expression_coefficients: Float[Tensor, "#B E"],
        gaze: Float[Tensor, "#B 2"] | None = None,
    ) -> Float[Tensor, "B V 3"]:
        """Vertices in the head frame, metres.

        Args:
            shape_coefficients: Standard deviations.
            expression_coefficients: The model's own units.
            gaze: (yaw, pitch) of both eyes, radians, head frame; None looks straight ahead.
        """
        vertices = self.deform(shape_coefficients, expression_coefficients)
        return vertices if gaze is None else self._turn_eyes(vertices, gaze)

    def _turn_eyes(self, vertices: Float[Tensor, "B V 3"], gaze: Float[Tensor, "#B 2"]) -> Float[Tensor, "B V 3"]:
        rotation = gaze_rotation(gaze)
        turned = vertices
        for region in ("eyeball_left", "eyeball_right"):
            index = self.region(region)
            if len(index) == 0:
                continue
            eyeball = vertices[:, index]
            lowest, highest = eyeball.amin(1, keepdim=True), eyeball.amax(1, keepdim=True)
            # The centre of the extent, unlike the mean, does not depend on the density of the mesh. In depth it is
            # measured from the back, since the cornea bulges out of the globe at the front.
            radius = (highest - lowest)[..., :2].mean(-1, keepdim=True) / 2
            centre = torch.cat([(lowest + highest)[..., :2] / 2, lowest[..., 2:] + radius], -1)
            turned = turned.index_copy(1, index, (eyeball - centre) @ rotation.mT + centre)
        return turned

    def region(self, name: str) -> Int[Tensor, " n"]:
        """Indices of a region's vertices; empty if the model has no such region."""
        if name not in self.region_names:
            return torch.zeros(0, dtype=torch.long, device=self.vertex_regions.device)
        return torch.nonzero(self.vertex_regions == self.region_names.index(name))[:, 0]

    def vertex_mask(self, name: str) -> Bool[Tensor, " V"]:
        """Which vertices belong to a part of the face.

        Args:
            name: One of ``MASK_NAMES``.

        Raises:
            ValueError: The model has no such part.
        """
        if name not in self.data.vertex_masks:
            raise ValueError(f"Expected one of {sorted(self.data.vertex_masks)} in model '{self.name}', got '{name}'.")
        return self.data.vertex_masks[name].to(self.template.device)

    def landmarks_3d(self, vertices: Float[Tensor, "B V 3"]) -> Float[Tensor, "B 68 3"]:
        """The 68 iBUG landmarks on the surface, in the vertices' own frame."""
        return torch.einsum("blkc,lk->blc", vertices[:, self.landmark_vertices], self.landmark_barycentrics)


_PAIRS = (
    "browDown", "browInnerUp", "browOuterUp", "cheekPuff", "cheekSquint", "eyeBlink", "eyeLookDown", "eyeLookIn",
    "eyeLookOut", "eyeLookUp", "eyeSquint", "eyeWide", "mouthDimple", "mouthFrown", "mouthLowerDown", "mouthPress",
    "mouthSmile", "mouthStretch", "mouthUpperUp", "noseSneer",
)  # fmt: skip
_SINGLES = (
    "jawForward", "jawLeft", "jawOpen", "jawRight", "mouthClose", "mouthFunnel", "mouthLeft", "mouthPucker",
    "mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper",
)  # fmt: skip

EXPRESSION_NAMES = tuple(sorted([f"{name}_{side}" for name in _PAIRS for side in "LR"] + list(_SINGLES)))
"""53 names, sorted: the columns of a blendshape model's ``expression_coefficients``."""


def arkit_name(expression_name: str) -> str:
    """ARKit's spelling: ``eyeBlink_L`` → ``eyeBlinkLeft``; the halves of a symmetric ARKit shape give the same name.

    Example:
        >>> from readavatar.morphable import arkit_name
        >>> arkit_name("eyeBlink_L"), arkit_name("cheekPuff_R"), arkit_name("jawOpen")
        ('eyeBlinkLeft', 'cheekPuff', 'jawOpen')
    """
    base = re.sub(r"_[LR]$", "", expression_name)
    if base in ("browInnerUp", "cheekPuff"):
        return base
    return base + {"_L": "Left", "_R": "Right"}.get(expression_name[-2:], "")


def expression_displacements(model: MorphableModel) -> Float[Tensor, "E V 3"]:
    """Displacement for one unit of each expression, metres; articulated models are linearised at the neutral face."""
    step, device = 1e-2, model.template.device
    neutral, eye = torch.zeros(1, model.num_shape, device=device), torch.eye(model.num_expressions, device=device)
    rest = model.deform(neutral, torch.zeros_like(eye[:1]))
    return torch.cat([(model.deform(neutral, step * unit[None]) - rest) / step for unit in eye])


LID_REACH = 0.55
"""Radians of gaze at which an eyeLook* expression is 1."""


def look_expressions(gaze: Float[Tensor, "T 2"]) -> dict[str, Float[Tensor, " T"]]:
    """The ``eyeLook*`` coefficients (lids that follow the eyes), by name, in [0, 1].

    Args:
        gaze: Yaw to the subject's left and pitch up, radians.
    """
    yaw, pitch = (gaze / LID_REACH).unbind(1)
    to_left, to_right = yaw.clamp(0, 1), (-yaw).clamp(0, 1)
    expressions = {"eyeLookOut_L": to_left, "eyeLookIn_R": to_left, "eyeLookIn_L": to_right, "eyeLookOut_R": to_right}
    for side in "LR":
        expressions[f"eyeLookUp_{side}"] = pitch.clamp(0, 1)
        expressions[f"eyeLookDown_{side}"] = (-pitch).clamp(0, 1)
    return expressions
