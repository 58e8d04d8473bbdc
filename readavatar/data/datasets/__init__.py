"""Clip stores → batches: a LightningDataModule a stage, and the specification that a network is built from."""
