"""A small hub of our own on loopback, whose faults the tests switch on."""

import hashlib
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import huggingface_hub
import pytest
from huggingface_hub import constants

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(ThreadingHTTPServer):
    """As much of a hub as a download needs; its faults are switched on by the tests."""

    daemon_threads = True
    block_on_close = False

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answers)
        self.files: dict[tuple[str, str], bytes] = {}  # (repository, file) -> content
        self.refused: dict[str, tuple[int, str]] = {}  # repository -> status, X-Error-Code
        self.requested: list[str] = []
        self.ranges: list[str | None] = []
        self.pause = 0.0  # seconds between two parts of an answer
        self.stall_after: int | None = None  # bytes
        self.cut_after: int | None = None  # bytes, once
        self.lie: bytes | None = None  # what is sent in place of the content
        self.knows_ranges = True
        self.is_hub = True
        self.go_on = threading.Event()
        self.waited_in_vain = False  # nobody had given up, or said go on, when a stall ended
        self.sent = 0  # bytes of files

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def refuse(self, status, code):
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def answer(self, *, body):
        hub = self.server
        hub.requested.append(f"{self.command} {self.path}")
        path = urlsplit(self.path).path  # a proxy is asked for whole addresses
        repository, _, rest = path.lstrip("/").partition("/resolve/")
        content = hub.files.get((repository, rest.partition("/")[2]))
        if repository in hub.refused:
            self.refuse(*hub.refused[repository])
        elif content is None:
            known = any(repository == name for name, _ in hub.files)
            self.refuse(404, "EntryNotFound" if known else "RepoNotFound")
        else:
            self.send_content(content, body=body)

    def send_content(self, content, *, body):
        hub = self.server
        # As on the hub: small text files by their git hash, large ones by SHA-256 and in Xet.
        large, size = len(content) > 10, len(content)
        etag = (hashlib.sha256 if large else hashlib.sha1)(content).hexdigest()
        if body:
            content = content if hub.lie is None else hub.lie
            hub.ranges.append(self.headers.get("Range"))
        start = 0
        if body and hub.knows_ranges and (requested := self.headers.get("Range")):
            start = int(re.fullmatch(r"bytes=(\d+)-", requested)[1])
        self.send_response(206 if start else 200)
        self.send_header("ETag", f'"{etag}"')
        self.send_header("X-Linked-Size", str(size))
        if large:
            self.send_header("X-Xet-Hash", "0" * 64)
            self.send_header("X-Xet-Refresh-Route", f"{hub.url}/api/xet")
        if hub.is_hub:
            self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(content) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if not body:
            return
        try:
            self.send_body(content, start)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def send_body(self, content, start):
        hub = self.server
        for at in range(start, len(content), 10_000):
            if hub.stall_after is not None and at >= hub.stall_after:
                hub.waited_in_vain |= not hub.go_on.wait(20)
            if hub.cut_after is not None and at >= hub.cut_after:
                hub.cut_after = None
                self.close_connection = True
                return
            self.wfile.write(content[at : at + 10_000])
            hub.sent += len(content[at : at + 10_000])
            time.sleep(hub.pause)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    point_to(monkeypatch, server.url, tmp_path / "cache")
    yield server
    server.go_on.set()
    server.shutdown()
    server.server_close()
    thread.join()
    for left in threading.enumerate():  # a stopped download ends by itself
        if left.name.startswith("Downloading"):
            left.join(5)
            assert not left.is_alive()
    huggingface_hub.close_session()


def point_to(monkeypatch, url, cache):
    """What HF_ENDPOINT and HF_HUB_CACHE do when the library is imported."""
    monkeypatch.setattr(constants, "ENDPOINT", url)
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", True)
