"""Behind ``readavatar bench expression``."""
