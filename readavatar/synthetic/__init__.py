"""The digital actor: speech and video whose every coefficient is known."""

from __future__ import annotations

from readavatar.synthetic.actor import Actor, make_actor
from readavatar.synthetic.clip import film, rehearse, write_actor_clip
from readavatar.synthetic.performance import Performance, Style, perform
from readavatar.synthetic.sentences import SENTENCES
from readavatar.synthetic.voice import VOICES, Phoneme, Speech, Voice, silence, speak

__all__ = [
    "SENTENCES",
    "VOICES",
    "Actor",
    "Performance",
    "Phoneme",
    "Speech",
    "Style",
    "Voice",
    "film",
    "make_actor",
    "perform",
    "rehearse",
    "silence",
    "speak",
    "write_actor_clip",
]
