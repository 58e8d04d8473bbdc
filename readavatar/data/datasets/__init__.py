"""Datasets and data modules of the three stages."""
