"""The clip store: one folder for each clip, with the footage and its fit. The stages exchange data only through it.

    clip.json                the description: ``ClipInfo``
    source.mp4 (any suffix)  the original footage, for compositing
    frames/000000.png …      the crop around the face, RGB
    masks/000000.png …       face mask of each frame, 8-bit grey, 255 inside
    audio.wav                16 kHz mono, 16 bit; absent if the footage has no sound; shifted by ``audio_delay``
    landmarks.safetensors    ``Landmarks``
    emotion.json             ``EmotionTrack``; absent if unlabelled
    tracking.safetensors     ``TrackedFace``; written by the tracking stage
    truth.safetensors        ``TrackedFace``; only in a digital actor's clips
    cache/                   results that can be computed again, named by what they depend on

Every file is validated when it is written and when it is read. A store is written to a temporary folder and then
renamed, so that a folder with a ``clip.json`` is complete.
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
