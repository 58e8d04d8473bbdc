"""The appearance scorecard, behind ``readavatar bench appearance``."""
