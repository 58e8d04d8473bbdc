"""readavatar: emotional talking avatars of a real person, after READ Avatars (Saunders & Namboodiri, BMVC 2023).

The names in ``__all__`` are the public API. Each is imported when it is first used (PEP 562), so that
``import readavatar`` itself loads neither PyTorch nor NumPy.

The package is layered and imports go down only. ``FLOORS`` in ``tests/test_floors.py`` defines the layers; the list
here repeats it, and a test holds that the two agree:

0. ``types``, ``devices``, ``emotion``, ``errors``, ``files``, ``pickles``, ``assets``, ``config_paths``, ``progress``,
   ``throughput``
1. ``media``, ``rendering``, ``metrics``
2. ``speech``, ``detection``, ``morphable``, ``optimization``
3. ``data``, ``gaze``
4. ``tracking``, ``expression``, ``appearance``, ``synthetic``
5. ``training``, ``directing``
6. ``doctor``, ``viewer``
7. ``benchmarks``, ``demo``
8. ``cli``, ``__main__``

Example:
    >>> import readavatar
    >>> space = readavatar.EmotionSpace()
    >>> track = readavatar.EmotionTrack.parse("0s neutral, 2s happy:0.8", space)
    >>> space.describe(track.sample_frames(num_frames=100, fps=25.0)[-1])
    'happy:0.8'
"""

from typing import TYPE_CHECKING

__version__ = "0.2.0"

__all__ = [
    "Avatar",
    "ClipStore",
    "EmotionSpace",
    "EmotionTrack",
    "animate",
    "load_morphable_model",
    "load_speech_encoder",
    "prepare",
    "rasterize",
    "test",
    "train",
]

# Type checkers read the imports and do not see ``__getattr__``, which would make them accept any name.
if TYPE_CHECKING:
    from readavatar.data.preparation.prepare import prepare_clip as prepare
    from readavatar.data.store import Avatar, ClipStore
    from readavatar.directing.animate import animate
    from readavatar.emotion import EmotionSpace, EmotionTrack
    from readavatar.morphable import load_morphable_model
    from readavatar.rendering.rasterize import rasterize
    from readavatar.speech import load_speech_encoder
    from readavatar.training import test, train
else:
    _SOURCES = {
        "Avatar": "readavatar.data.store.Avatar",
        "ClipStore": "readavatar.data.store.ClipStore",
        "EmotionSpace": "readavatar.emotion.EmotionSpace",
        "EmotionTrack": "readavatar.emotion.EmotionTrack",
        "animate": "readavatar.directing.animate.animate",
        "load_morphable_model": "readavatar.morphable.load_morphable_model",
        "load_speech_encoder": "readavatar.speech.load_speech_encoder",
        "prepare": "readavatar.data.preparation.prepare.prepare_clip",
        "rasterize": "readavatar.rendering.rasterize.rasterize",
        "test": "readavatar.training.test",
        "train": "readavatar.training.train",
    }
    """Module and attribute of each public name."""

    def __getattr__(name):
        from importlib import import_module

        if name not in _SOURCES:
            raise AttributeError(f"module '{__name__}' has no attribute '{name}'", name=name)
        module, _, attribute = _SOURCES[name].rpartition(".")
        globals()[name] = getattr(import_module(module), attribute)
        return globals()[name]

    def __dir__():
        return sorted({*globals(), *__all__})
