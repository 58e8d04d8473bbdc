"""Directing: new audio and emotion into the person's own footage."""

from readavatar.directing.animate import Animation, animate

__all__ = ["Animation", "animate"]
