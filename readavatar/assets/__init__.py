"""Assets: files from other projects, which are found, downloaded on request, and verified by their hash.

A file is searched in the folder ``READAVATAR_ASSETS`` (the user's own copies; never written to), then in the folder
``assets`` of the cache (``READAVATAR_CACHE``, by default ``~/.cache/readavatar``), to which files are downloaded.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from readavatar.assets.fetching import SourceError, fetch
from readavatar.assets.table import ASSETS, Asset, Download, GitFolder, SdistMember, Source, TarMember, WheelMember
from readavatar.errors import UserError, did_you_mean
from readavatar.files import replacing_file, sha256_of_file

__all__ = [
    "ASSETS",
    "Asset",
    "Download",
    "GitFolder",
    "SdistMember",
    "Source",
    "TarMember",
    "WheelMember",
    "asset_rows",
    "cache_folder",
    "find_asset",
    "get_asset",
    "verify_asset",
]


def cache_folder() -> Path:
    """The folder for downloaded and computed files: ``READAVATAR_CACHE``, or ``~/.cache/readavatar``."""
    return Path(os.environ.get("READAVATAR_CACHE") or Path.home() / ".cache" / "readavatar").expanduser()


def find_asset(name: str) -> Path | None:
    """The path of an asset, or None if it is not on this machine; without network access.

    A file's hash is computed once and stored with its size and modification time.

    Raises:
        UserError: No asset has that name, or the file has another hash.
    """
    asset = _asset(name)
    path = _present(asset)
    if path is not None:
        _check(asset, path, remembered=True)
    return path


def get_asset(name: str) -> Path:
    """The path of an asset, after downloading it from the first working source if needed.

    Raises:
        UserError: No asset has that name, no source works, or its licence requires the user to download it.
    """
    asset = _asset(name)
    target = _target(asset)
    try:
        if path := find_asset(name):
            return path
    except UserError:
        if _present(asset) != target:
            raise  # the user's own folder is never changed
        target.unlink()
    if not asset.sources:
        raise UserError(
            f"Expected '{asset.path}' ({asset.description}), which its licence keeps us from fetching: "
            f"{asset.instructions}, and put it at {target}."
        )
    reasons = []
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"Expected a folder to write '{asset.file_name}' to, but {target.parent} cannot be made "
            f"({error.strerror}); set READAVATAR_CACHE to another one."
        ) from None
    with _one_at_a_time(target):
        if path := _present(asset):  # another process fetched it while this one waited
            return path
        for source in asset.sources:
            try:
                fetch(asset, source, target)
            except SourceError as error:
                reasons.append(str(error))
            else:
                _check(asset, target, remembered=True)
                return target
    addresses = [source.url for source in asset.sources if isinstance(source, Download)]
    addresses += [f"{source.member} in {source.url}" for source in asset.sources if isinstance(source, TarMember)]
    by_hand = addresses[0] if addresses else f"'{asset.file_name}' of {asset.page}"
    raise UserError(
        f"Expected '{asset.file_name}' ({asset.description}), but it is not on this machine and could not be fetched "
        f"({'; '.join(reasons)}); when online run 'readavatar assets get {name}', or put {by_hand} at {target}."
    )


def verify_asset(name: str) -> Path:
    """Verify an asset by hashing it again (for a folder: by a file in it), and return its path.

    Raises:
        UserError: It is missing, or has another hash.
    """
    asset = _asset(name)
    path = _present(asset)
    if path is None:
        raise UserError(
            f"Expected '{asset.path}' ({asset.description}), but it is not here: 'readavatar assets get {name}'."
        )
    _check(asset, path, remembered=False)
    return path


def asset_rows() -> list[dict[str, str]]:
    """One row for each asset: name, description, licence, size, state (``here``, ``missing`` or ``wrong``), path."""
    rows = []
    for asset in ASSETS.values():
        path, state = _present(asset), "here"
        try:
            state = "here" if find_asset(asset.name) else "missing"
        except UserError:
            state = "wrong"
        size = f"{asset.size / 1e6:.1f} MB" if asset.size else ""
        rows.append(
            {
                "name": asset.name,
                "description": asset.description,
                "licence": asset.licence,
                "size": size,
                "state": state,
                "path": str(path or ""),
            }
        )
    return rows


def _asset(name: str) -> Asset:
    if name not in ASSETS:
        raise UserError(
            f"Expected one of the assets {', '.join(ASSETS)}, but got '{name}'.{did_you_mean(name, ASSETS)}"
        )
    return ASSETS[name]


def _target(asset: Asset) -> Path:
    return cache_folder() / "assets" / asset.path


def _present(asset: Asset) -> Path | None:
    candidates = [_target(asset)]
    if override := os.environ.get("READAVATAR_ASSETS"):
        folder = Path(override).expanduser()
        candidates = [folder / asset.path, folder / asset.file_name, *candidates]
    for path in candidates:
        if (path / asset.witness if asset.witness else path).is_file():
            return path
    return None


def _check(asset: Asset, path: Path, remembered: bool) -> None:
    if asset.sha256 is None:
        return
    memory_path = cache_folder() / "assets" / ".verified.json"
    status = path.stat()
    stamp = [status.st_size, status.st_mtime_ns]
    try:
        memory = json.loads(memory_path.read_text())
    except (OSError, ValueError):
        memory = {}
    entry = memory.get(str(path.resolve()))
    digest = entry[2] if remembered and entry and entry[:2] == stamp else sha256_of_file(path)
    if entry != [*stamp, digest]:
        try:
            with replacing_file(memory_path) as temporary:
                temporary.write_text(json.dumps({**memory, str(path.resolve()): [*stamp, digest]}))
        except OSError:
            pass  # if the disk is read-only or full, the next run computes the hash again
    if digest != asset.sha256:
        raise UserError(
            f"Expected '{path}' to be {asset.description} (SHA-256 {asset.sha256[:12]}…), but it is another file "
            f"({digest[:12]}…, {status.st_size:,} bytes); delete it and run 'readavatar assets get {asset.name}'."
        )


@contextmanager
def _one_at_a_time(target: Path) -> Iterator[None]:
    """Let one process fetch a file while others wait; without locks on systems that have no ``fcntl``."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    with open(target.with_name(f".{target.name}.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
