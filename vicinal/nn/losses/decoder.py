"""A network of transformers that writes a text token by token, and may read an encoder: the decoder of a loss."""

from __future__ import annotations

import copy
import inspect
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vicinal.engine.opening import position_limit
from vicinal.errors import InputError, ModelFormatError, UnsupportedModelError
from vicinal.folder.json_files import read_optional
from vicinal.folder.specs import TransformerSpec
from vicinal.nn.modules.memory import check_finite, own_memory
from vicinal.nn.modules.pretrained import auto_classes, load_config, quiet, resolve
from vicinal.tokens.guard import guarded

# Parameters that an encoder has no counterpart of: they read the encoder.
_READS_ENCODER = ("cross", "encoder_attn")
_REMEDY = "BERT, RoBERTa, XLM-RoBERTa, ELECTRA, CamemBERT and GPT-2 can be decoders"


def open_decoder(name: Any) -> tuple[Any, Any]:
    """Network and tokenizer of a decoder of its own, in evaluation mode.

    Args:
        name: a model folder or a hub name.

    Raises:
        UnsupportedModelError: the architecture can't be a decoder that reads an encoder.
        ModelNotFoundError, HubError: the name leads nowhere.
    """
    folder = resolve(name, None, {})
    config = load_config(folder, False, {})
    network = _load(folder, config, torch.float32)
    with guarded(folder):
        tokenizer = auto_classes()[2].from_pretrained(folder)
    if tokenizer.pad_token is None:  # GPT-2, for one
        tokenizer.pad_token = tokenizer.eos_token
        network.config.pad_token_id = network.config.eos_token_id
    return network, tokenizer


def decoder_like(encoder: Any) -> Any:
    """A decoder of an encoder's own architecture: its head from the encoder's folder, if there is one.

    Its weights are not yet the encoder's; :func:`tie` makes them so.

    Args:
        encoder: a network of transformers.

    Raises:
        UnsupportedModelError: the architecture can't be a decoder that reads an encoder.
    """
    config = copy.deepcopy(encoder.config)
    folder = Path(str(config.name_or_path or ""))
    written = read_optional(folder / "config.json") if config.name_or_path else {}
    rows = encoder.get_input_embeddings().num_embeddings
    # The encoder's vocabulary may have grown since its folder was read.
    config.vocab_size = written.get("vocab_size", rows)
    network = _load(folder if written else None, config, encoder.dtype)
    if config.vocab_size != rows:
        with quiet():
            network.resize_token_embeddings(rows, mean_resizing=False)
    return network.to(encoder.device)


def _load(folder: Path | None, config: Any, dtype: Any) -> Any:
    """A network that predicts each token from those before it and from an encoder; new weights without a folder."""
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoModelForCausalLM

    config.is_decoder = True
    config.add_cross_attention = True
    config.dtype = dtype
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise UnsupportedModelError(
            f"{folder or 'the model'}: transformers has no decoder of the architecture {config.model_type!r}; "
            f"{_REMEDY}. Name one with decoder_name_or_path= and tie_encoder_decoder=False"
        )
    with quiet():
        if folder is None:
            network = AutoModelForCausalLM.from_config(config).to(dtype)
        else:
            try:
                network = AutoModelForCausalLM.from_pretrained(folder, config=config, dtype=dtype)
            except (ImportError, MemoryError):
                raise
            except Exception as error:  # transformers and safetensors raise what they like
                reason = (str(error) or type(error).__name__).splitlines()[0]
                raise ModelFormatError(
                    f"{folder}: transformers cannot load this decoder ({reason})"
                ) from error
    if "encoder_hidden_states" not in inspect.signature(network.base_model.forward).parameters:
        raise UnsupportedModelError(
            f"{folder or 'the model'}: a decoder of the architecture {config.model_type!r} does not read an encoder; "
            f"{_REMEDY}. Name one with decoder_name_or_path= and tie_encoder_decoder=False"
        )
    own_memory(network)
    check_finite(network, str(folder or "the decoder"))
    return network.eval()


def tie(decoder: Any, encoder: nn.Module) -> None:
    """Make a decoder's parameters those of an encoder of its architecture, all but what reads the encoder.

    Both then hold the same parameters: a step moves both, and moving one to a device moves the other.

    Raises:
        InputError: the decoder has a parameter that the encoder lacks.
    """
    base = decoder.base_model
    own = dict(encoder.named_parameters(remove_duplicate=False))
    for name, parameter in list(base.named_parameters(remove_duplicate=False)):
        found = own.get(name)
        if found is None and any(part in name for part in _READS_ENCODER):
            continue
        if found is None or found.shape != parameter.shape:
            raise InputError(
                f"tie_encoder_decoder=True: the decoder's weight {name!r} has no counterpart in the model, whose "
                "network was changed (adapters, layers taken out or replaced): make the loss before the change, or "
                "take a decoder of its own, decoder_name_or_path=... with tie_encoder_decoder=False"
            )
        place, _, attribute = name.rpartition(".")
        setattr(base.get_submodule(place), attribute, found)
    decoder.tie_weights()  # its head to the word embeddings, where they are one


def length_limit(decoder: Any, tokenizer: Any) -> int:
    """Tokens of a text that a decoder has positions for and its tokenizer gives."""
    limit = position_limit(TransformerSpec(Path(), decoder.config.to_dict()))
    declared = getattr(tokenizer, "model_max_length", None)
    return int(min(each for each in (limit, declared, 10**9) if each))
