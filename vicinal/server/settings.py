"""Everything that can be set about a server."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from vicinal.errors import InputError


@dataclass(frozen=True)
class Settings:
    """The options of ``vicinal serve``.

    Attributes:
        models: model folders or hub names that give vectors; the first is the default.
        rerankers: cross-encoders; the first is the default.
        indexes: index files that can be searched. Their models are served too.
        host: the address to listen on.
        port: the port to listen on, 0 for any free one.
        api_keys: requests must bring one of these; none are asked for where it is empty.
        writable: whether the routes that change an index are there. Needs a key.
        allowed_hosts: names under which the server may be called, besides those of this machine, while it listens
            on this machine only and asks for no key. (Other sites could reach it through a visitor's browser.)
        cors_origins: sites whose pages may call the server; ``*`` for all.
        max_body_bytes: the largest body of a request.
        max_requests: requests that are answered at the same time; beyond, they are refused (429).
        max_texts: texts of a request at most.
        max_text_chars: characters of a text at most.
        max_waiting_tokens: tokens per model that may wait to be computed; beyond, requests are refused (429).
        batch_tokens: padded tokens that are computed together; None takes what encode does.
        auto_truncate: whether texts that are too long are cut where a request does not say.
        request_timeout: seconds until a request that still waits is given up (503).
        drain_timeout: seconds that work in flight gets when the server is told to end.
        cache_path: the file of the embedding cache; None for none, ``":memory:"`` for one in memory.
        cache_bytes: the most that the cache takes.
        dtype: what models compute in, as for ``SentenceTransformer``.
        threads: threads that tokenise and search; None for as many as there are cores.
    """

    models: tuple[str, ...] = ()
    rerankers: tuple[str, ...] = ()
    indexes: tuple[str, ...] = ()
    host: str = "127.0.0.1"
    port: int = 8080
    api_keys: tuple[str, ...] = ()
    writable: bool = False
    allowed_hosts: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    max_body_bytes: int = 2_000_000
    max_requests: int = 512
    max_texts: int = 2048
    max_text_chars: int = 1_000_000
    max_waiting_tokens: int = 262_144
    batch_tokens: int | None = None
    auto_truncate: bool = True
    request_timeout: float = 60.0
    drain_timeout: float = 30.0
    cache_path: str | None = None
    cache_bytes: int = 256_000_000
    dtype: str = "auto"
    threads: int | None = None

    def check(self) -> None:
        """Refuse what contradicts itself.

        Raises:
            InputError: nothing to serve, writing without a key, two of one name, or an impossible number.
        """
        if not (self.models or self.rerankers or self.indexes):
            raise InputError("nothing to serve: name a model, a reranker or an index")
        if self.writable and not self.api_keys:
            raise InputError("writable needs an api key: without one, anybody could change the indexes")
        if any(not key.strip() or key != key.strip() or not key.isascii() for key in self.api_keys):
            raise InputError(
                "an api key is blank, begins or ends with a blank, or is not ASCII: no client could send it"
            )
        if not 0 <= self.port <= 65535:
            raise InputError(f"port={self.port}: give a number from 0 to 65535")
        for name in (
            "max_body_bytes",
            "max_requests",
            "max_texts",
            "max_text_chars",
            "max_waiting_tokens",
            "cache_bytes",
        ):
            if getattr(self, name) < 1:
                raise InputError(f"{name}={getattr(self, name)}: give a positive number")
        for name in ("request_timeout", "drain_timeout"):
            if not 0 < getattr(self, name) < 1e6:
                raise InputError(f"{name}={getattr(self, name)}: give a number of seconds above 0")

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        return is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Whether a name or address means this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def served_name(name: str) -> str:
    """The id under which clients know a model or an index: never a path.

    Args:
        name: a hub name, which stays as it is, or a path, of which the last part is taken, without ``.db``.
    """
    path = Path(name)
    if path.exists() or name.count("/") > 1 or name.startswith((".", "/", "~")) or "\\" in name:
        last = path.expanduser().resolve().name
        return last.removesuffix(".db") or "index"
    return name
