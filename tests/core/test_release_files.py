"""Fetching the authors' weights: from a server on this machine, with small files of the release's names."""
import functools
import http.server
import os
import socket
import threading
import zipfile
from pathlib import Path

import pytest

from jt_dfd.checkpoints import release_files
from jt_dfd.checkpoints.release_files import FetchError, download, expected_files, fetch, unpack


def missing_files(folder):
    """Of the release's files, those that ``folder`` lacks."""
    return [p for archive in release_files.ARCHIVES for p in expected_files(archive) if not (folder / p).is_file()]


def archive(path, name, prefix="", extra=(), leave_out=()):
    with zipfile.ZipFile(path, "w") as z:
        for relative in expected_files(name):
            if relative not in leave_out:
                z.writestr(f"{prefix}{relative}", relative.encode() * 50)
        for member in extra:
            z.writestr(member, b"evil")
    return path


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, with byte ranges."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *a):
        pass

    def do_GET(self):
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            return self.send_error(404)
        data, start = path.read_bytes(), 0
        if "Range" in self.headers:
            start = int(self.headers["Range"].split("=")[1].rstrip("-"))
            if start >= len(data):
                return self.send_error(416)
        self.server.asked.append(start)
        self.send_response(206 if start else 200)
        if self.server.chunked:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"%x\r\n" % (len(data) - start))
        else:
            self.send_header("Content-Length", str(len(data) - start))
            self.end_headers()
        self.wfile.write(data[start:start + self.server.most])
        self.close_connection = True


@pytest.fixture
def server(tmp_path):
    (tmp_path / "www").mkdir()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0),
                                         functools.partial(Handler, directory=str(tmp_path / "www"))) as s:
        s.asked, s.most, s.chunked = [], 1 << 30, False
        threading.Thread(target=s.serve_forever, daemon=True).start()
        yield s
        s.shutdown()


@pytest.fixture
def hosted(server, tmp_path, monkeypatch):
    for name in release_files.ARCHIVES:
        archive(tmp_path / "www" / f"{name}.zip", name)
    monkeypatch.setattr(release_files, "ARCHIVES", {
        name: f"http://127.0.0.1:{server.server_port}/{name}.zip" for name in release_files.ARCHIVES})
    return server


def test_all_of_the_release_s_files_arrive(hosted, tmp_path):
    seen = []
    fetch(tmp_path / "Params", progress=lambda name, done, total: seen.append((name, done, total)))
    assert missing_files(tmp_path / "Params") == []
    assert sorted(p.name for p in (tmp_path / "Params").iterdir()) == ["AE_whole", "Combine"], "no archive may stay"
    assert ((tmp_path / "Params/AE_whole/latest_net_encoder_.pkl").read_bytes()
            .startswith(b"AE_whole/latest_net_encoder_.pkl"))
    assert {n for n, _, _ in seen} == {"AE_whole", "Combine"} and all(d == t for _, d, t in seen)
    hosted.asked.clear()
    fetch(tmp_path / "Params")
    assert not hosted.asked, "what is there is not fetched again"


def test_a_broken_off_download_goes_on_where_it_stopped(hosted, tmp_path):
    hosted.most = 100
    with pytest.raises(FetchError, match="broke off after 100 of"):
        fetch(tmp_path / "Params")
    hosted.most = 1 << 30
    fetch(tmp_path / "Params")
    assert hosted.asked[:2] == [0, 100] and missing_files(tmp_path / "Params") == []


def test_a_download_without_a_length_that_breaks_off_goes_on_too(hosted, tmp_path):
    hosted.most, hosted.chunked = 100, True
    with pytest.raises(FetchError, match="broke off.*same command"):
        fetch(tmp_path / "Params")
    hosted.most, hosted.chunked = 1 << 30, False
    fetch(tmp_path / "Params")
    assert missing_files(tmp_path / "Params") == []


def test_what_does_not_speak_http_is_named(tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen(1)

        def answer():
            with other.accept()[0] as c:
                c.recv(4096)
                c.sendall(b"220 another kind of server\r\n")

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(FetchError, match="220 another"):
            download(f"http://127.0.0.1:{other.getsockname()[1]}/a.zip", tmp_path / "a.zip")


def test_a_full_disk_is_not_taken_for_the_host(hosted, tmp_path):
    os.symlink("/dev/full", str(tmp_path / "a.zip.part"))
    with pytest.raises(FetchError, match="a.zip.part: .*[Nn]o space left.*same command") as error:
        download(release_files.ARCHIVES["AE_whole"], tmp_path / "a.zip")
    assert "reached" not in str(error.value)


@pytest.mark.parametrize("name, words", [("weights.zip", "AE_whole.zip or Combine.zip"), ("AE_whole.zip", "no such")])
def test_an_archive_that_cannot_be_used_starts_no_download(hosted, tmp_path, name, words):
    if "no such" not in words:
        archive(tmp_path / name, "AE_whole")
    with pytest.raises(FetchError, match=words):
        fetch(tmp_path / "Params", [tmp_path / name])
    assert not hosted.asked


def test_a_host_out_of_reach_is_named(tmp_path, server):
    with pytest.raises(FetchError, match="404"):
        download(f"http://127.0.0.1:{server.server_port}/none.zip", tmp_path / "a.zip")
    with socket.socket() as taken:   # where nobody listens, and nobody else can begin to
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(FetchError, match="cannot be reached"):
            download(f"http://127.0.0.1:{taken.getsockname()[1]}/none.zip", tmp_path / "a.zip", timeout=60)
    assert not (tmp_path / "a.zip").exists()


def test_archives_at_hand_at_any_depth(tmp_path):
    given = [archive(tmp_path / f"{n}.zip", n, prefix="somewhere/deep/") for n in release_files.ARCHIVES]
    fetch(tmp_path / "Params", given)
    assert missing_files(tmp_path / "Params") == [] and all(g.exists() for g in given), "the user's archives stay"


def test_members_that_climb_out_stay_inside_the_archive(tmp_path):
    evil = archive(tmp_path / "Combine.zip", "Combine",
                   extra=["../../escaped.txt", "/tmp/escaped_jt_dfd", "Combine/x.py"])
    (tmp_path / "a" / "Params").mkdir(parents=True)
    unpack(evil, "Combine", tmp_path / "a" / "Params")
    files = sorted(p.relative_to(tmp_path / "a").as_posix() for p in (tmp_path / "a").rglob("*") if p.is_file())
    assert files == [f"Params/{p}" for p in expected_files("Combine")] and not (tmp_path / "escaped.txt").exists()


@pytest.mark.parametrize("damage", ["missing", "cut", "text", "flipped"])
def test_a_damaged_archive_leaves_nothing_behind(tmp_path, damage):
    path, folder = tmp_path / "Combine.zip", tmp_path / "Params"
    folder.mkdir()
    archive(path, "Combine", leave_out=expected_files("Combine")[:1] if damage == "missing" else ())
    data = bytearray(path.read_bytes())
    if damage == "cut":
        path.write_bytes(data[:len(data) // 2])
    elif damage == "text":
        path.write_text("<html>please sign in</html>")
    elif damage == "flipped":
        data[200] ^= 0xFF
        path.write_bytes(data)
    with pytest.raises(FetchError, match="Combine.zip"):
        unpack(path, "Combine", folder)
    assert list(folder.iterdir()) == []
