"""The tracking scorecard, behind ``readavatar bench tracking``."""
