"""The torch side of a cross-encoder: new heads, scores that follow the weights, folders that both libraries load."""

from __future__ import annotations

import copy
import json
import pickle
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tinypairs import new_model, one_thread, some_pairs, torch, transformers, write_base  # noqa: F401

from vicinal import CrossEncoder
from vicinal.errors import InputError, InputTypeError, ModelFormatError, NewHeadWarning

ROOT = Path(__file__).resolve().parents[2]
PAIRS = some_pairs(12)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_base(tmp_path_factory.mktemp("base"))


@pytest.fixture
def model(base: Path) -> Any:
    return new_model(base)


@pytest.fixture(scope="module")
def saved(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    new_model(base).save(folder)
    return folder


def torch_scores(model: Any, pairs: list[tuple[str, str]] = PAIRS) -> np.ndarray:
    """What the network of transformers itself gives, one pair after the other."""
    first = model.module[0]
    rows = []
    with torch.no_grad():
        for pair in pairs:
            encoded = first.tokenizer(
                *pair, return_tensors="pt", truncation=True, max_length=model.max_length
            )
            rows.append(model.model(**encoded).logits[0].numpy())
    return np.stack(rows)


def raw(model: Any) -> np.ndarray:
    scores = model.predict(PAIRS, activation_fn="Identity")
    return scores if scores.ndim == 2 else scores[:, None]


def change(model: Any) -> None:
    """One large step of training."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    model.train()
    model(model.tokenize(PAIRS))["scores"].sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    model.eval()


def test_a_new_head_is_said_seeded_and_of_the_asked_size(base: Path) -> None:
    first, again = new_model(base), new_model(base)
    assert first.num_labels == 1 and first.head_is_new
    np.testing.assert_array_equal(raw(first), raw(again))
    three = new_model(base, num_labels=3)
    assert three.predict(PAIRS).shape == (12, 3)
    np.testing.assert_allclose(raw(three), torch_scores(three), atol=1e-4)


def test_the_new_head_is_the_peers(minilm_path: Path) -> None:
    # sentence-transformers 6.2 with torch.manual_seed(0): the head's first numbers, and a maximum length of 512.
    model = new_model(minilm_path)
    weight = model.model.classifier.weight[0, :4].tolist()
    assert weight == pytest.approx([-0.0225, -0.0230, -0.0050, -0.0087], abs=5e-5)
    assert model.max_length == 512


def test_a_head_is_kept_or_refused_but_never_replaced_unasked(saved: Path) -> None:
    assert CrossEncoder(saved, num_labels=1).num_labels == 1
    with pytest.raises(InputError, match=r"num_labels=2: .* scores 1 labels.*ignore_mismatched_sizes"):
        CrossEncoder(saved, num_labels=2)
    with pytest.warns(NewHeadWarning, match="2 labels"):
        model = CrossEncoder(saved, num_labels=2, model_kwargs={"ignore_mismatched_sizes": True})
    assert model.predict(PAIRS).shape == (12, 2)
    with pytest.raises(InputError, match="num_labels=0"):
        CrossEncoder(saved, num_labels=0)


def test_foreign_weights_are_refused(base: Path, tmp_path: Path) -> None:
    folder = tmp_path / "m"
    shutil.copytree(base, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))
    with pytest.raises(
        ModelFormatError, match=r"'num_hidden_layers' is 3, but the tensor 'encoder\.layer\.2"
    ):
        CrossEncoder(folder)


def test_features_and_scores_are_the_networks(model: Any) -> None:
    features = model.tokenize(PAIRS)
    assert features.keys() >= {"input_ids", "attention_mask", "token_type_ids"}
    longest = max(model._texts.pairs(*map(list, zip(*PAIRS, strict=True))).lengths)
    assert features["input_ids"].shape == (12, longest)
    answer = model(features)["scores"]
    assert answer.shape == (12, 1) and answer.requires_grad
    np.testing.assert_allclose(answer.detach().numpy(), torch_scores(model), atol=1e-5)
    np.testing.assert_allclose(raw(model), torch_scores(model), atol=1e-4)
    with pytest.raises(InputTypeError, match=r"sentences\[0\] is a single text"):
        model.tokenize(["a cat", "a dog", "a fish"])


def test_predict_is_never_stale(model: Any) -> None:
    before = raw(model)
    for how in ("step", "data", "state_dict", "head"):
        if how == "step":
            change(model)
        elif how == "data":
            model.model.classifier.weight.data += 0.3
        elif how == "state_dict":
            model.load_state_dict({name: value * 1.1 for name, value in model.state_dict().items()})
        else:
            model.model.classifier.bias.data += 1.0
        after = raw(model)
        assert np.abs(after - before).max() > 1e-3, how
        np.testing.assert_allclose(after, torch_scores(model), atol=2e-4, err_msg=how)
        before = after
    engine = model._engine
    raw(model)
    assert model._engine is engine  # nothing changed, nothing is built again


def test_predict_drops_nothing_out_and_training_goes_on(tmp_path: Path) -> None:
    model = new_model(write_base(tmp_path, dropout=0.5), backend="torch")
    model.train()
    np.testing.assert_array_equal(raw(model), raw(model))
    assert model.training and model.module.training
    features = model.tokenize(PAIRS)
    assert not torch.equal(model(features)["scores"], model(features)["scores"])


def test_both_engines_agree(saved: Path) -> None:
    on_torch = CrossEncoder(saved, backend="torch")
    np.testing.assert_allclose(raw(on_torch), raw(CrossEncoder(saved, dtype="float32")), atol=1e-4)
    change(on_torch)
    np.testing.assert_allclose(raw(on_torch), torch_scores(on_torch), atol=1e-4)


def test_copies_live_on_their_own(model: Any, base: Path) -> None:
    change(model)
    expected = raw(model)
    copies = [copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
    change(model)
    moved = raw(model)
    del model
    for other in copies:
        np.testing.assert_allclose(raw(other), expected, atol=1e-6)
        change(other)
        np.testing.assert_allclose(raw(other), moved, atol=1e-4)


def test_threads_after_training(model: Any) -> None:
    change(model)
    found: list[np.ndarray] = []
    threads = [threading.Thread(target=lambda: found.append(raw(model))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    for each in found:
        np.testing.assert_allclose(each, torch_scores(model), atol=1e-4)


def test_max_length_is_one_for_both_sides(model: Any) -> None:
    assert model.max_length == 40
    model.max_length = 9
    long = [(" ".join(["cat"] * 20), "a dog")]
    assert model.tokenize(long)["input_ids"].shape == (1, 9)
    with pytest.warns(UserWarning, match="1 of 1 texts were cut to 9 tokens"):
        found = model.predict(long, activation_fn="Identity")
    np.testing.assert_allclose(found[:, None], torch_scores(model, long), atol=1e-4)
    with pytest.raises(InputError, match="positions for 48"):
        model.max_length = 49


def test_saved_and_loaded_again(model: Any, tmp_path: Path) -> None:
    change(model)
    model.max_length = 20
    model.activation_fn = torch.nn.Tanh()
    model.save(tmp_path / "m")
    again = CrossEncoder(tmp_path / "m", dtype="float32")
    assert again.max_length == 20 and not again.head_is_new
    np.testing.assert_allclose(again.predict(PAIRS), np.tanh(torch_scores(model)[:, 0]), atol=1e-4)
    model.save(tmp_path / "m")  # onto itself, while another model reads it
    np.testing.assert_allclose(again.predict(PAIRS), np.tanh(torch_scores(model)[:, 0]), atol=1e-4)
    model.activation_fn = lambda scores: scores * 2
    with pytest.warns(UserWarning, match="has no name that a folder could hold"):
        model.save(tmp_path / "n")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file"):
        model.save(tmp_path / "file")


@pytest.mark.parametrize("family", ["bert", "distilbert", "electra", "mpnet", "roberta", "xlm-roberta"])
def test_packed_pairs_have_the_same_scores_and_gradients(family: str) -> None:
    from vicinal.nn.modules.packed_pairs import packed_scores, packs_pairs

    if family == "mpnet" and not hasattr(
        transformers.models.mpnet.modeling_mpnet, "create_bidirectional_mask"
    ):
        pytest.skip(f"MPNet of transformers {transformers.__version__} takes no mask of pairs")
    torch.manual_seed(0)
    sizes = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    sizes = {"dim": 24, "n_layers": 2, "n_heads": 2, "hidden_dim": 32} if family == "distilbert" else sizes
    config = transformers.AutoConfig.for_model(
        family,
        vocab_size=60,
        max_position_embeddings=40,
        num_labels=2,
        pad_token_id=1,
        bos_token_id=0,
        **sizes,
    )
    network = transformers.AutoModelForSequenceClassification.from_config(config).eval()  # nothing drops out
    lengths = torch.tensor([5, 30, 8, 3, 11, 9])
    mask = (torch.arange(30)[None, :] < lengths[:, None]).long()
    inputs = {"input_ids": torch.randint(5, 60, (6, 30)) * mask + (1 - mask), "attention_mask": mask}
    if family in ("bert", "electra"):
        inputs["token_type_ids"] = (torch.arange(30)[None, :] > lengths[:, None] // 2).long() * mask
    assert packs_pairs(network, inputs)
    found = []
    for scores in (network(**inputs).logits, packed_scores(network, inputs)):
        network.zero_grad()
        scores.square().sum().backward()
        found.append(
            (
                scores.detach(),
                {n: each.grad for n, each in network.named_parameters() if each.grad is not None},
            )
        )
    torch.testing.assert_close(found[0][0], found[1][0], atol=1e-5, rtol=1e-5)
    for name, gradient in found[0][1].items():
        torch.testing.assert_close(found[1][1][name], gradient, atol=1e-5, rtol=1e-4, msg=name)


@pytest.mark.slow
def test_folders_go_both_ways(model: Any, tmp_path: Path) -> None:
    python = ROOT / ".bench/st/bin/python"
    if not python.is_file():
        pytest.skip("no sentence-transformers in .bench/st (benchmarks make it)")
    change(model)
    model.save(tmp_path / "ours")
    script = (
        "import json, sys\nfrom sentence_transformers import CrossEncoder\n"
        "model = CrossEncoder(sys.argv[1], device='cpu')\n"
        "pairs = [tuple(pair) for pair in json.loads(sys.argv[3])]\n"
        "model.save_pretrained(sys.argv[2])\n"
        "print(json.dumps({'scores': model.predict(pairs).tolist(), 'length': model.max_seq_length}))\n"
    )
    answer = subprocess.run(
        [python, "-c", script, tmp_path / "ours", tmp_path / "theirs", json.dumps(PAIRS)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    found = json.loads(answer.stdout.splitlines()[-1])
    np.testing.assert_allclose(found["scores"], model.predict(PAIRS), atol=1e-4)
    assert found["length"] == model.max_length
    back = CrossEncoder(tmp_path / "theirs", dtype="float32")
    np.testing.assert_allclose(back.predict(PAIRS), found["scores"], atol=1e-4)


WITHOUT_TORCH = """
import sys
class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")
sys.meta_path.insert(0, NoTorch())
from vicinal.cross_encoder import CrossEncoder, losses
for act in (lambda: CrossEncoder(sys.argv[1]), lambda: losses.MSELoss, lambda: CrossEncoder(sys.argv[2]).module):
    try:
        act()
    except Exception as error:
        print(type(error).__name__, error)
print(CrossEncoder(sys.argv[2]).predict([("a cat", "a dog")]).shape, "torch" in sys.modules)
"""


def test_without_torch(base: Path, saved: Path) -> None:
    answer = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, base, saved],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    head, losses, module, scores = answer.stdout.splitlines()
    assert head.startswith("ModelFormatError") and "no classification head" in head
    assert head.endswith("pip install 'vicinal[train]'")
    assert (
        losses == "MissingExtraError cross_encoder.losses.MSELoss needs 'torch', which is not installed: "
        "pip install 'vicinal[train]'"
    )
    assert module.startswith("MissingExtraError CrossEncoder.module needs 'torch'")
    assert scores == "(1,) False"
