"""Loading and saving a network of transformers, quietly and without weights that nobody trained."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vicinal.engine.graphs import check_shapes, left_out_by_torch, not_in_torch
from vicinal.engine.graphs.nomic_bert import translated
from vicinal.errors import ModelFormatError, UnsupportedModelError, missing_extra
from vicinal.folder.json_files import read_json
from vicinal.folder.specs import TransformerSpec, is_adapter
from vicinal.nn.modules.layout import remember_buffers
from vicinal.nn.modules.memory import check_finite, own_memory


def auto_classes() -> tuple[Any, Any, Any]:
    """``AutoConfig, AutoModel, AutoTokenizer``.

    Raises:
        MissingExtraError: transformers is not installed.
    """
    try:
        from transformers import AutoConfig, AutoModel, AutoTokenizer
    except ImportError as error:
        raise missing_extra("transformers", "models.Transformer", "train") from error
    return AutoConfig, AutoModel, AutoTokenizer


@contextmanager
def quiet() -> Iterator[None]:
    """Within the block transformers shows no progress bars and no reports; its settings come back after it."""
    from transformers.utils import logging

    bars, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def resolve(name_or_path: str | os.PathLike[str], cache_dir: str | None, options: dict[str, Any]) -> Path:
    """The folder of a name; takes what concerns the hub out of ``options``."""
    from vicinal.hub.resolve import resolve_model

    return resolve_model(
        name_or_path,
        cache_folder=options.pop("cache_dir", None) or cache_dir,
        revision=options.pop("revision", None),
        local_files_only=bool(options.pop("local_files_only", False)),
        token=options.pop("token", None),
    )


def inputs_of(network: Any) -> frozenset[str]:
    """What a network of transformers reads, also where its ``forward`` was replaced or the whole was compiled."""
    original = getattr(network, "_orig_mod", network)
    for forward in (original.forward, type(original).forward):
        names = inspect.signature(forward).parameters
        if "input_ids" in names:
            return frozenset(names)
    return frozenset(("input_ids", "attention_mask", "token_type_ids"))


def load_config(folder: Path, trust: bool, options: dict[str, Any]) -> Any:
    """The configuration of a folder, as transformers knows it.

    Raises:
        UnsupportedModelError: an architecture that transformers does not know, or that brings code of its own.
        ModelFormatError: ``config.json`` is damaged or contradicts itself.
    """
    home = base_folder(folder)
    written = read_json(home / "config.json") if (home / "config.json").is_file() else {}
    own_code = trust and "auto_map" in written
    if not own_code:
        refuse_left_out(TransformerSpec(home, written))
        check_shapes(TransformerSpec(home, {**written, **options}))
        options = {**_translated(home, written), **options}
    try:
        with quiet():
            config = auto_classes()[0].from_pretrained(home, trust_remote_code=trust, **options)
            return config if "attn_implementation" in options else without_kernels(config)
    except Exception as error:  # its checks raise what they like
        from transformers import CONFIG_MAPPING

        settings = read_json(home / "config.json")
        kind, reason = settings.get("model_type"), (str(error) or type(error).__name__).splitlines()[0]
        if kind in CONFIG_MAPPING:
            raise ModelFormatError(f"{home}/config.json: transformers refuses it ({reason})") from error
        remedy = (
            "it brings code of its own, which trust_remote_code=True runs"
            if "auto_map" in settings and not trust
            else "a newer version of transformers may know it, or the folder may hold openvino/*.xml"
        )
        raise UnsupportedModelError(
            f"{home}: transformers does not know the architecture {kind!r}; {remedy}"
        ) from error


def refuse_left_out(spec: TransformerSpec) -> None:
    """Refuse what transformers would load as if ``config.json`` did not ask for it.

    Raises:
        UnsupportedModelError: there is such a key; the vectors would be wrong.
    """
    found = left_out_by_torch(spec)
    if found is not None:
        raise UnsupportedModelError(
            f"{spec.folder}/config.json: {found.found} (transformers computes only {found.covered}); "
            f"{not_in_torch(spec.config)}"
        )


def _translated(folder: Path, written: Mapping[str, Any]) -> dict[str, Any]:
    """Keys under other names than those that transformers reads: Nomic's, from before it knew the family."""
    if written.get("model_type") != "nomic_bert" or "n_embd" not in written:
        return {}
    try:
        return translated(written)
    except (KeyError, TypeError, ArithmeticError) as error:
        raise ModelFormatError(f"{folder}/config.json: not that of a Nomic-BERT ({error!r})") from error


def without_kernels(config: Any) -> Any:
    """The configuration, without a kernel that it names: transformers would fetch and run it, native code."""
    if "/" in str(getattr(config, "_attn_implementation", None)):
        config._attn_implementation = None  # results do not depend on it
    return config


def load_encoder(folder: Path, config: Any, trust: bool, options: dict[str, Any]) -> Any:
    """The encoder of a folder; of models that also have a decoder, the encoder alone.

    Raises:
        ModelFormatError: transformers cannot load it, or the folder lacks weights, which would be random.
    """
    auto = auto_classes()[1]
    if config.model_type in ("t5", "mt5", "umt5"):
        import transformers

        names = {"t5": "T5EncoderModel", "mt5": "MT5EncoderModel", "umt5": "UMT5EncoderModel"}
        auto = getattr(transformers, names[config.model_type])
    base = base_folder(folder)
    try:
        with quiet():
            model, report = auto.from_pretrained(
                base, config=config, trust_remote_code=trust, output_loading_info=True, **options
            )
            if base != folder:
                model.load_adapter(str(folder))
    except (ImportError, MemoryError):
        raise
    except Exception as error:  # transformers and safetensors raise what they like
        reason = (str(error) or type(error).__name__).splitlines()[0]
        if isinstance(error, KeyError):  # such as the name of an activation
            reason = f"it does not know {reason}"
        raise ModelFormatError(f"{folder}: transformers cannot load this model ({reason})") from error
    own_memory(model)
    remember_buffers(model)
    check_finite(model, str(folder))
    missing = sorted(report.get("missing_keys", ()))
    if any(name.startswith("pooler.") for name in missing):
        # A layer behind [CLS] that no sentence vector uses. Where the folder has none, transformers makes
        # one of random numbers, which would change from load to load and be saved with the rest.
        model.pooler = None
        missing = [name for name in missing if not name.startswith("pooler.")]
    if missing:
        raise ModelFormatError(f"{folder}: {len(missing)} weights are missing, such as {missing[0]!r}")
    return model


def base_folder(folder: Path) -> Path:
    """The folder itself; of an adapter's folder, that of the model which it was trained on.

    Raises:
        MissingExtraError: it is an adapter, and peft is not installed.
        ModelFormatError: it does not say what it was trained on.
    """
    if not is_adapter(folder):
        return folder
    require_peft(f"{folder} (an adapter)")
    name = read_json(folder / "adapter_config.json").get("base_model_name_or_path")
    if not isinstance(name, str) or not name:
        raise ModelFormatError(f"{folder}/adapter_config.json: 'base_model_name_or_path' is missing")
    return resolve(name, None, {})


def require_peft(purpose: str) -> None:
    """Import peft.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import peft  # noqa: F401
    except ImportError as error:
        raise missing_extra("peft", purpose, "peft") from error
