"""Checks of a clip's fit."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from readavatar.doctor.checks import Check, Rule, Status, at_most
from readavatar.doctor.evidence import Evidence
from readavatar.doctor.measurements import interocular
from readavatar.errors import UserError
from readavatar.metrics import high_frequency_energy
from readavatar.morphable import MorphableModel, load_morphable_model
from readavatar.rendering.camera import head_to_world, project
from readavatar.types import TrackedFace

FIT = "readavatar fit --config configs/tracking/default.yaml --data.clips"
NOT_FITTED = "not fitted yet"
_INNER = slice(17, 68)
"""iBUG without the jaw line, whose points depend on the head's rotation."""
_BATCH = 64
_JITTER_HERTZ = 8.0
"""Syllables have 4 to 5 Hz, and lip motion is almost all below 8 (Chandrasekaran et al. 2009)."""
_AT_LIMIT = 0.01
"""Relative to the range between the bounds."""
_OFTEN = 0.10
"""Share of the frames."""

MODEL = Rule(
    "fit and model",
    "the model's own coefficients; truth and fit of one model",
    "Coefficients have no meaning for a model with other expressions.",
    f"Fit the clip again with the model that you train with: '{FIT} CLIP'.",
)
LANDMARKS = Rule(
    "landmark error of the fit",
    "≤ 2 % of the inter-ocular distance; fails above 5 %",
    "Two detectors differ by about 2 %; above 5 % the mesh is not on the face.",
    f"Look at the fit with 'readavatar view CLIP' and fit again: '{FIT} CLIP'.",
)
LIMITS = Rule(
    "coefficients at their limits",
    "none in over 10 % of the frames; fails with 5 or more",
    "A coefficient at its limit compensates another error: identity, pose or a wrong landmark.",
    f"Fit again, with several clips of the person for their identity: '{FIT} CLIP CLIP …'.",
)
JITTER = Rule(
    "jitter of the fit",
    "≤ 6 % of the lips' motion is faster than 8 Hz; fails above 15 %",
    "Lips move more slowly (white noise as strong as speech gives 18 %); the avatar would learn the jitter.",
    f"Fit again with more temporal smoothness: '{FIT} CLIP'.",
)
RULES = (MODEL, LANDMARKS, LIMITS, JITTER)


def fit_checks(evidence: Evidence) -> list[Check]:
    """All checks of the fit; not applicable before the clip is fitted."""
    face = evidence.tracking
    if face is None:
        why = "its file is damaged" if evidence.store.is_tracked else NOT_FITTED
        return [rule.skip(why) for rule in RULES]
    try:
        model = load_morphable_model(face.morphable_model)
    except UserError as error:
        return [MODEL.check(Status.FAIL, str(error))] + [rule.skip("its model is not installed") for rule in RULES[1:]]
    mismatch = _mismatch(evidence, face, model)
    if mismatch:
        return [MODEL.check(Status.FAIL, mismatch)] + [rule.skip("it belongs to another model") for rule in RULES[1:]]
    landmarks = fitted_landmarks(face, model)
    return [
        MODEL.check(Status.PASS, f"{face.morphable_model}, {model.num_expressions} expressions"),
        _landmark_error(evidence, landmarks),
        _limits(face, model),
        _jitter(evidence, face, landmarks),
    ]


@torch.no_grad()
def fitted_landmarks(face: TrackedFace, model: MorphableModel) -> Float[Tensor, "T 68 2"]:
    """The fit's landmarks in the frames, pixels."""
    parts = []
    for start in range(0, face.coefficients.num_frames, _BATCH):
        part = face.coefficients.frames(slice(start, start + _BATCH))
        vertices = model(part.shape_coefficients[None], part.expression_coefficients, part.gaze)
        points = head_to_world(model.landmarks_3d(vertices), part.rotation, part.translation)
        parts.append(project(points, face.camera))
    return torch.cat(parts)


def _mismatch(evidence: Evidence, face: TrackedFace, model: MorphableModel) -> str | None:
    if face.expression_names != tuple(model.expression_names):
        return f"{len(face.expression_names)} expressions, the model '{face.morphable_model}' has others"
    if face.coefficients.shape_coefficients.numel() != model.num_shape:
        return f"{face.coefficients.shape_coefficients.numel()} shape coefficients, the model has {model.num_shape}"
    if evidence.store.has_truth:
        truth = evidence.store.truth()
        if truth.morphable_model == face.morphable_model and truth.expression_names != face.expression_names:
            return f"other expressions than the actor's truth, of the same model '{truth.morphable_model}'"
    return None


def _landmark_error(evidence: Evidence, fitted: Float[Tensor, "T 68 2"]) -> Check:
    use = evidence.usable & evidence.seen
    if not bool(use.any()):
        return LANDMARKS.skip("no usable frame")
    distance = (fitted - evidence.landmarks)[:, _INNER].norm(dim=-1).mean(1) / interocular(evidence.landmarks)
    error = 100 * float(distance[use].mean())
    return LANDMARKS.check(at_most(error, 2, 5), f"{error:.2f} %", error)


def _limits(face: TrackedFace, model: MorphableModel) -> Check:
    values, bounds = face.coefficients.expression_coefficients, model.expression_bounds
    low, high = bounds.T
    reach = _AT_LIMIT * (high - low)
    # 0 is a blendshape at rest: a lower bound only counts as a limit if it is not 0.
    at_limit = (values >= high - reach) | ((values <= low + reach) & (low < 0))
    shares = at_limit.float().mean(0)
    often = torch.nonzero(shares > _OFTEN)[:, 0].tolist()
    often.sort(key=lambda index: -float(shares[index]))
    names = ", ".join(f"{face.expression_names[index]} {100 * float(shares[index]):.0f} %" for index in often[:4])
    return LIMITS.check(at_most(len(often), 0, 4), f"{len(often)}{': ' + names if names else ''}", float(len(often)))


def _jitter(evidence: Evidence, face: TrackedFace, fitted: Float[Tensor, "T 68 2"]) -> Check:
    fps = evidence.store.fps
    if fps <= 2.5 * _JITTER_HERTZ or face.coefficients.num_frames < fps:
        return JITTER.skip(f"{face.coefficients.num_frames} frames at {fps:g} fps cannot show motion above 8 Hz")
    inner = fitted[:, 60:68] - fitted[:, 27:36].mean(1, keepdim=True)
    curves = (inner / interocular(fitted)[:, None, None]).flatten(1)
    energy = curves.var(0)
    fast = high_frequency_energy(curves, fps, _JITTER_HERTZ) * energy
    share = 100 * float(fast.sum() / energy.sum().clamp(min=1e-12))
    return JITTER.check(at_most(share, 6, 15), f"{share:.1f} % above 8 Hz", share)
