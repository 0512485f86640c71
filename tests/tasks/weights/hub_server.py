"""A model hub on this machine, with the interface that a pull needs, and its failures.

Large files are stored on a second server, as the real hub's are: it ignores tokens and supports `Range`.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

from tasks.weights.sources import RELEASE

TOKEN = "hf_good"
CHUNK = 1 << 16
COMMITS = {source.repo: source.revision or hashlib.sha1(source.repo.encode()).hexdigest() for source in RELEASE}
GATED = "stabilityai/stable-video-diffusion-img2vid-xt"


def release(size: int = 20_000) -> dict[str, dict[str, bytes]]:
    """Content for every file of the release, by repository and path; `hyportrait/` is flat there."""
    noise = random.Random(0)
    repos: dict[str, dict[str, bytes]] = {}
    for source in RELEASE:
        files = repos.setdefault(source.repo, {"README.md": b"# Model"})
        for path in source.files:
            content = b'{"of": "%s"}' % path.encode() if path.endswith(".json") else noise.randbytes(size)
            files[path.removeprefix("hyportrait/")] = content
    return repos


@dataclass(frozen=True)
class Request:
    """One that arrived."""

    host: str
    path: str
    range: str
    token: str


@dataclass
class HubServer:
    """The hub's state; tests change it while it serves.

    Attributes:
        commits: content of each repository by commit, the newest last.
        gated: repositories that ask for `TOKEN`.
        cuts: for a file's base name, after how many sent bytes each of the next answers breaks off.
        damaged: base names of files whose content is not what the listing says.
        busy: how many of the next answers are 503.
        ranges: whether the storage supports `Range`.
        pause: seconds before every 64 kB of content.
        requests: that arrived; sent: bytes of content that left, by base name.
    """

    commits: dict[str, dict[str, dict[str, bytes]]]
    gated: set[str] = field(default_factory=lambda: {GATED})
    cuts: dict[str, list[int]] = field(default_factory=dict)
    damaged: set[str] = field(default_factory=set)
    busy: int = 0
    ranges: bool = True
    pause: float = 0.0
    requests: list[Request] = field(default_factory=list)
    sent: dict[str, int] = field(default_factory=dict)
    endpoint: str = ""
    storage: str = ""

    def newest(self, repo: str) -> str:
        return list(self.commits[repo])[-1]

    def requests_for(self, name: str) -> list[Request]:
        """Requests for the content of the file of that base name."""
        return [request for request in self.requests if request.host == "storage" and request.path.endswith(name)]


@contextmanager
def hub_server(files: dict[str, dict[str, bytes]] | None = None) -> Iterator[HubServer]:
    """Serve the release, or `files`, until the end of the block."""
    contents = release() if files is None else files
    hub = HubServer({repo: {COMMITS.get(repo, "c" * 40): own} for repo, own in contents.items()})

    class Logged(_Handler):
        """Writes every request down before it answers."""

        def do_GET(self) -> None:
            self.token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
            self.range = self.headers.get("Range") or ""
            hub.requests.append(Request(self.host, self.path, self.range, self.token))
            self.answer()

    class Front(Logged):
        host = "hub"

        def answer(self) -> None:
            path = unquote(urlsplit(self.path).path)
            if hub.busy:
                hub.busy -= 1
                return self.refuse(503, "", "")
            if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path):
                return self.list_files(*match.groups())
            match = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
            return self.resolve(*match.groups()) if match else self.refuse(404, "", "")

        def list_files(self, repo: str, revision: str | None) -> None:
            if repo not in hub.commits:
                return self.refuse(401, "RepoNotFound", "Repository not found")
            commit = revision or hub.newest(repo)
            if commit not in hub.commits[repo]:
                return self.refuse(404, "RevisionNotFound", "Invalid rev id")
            siblings = [_sibling(path, content) for path, content in hub.commits[repo][commit].items()]
            body = {"id": repo, "modelId": repo, "sha": commit, "gated": repo in hub.gated, "siblings": siblings}
            return self.send(200, json.dumps(body).encode(), {"Content-Type": "application/json"})

        def resolve(self, repo: str, revision: str, path: str) -> None:
            content = hub.commits[repo][revision].get(path)
            if repo in hub.gated and self.token != TOKEN:
                return self.refuse(403 if self.token else 401, "GatedRepo", f"Access to model {repo} is restricted.")
            if content is None:
                return self.refuse(404, "EntryNotFound", "Entry not found")
            headers = {"X-Repo-Commit": revision, "ETag": f'"{_git_hash(content)}"'}
            if path.endswith((".json", ".md")):
                return self.send(200, content, headers)
            headers |= {"X-Linked-Size": str(len(content)), "X-Linked-ETag": f'"{_sha256(content)}"'}
            return self.send(302, b"", headers | {"Location": f"{hub.storage}/{repo}/{revision}/{path}"})

    class Storage(Logged):
        host = "storage"

        def answer(self) -> None:
            owner, name, revision, path = self.path.removeprefix("/").split("/", 3)
            if self.token:
                return self.refuse(400, "", "one way to prove who you are, not two")
            content = hub.commits[f"{owner}/{name}"][revision][path]
            base = path.rsplit("/")[-1]
            if base in hub.damaged:
                content = content[:-1] + bytes([content[-1] ^ 1])
            start = int(self.range.removeprefix("bytes=").removesuffix("-")) if self.range and hub.ranges else 0
            body = content[start:]
            headers = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if start else {}
            cut = hub.cuts.get(base) and hub.cuts[base].pop(0)
            hub.sent[base] = hub.sent.get(base, 0) + len(body[: cut or None])
            return self.send(206 if start else 200, body, headers, cut or None, hub.pause)

    servers = [ThreadingHTTPServer(("127.0.0.1", 0), kind) for kind in (Front, Storage)]
    hub.endpoint, hub.storage = (f"http://127.0.0.1:{server.server_address[1]}" for server in servers)
    threads = [threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True) for server in servers]
    for thread in threads:
        thread.start()
    try:
        yield hub
    finally:
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            server.server_close()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    host = ""
    token = ""
    range = ""

    def answer(self) -> None:
        raise NotImplementedError

    def send(
        self, status: int, body: bytes, headers: dict[str, str], cut: int | None = None, pause: float = 0.0
    ) -> None:
        """Answer; with `cut`, break the connection after that many bytes of the body."""
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        for start in range(0, len(body[:cut]), CHUNK):
            time.sleep(pause)
            with suppress(ConnectionError):  # a client may go at any time
                self.wfile.write(body[:cut][start : start + CHUNK])
        if cut is not None:
            self.wfile.flush()
            self.close_connection = True

    def refuse(self, status: int, code: str, message: str) -> None:
        self.send(status, b"{}", {"X-Error-Code": code, "X-Error-Message": message})

    def log_message(self, *args: object) -> None:
        """Keep the test's output clean."""


def _sibling(path: str, content: bytes) -> dict[str, object]:
    entry: dict[str, object] = {"rfilename": path, "size": len(content), "blobId": _git_hash(content)}
    if not path.endswith((".json", ".md")):
        entry["lfs"] = {"sha256": _sha256(content), "size": len(content), "pointerSize": 134}
    return entry


def _git_hash(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
