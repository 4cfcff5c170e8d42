"""``vicinal serve``: models and indexes behind an address."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from vicinal.cli.console import counted, say
from vicinal.cli.options import DEFAULT_MODEL, one_of
from vicinal.errors import missing_extra

if TYPE_CHECKING:
    from vicinal.server.service import Service

_NO_CACHE = "off"


def serve(
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            metavar="MODEL",
            help=f"A model folder or hub name; given once for each, the default first. {DEFAULT_MODEL} if nothing "
            "else is served.",
            envvar="VICINAL_MODEL",
            show_envvar=False,
            show_default=False,
        ),
    ] = None,
    reranker: Annotated[
        list[str] | None,
        typer.Option(
            "--reranker",
            metavar="MODEL",
            help="A cross-encoder; given once for each.",
            envvar="VICINAL_RERANKER",
            show_envvar=False,
            show_default=False,
        ),
    ] = None,
    index: Annotated[
        list[str] | None,
        typer.Option(
            "--index",
            metavar="DB",
            help="An index file; given once for each. Its model is served too.",
            envvar="VICINAL_INDEX",
            show_envvar=False,
            show_default=False,
        ),
    ] = None,
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="Where to listen; 0.0.0.0 is every address of the machine.",
            envvar="VICINAL_HOST",
            show_envvar=False,
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=0,
            max=65535,
            help="The port; 0 for a free one.",
            envvar="VICINAL_PORT",
            show_envvar=False,
        ),
    ] = 8080,
    api_key: Annotated[
        list[str] | None,
        typer.Option(
            "--api-key",
            metavar="KEY",
            help="Requests must bring this key; given once for each. Other users of the machine can read it here, but "
            "not in an environment variable.",
            envvar="VICINAL_API_KEY",
            show_envvar=False,
            show_default=False,
        ),
    ] = None,
    writable: Annotated[
        bool,
        typer.Option(
            "--writable",
            help="Let requests change the indexes; needs a key.",
            envvar="VICINAL_WRITABLE",
            show_envvar=False,
        ),
    ] = False,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(
            "--allowed-host",
            metavar="NAME",
            help="A name, beside localhost, under which a server without a key may be called.",
            envvar="VICINAL_ALLOWED_HOST",
            show_envvar=False,
            show_default=False,
        ),
    ] = None,
    cors_origin: Annotated[
        list[str] | None,
        typer.Option(
            "--cors-origin",
            metavar="ORIGIN",
            help="A site whose pages may call the server, such as https://example.org; * for all.",
            envvar="VICINAL_CORS_ORIGIN",
            show_envvar=False,
            show_default=False,
        ),
    ] = None,
    truncate: Annotated[
        bool,
        typer.Option(
            "--truncate/--no-truncate",
            help="Cut texts that are too long where a request does not say, or refuse them.",
            envvar="VICINAL_TRUNCATE",
            show_envvar=False,
        ),
    ] = True,
    max_body_bytes: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=1,
            help="Bytes of a request at most.",
            envvar="VICINAL_MAX_BODY_BYTES",
            show_envvar=False,
        ),
    ] = 2_000_000,
    max_requests: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=1,
            help="Requests at the same time; beyond that, they are refused (429).",
            envvar="VICINAL_MAX_REQUESTS",
            show_envvar=False,
        ),
    ] = 512,
    max_texts: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=1,
            help="Texts of a request at most.",
            envvar="VICINAL_MAX_TEXTS",
            show_envvar=False,
        ),
    ] = 2048,
    max_text_chars: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=1,
            help="Characters of a text at most.",
            envvar="VICINAL_MAX_TEXT_CHARS",
            show_envvar=False,
        ),
    ] = 1_000_000,
    max_waiting_tokens: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=1,
            help="Tokens that may wait for a model; beyond that, requests are refused (429).",
            envvar="VICINAL_MAX_WAITING_TOKENS",
            show_envvar=False,
        ),
    ] = 262_144,
    batch_tokens: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Padded tokens per batch; if not given, what suits the CPU.",
            envvar="VICINAL_BATCH_TOKENS",
            show_envvar=False,
            show_default=False,
        ),
    ] = None,
    request_timeout: Annotated[
        float,
        typer.Option(
            metavar="S",
            min=0.1,
            help="Seconds after which waiting requests are given up (503).",
            envvar="VICINAL_REQUEST_TIMEOUT",
            show_envvar=False,
        ),
    ] = 60.0,
    drain_timeout: Annotated[
        float,
        typer.Option(
            metavar="S",
            min=0.1,
            help="Seconds that requests in flight are given when the server is told to end.",
            envvar="VICINAL_DRAIN_TIMEOUT",
            show_envvar=False,
        ),
    ] = 30.0,
    cache: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help=f"Where vectors are kept, so that no text is computed twice; {_NO_CACHE} for nowhere. If not given, "
            "in the user's cache folder.",
            envvar="VICINAL_CACHE",
            show_envvar=False,
            show_default=False,
        ),
    ] = None,
    cache_bytes: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=1,
            help="The most that it takes.",
            envvar="VICINAL_CACHE_BYTES",
            show_envvar=False,
        ),
    ] = 256_000_000,
    threads: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Threads that tokenize and search; if not given, one per core.",
            envvar="VICINAL_THREADS",
            show_envvar=False,
            show_default=False,
        ),
    ] = None,
    dtype: Annotated[
        str,
        typer.Option(
            metavar="DTYPE",
            help="auto, float32, bfloat16, float16, or int8 for a quantized model.",
            callback=one_of("auto", "float32", "bfloat16", "float16", "int8"),
            envvar="VICINAL_DTYPE",
            show_envvar=False,
        ),
    ] = "auto",
) -> None:
    """Serve models and indexes over HTTP.

    It speaks the APIs of OpenAI, Cohere, Jina, text-embeddings-inference and Ollama, and has a page at /. Each
    option is an environment variable too: VICINAL_PORT is --port. Ctrl-C lets requests in flight end; a second one
    does not.
    """
    try:
        from vicinal.server.process import serve as run
    except ImportError as error:
        package = error.name or "fastapi"
        if package.startswith("vicinal"):
            raise
        raise missing_extra(package, "vicinal serve", "server") from error
    from vicinal.server.cache import default_path, is_writable
    from vicinal.server.settings import Settings

    if cache is None and not is_writable(default_path()):
        say(f"no vectors are kept, as {default_path()} cannot be written: --cache names another file", "note")
        cache = _NO_CACHE
    given = any((model, reranker, index))
    settings = Settings(
        models=tuple(model or (() if given else (DEFAULT_MODEL,))),
        rerankers=tuple(reranker or ()),
        indexes=tuple(index or ()),
        host=host,
        port=port,
        api_keys=tuple(api_key or ()),
        writable=writable,
        allowed_hosts=tuple(allowed_host or ()),
        cors_origins=tuple(cors_origin or ()),
        max_body_bytes=max_body_bytes,
        max_requests=max_requests,
        max_texts=max_texts,
        max_text_chars=max_text_chars,
        max_waiting_tokens=max_waiting_tokens,
        batch_tokens=batch_tokens,
        auto_truncate=truncate,
        request_timeout=request_timeout,
        drain_timeout=drain_timeout,
        cache_path=None if cache == _NO_CACHE else cache or default_path(),
        cache_bytes=cache_bytes,
        dtype=dtype,
        threads=threads,
    )
    settings.check()
    if not settings.on_loopback and not settings.api_keys:
        say(f"anybody who reaches {host} can use the server: --api-key asks for a key", "note")
    run(settings, lambda address: say(f"listening on {address}; loading"), _tell)


def _tell(service: Service) -> None:
    """What is served, once it is."""
    for entry in service.models():
        size = (
            f"{entry.dimension} dimensions"
            if entry.kind == "embedding"
            else counted(entry.dimension, "score")
        )
        say(f"  {entry.id}: {entry.kind}, {size}, {entry.dtype}")
    for index in service.indexes():
        say(f"  {index.id}: index, {counted(index.documents, 'document')}, read by {index.model}")
    say("ready")
