"""Behind ``readavatar bench tracking``."""
