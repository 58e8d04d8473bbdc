"""espeak-ng, the formant synthesiser, through its C interface (speak_lib.h), and random changes of its sound.

Changes of microphone, room and background make networks that are trained on it robust to real recordings. They do not
shift the sound in time: filters have zero phase, and reverberation keeps the direct path.
"""

from __future__ import annotations

import ctypes
import shutil
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int16
from scipy.signal import fftconvolve
from torch import Tensor

from readavatar.errors import UserError
from readavatar.media.waveform import SAMPLE_RATE

_PHONEME_EVENT = 7
_SYNCHRONOUS, _PHONEME_EVENTS, _PHONEME_IPA, _DONT_EXIT = 2, 1, 2, 0x8000
_UTF8 = 1
_RATE, _PITCH, _RANGE = 1, 3, 4
_LONGEST_DATA_PATH = 120
"""espeak-ng keeps its data path in a buffer of 160 characters, with file names appended."""

_LOCK = threading.Lock()


class _EventId(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


def run_espeak(
    text: str, voice: str, *, pitch: float, pitch_range: float, rate: float
) -> tuple[Int16[np.ndarray, " num_samples"], list[tuple[int, str]], int]:
    """Synthesise a text; the same arguments give bit-identical samples.

    The library keeps the phases of its oscillators between utterances, even across initialisation, and is not
    thread-safe. A private copy is therefore loaded for each utterance and unloaded after it (5 ms).

    Args:
        text: UTF-8; punctuation affects the intonation.
        voice: espeak-ng's language and, after ``+``, its speaker variant.
        pitch: From 0 to 100.
        pitch_range: From 0 to 100.
        rate: Words per minute.

    Returns:
        16-bit samples, (sample, IPA symbol with stress marks) of every phoneme's onset, and the sample rate in Hz. An
        empty symbol is the onset of a pause.

    Raises:
        UserError: The extra ``voice`` is not installed, or espeak-ng has no such voice.
    """
    try:
        import espeakng_loader
    except ImportError:
        raise UserError(
            "Expected espeakng-loader (GPL 3.0), the digital actor's voice, but it is not installed; "
            "install readavatar[voice]."
        ) from None
    chunks: list[np.ndarray] = []
    onsets: list[tuple[int, str]] = []

    def collect(samples, num_samples, events):
        if samples and num_samples > 0:
            chunks.append(np.ctypeslib.as_array(samples, (num_samples,)).copy())
        index = 0
        while events[index].type != 0:
            if events[index].type == _PHONEME_EVENT:
                symbol = bytes(events[index].id.string).decode("utf8", "ignore")
                onsets.append((events[index].sample, symbol))
            index += 1
        return 0

    callback = _Callback(collect)
    with _LOCK, tempfile.TemporaryDirectory(prefix="readavatar_", ignore_cleanup_errors=True) as folder:
        data_path = Path(espeakng_loader.get_data_path())
        if len(str(data_path)) > _LONGEST_DATA_PATH:
            (Path(folder) / data_path.name).symlink_to(data_path, target_is_directory=True)
            data_path = Path(folder) / data_path.name
        original = Path(espeakng_loader.get_library_path())
        library = ctypes.CDLL(str(shutil.copy(original, Path(folder) / original.name)))
        try:
            options = _PHONEME_EVENTS | _PHONEME_IPA | _DONT_EXIT
            sample_rate = library.espeak_Initialize(_SYNCHRONOUS, 0, str(data_path).encode(), options)
            if sample_rate <= 0:
                raise UserError(f"Expected espeak-ng's data in '{data_path}'; reinstall espeakng-loader.")
            library.espeak_ng_SetRandSeed(ctypes.c_long(1))  # of breath noise; initialisation seeds it by the clock
            library.espeak_SetSynthCallback(callback)
            if library.espeak_SetVoiceByName(voice.encode()) != 0:
                raise UserError(f"Expected a voice that espeak-ng has (such as en-us+f2), but got '{voice}'.")
            settings = ((_RATE, rate, 80, 450), (_PITCH, pitch, 0, 99), (_RANGE, pitch_range, 0, 99))
            for parameter, value, least, greatest in settings:
                library.espeak_SetParameter(parameter, round(min(max(value, least), greatest)), 0)
            encoded = text.encode() + b"\0"
            library.espeak_Synth(encoded, ctypes.c_size_t(len(encoded)), 0, 1, 0, _UTF8, None, None)
            library.espeak_Synchronize()
            library.espeak_Terminate()
        finally:
            _unload(library)
    return np.concatenate(chunks) if chunks else np.zeros(1, dtype=np.int16), onsets, sample_rate


def _unload(library: ctypes.CDLL) -> None:
    import _ctypes

    unload = _ctypes.FreeLibrary if sys.platform == "win32" else _ctypes.dlclose
    unload(library._handle)


TILT = 5.0
"""Largest slope in decibels per octave around 1 kHz; the standard deviation is a third of it."""
PEAK = 6.0
"""Decibels, standard deviation of three broad peaks or dips."""
TELEPHONE_SHARE = 0.15
"""Share of takes without the high frequencies, above 3.4 to 7 kHz."""
REVERBERATION_SHARE = 0.6
REVERBERATION_TIME = (0.1, 0.5)
"""Seconds until the reverberation has decayed by 60 dB: from a car to a bare hall."""
DIRECT_TO_ECHO = (2.0, 18.0)
"""Decibels: from across a table to close to the microphone."""
EARLIEST_ECHO = 0.003
"""Seconds after the direct sound: a path that is one metre longer."""
NOISE_SHARE = 0.8
NOISE = (15.0, 45.0)
"""Decibels of the voice above the noise."""
GAIN = (-14.0, 6.0)
"""Decibels."""
FAINT = (-80.0, -45.0)
"""Decibels of full scale: noise of an empty room in a muted take."""
EXACT_ZERO_SHARE = 0.5
"""Share of muted takes with a sound of zeros."""


def vary_sound(
    waveform: Float[Tensor, " num_samples"], generator: np.random.Generator
) -> Float[Tensor, " num_samples"]:
    """Change microphone, room, background and level; length and timing are kept, values are in [−1, 1]."""
    equaliser, room, background, level = generator.spawn(4)
    sound = _equalised(waveform.double().numpy(), equaliser)
    if room.random() < REVERBERATION_SHARE:
        sound = _reverberated(sound, room)
    if background.random() < NOISE_SHARE:
        sound = sound + _noise_for(sound, background)
    sound = sound * 10 ** (level.uniform(*GAIN) / 20)
    return _tensor(sound / max(1.0, np.abs(sound).max() / 0.99))


def faint_noise(
    waveform: Float[Tensor, " num_samples"], generator: np.random.Generator
) -> Float[Tensor, " num_samples"]:
    """The sound of a muted take: zeros in half of them, else the noise of an empty room."""
    if generator.random() < EXACT_ZERO_SHARE:
        return waveform
    noise = coloured_noise(len(waveform), generator.uniform(0, 2), generator)
    return waveform + _tensor(noise * 10 ** (generator.uniform(*FAINT) / 20))


def coloured_noise(num_samples: int, exponent: float, generator: np.random.Generator) -> np.ndarray:
    """(num_samples,) of root mean square 1 whose power falls by frequency ** exponent: 0 white, 1 pink, 2 brown."""
    spectrum = np.fft.rfft(generator.standard_normal(num_samples))
    frequency = np.fft.rfftfreq(num_samples, 1 / SAMPLE_RATE)
    # Constant below 50 Hz; otherwise brown noise would only be a slow drift.
    noise = np.fft.irfft(spectrum * (frequency > 20) * np.maximum(frequency, 50) ** (-exponent / 2), num_samples)
    return noise / max(np.sqrt(np.mean(noise**2)), 1e-12)


def _equalised(sound: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Apply a smooth gain by frequency, with zero phase."""
    frequency = np.fft.rfftfreq(len(sound), 1 / SAMPLE_RATE)
    octaves = np.log2(np.maximum(frequency, 60) / 1000)
    decibels = np.clip(generator.normal(0, TILT / 3), -TILT, TILT) * octaves
    for _ in range(3):
        centre, width = generator.uniform(-3.0, 2.7), generator.uniform(0.4, 1.5)
        decibels += generator.normal(0, PEAK) * np.exp(-0.5 * ((octaves - centre) / width) ** 2)
    cut, telephone = generator.uniform(3400, 7000), generator.random() < TELEPHONE_SHARE
    if telephone:
        decibels -= 40 / (1 + np.exp(-(frequency - cut) / 150))
    filtered = np.fft.irfft(np.fft.rfft(sound) * 10 ** (decibels / 20), len(sound))
    # The level is drawn separately from the spectrum.
    return filtered * np.sqrt(np.mean(sound**2) / max(np.mean(filtered**2), 1e-12))


def _reverberated(sound: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    seconds = generator.uniform(*REVERBERATION_TIME)
    times = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    echo = generator.standard_normal(len(times)) * 10 ** (-3 * times / seconds) * (times > EARLIEST_ECHO)
    echo *= 10 ** (-generator.uniform(*DIRECT_TO_ECHO) / 20) / np.sqrt(np.sum(echo**2))
    return sound + fftconvolve(sound, echo)[: len(sound)]


def _noise_for(sound: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """White to brown noise, or babble: six reversed copies of the voice from other places in the take."""
    if generator.random() < 0.3:
        shifts = generator.integers(0, len(sound), 6)
        noise = sum(np.roll(sound[::-1], int(shift)) for shift in shifts)
        noise = noise / max(np.sqrt(np.mean(noise**2)), 1e-12)
    else:
        noise = coloured_noise(len(sound), generator.uniform(0, 2), generator)
    return noise * np.sqrt(np.mean(sound**2)) * 10 ** (-generator.uniform(*NOISE) / 20)


def _tensor(sound: np.ndarray) -> Float[Tensor, " num_samples"]:
    return torch.from_numpy(np.ascontiguousarray(sound)).float()
