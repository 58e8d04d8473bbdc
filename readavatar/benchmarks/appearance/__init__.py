"""Behind ``readavatar bench appearance``."""
