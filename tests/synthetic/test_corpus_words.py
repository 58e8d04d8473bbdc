"""What characters say: held-out sentences stay out, made-up ones are many, other languages have all their visemes."""

from __future__ import annotations

import numpy as np
import pytest

from readavatar.synthetic import HELD_OUT_SENTENCES, SENTENCES
from readavatar.synthetic.sentences import LANGUAGES, SENTENCES_ABROAD, draw_sentence, random_sentence
from readavatar.synthetic.visemes import unknown_letters, visemes_of
from readavatar.synthetic.voice import Voice, synthesise


def _sounds(text: str, voice: str) -> list[str]:
    return [phoneme.symbol for phoneme in synthesise(text, Voice(voice)).phonemes if phoneme.symbol]


def test_held_out_sentences_close_the_lips_often_and_are_no_others():
    assert len(set(HELD_OUT_SENTENCES)) >= 16 and not set(HELD_OUT_SENTENCES) & set(SENTENCES)
    for sentence in HELD_OUT_SENTENCES:
        assert sum(visemes_of(symbol)[0].closure for symbol in _sounds(sentence, "en-us")) >= 5, sentence


def test_no_drawn_sentence_is_a_held_out_one():
    generator = np.random.default_rng(0)
    assert not {draw_sentence(generator) for _ in range(3000)} & set(HELD_OUT_SENTENCES)


def test_made_up_sentences_are_many_and_well_formed():
    generator = np.random.default_rng(0)
    made = [random_sentence(generator) for _ in range(2000)]
    assert len(set(made)) > 1900
    assert all(sentence[0].isupper() and sentence[-1] in ".?" and "  " not in sentence for sentence in made)


def test_made_up_sentences_have_every_english_consonant():
    generator = np.random.default_rng(1)
    said = "".join(symbol for _ in range(60) for symbol in _sounds(random_sentence(generator), "en-us"))
    for sound in "pbmfvθðszʃʒtdnlɹkɡŋwjh":
        assert said.count(sound) >= 3, sound


@pytest.mark.parametrize("language", SENTENCES_ABROAD)
def test_every_sound_of_every_language_has_a_viseme(language):
    assert len(SENTENCES_ABROAD[language]) >= 10 and language in LANGUAGES
    sounds = {symbol for text in SENTENCES_ABROAD[language] for symbol in _sounds(text, language)}
    assert len(sounds) > 20
    assert {symbol: unknown_letters(symbol) for symbol in sounds if unknown_letters(symbol)} == {}
    assert any(visemes_of(symbol)[0].closure for symbol in sounds)


def test_marks_do_not_change_a_sound_s_viseme():
    for marked, plain in (("ɛ̃", "ɛ"), ("ä", "a"), ("õ", "o"), ("i̪", "i"), ("uː", "u"), ("ts.", "ts")):
        assert visemes_of(marked) == visemes_of(plain), marked
    assert visemes_of("ç") != visemes_of("c")
