"""Distances between expressions in millimetres on the face, and scores of generated motion.

A morphable model is linear in its expressions, so the mean square of the displacements of some vertices is a quadratic
form in the coefficients, ``c · G · c`` with ``G = B Bᵀ / V`` (B: E × 3V). With a factor ``G = A Aᵀ`` of at most E
columns, ``|c A|`` is the root mean square, without computing any vertex.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from readavatar.metrics import motion_std, pearson_correlation
from readavatar.morphable import MorphableModel
from readavatar.morphable.model import expression_displacements

FACE_PARTS = ("lips", "face", "upper_face", "eyes", "brows")
_LANDMARKS = {"eyes": slice(36, 48), "brows": slice(17, 27)}
"""iBUG's; lids and brows move few vertices, and would have little weight in a distance over the whole face."""
_MILLIMETRES = 1000.0
_SMALL = 1e-4
"""mm²: keeps the gradient of the root finite at a distance of 0."""
_INNER_LIPS = ((61, 67), (62, 66), (63, 65))
"""Pairs of iBUG landmarks above and below the mouth's opening."""


class FaceSpace(nn.Module):
    """Distances between motions on one morphable model's face, millimetres."""

    def __init__(self, model: MorphableModel) -> None:
        super().__init__()
        displacements = expression_displacements(model) * _MILLIMETRES
        landmarks = model.landmarks_3d(displacements)
        for part in FACE_PARTS:
            points = _LANDMARKS.get(part)
            moved = displacements[:, model.vertex_mask(part)] if points is None else landmarks[:, points]
            self.register_buffer(f"{part}_factor", _factor(moved), persistent=False)
        self.register_buffer("lip_displacements", displacements[:, model.vertex_mask("lips")], persistent=False)
        above, below = (torch.tensor(row) for row in zip(*_INNER_LIPS, strict=True))
        self.register_buffer("opening_slope", (landmarks[:, above] - landmarks[:, below])[..., 1].mean(1), False)
        landmarks = model.landmarks_3d(model.template[None] * _MILLIMETRES)
        self.register_buffer("opening_at_rest", (landmarks[:, above] - landmarks[:, below])[..., 1].mean(), False)

    def distance(self, part: str, first: Float[Tensor, "*b E"], second: Float[Tensor, "*b E"]) -> Float[Tensor, "*b"]:
        """Root mean square over a part's points of their distance between two expressions."""
        return ((first - second) @ getattr(self, f"{part}_factor")).square().sum(-1).add(_SMALL).sqrt()

    def displacement(self, part: str, expressions: Float[Tensor, "*b E"]) -> Float[Tensor, "*b r"]:
        """A part's motion as a short vector, whose squared norm is the mean square of its vertices' displacements."""
        return expressions @ getattr(self, f"{part}_factor")

    def opening(self, expressions: Float[Tensor, "*b E"]) -> Float[Tensor, "*b"]:
        """Height of the gap between the lips' inner edges."""
        return expressions @ self.opening_slope + self.opening_at_rest

    def lip_error(self, predicted: Float[Tensor, "T E"], target: Float[Tensor, "T E"]) -> Float[Tensor, " T"]:
        """Largest distance of a lip vertex in each frame."""
        difference = torch.einsum("te,evc->tvc", predicted - target, self.lip_displacements)
        return difference.norm(dim=-1).amax(-1)


def _factor(displacements: Float[Tensor, "E V 3"]) -> Float[Tensor, "E r"]:
    flat = displacements.flatten(1).double()
    values, vectors = torch.linalg.eigh(flat @ flat.mT / displacements.shape[1])
    kept = values > 1e-8 * values.max()  # a Gram matrix is singular if some expressions do not move the part
    return (vectors[:, kept] * values[kept].sqrt()).float()


def score_motion(
    samples: Float[Tensor, "S T E"], target: Float[Tensor, "T E"], space: FaceSpace
) -> dict[str, Float[Tensor, ""]]:
    """Compare several motions generated for one sound with the true one.

    Args:
        samples: S generated motions.
        target: The true motion.
        space: Of the face model.

    Returns:
        ``lip_error``: of the worst lip vertex, mean over frames and samples, millimetres.
        ``lip_error_of_mean``: the same of the samples' mean.
        ``opening_correlation``: of the mouth's opening, mean over the samples.
        ``opening_correlation_of_mean``: of the samples' mean.
        ``opening_std_ratio``, ``upper_face_std_ratio``: standard deviation of a sample's motion over the truth's.
    """
    mean = samples.mean(0)
    true_opening = space.opening(target)
    openings = [space.opening(sample) for sample in samples]
    return {
        "lip_error": torch.stack([space.lip_error(sample, target).mean() for sample in samples]).mean(),
        "lip_error_of_mean": space.lip_error(mean, target).mean(),
        "opening_correlation": torch.stack([pearson_correlation(each, true_opening) for each in openings]).mean(),
        "opening_correlation_of_mean": pearson_correlation(space.opening(mean), true_opening),
        "opening_std_ratio": torch.stack([motion_std(each) for each in openings]).mean() / motion_std(true_opening),
        "upper_face_std_ratio": torch.stack([_spread("upper_face", each, space) for each in samples]).mean()
        / _spread("upper_face", target, space),
    }


def _spread(part: str, expressions: Float[Tensor, "T E"], space: FaceSpace) -> Float[Tensor, ""]:
    """Root mean square distance of a part's vertices from their mean positions."""
    return motion_std(space.displacement(part, expressions)).square().sum().sqrt()


def describe_scores(scores: dict[str, Float[Tensor, ""]]) -> str:
    """The scores as one line of text."""
    number = {name: float(value) for name, value in scores.items()}
    return (
        f"lip error {number['lip_error']:.2f} mm (mean of samples {number['lip_error_of_mean']:.2f}), mouth opening's "
        f"correlation {number['opening_correlation']:.2f} (mean of samples "
        f"{number['opening_correlation_of_mean']:.2f}), motion generated / true: opening "
        f"{number['opening_std_ratio']:.2f}, upper face {number['upper_face_std_ratio']:.2f}"
    )
