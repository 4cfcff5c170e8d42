"""A small model hub on 127.0.0.1: the endpoints that huggingface_hub asks for, and faults on request."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

API = re.compile(r"/api/models/(?P<repo>[^/]+(?:/[^/]+)?)(?:/revision/(?P<revision>[^/]+))?")
UPLOAD = re.compile(
    r"/api/models/(?P<repo>[^/]+(?:/[^/]+)?)/(?P<what>branch|preupload|commit)/(?P<revision>[^/]+)"
)
FILE = re.compile(r"/(?P<repo>[^/]+(?:/[^/]+)?)/resolve/(?P<revision>[^/]+)/(?P<file>.+)")


@dataclass
class Repo:
    """Commits with their files, and the branches and tags that point to them."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    token: str | None = None
    gated: bool = False

    def commit(self, files: dict[str, bytes], *refs: str) -> str:
        """Add a commit and let branches or tags (default: main) point to it."""
        sha = hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()
        self.commits[sha] = files
        for ref in refs or ("main",):
            self.refs[ref] = sha
        return sha

    def find(self, revision: str) -> str | None:
        return self.refs.get(revision, revision if revision in self.commits else None)


@dataclass
class Asked:
    """One request that reached the hub."""

    method: str
    path: str
    headers: dict[str, str]


@dataclass
class Fault:
    """What happens, a number of times, to requests that match."""

    pattern: str
    times: float
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    cut_after: int | None = None
    method: str | None = None


class FakeHub:
    """The hub's content, the requests it got and the faults to come.

    ``writers`` are the tokens that may push, with their accounts; ``large`` files go the way of LFS; ``messages``
    are those of the commits.
    """

    def __init__(self) -> None:
        self.writers: dict[str, str] = {}
        self.large = re.compile(r"(?!)")
        self.blobs: dict[str, bytes] = {}
        self.messages: list[str] = []
        self.repos: dict[str, Repo] = {}
        self.asked: list[Asked] = []
        self.faults: list[Fault] = []
        self.lock = threading.Lock()
        self.url = ""

    def add(self, name: str, files: dict[str, bytes]) -> Repo:
        repo = self.repos.setdefault(name, Repo())
        repo.commit(files)
        return repo

    def fail(self, pattern: str, status: int, times: float = float("inf"), **more: Any) -> None:
        """Answer matching requests with an error."""
        self.faults.append(Fault(pattern, times, status, **more))

    def cut(self, pattern: str, after: int, times: float = float("inf")) -> None:
        """Close the connection after so many bytes of a matching answer."""
        self.faults.append(Fault(pattern, times, cut_after=after, method="GET"))

    def fault_for(self, method: str, path: str) -> Fault | None:
        with self.lock:
            for fault in self.faults:
                if fault.times > 0 and fault.method in (None, method) and re.search(fault.pattern, path):
                    fault.times -= 1
                    return fault
        return None

    def paths(self, method: str) -> list[str]:
        return [asked.path for asked in self.asked if asked.method == method]

    def fetched(self) -> set[str]:
        """Names of the files whose content was asked for."""
        found = (FILE.fullmatch(path) for path in self.paths("GET") if not path.startswith("/api/"))
        return {match["file"] for match in found if match}


