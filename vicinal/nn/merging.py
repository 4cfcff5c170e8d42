"""Weights of several models become those of one: a weighted mean here, every other method through mergekit."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from vicinal.core.inputs import array_items
from vicinal.errors import InputError, InputTypeError, missing_extra

Weights = dict[str, torch.Tensor]

# What a config.json says of files and programs, not of the network.
_METADATA = frozenset(
    {
        "_name_or_path",
        "transformers_version",
        "dtype",
        "torch_dtype",
        "architectures",
        "use_cache",
        "sentence_transformers",
    }
)
# What cuts texts into tokens, beside the vocabulary; where they are cut short and padded has no part in it.
_TOKENIZER_PARTS = ("normalizer", "pre_tokenizer", "post_processor")
# Of mergekit 0.1.5, to tell a wrong name where it is not installed.
_METHODS = (
    *("arcee_fusion", "breadcrumbs", "breadcrumbs_ties", "dare_linear", "dare_ties", "della", "della_linear"),
    *("karcher", "model_stock", "multislerp", "nearswap", "nuslerp", "ram", "ramplus_tl", "sce", "slerp"),
    *("task_arithmetic", "ties"),
)
_DTYPES = ("float16", "bfloat16", "float32", "float64")


def check_alike(first: nn.Sequential, other: nn.Sequential, name: str) -> None:
    """See that the weights of two models mean the same, number by number.

    Args:
        name: of the other model, for the error.

    Raises:
        InputError: modules, their settings, vocabularies, or names, shapes or ties of weights differ.
    """

    def differs(what: str) -> InputError:
        return InputError(
            f"merge: {name} and the first model differ in {what}; merge models trained from the same one"
        )

    if [type(each) for each in first] != [type(each) for each in other]:
        kinds = [[type(each).__name__ for each in modules] for modules in (other, first)]
        raise differs(f"their modules ({', '.join(kinds[0])} and {', '.join(kinds[1])})")
    ours, theirs = dict(_settings(first)), dict(_settings(other))
    for place in ours.keys() | theirs.keys():
        if ours.get(place) != theirs.get(place):
            raise differs(f"the {_first_difference(ours.get(place), theirs.get(place))} of module {place!r}")
    ours, theirs = first.state_dict(keep_vars=True), other.state_dict(keep_vars=True)
    missing = sorted(ours.keys() ^ theirs.keys())
    if missing:
        raise differs(f"the names of their weights ({missing[0]!r} is in one alone)")
    for key, value in ours.items():
        if value.shape != theirs[key].shape:
            raise differs(f"the shape of {key!r}, {tuple(theirs[key].shape)} and {tuple(value.shape)}")
    if unique_names(ours) != unique_names(theirs):
        raise differs("which of their weights are tied")


def _settings(modules: nn.Sequential) -> Iterator[tuple[str, dict[str, Any]]]:
    """Settings, configuration and vocabulary of each module that has any."""
    for place, module in modules.named_modules():
        found: dict[str, Any] = {}
        read = getattr(module, "get_config_dict", None)
        if read is not None:
            found.update(read())
            found.pop("max_seq_length", None)  # the first model's is kept
        config: Any = getattr(module, "config", None)
        if hasattr(config, "to_dict"):
            found.update({key: value for key, value in config.to_dict().items() if key not in _METADATA})
        tokenizer = vars(module).get("tokenizer")
        if hasattr(tokenizer, "get_vocab"):
            found["vocabulary"] = tokenizer.get_vocab()
            backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
            if hasattr(backend, "to_str"):
                parts = json.loads(backend.to_str())
                found.update({f"tokenizer's {key}": parts.get(key) for key in _TOKENIZER_PARTS})
        if found:
            yield place, found


def _first_difference(ours: dict[str, Any] | None, theirs: dict[str, Any] | None) -> str:
    if ours is None or theirs is None:
        return "settings"
    return next(key for key in {**ours, **theirs} if ours.get(key) != theirs.get(key))


def unique_names(state: Mapping[str, Any]) -> list[str]:
    """Names of a state without the further names of tied weights."""
    first: dict[int, str] = {}
    for key, value in state.items():
        first.setdefault(id(value), key)
    return list(first.values())


def merge_modules(
    modules: Sequence[nn.Sequential],
    into: nn.Sequential,
    method: str,
    *,
    base: int | None,
    parameters: Mapping[str, Any] | None,
    dtype: Any,
    out_dtype: Any,
    device: str,
    batch_options: Any,
) -> None:
    """Give ``into`` the merged weights of ``modules``, each tied weight merged once.

    Args:
        into: a copy of the first.
        base: which of the modules is the base model.

    Raises:
        InputError: an invalid method, parameter, dtype or base, or weights that are not finite after merging.
        MissingExtraError: a method other than ``"linear"``, and mergekit is not installed.
    """
    given = dict(parameters or {})
    working, final = _as_dtype(dtype, "dtype"), _as_dtype(out_dtype, "out_dtype")
    states = [module.state_dict(keep_vars=True) for module in modules]
    names = unique_names(states[0])
    states = [{key: state[key].detach().to(device) for key in names} for state in states]
    with torch.no_grad():
        if method == "linear":
            merged = _linear(states, base, given, working, final)
        else:
            merged = _by_mergekit(states, method, base, given, working, final, batch_options)
        there = into.state_dict(keep_vars=True)
        for key in names:
            value = merged[key]
            if value.is_floating_point() and not bool(torch.isfinite(value).all()):
                raise InputError(
                    f"merge: {method!r} with parameters {given!r} gives {key!r} numbers that are not finite; "
                    "check the parameters and the weights of the models"
                )
            # A copy: what a method hands back may be one of its inputs. Through .data, tied weights stay tied.
            there[key].data = value.detach().to(there[key].device).clone()


def _as_dtype(value: Any, argument: str) -> torch.dtype | None:
    name = str(value).removeprefix("torch.")
    if value is None:
        return None
    if name not in _DTYPES:
        raise InputError(f"{argument} must be None or one of {', '.join(_DTYPES)}, not {value!r}")
    dtype: torch.dtype = getattr(torch, name)
    return dtype


def _linear(
    states: Sequence[Weights],
    base: int | None,
    parameters: dict[str, Any],
    dtype: torch.dtype | None,
    out_dtype: torch.dtype | None,
) -> Weights:
    """The mean of the weights: sum(w * x) / sum(w), without the division if ``normalize`` is false."""
    if base is not None:
        raise InputError("base_model: method 'linear' does not use one; put the model among the others")
    unknown = parameters.keys() - {"weight", "normalize"}
    if unknown:
        raise InputError(f"parameters: 'linear' knows 'weight' and 'normalize', not {sorted(unknown)[0]!r}")
    shares = _shares(parameters.get("weight", 1.0), len(states))
    total = sum(shares) if parameters.get("normalize", True) else 1.0
    if total == 0:
        raise InputError(
            f"parameters['weight'] sums to 0: {shares}; give other weights, or 'normalize': False"
        )
    merged: Weights = {}
    for key, first in states[0].items():
        values = [state[key] for state in states]
        if not first.is_floating_point():
            if not all(torch.equal(first, each) for each in values[1:]):
                raise InputError(f"merge: {key!r} holds integers that differ between the models")
            merged[key] = first
            continue
        kept = dtype or values[0].dtype
        for each in () if dtype else values[1:]:
            kept = torch.promote_types(kept, each.dtype)
        wide = torch.promote_types(kept, torch.float32)  # float16 sums are rounded once, at the end
        mean = torch.zeros_like(first, dtype=wide)
        for share, each in zip(shares, values, strict=True):
            mean += each.to(kept).to(wide) * share
        merged[key] = (mean / total).to(out_dtype or kept)
    return merged


def _shares(weight: Any, count: int) -> list[float]:
    """One weight per model, from one for all, a sequence, or a mapping by the number of the model."""
    if isinstance(weight, Mapping):
        if set(weight) != set(range(count)):
            raise InputError(
                f"parameters['weight'] needs the keys 0 to {count - 1}, one per model, not {sorted(weight, key=str)}"
            )
        weight = [weight[number] for number in range(count)]
    items = array_items(weight)
    items = [weight] * count if items is None else items
    if len(items) != count:
        raise InputError(
            f"parameters['weight'] has {len(items)} values for {count} models; give one per model"
        )
    try:
        return [float(each) for each in items]
    except (TypeError, ValueError) as error:
        raise InputTypeError(
            f"parameters['weight'] must be numbers, one per model or one for all, not {weight!r}"
        ) from error


def _by_mergekit(
    states: Sequence[Weights],
    method: str,
    base: int | None,
    parameters: dict[str, Any],
    dtype: torch.dtype | None,
    out_dtype: torch.dtype | None,
    batch_options: Any,
) -> Weights:
    try:
        from mergekit.merge_methods import merge_state_dicts, registered_methods
    except ImportError as error:
        if method not in _METHODS:
            raise InputError(
                f"method must be one of linear, {', '.join(_METHODS)}, not {method!r}; what a newer mergekit has "
                "beside these needs pip install 'vicinal[merge]'"
            ) from None
        raise missing_extra("mergekit>=0.1.5", f"merge with method {method!r}", "merge") from error
    # passthrough copies one model and merges nothing.
    known = {each.spec.name: each for each in registered_methods() if each.spec.name != "passthrough"}
    if method not in known:
        raise InputError(f"method must be one of {', '.join(sorted(known))}, not {method!r}")
    accepted = {each.name for each in known[method].spec.parameters}
    for name, usual in (("weight", 1.0), ("t", 0.5 if method == "slerp" else None)):
        if name in accepted and usual is not None:
            parameters.setdefault(name, usual)
    if method == "slerp" and base is None:
        base = 0
    try:
        found: Weights = merge_state_dicts(
            dict(enumerate(states)),
            known[method],
            parameters=parameters,
            base=base,
            dtype=dtype,
            out_dtype=out_dtype,
            batch_options=batch_options,
        )
    except (TypeError, ValueError) as error:  # pydantic's ValidationError is a ValueError
        remedy = "; give base_model=" if "requires a base" in str(error) else ""
        raise InputError(f"merge: {method!r} of mergekit: {error}{remedy}") from error
    return found
