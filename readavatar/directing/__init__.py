"""Directing: new speech and emotion in the person's own footage."""

from readavatar.directing.animate import Animation, animate

__all__ = ["Animation", "animate"]
