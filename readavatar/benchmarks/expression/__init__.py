"""The expression scorecard, behind ``readavatar bench expression``."""
