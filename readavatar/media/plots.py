"""Curves as pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from readavatar.files import replacing_file


def plot_curves(path: Path, fps: float, curves: Mapping[str, Float[Tensor, " T"]], label: str) -> Path:
    """Plot curves over one time axis into a PNG.

    Args:
        path: The PNG.
        fps: Frames a second of every curve.
        curves: By name, as the legend has it.
        label: Of the vertical axis, with its unit.

    Returns:
        ``path``.
    """
    # Without pyplot, which keeps every figure and looks for a display.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for name, curve in curves.items():
        axes.plot([(frame + 0.5) / fps for frame in range(len(curve))], curve.detach().cpu().numpy(), label=name)
    axes.set(xlabel="seconds", ylabel=label)
    axes.legend(loc="upper right", fontsize="small")
    with replacing_file(path) as temporary:
        figure.savefig(temporary, dpi=110)
    return path
