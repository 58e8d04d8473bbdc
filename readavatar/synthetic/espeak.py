"""espeak-ng, the formant synthesiser, through its C interface (speak_lib.h) and the ``espeakng-loader`` wheel."""

from __future__ import annotations

import ctypes
import shutil
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np
from jaxtyping import Int16

from readavatar.errors import UserError

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
    """Say a text; the same arguments give the same samples bit for bit.

    The library keeps its oscillators' phases from one utterance to the next, even across its own initialisation, and is
    not thread-safe; a private copy, loaded for each utterance and unloaded after it (5 ms), makes speech reproducible.

    Args:
        text: UTF-8; punctuation shapes its melody.
        voice: espeak-ng's language and, after ``+``, its speaker variant.
        pitch: Of 0 to 100.
        pitch_range: Of 0 to 100.
        rate: Words a minute.

    Returns:
        16-bit samples, (sample, IPA symbol with stress marks) of every phoneme's onset, and the sample rate in Hz. An
        onset with an empty symbol begins a pause.

    Raises:
        UserError: espeak-ng has no such voice.
    """
    import espeakng_loader

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
            library.espeak_ng_SetRandSeed(ctypes.c_long(1))  # of the breath; initialisation seeds it by the clock
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
