"""Training of the three stages: ``train`` and ``test``, which the command line, the demo and the benchmarks call.

A module is built for what its data give (``connect``), resumes where it was stopped, and leaves its networks in the
avatar's folder.
"""

from readavatar.training.runs import connect, run_stage, test, train

__all__ = ["connect", "run_stage", "test", "train"]
