"""Every row that the rasteriser's benchmark promises is there, and means what it is called."""

import pytest
import torch

from readavatar.benchmarks import timings as bench
from readavatar.benchmarks.scorecard import Figure


@pytest.fixture
def without_ict(monkeypatch):
    monkeypatch.setattr(bench, "find_asset", lambda name: None)


def test_every_row_is_measured_beside_plain_torch(monkeypatch, without_ict):
    monkeypatch.setattr(bench, "SIZES", (16,))
    monkeypatch.setattr(bench, "ORACLE_PART", 2000)
    figures = bench.bench_rasterize()
    for mesh in ("built-in head (10.0k vertices)", "split head (28.7k vertices)"):
        for row in (
            "16² × 1: visibility",
            "16² × 16: visibility",
            "16² × 1: texture, fw + bw",
            "16² × 16: texture, fw + bw",
            "16² × 1: visibility, torch (once, 1/2000)",
            "16² × 1: texture, fw + bw, torch",
        ):
            figure = figures[f"{mesh}, {row}"]
            assert 0 < figure.low <= figure.value <= figure.high and figure.unit == "ms"


def test_the_whole_head_at_512_has_aims_and_nothing_else_has(monkeypatch, without_ict):
    monkeypatch.setattr(bench, "measure", lambda action, per=1, aim="": Figure(1.0, 1.0, 1.0, "ms", aim))
    monkeypatch.setattr(bench, "_once", lambda action, scale=1: Figure(1.0, 1.0, 1.0, "ms"))
    aims = {name: figure.aim for name, figure in bench.bench_rasterize().items() if figure.aim}
    assert aims == {
        "split head (28.7k vertices), 512² × 1: visibility": bench.VISIBILITY_AIM,
        "split head (28.7k vertices), 512² × 1: texture, fw + bw": bench.TEXTURE_AIM,
    }


def test_a_mesh_split_in_three_covers_the_same_pixels(without_ict):
    whole, split = bench._meshes("builtin")
    assert len(split.faces) == len(split.uv_faces) == 3 * len(whole.faces)
    covered = [bench._visibility(mesh, bench._place(mesh, 64, 1), 64)().face_index >= 0 for mesh in (whole, split)]
    torch.testing.assert_close(*covered)


def test_compiled_and_plain_texture_rows_do_the_same(without_ict, monkeypatch):
    mesh = bench._meshes("builtin")[0]
    clip, found, grad = bench._place(mesh, 32, 1), [], torch.autograd.grad
    monkeypatch.setattr(torch.autograd, "grad", lambda *args: found.append(grad(*args)))
    bench._textured(mesh, clip, 32)()
    bench._textured_plainly(mesh, clip, 32)()
    torch.testing.assert_close(found[0][0], found[1][0], atol=1e-3, rtol=1e-3)
    assert found[0][1].shape == found[1][1].shape == clip.shape
