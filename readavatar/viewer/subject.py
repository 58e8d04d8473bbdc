"""What a page is made of: a clip's points, fit and truth as they are on disk, and the curves they give."""

from __future__ import annotations

from dataclasses import dataclass, replace

from jaxtyping import Float
from torch import Tensor

from readavatar.data.store import ClipStore
from readavatar.errors import UserError
from readavatar.morphable import load_morphable_model
from readavatar.morphable.model import MorphableModel
from readavatar.tracking.results import truth_of
from readavatar.types import TrackedFace
from readavatar.viewer import series as curves
from readavatar.viewer.drawing import FittedPoints, SeenPoints, fitted_points, jumps, landmark_errors, seen_points
from readavatar.viewer.series import Series


@dataclass(frozen=True)
class Subject:
    """What is looked at."""

    store: ClipStore
    seen: SeenPoints
    face: TrackedFace | None = None
    model: MorphableModel | None = None
    fitted: FittedPoints | None = None
    truth: TrackedFace | None = None
    truth_points: FittedPoints | None = None


def open_subject(store: ClipStore, truth: bool = False) -> Subject:
    """Read what there is of a clip.

    Args:
        store: Prepared, and maybe fitted.
        truth: Look at a digital actor's truth in place of the fit.

    Raises:
        UserError: No truth where one is asked for, or a fit of another morphable model than the one that is there.
    """
    seen = seen_points(store)
    if not truth and not store.is_tracked:
        return Subject(store, seen)
    face = store.truth() if truth else store.tracking()
    model = load_morphable_model(face.morphable_model)
    if tuple(model.expression_names) != face.expression_names:
        raise UserError(
            f"Expected '{face.morphable_model}' to have the {len(face.expression_names)} expressions that "
            f"'{store.path}' was fitted with, but it has others; fit the clip again."
        )
    fitted = fitted_points(face, model)
    true = None if truth else truth_of(store, model)
    return Subject(store, seen, face, model, fitted, true, None if true is None else fitted_points(true, model))


def all_series(
    subject: Subject, index: slice, photometric: Float[Tensor, " n"], geometric: Float[Tensor, " n"]
) -> list[Series]:
    """All curves of the n frames ``index``, in the order of their lanes; the errors are those of ``DrawnFrame``."""
    store, face, truth, seen = subject.store, subject.face, subject.truth, subject.seen
    emotion, blendshapes = store.emotion(), store.landmarks().blendshapes
    blendshapes = blendshapes if bool(blendshapes.any()) else None
    found: list[Series] = []
    if emotion is not None:
        found += curves.emotion_series(emotion.sample_frames(store.num_frames, store.fps), emotion.space.names)
    found += curves.opening_series(seen, subject.fitted, subject.truth_points)
    if face is None:
        if blendshapes is not None:
            found += curves.expression_series(blendshapes, curves.ARKIT_NAMES)
        return [_cut(one, index) for one in found]
    true = None if truth is None else truth.coefficients
    found += curves.expression_series(
        face.coefficients.expression_coefficients,
        face.expression_names,
        blendshapes,
        None if true is None else true.expression_coefficients,
    )
    found += curves.pose_series(face.coefficients, true)
    errors = landmark_errors(subject.fitted, seen)
    found += [
        Series("landmark error", curves.LANDMARK_ERROR, "%", errors),
        Series("jump", curves.JUMP, "%", jumps(subject.fitted.landmarks), {"detector": jumps(seen.landmarks)}),
    ]
    found = [_cut(one, index) for one in found]
    found.append(Series("photometric error", curves.PHOTOMETRIC_ERROR, "%", photometric))
    if truth is not None:
        found.append(Series("shape error", curves.SHAPE_ERROR, "mm", geometric))
    return found


def _cut(one: Series, index: slice) -> Series:
    references = {name: values[index] for name, values in one.references.items()}
    return replace(one, values=one.values[index], references=references)


def notes(subject: Subject, first: int, last: int, truth: bool) -> list[str]:
    """What is said over the panels."""
    store = subject.store
    missing = int((~subject.seen.found[first:last]).sum())
    found = [
        f"{store.info.source_name}: frames {first} to {last - 1} of {store.num_frames}, {store.fps:g} a second, "
        f"{store.info.size}×{store.info.size} pixels; no face was found in {missing}."
    ]
    if subject.face is None:
        found.append(
            "The clip is prepared, but not fitted: only what the detector saw is shown. Fit it with 'readavatar fit "
            f"--config configs/tracking/default.yaml --data.clips {store.path}'."
        )
    else:
        what = "The digital actor's truth, drawn" if truth else "Fitted"
        found.append(f"{what} with the morphable model '{subject.face.morphable_model}'.")
        if not truth and subject.truth is None and (store.path / "truth.safetensors").exists():
            found.append("The clip has a truth, but in another morphable model: it is not compared with the fit.")
    return found
