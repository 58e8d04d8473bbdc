"""Ablations, behind ``readavatar ablate``."""
