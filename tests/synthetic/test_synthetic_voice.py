"""The actor's voice: known phonemes at the right times, the same every time, coloured by emotion."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from readavatar.cli import main
from readavatar.emotion import MEAD_EMOTIONS, EmotionSpace, EmotionTrack
from readavatar.errors import UserError
from readavatar.media.waveform import SAMPLE_RATE
from readavatar.synthetic.espeak import run_espeak
from readavatar.synthetic.sentences import SENTENCES
from readavatar.synthetic.visemes import visemes_of
from readavatar.synthetic.voice import PROSODY, VOICES, Voice, silence, speak, synthesise

SPACE = EmotionSpace()
TEXT = "Bob moved the bright blue boat."


def _speak(emotion: str = "neutral", seed: int = 0, sentences=(TEXT,), voice=VOICES[0]):
    return speak(list(sentences), voice=voice, emotion=EmotionTrack.parse(emotion, SPACE), seed=seed)


def _loudness(speech, start: float, end: float) -> float:
    part = speech.waveform[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)]
    return float(part.square().mean().sqrt()) if len(part) else 0.0


def test_phonemes_cover_the_waveform_without_gaps():
    speech = _speak(sentences=(TEXT, "Five foxes."))
    starts, ends = zip(*[(phoneme.start, phoneme.end) for phoneme in speech.phonemes], strict=True)
    assert starts[0] == 0 and ends[-1] == pytest.approx(speech.duration, abs=1e-6)
    assert np.allclose(starts[1:], ends[:-1])
    assert all(end > start for start, end in zip(starts, ends, strict=True))


def test_phonemes_say_the_sentence():
    symbols = "".join(phoneme.symbol for phoneme in synthesise(TEXT, VOICES[0]).phonemes)
    assert symbols == "bɑːbmuːvdðəbɹaɪtbluːboʊt"


def test_vowels_are_where_the_sound_is_and_pauses_where_it_is_not():
    speech = _speak(sentences=(TEXT, TEXT))
    vowels = [p for p in speech.phonemes if p.stress == 1.0]
    pauses = [p for p in speech.phonemes if not p.symbol and p.end - p.start > 0.15]
    assert len(vowels) == 10 and len(pauses) == 3
    quietest_vowel = min(_loudness(speech, p.start, p.end) for p in vowels)
    loudest_pause = max(_loudness(speech, p.start + 0.05, p.end - 0.02) for p in pauses)
    assert quietest_vowel > 10 * loudest_pause


def test_onsets_match_the_energy_within_a_frame():
    speech = synthesise("Baba.", VOICES[0])
    first = next(p for p in speech.phonemes if p.symbol)
    loud = torch.nonzero(speech.waveform.abs() > 0.05)[0, 0] / SAMPLE_RATE
    assert abs(float(loud) - first.start) < 0.04


def test_the_same_text_gives_the_same_samples_whatever_was_said_before():
    for voice in VOICES[:3]:
        first = synthesise(TEXT, voice)
        synthesise("Something else, of another length.", VOICES[3])
        second = synthesise(TEXT, voice)
        assert torch.equal(first.waveform, second.waveform) and first.phonemes == second.phonemes


def test_seeds_change_the_delivery():
    assert torch.equal(_speak(seed=1).waveform, _speak(seed=1).waveform)
    assert _speak(seed=1).duration != _speak(seed=2).duration


def test_every_voice_speaks_without_clipping():
    for voice in VOICES:
        speech = _speak("angry", voice=voice)
        assert 0.05 < float(speech.waveform.abs().max()) < 0.99


def test_emotions_change_rate_and_loudness_in_the_literature_s_direction():
    neutral, angry, sad = _speak(), _speak("angry"), _speak("sad")
    assert angry.duration < neutral.duration < sad.duration
    rms = [float(speech.waveform.square().mean().sqrt()) for speech in (sad, neutral, angry)]
    assert rms == sorted(rms)
    assert set(PROSODY) == set(MEAD_EMOTIONS)


def test_an_emotion_that_changes_colours_each_sentence_by_its_beginning():
    changing = _speak("0s neutral, 0.5s neutral, 1s sad", sentences=(TEXT, TEXT))
    halves = [p for p in changing.phonemes if p.stress == 1.0]
    first, second = halves[:5], halves[5:]
    assert sum(p.end - p.start for p in second) > 1.1 * sum(p.end - p.start for p in first)


def test_silence_is_silent_and_as_long_as_asked():
    muted = silence(1.28)
    assert muted.duration == 1.28 and not muted.waveform.any() and len(muted.phonemes) == 1


def test_speech_is_filled_with_silence_up_to_the_duration():
    speech = speak(["Hi."], voice=VOICES[0], emotion=EmotionTrack.constant(SPACE), seed=0, duration=3.0)
    assert speech.duration == pytest.approx(3.0, abs=1e-3) and speech.phonemes[-1].end == pytest.approx(3.0, abs=1e-3)


def test_what_cannot_be_said_is_a_user_s_error():
    with pytest.raises(UserError, match="can be spoken"):
        synthesise("...", VOICES[0])
    with pytest.raises(UserError, match="no-such"):
        synthesise("Hello.", Voice("no-such"))


def test_without_its_extra_the_voice_is_named_in_one_line(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(UserError, match=r"^Expected espeakng-loader \(GPL 3\.0\), .*; install readavatar\[voice\]\.$"):
        synthesise("Hello.", VOICES[0])
    assert main(["demo", "--quick", "--out", str(tmp_path / "demo")]) == 2
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 1 and error[0].endswith("install readavatar[voice].")


def test_a_long_data_path_is_no_obstacle(monkeypatch, tmp_path):
    import espeakng_loader

    deep = tmp_path.joinpath(*["a_rather_long_folder_name"] * 6)
    deep.mkdir(parents=True)
    link = deep / "espeak-ng-data"
    link.symlink_to(espeakng_loader.get_data_path(), target_is_directory=True)
    monkeypatch.setattr(espeakng_loader, "get_data_path", lambda: str(link))
    samples, onsets, _ = run_espeak("Hello.", "en-us", pitch=50.0, pitch_range=50.0, rate=160.0)
    assert len(samples) > 1000 and onsets


def test_the_built_in_sentences_are_many_distinct_and_phonetically_rich():
    assert len(SENTENCES) >= 60 and len(set(SENTENCES)) == len(SENTENCES)
    said = [p.symbol for sentence in SENTENCES for p in synthesise(sentence, VOICES[0]).phonemes]
    for sound in "pbmfvθðszʃʒtdnlɹkɡŋwjh":
        assert sum(sound in symbol for symbol in said) >= 5, sound
    assert all(visemes_of(symbol) for symbol in said)
