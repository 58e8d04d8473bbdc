"""The appearance network's inputs are made on the device of the fit and the model, and are the same on all."""

import pytest
import torch
from other_device import other_device
from tiny_face import tiny_model, tiny_tracking

from readavatar.data.raster.render_inputs import MapSettings, build_render_inputs, measure_jaw_reach


@pytest.mark.parametrize("kind", ["cuda", "mps"])
def test_render_inputs_and_the_jaws_reach_are_the_same_on_another_device(kind):
    face, model, settings = tiny_tracking(3, 48), tiny_model(), MapSettings(supersampling=2)
    generator = torch.Generator().manual_seed(0)
    frames, speech = torch.rand(3, 3, 48, 48, generator=generator), torch.rand(3, 5, 6, generator=generator)
    expected, reach = build_render_inputs(face, model, speech, frames, settings), measure_jaw_reach(face, model)
    with other_device(kind) as (device, _):
        face, model = face.to(device), model.to(device)
        inputs = build_render_inputs(face, model, speech.to(device), frames.to(device), settings)
        assert measure_jaw_reach(face, model) == pytest.approx(reach, rel=1e-5)
        for name, value in vars(inputs).items():
            assert value.device == device, name
            torch.testing.assert_close(value.cpu(), getattr(expected, name), atol=1e-5, rtol=1e-5)
