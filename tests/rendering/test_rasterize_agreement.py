"""The backends that run on a CPU agree; tests/gpu runs the same suite on a GPU."""

import pytest
from raster_agreement import agreement, require


@agreement
@pytest.mark.parametrize("backend", ["cpu", "torch", "pytorch3d"])
def test_on_a_cpu(check, backend):
    check(require(backend), "cpu")
