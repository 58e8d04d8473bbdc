"""The digital actor: synthetic speech and video with known coefficients."""

from __future__ import annotations

from readavatar.synthetic.characters import Actor, Character, make_actor, make_character
from readavatar.synthetic.clip import film, perform_sentences, write_actor_clip
from readavatar.synthetic.corpus import Take, draw_takes, play
from readavatar.synthetic.performance import Performance, Style, perform
from readavatar.synthetic.sentences import HELD_OUT_SENTENCES, SENTENCES
from readavatar.synthetic.voice import VOICES, Phoneme, Speech, Voice, silence, speak

__all__ = [
    "HELD_OUT_SENTENCES",
    "SENTENCES",
    "VOICES",
    "Actor",
    "Character",
    "Performance",
    "Phoneme",
    "Speech",
    "Style",
    "Take",
    "Voice",
    "draw_takes",
    "film",
    "make_actor",
    "make_character",
    "perform",
    "perform_sentences",
    "play",
    "silence",
    "speak",
    "write_actor_clip",
]
