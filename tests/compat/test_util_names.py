"""What old code takes from ``sentence_transformers.util`` beside the mathematics does what it does there."""

from __future__ import annotations

import datetime
import importlib
import logging
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vicinal.compat import utilities
from vicinal.compat.decorators import (
    cross_encoder_init_args_decorator,
    cross_encoder_predict_rank_args_decorator,
    deprecated_kwargs,
    save_to_hub_args_decorator,
    transformer_kwargs_decorator,
)
from vicinal.errors import HubConnectionError, InputError
from vicinal.util import cos_sim


class _Files(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/file" else 404)
        self.send_header("Content-Length", "100" if self.path == "/short" else "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    """A server of one file."""
    server = HTTPServer(("127.0.0.1", 0), _Files)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_file_is_downloaded_into_a_new_folder(server: str, tmp_path: Path) -> None:
    target = tmp_path / "new" / "file.txt"
    utilities.http_get(f"{server}/file", str(target))
    assert target.read_bytes() == b"hello"
    assert [file.name for file in target.parent.iterdir()] == ["file.txt"]


def test_a_file_that_is_not_there_leaves_nothing(server: str, tmp_path: Path) -> None:
    with pytest.raises(HubConnectionError, match="404"):
        utilities.http_get(f"{server}/other", tmp_path / "file.txt")
    assert not list(tmp_path.iterdir())


def test_files_and_folders_of_a_local_model(tmp_path: Path) -> None:
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling" / "config.json").write_text("{}")
    (tmp_path / "modules.json").write_text("[]")
    model = str(tmp_path)
    assert utilities.load_file_path(model, "modules.json") == str(tmp_path / "modules.json")
    assert utilities.load_file_path(model, "config.json", "1_Pooling") == str(
        tmp_path / "1_Pooling" / "config.json"
    )
    assert utilities.load_file_path(model, "config.json") is None
    assert utilities.load_dir_path(model, "1_Pooling") == str(tmp_path / "1_Pooling")
    assert utilities.load_dir_path(model, "2_Dense") is None
    assert utilities.is_sentence_transformer_model(model) is True
    assert utilities.is_sentence_transformer_model(str(tmp_path / "1_Pooling")) is False
    assert utilities.is_sentence_transformer_model("nobody/nothing", local_files_only=True) is False
    assert utilities.is_sentence_transformer_model(str(tmp_path / "no" / "such" / "folder")) is False


def test_names_of_classes() -> None:
    assert [utilities.fullname(each) for each in (1, "a", dict)] == ["int", "str", "dict"]
    date = datetime.date(2020, 1, 1)
    assert utilities.fullname(date) == utilities.fullname(datetime.date) == "datetime.date"
    assert utilities.import_from_string("datetime.date") is datetime.date
    assert utilities.import_module_class("datetime.date") is datetime.date
    for wrong in ("date", "datetime.nothing", "no_such_module_at_all.date"):
        with pytest.raises(ImportError):
            utilities.import_from_string(wrong)
    with pytest.raises(InputError, match="trust_remote_code=True"):
        utilities.import_module_class("datetime.date", "some/model")
    assert utilities.similarity_fct_name(cos_sim) == "cos_sim"
    assert utilities.similarity_fct_name(partial(cos_sim, b=1)) == "cos_sim(b=1)"


def test_packages_and_versions() -> None:
    have = (
        importlib.util.find_spec("accelerate") is not None,
        importlib.util.find_spec("datasets") is not None,
    )
    assert (utilities.is_accelerate_available(), utilities.is_datasets_available()) == have
    assert utilities.is_training_available() is all(have)
    assert utilities.check_package_availability("no-such-package", "nobody") is False
    assert utilities.get_installed_version("numpy") == np.__version__
    assert utilities.get_installed_version("no-such-package") is None
    utilities.check_version_requirements({"numpy": ">=1", "python": {"specifier": ">=3.8"}}, "model")
    utilities.check_version_requirements(None)
    with pytest.raises(
        ImportError, match=r"model needs numpy>=999 .*; no-such-package>=1 \(it is not installed\): why"
    ):
        utilities.check_version_requirements(
            {"numpy": ">=999", "no-such-package": {"specifier": ">=1", "reason": "why"}}, "model"
        )


def test_a_requirement_that_is_none_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    utilities.check_version_requirements({"numpy": "nonsense"}, "model")
    assert "no version specifier" in caplog.text


def test_nothing_is_logged_inside(caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("somebody")
    with utilities.disable_logging():
        log.critical("inside")
    log.critical("outside")
    assert [record.message for record in caplog.records] == ["outside"]


def test_the_last_row_of_a_table_gets_more_columns(tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    file.write_text("epoch,steps\n")
    assert utilities.append_to_last_row(file, [1.5]) is False
    file.write_text("epoch,steps\n0,1\n1,2\n")
    assert utilities.append_to_last_row(str(file), [1.5, "x"]) is True
    assert file.read_text().split() == ["epoch,steps", "0,1", "1,2,1.5,x"]


def test_a_bar_that_never_shows(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(utilities.disabled_tqdm(range(3), desc="bar", disable=False)) == [0, 1, 2]
    assert capsys.readouterr().err == ""


def test_a_keyword_that_was_renamed() -> None:
    @deprecated_kwargs(old="new", gone=None)
    def function(new: int = 1) -> int:
        return new

    for given, result in (({"old": 5}, 5), ({"gone": 3}, 1), ({"old": 5, "new": 6}, 6)):
        with pytest.warns(DeprecationWarning, match="deprecated|keywords now"):
            assert function(**given) == result
    assert function(7) == 7


def test_the_decorators_translate_as_there() -> None:
    def echo(self: object, *args: Any, **given: Any) -> Any:
        return args, given

    with pytest.warns(DeprecationWarning, match="deprecated|keywords now"):
        assert cross_encoder_init_args_decorator(echo)(
            0, model_name="m", automodel_args={"a": 1}, classifier_dropout=0.1, cache_dir="c"
        ) == (
            (),
            {
                "model_name_or_path": "m",
                "model_kwargs": {"a": 1},
                "config_kwargs": {"classifier_dropout": 0.1},
                "cache_folder": "c",
            },
        )
    with pytest.warns(DeprecationWarning, match="deprecated|keywords now"):
        assert cross_encoder_init_args_decorator(echo)(0, "m", 2, 128) == (
            ("m",),
            {"num_labels": 2, "max_length": 128},
        )
    with pytest.warns(DeprecationWarning, match="deprecated|keywords now"):
        found = cross_encoder_predict_rank_args_decorator(echo)(
            0, sentences=[1], activation_fct=2, num_workers=0
        )
    assert found == ((), {"inputs": [1], "activation_fn": 2})
    with pytest.warns(DeprecationWarning, match="deprecated|keywords now"):
        found = transformer_kwargs_decorator(echo)(0, "m", model_args={1: 1}, cache_dir="c")
    assert found == (
        ("m",),
        {
            "model_kwargs": {"cache_dir": "c", 1: 1},
            "processor_kwargs": {"cache_dir": "c"},
            "config_kwargs": {"cache_dir": "c"},
        },
    )
    assert save_to_hub_args_decorator(echo)(0, "repo", "org") == (("repo", "org", None), {})
    with pytest.warns(DeprecationWarning, match="deprecated|keywords now"):
        assert save_to_hub_args_decorator(echo)(0, repo_name="z") == ((), {"repo_id": "z"})


def test_the_largest_numbers_are_kept() -> None:
    rows = np.array([[1.0, -3, 2, 0], [0, 0, 5, 4]])
    from vicinal.compat.tensor_rows import select_max_active_dims

    assert select_max_active_dims(rows, 2).tolist() == [[0, -3, 2, 0], [0, 0, 5, 4]]
    assert select_max_active_dims(rows[0], 1).tolist() == [0, -3, 0, 0]
    assert select_max_active_dims(rows, None) is rows
    with pytest.raises(InputError, match="max_active_dims=0"):
        select_max_active_dims(rows, 0)
    torch = pytest.importorskip("torch")
    found = select_max_active_dims(torch.tensor(rows), 2)
    assert found.tolist() == [[0, -3, 2, 0], [0, 0, 5, 4]]


def test_tensors_are_made_as_there() -> None:
    torch = pytest.importorskip("torch")
    from vicinal.compat import tensor_rows

    assert tensor_rows._convert_to_batch_tensor([1.0, 2]).tolist() == [[1, 2]]
    assert tensor_rows._convert_to_tensor([torch.ones(2), torch.ones(2)]).shape == (2, 2)
    assert tensor_rows._convert_to_tensor(np.ones(2)).dtype == torch.float64
    assert tensor_rows._move_tensors_to_cpu({"a": torch.ones(1), "b": [1]})["b"] == [1]
    rows = torch.tensor([[1.0, -3, 2, 0], [0, 0, 5, 4]])
    for each in (rows, rows.to_sparse()):
        found = tensor_rows.compute_count_vector(each)
        assert found.tolist() == [1, 1, 2, 1]
        assert found.dtype == torch.int32
    pytest.importorskip("scipy")
    assert np.array_equal(tensor_rows.to_scipy_coo(rows.to_sparse()).toarray(), rows.numpy())


def test_one_process_is_rank_0_of_1() -> None:
    torch = pytest.importorskip("torch")
    from vicinal.compat import tensor_rows

    assert (tensor_rows.is_dist_initialized(), tensor_rows.get_rank(), tensor_rows.get_world_size()) == (
        False,
        0,
        1,
    )
    rows = torch.ones(2)
    assert tensor_rows.all_gather(rows) is rows
    assert tensor_rows.all_gather_with_grad(rows) is rows


@pytest.mark.usefixtures("installed")
def test_the_names_stand_in_util_and_in_its_files() -> None:
    for path, name in (
        ("util", "http_get"),
        ("util.file_io", "is_sentence_transformer_model"),
        ("util.misc", "fullname"),
        ("util.environment", "get_device_name"),
        ("util.tensor", "to_scipy_coo"),
        ("util.distributed", "get_rank"),
        ("util.decorators", "deprecated_kwargs"),
        ("util", "_convert_to_batch_tensor"),
        ("cross_encoder.util", "cross_encoder_init_args_decorator"),
    ):
        assert getattr(importlib.import_module(f"sentence_transformers.{path}"), name).__name__ == name
