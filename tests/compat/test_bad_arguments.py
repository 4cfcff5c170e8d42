"""What old code may give wrongly is refused by its name, before anything is trained, fetched or written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vicinal.errors import HubConnectionError, InputError, InputTypeError

torch = pytest.importorskip("torch")

from tinyscorer import write_scorer  # noqa: E402

NAN = float("nan")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scorer(tmp_path_factory.mktemp("scorer"), 1)


@pytest.fixture
def there(installed: None) -> Any:
    import sentence_transformers

    return sentence_transformers


@pytest.fixture
def model(there: Any) -> Any:
    return there.SentenceTransformer("vicinal-mini")


@pytest.fixture
def scorer(there: Any, folder: Path) -> Any:
    return there.CrossEncoder(str(folder), device="cpu")


def test_scorers_where_vectors_are_needed(there: Any, model: Any, scorer: Any) -> None:
    from sentence_transformers import losses

    for name in (
        "MultipleNegativesRankingLoss",
        "CosineSimilarityLoss",
        "MegaBatchMarginLoss",
        "TripletLoss",
    ):
        with pytest.raises(InputTypeError, match=rf"^model is CrossEncoder, .* {name} needs vectors"):
            getattr(losses, name)(scorer)
    with pytest.raises(InputTypeError, match=r"^guide is CrossEncoder"):
        losses.GISTEmbedLoss(model, scorer)


@pytest.mark.parametrize(
    ("margin", "kind"), [("0.1", InputTypeError), (NAN, InputError), (None, InputTypeError)]
)
def test_margins(there: Any, model: Any, margin: Any, kind: type[Exception]) -> None:
    from sentence_transformers import losses

    with pytest.raises(kind, match=r"^margin"):
        losses.GISTEmbedLoss(model, model, margin=margin)


@pytest.mark.parametrize("name", ["MultipleNegativesRankingLoss", "CosineSimilarityLoss", "GISTEmbedLoss"])
def test_columns_of_different_length(there: Any, model: Any, name: str) -> None:
    from sentence_transformers import losses

    loss = getattr(losses, name)(*([model, model] if name == "GISTEmbedLoss" else [model]))
    features = [model.tokenize(["a cat", "a dog"]), model.tokenize(["a bird"])]
    with pytest.raises(InputError, match="columns of 2, 1 texts"):
        loss(features, torch.tensor([1.0, 0.0]))


@pytest.mark.parametrize(
    "name", ["LambdaLoss", "RankNetLoss", "ListNetLoss", "ListMLELoss", "PListMLELoss", "ADRMSELoss"]
)
def test_labels_of_lists(there: Any, scorer: Any, name: str) -> None:
    from sentence_transformers.cross_encoder import losses

    loss = getattr(losses, name)(scorer)
    documents = [["a b", "c"], ["d", "e"]]
    with pytest.raises(InputError, match=r"^labels\[1\] holds nan"):
        loss([["a", "b"], documents], [[1.0, 0.0], [NAN, 0.0]])
    with pytest.raises(InputError, match="without queries"):
        loss([[], []], [])
    assert torch.isfinite(loss([["a", "b"], documents], [[1.0, 0.0], [2.0, 0.0]]))


CALLS: dict[str, tuple[Callable[[Any, Path], Any], type[Exception], str]] = {
    "no address": (lambda util, here: util.http_get(None, here / "x"), InputTypeError, "^url is NoneType"),
    "a file": (lambda util, here: util.http_get("file:///etc/hosts", here / "x"), InputError, "http://"),
    "empty": (lambda util, here: util.http_get("", here / "x"), InputError, "^url=''"),
    "no path": (lambda util, here: util.http_get("http://localhost:1/x", None), InputTypeError, "^path is"),
    "no place": (
        lambda util, here: util.http_get("http://localhost:1/x", here / "file" / "x"),
        HubConnectionError,
        "file",
    ),
    "no server": (
        lambda util, here: util.http_get("http://localhost:1/x", here / "x"),
        HubConnectionError,
        "1/x",
    ),
    "no name": (lambda util, here: util.import_from_string(None), InputTypeError, "^dotted_path is NoneType"),
}


@pytest.mark.parametrize("name", CALLS)
def test_util(there: Any, tmp_path: Path, name: str) -> None:
    from sentence_transformers import util

    (tmp_path / "file").write_text("kept")
    call, kind, message = CALLS[name]
    with pytest.raises(kind, match=message):
        call(util, tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "kept"


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({"model_id": 3}, InputTypeError),
        ({"model_id": "name"}, InputError),
        ({"language": 5}, InputTypeError),
        ({"train_datasets": [{"nme": 1}]}, InputError),
        ({"train_datasets": ["snli"]}, InputTypeError),
    ],
)
def test_model_cards(there: Any, given: dict[str, Any], kind: type[Exception]) -> None:
    with pytest.raises(kind):
        there.SentenceTransformerModelCardData(**given)


@pytest.mark.parametrize("name", ["SentenceTransformer", "CrossEncoder"])
def test_names_of_models(there: Any, name: str) -> None:
    with pytest.raises(InputTypeError, match="model_name_or_path is int"):
        getattr(there, name)(5)
