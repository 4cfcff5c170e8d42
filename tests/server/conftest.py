"""A server in this process: random models of two layers, no socket."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip("fastapi")
httpx = pytest.importorskip("httpx")

HERE = Path(__file__).resolve().parent


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"server_tests_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sentence model with random weights: 24 dimensions, 32 tokens, some English words."""
    return Path(
        _module(HERE.parent / "training" / "tinybert.py").write_tiny(tmp_path_factory.mktemp("m") / "tiny")
    )


@pytest.fixture(scope="session")
def scorer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cross-encoder with random weights: 40 tokens."""
    torch = pytest.importorskip("torch")
    tinypairs = _module(HERE.parent / "rerank" / "tinypairs.py")
    base = tinypairs.write_base(tmp_path_factory.mktemp("b") / "base")
    folder = tmp_path_factory.mktemp("s") / "scorer"
    with torch.random.fork_rng():
        tinypairs.new_model(base).save(folder)
    return Path(folder)


@pytest.fixture(scope="session")
def labels_folder(scorer_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier of three labels with random weights."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("c") / "classifier"
    config = transformers.AutoConfig.from_pretrained(scorer_folder)
    config.id2label = {0: "good", 1: "bad", 2: "neither"}
    config.label2id = {label: place for place, label in config.id2label.items()}
    config.initializer_range = 0.5
    with torch.random.fork_rng():
        torch.manual_seed(5)
        transformers.BertForSequenceClassification(config).save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(scorer_folder).save_pretrained(folder)
    return folder


class Client:
    """Asks an application, one call at a time or many at once."""

    def __init__(self, app: Any, headers: dict[str, str] | None = None) -> None:
        self.app = app
        self.service = app.state.service
        self.headers = headers or {}

    def __call__(self, method: str, path: str, **options: Any) -> Any:
        async def one() -> Any:
            async with self.session() as session:
                return await session.request(method, path, **options)

        return asyncio.run(one())

    def get(self, path: str, **options: Any) -> Any:
        return self("GET", path, **options)

    def post(self, path: str, body: Any = None, **options: Any) -> Any:
        return self("POST", path, **({"json": body} if body is not None else {}), **options)

    def session(self) -> Any:
        transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=True)
        return httpx.AsyncClient(
            transport=transport, base_url="http://127.0.0.1", headers=self.headers, timeout=60
        )


@pytest.fixture(scope="session")
def serve() -> Iterator[Callable[..., Client]]:
    """Make a server of some settings, loaded and ready; it ends with the tests."""
    from vicinal.server.app import create_app
    from vicinal.server.service import Service
    from vicinal.server.settings import Settings

    services = []

    def start(*, headers: dict[str, str] | None = None, **settings: Any) -> Client:
        made = Settings(**{"dtype": "float32", **settings})
        made.check()
        service = Service(made)
        services.append(service)
        service.load()
        return Client(create_app(made, service), headers)

    yield start
    for service in services:
        service.close()


@pytest.fixture(scope="session")
def server(serve: Callable[..., Client], tiny_folder: Path, scorer_folder: Path) -> Client:
    """One with a static model, the tiny model and the tiny reranker."""
    return serve(models=("vicinal-mini", str(tiny_folder)), rerankers=(str(scorer_folder),))
