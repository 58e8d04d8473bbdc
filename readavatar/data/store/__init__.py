"""The clip store: one folder a clip, the one form in which footage and its fit pass between stages.

    clip.json                what the clip is: ``ClipInfo``
    source.mp4 (any suffix)  the footage as it came, for compositing
    frames/000000.png …      the crop around the face, RGB
    masks/000000.png …       face mask of each frame, 8-bit grey, 255 inside
    audio.wav                16 kHz mono, 16 bit; absent when the footage is silent; heard after ``audio_delay``
    landmarks.safetensors    ``Landmarks``
    emotion.json             ``EmotionTrack``; absent when unlabelled
    tracking.safetensors     ``TrackedFace``; written by the tracking stage
    truth.safetensors        ``TrackedFace``; only in a digital actor's clips
    cache/                   what can be computed again, keyed by what it depends on

Every file is validated where it is written and where it is read. A store is filled in a folder beside its place and
renamed, so that a folder with a ``clip.json`` is whole.
"""

from readavatar.data.store.avatar import Avatar, has_part
from readavatar.data.store.clip_files import write_tracked_face
from readavatar.data.store.clip_format import FORMAT_VERSION, ClipInfo, Crop
from readavatar.data.store.clip_store import ClipStore
from readavatar.data.store.clip_writer import ClipStoreWriter, writing_clip_store

__all__ = [
    "FORMAT_VERSION",
    "Avatar",
    "ClipInfo",
    "ClipStore",
    "ClipStoreWriter",
    "Crop",
    "has_part",
    "write_tracked_face",
    "writing_clip_store",
]
