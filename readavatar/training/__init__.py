"""Training of the three stages: ``train`` and ``test``, which the command line, the demo and the benchmarks call.

``connect`` builds a module for its data. A training that was stopped is resumed, and leaves its networks in the
avatar's folder.
"""

from readavatar.training.runs import connect, run_stage, test, train

__all__ = ["connect", "run_stage", "test", "train"]
