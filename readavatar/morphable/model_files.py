"""Files of face models: a reader of Wavefront OBJ, and a cache of loaded models as safetensors."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors
import safetensors.torch
from jaxtyping import Float, Int

from readavatar.assets import cache_folder
from readavatar.errors import UserError
from readavatar.files import replacing_file
from readavatar.morphable.model import MorphableData


@dataclass(frozen=True)
class ObjMesh:
    """A triangulated OBJ: a quad (a, b, c, d) became (a, b, c) and (a, c, d)."""

    vertices: Float[np.ndarray, "V 3"]
    uvs: Float[np.ndarray, "U 2"]
    """As in the file: v is up."""
    faces: Int[np.ndarray, "F 3"]
    uv_faces: Int[np.ndarray, "F 3"]
    materials: tuple[str, ...]
    face_materials: Int[np.ndarray, " F"]
    """Index into ``materials``."""


def read_obj_vertices(path: str | Path) -> Float[np.ndarray, "V 3"]:
    """Read only the ``v`` lines of an OBJ, at about 50 MB per second.

    Raises:
        UserError: There is no such file, or it has no vertices.
    """
    try:
        content = b"\n" + Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"Expected an OBJ file at '{path}', but it cannot be read ({error.strerror}).") from None
    start, last = content.find(b"\nv "), content.rfind(b"\nv ")
    if start < 0:
        raise UserError(f"Expected an OBJ file at '{path}', but it has no vertices ('v' lines).")
    stop = content.find(b"\n", last + 1)
    block = content[start : stop if stop >= 0 else len(content)]
    num_vertices = block.count(b"\nv ")
    if num_vertices != block.count(b"\n"):  # other lines lie between the vertices
        block = b"".join(b"\n" + line for line in block.split(b"\n") if line.startswith(b"v "))
    try:
        numbers = np.array(block.replace(b"\nv ", b" ").split(), dtype=np.float64)
        return np.ascontiguousarray(numbers.reshape(num_vertices, -1)[:, :3])  # colours may follow the position
    except ValueError:
        raise UserError(f"Expected three numbers on each 'v' line of '{path}'; the file is damaged.") from None


def read_obj(path: str | Path) -> ObjMesh:
    """Vertices, texture coordinates, faces (triangles and quads, as ``v/vt`` or ``v/vt/vn``) and materials of an OBJ.

    Raises:
        UserError: There is no such file, it is damaged, or its faces carry no texture coordinates.
    """
    vertices = read_obj_vertices(path)
    uvs, corners, materials, face_materials = [], [], [], []
    material = 0
    try:
        for line in Path(path).read_text(errors="replace").splitlines():
            if line.startswith("vt "):
                uvs.append([float(number) for number in line.split()[1:3]])
            elif line.startswith("usemtl "):
                name = line.split(maxsplit=1)[1].strip()
                if name not in materials:
                    materials.append(name)
                material = materials.index(name)
            elif line.startswith("f "):
                polygon = [tuple(int(index) for index in corner.split("/")[:2]) for corner in line.split()[1:]]
                for second in range(1, len(polygon) - 1):
                    corners.append((polygon[0], polygon[second], polygon[second + 1]))
                    face_materials.append(material)
        indices = np.array(corners, dtype=np.int64).reshape(-1, 3, 2) - 1
        uv_array = np.array(uvs, dtype=np.float64).reshape(-1, 2)
        if indices.min() < 0 or (indices.max((0, 1)) >= (len(vertices), len(uv_array))).any():
            raise ValueError("a face's index is out of range")
    except ValueError as error:
        raise UserError(f"Expected an OBJ with textured faces ('f v/vt …') at '{path}', but {error}.") from None
    return ObjMesh(
        vertices, uv_array, indices[..., 0], indices[..., 1], tuple(materials or ["default"]), np.array(face_materials)
    )


LOADER_VERSION = 2
"""Part of every key: raise it when a loader's result changes."""


def files_key(paths: Iterable[Path], **settings: object) -> str:
    """A hash of the files' names, sizes and modification times, of the settings and of the loaders' version."""
    stamps = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(paths)]
    return hashlib.sha256(json.dumps([LOADER_VERSION, stamps, settings], sort_keys=True).encode()).hexdigest()[:24]


def cached_data(name: str, key: str, compute: Callable[[], MorphableData]) -> MorphableData:
    """Read the cached arrays of ``key``, or compute and cache them. The result has the given ``name``.

    If the cache cannot be written (a full or read-only disk), the arrays are computed again in the next run.
    """
    path = cache_folder() / "morphable" / f"{key}.safetensors"
    try:
        return dataclasses.replace(read_data(path), name=name)
    except FileNotFoundError:
        pass
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError):  # a truncated file, or another layout
        path.unlink(missing_ok=True)
    data = compute()
    try:
        with replacing_file(path) as temporary:
            write_data(temporary, data)
    except (OSError, safetensors.SafetensorError):
        pass
    return dataclasses.replace(data, name=name)


def write_data(path: Path, data: MorphableData) -> None:
    """Write a model's arrays to one safetensors file; its strings are in the header."""
    tensors = {f"vertex_masks.{name}": mask for name, mask in data.vertex_masks.items()}
    words = {}
    for field in dataclasses.fields(data):
        value = getattr(data, field.name)
        if field.name == "vertex_masks" or value is None:
            continue
        if isinstance(value, (str, tuple)):
            words[field.name] = value
        else:
            tensors[field.name] = value.contiguous()
    safetensors.torch.save_file(tensors, path, {"readavatar": json.dumps(words)})


def read_data(path: Path) -> MorphableData:
    """The inverse of ``write_data``.

    Raises:
        FileNotFoundError: There is no such file.
        safetensors.SafetensorError: It is damaged.
    """
    with safetensors.safe_open(path, framework="pt") as file:
        fields = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        words = json.loads((file.metadata() or {})["readavatar"])
    prefix = "vertex_masks."
    masks = {key.removeprefix(prefix): fields.pop(key) for key in list(fields) if key.startswith(prefix)}
    words = {name: tuple(value) if isinstance(value, list) else value for name, value in words.items()}
    return MorphableData(**fields, **words, vertex_masks=masks)
