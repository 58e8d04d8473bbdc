"""What ``readavatar bench`` runs; each benchmark is a function that returns named figures."""

from readavatar.benchmarks.figures import Figure, measure, print_figures, write_figures
from readavatar.benchmarks.rasterize import bench_rasterize
from readavatar.benchmarks.stages import bench_stages

BENCHMARKS = {"rasterize": bench_rasterize, "stages": bench_stages}

__all__ = ["BENCHMARKS", "Figure", "measure", "print_figures", "write_figures"]
