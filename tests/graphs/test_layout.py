"""A network of each family, as it was loaded, has the parts that its config names, and keeps them."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from tinytransformers import TINIES, save  # noqa: E402

from vicinal.nn.modules.layout import is_as_configured, layout_of  # noqa: E402
from vicinal.nn.modules.pretrained import load_config, load_encoder  # noqa: E402

pytestmark = pytest.mark.torch


@pytest.mark.parametrize("family", TINIES)
def test_every_family(tmp_path: Path, family: str) -> None:
    """Otherwise the family would be computed by torch as soon as its weights are touched."""
    save(TINIES[family].model(), tmp_path)
    network = load_encoder(tmp_path, load_config(tmp_path, False, {}), False, {})
    assert is_as_configured(network)
    before = layout_of(network)
    with torch.no_grad():  # forward sets attributes of its own
        network(input_ids=torch.tensor([[5, 6, 7, 8]]), attention_mask=torch.ones(1, 4, dtype=torch.long))
    assert layout_of(network) == before
