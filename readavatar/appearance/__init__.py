"""Stage 3: the rasterised mesh of a fit and speech → pixels of the face, composited into the footage."""

from readavatar.appearance.inference import render_face
from readavatar.appearance.module import AppearanceModule
from readavatar.appearance.networks import AppearanceRenderer
from readavatar.data.raster.render_inputs import RenderInputs, build_render_inputs, speech_windows

__all__ = [
    "AppearanceModule",
    "AppearanceRenderer",
    "RenderInputs",
    "build_render_inputs",
    "render_face",
    "speech_windows",
]
