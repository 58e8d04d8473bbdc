"""The benchmarks behind ``readavatar bench``. Each is a function that returns named figures."""

from readavatar.benchmarks.appearance.bench import bench_appearance
from readavatar.benchmarks.appearance.speed import bench_appearance_speed
from readavatar.benchmarks.expression.bench import bench_expression
from readavatar.benchmarks.expression.footage import bench_expression_footage
from readavatar.benchmarks.expression.sync import bench_expression_recordings
from readavatar.benchmarks.scorecard import Figure, measure, print_figures, write_figures
from readavatar.benchmarks.timings import bench_rasterize, bench_stages
from readavatar.benchmarks.tracking.bench import bench_tracking

BENCHMARKS = {"rasterize": bench_rasterize, "stages": bench_stages}
"""The benchmarks of speed; ``bench_tracking``, ``bench_expression`` and ``bench_appearance`` train and measure."""

__all__ = [
    "BENCHMARKS",
    "Figure",
    "bench_appearance",
    "bench_appearance_speed",
    "bench_expression",
    "bench_expression_footage",
    "bench_expression_recordings",
    "bench_tracking",
    "measure",
    "print_figures",
    "write_figures",
]