class Handler(BaseHTTPRequestHandler):
    server: HubServer

    def log_message(self, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        hub = self.server.hub
        path = unquote(urlsplit(self.path).path)
        hub.asked.append(Asked(self.command, path, {k.lower(): v for k, v in self.headers.items()}))
        fault = hub.fault_for(self.command, path)
        if fault is not None and fault.status is not None:
            self.send(fault.status, b'{"error": "as the test asked"}', fault.headers)
            return
        # A branch such as refs/pr/1 comes quoted, so the raw path is split and its parts unquoted.
        match = API.fullmatch(urlsplit(self.path).path) or FILE.fullmatch(urlsplit(self.path).path)
        if match is None:
            self.send(404, b"", {})
            return
        parts = {key: unquote(value or "main") for key, value in match.groupdict().items()}
        self.serve(parts["repo"], parts["revision"], parts.get("file"), fault)

    def do_POST(self) -> None:
        self.take()

    def do_PUT(self) -> None:
        self.take()

    def take(self) -> None:
        """Uploads: each step of one, as huggingface_hub sends them."""
        hub = self.server.hub
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        raw = urlsplit(self.path).path
        hub.asked.append(Asked(self.command, unquote(raw), {k.lower(): v for k, v in self.headers.items()}))
        fault = hub.fault_for(self.command, unquote(raw))
        if fault is not None and fault.status is not None:
            self.send(fault.status, b'{"error": "as the test asked"}', fault.headers)
        elif raw.startswith("/lfs/"):  # signed addresses need no token
            hub.blobs[raw.removeprefix("/lfs/")] = body
            self.json({})
        elif raw == "/api/validate-yaml":
            self.json({"warnings": [], "errors": []})
        elif (
            account := hub.writers.get(self.headers.get("Authorization", "").removeprefix("Bearer "))
        ) is None:
            self.send(401, b"", {"X-Error-Message": "Invalid username or password."})
        elif raw == "/api/repos/create":
            self.create(account, json.loads(body))
        elif raw.endswith(".git/info/lfs/objects/batch"):
            self.json(
                {"transfer": "basic", "objects": [self.place(each) for each in json.loads(body)["objects"]]}
            )
        elif match := UPLOAD.fullmatch(raw):
            self.upload(account, unquote(match["repo"]), match["what"], unquote(match["revision"]), body)
        else:
            self.send(404, b"", {})

    def create(self, account: str, asked: dict[str, Any]) -> None:
        hub = self.server.hub
        name = f"{asked.get('organization') or account}/{asked['name']}"
        if not name.startswith(account + "/"):
            self.send(403, b"", {"X-Error-Message": "You don't have the rights to create a model here"})
            return
        known = name in hub.repos
        if not known:
            private = asked.get("visibility") == "private"
            repo = hub.add(name, {".gitattributes": b""})
            repo.token = next(t for t, a in hub.writers.items() if a == account) if private else None
        self.json({"url": f"{hub.url}/{name}", "name": name}, 409 if known else 200)

    def place(self, asked: dict[str, Any]) -> dict[str, Any]:
        href = f"{self.server.hub.url}/lfs/{asked['oid']}"
        return {"oid": asked["oid"], "size": asked["size"], "actions": {"upload": {"href": href}}}

    def upload(self, account: str, name: str, what: str, revision: str, body: bytes) -> None:
        hub = self.server.hub
        repo = hub.repos.get(name)
        proposed = "create_pr=1" in self.path
        if repo is None:
            self.error(404, "RepoNotFound", "Repository not found")
        elif not name.startswith(account + "/") and not proposed:
            self.send(403, b"", {"X-Error-Message": "This token may not write to " + name})
        elif what == "branch":
            repo.refs.setdefault(revision, repo.refs["main"])
            self.json({})
        elif revision not in repo.refs:
            self.error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        elif what == "preupload":
            paths = [each["path"] for each in json.loads(body)["files"]]
            modes = ["lfs" if hub.large.search(path) else "regular" for path in paths]
            self.json(
                {
                    "files": [
                        {"path": path, "uploadMode": mode, "shouldIgnore": False}
                        for path, mode in zip(paths, modes, strict=True)
                    ]
                }
            )
        else:
            ref = f"refs/pr/{sum(r.startswith('refs/pr/') for r in repo.refs) + 1}" if proposed else revision
            sha = repo.commit(self.committed(repo.commits[repo.refs[revision]], body), ref)
            found = {"success": True, "commitOid": sha, "commitUrl": f"{hub.url}/{name}/commit/{sha}"}
            if proposed:
                found["pullRequestUrl"] = f"{hub.url}/{name}/discussions/{ref.rpartition('/')[2]}"
            self.json(found)

    def committed(self, before: dict[str, bytes], body: bytes) -> dict[str, bytes]:
        """The files after a commit."""
        hub, files = self.server.hub, dict(before)
        for line in body.decode().splitlines():
            step = json.loads(line)
            value = step["value"]
            if step["key"] == "header":
                hub.messages.append(value["summary"])
            elif step["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif step["key"] == "lfsFile":
                files[value["path"]] = hub.blobs[value["oid"]]
            else:
                assert step["key"] == "deletedFile", step["key"]
                del files[value["path"]]
        return files

    def json(self, value: dict[str, Any], status: int = 200) -> None:
        self.send(status, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def serve(self, name: str, revision: str, file: str | None, fault: Fault | None) -> None:
        repo = self.server.hub.repos.get(name)
        if repo is None:
            self.error(404, "RepoNotFound", "Repository not found")
            return
        sent = self.headers.get("Authorization")
        if repo.gated and sent != f"Bearer {repo.token}":
            self.error(403 if sent else 401, "GatedRepo", "Access to this model is restricted")
            return
        if repo.token and sent != f"Bearer {repo.token}":
            self.send(401, b"", {"X-Error-Message": "Invalid username or password."})
            return
        commit = repo.find(revision)
        if commit is None:
            self.error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            return
        files = repo.commits[commit]
        if file is None:
            siblings = [{"rfilename": f} for f in files]
            body = json.dumps({"id": name, "modelId": name, "sha": commit, "siblings": siblings}).encode()
            cut = None if fault is None else fault.cut_after
            self.send(200, body, {"Content-Type": "application/json"}, cut)
        elif file not in files:
            self.error(404, "EntryNotFound", "Entry not found")
        else:
            self.send_file(files[file], commit, fault)

    def send_file(self, body: bytes, commit: str, fault: Fault | None) -> None:
        headers = {"ETag": f'"{hashlib.sha256(body).hexdigest()}"', "X-Repo-Commit": commit}
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        status = 200
        if wanted:
            start, total = int(wanted[1]), len(body)
            body, status = body[start:], 206
            headers["Content-Range"] = f"bytes {start}-{total - 1}/{total}"
        self.send(status, body, headers, None if fault is None else fault.cut_after)

    def error(self, status: int, code: str, message: str) -> None:
        self.send(status, b"", {"X-Error-Code": code, "X-Error-Message": message})

    def send(self, status: int, body: bytes, headers: dict[str, str], cut: int | None = None) -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body if cut is None else body[:cut])


class HubServer(ThreadingHTTPServer):
    daemon_threads = False  # so that closing waits for them, and no socket outlives its test
    hub: FakeHub


@contextmanager
def running_hub() -> Iterator[FakeHub]:
    """Start a hub on a free port of 127.0.0.1; it ends with the block."""
    hub = FakeHub()
    with HubServer(("127.0.0.1", 0), Handler) as server:
        server.hub = hub
        hub.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield hub
        finally:
            server.shutdown()
            thread.join()
