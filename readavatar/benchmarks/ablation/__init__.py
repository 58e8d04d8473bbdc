"""Behind ``readavatar ablate``."""
