"""What text-embeddings-inference tells of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vicinal.core.cores import available_cores
from vicinal.core.version import __version__
from vicinal.server.errors import Refused

if TYPE_CHECKING:
    from vicinal.server.records import ModelEntry
    from vicinal.server.service import Service


def told(service: Service) -> dict[str, Any]:
    """The answer of ``/info``."""
    service.check_ready()
    entries = service.models()
    if not entries:
        raise Refused("backend", "no model is served")
    entry, settings = entries[0], service.settings
    length = entry.max_length or settings.max_text_chars
    return {
        "model_id": entry.id,
        "model_sha": entry.fingerprint,
        "model_dtype": entry.dtype,
        "served_model_name": entry.id,
        "model_type": _model_type(entry),
        "max_concurrent_requests": max(1, settings.max_waiting_tokens // length),
        "max_input_length": length,
        "max_batch_tokens": settings.max_waiting_tokens,
        "max_batch_requests": None,
        "max_client_batch_size": settings.max_texts,
        "auto_truncate": settings.auto_truncate,
        "tokenization_workers": settings.threads or available_cores(),
        "version": __version__,
        "sha": None,
        "docker_label": None,
    }


def _model_type(entry: ModelEntry) -> dict[str, Any]:
    if entry.kind == "embedding":
        return {"embedding": {"pooling": entry.pooling or "none"}}
    names = {str(place): label for place, label in enumerate(entry.labels)}
    return {
        entry.kind: {"id2label": names, "label2id": {label: int(place) for place, label in names.items()}}
    }
