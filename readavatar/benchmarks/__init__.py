"""What ``readavatar bench`` runs; each benchmark is a function that returns named figures."""

from readavatar.benchmarks.figures import Figure, measure, print_figures, write_figures
from readavatar.benchmarks.rasterize import bench_rasterize
from readavatar.benchmarks.stages import bench_stages
from readavatar.benchmarks.tracking import bench_tracking

BENCHMARKS = {"rasterize": bench_rasterize, "stages": bench_stages}
"""Those that time; ``bench_tracking`` fits and measures."""

__all__ = ["BENCHMARKS", "Figure", "bench_tracking", "measure", "print_figures", "write_figures"]
