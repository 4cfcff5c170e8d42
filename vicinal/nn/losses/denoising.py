"""DenoisingAutoEncoderLoss: an embedding must hold enough of a text for a decoder to write it again."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from vicinal.core.inputs import caller_level
from vicinal.errors import InputError, VicinalError
from vicinal.nn.losses.base import Loss
from vicinal.nn.losses.decoder import decoder_like, length_limit, open_decoder, tie
from vicinal.nn.losses.embed import Features, embed_columns
from vicinal.nn.modules.pretrained import quiet, resolve

_IGNORED = -100


class DenoisingAutoEncoderLoss(Loss):
    """From the embedding of a damaged text alone, a decoder shall write the whole text: the mean cross-entropy of each
    token, given the tokens before it and the embedding, which the decoder reads by cross-attention (TSDAE).

    Inputs: the damaged text, the whole text; no labels. DenoisingAutoEncoderDataset damages texts.

    Args:
        model: the model to train; it begins with a transformer. The paper pools its tokens by ``"cls"``.
        decoder_name_or_path: a model folder or hub name of the decoder where it is not tied: BERT, RoBERTa, GPT-2, ...;
            None with a tied decoder, which is of the model's own architecture.
        tie_encoder_decoder: the decoder's weights are the model's own, one set of parameters: a step moves both, and
            less memory is needed. Cross-attention and head, which no encoder has, belong to the loss in any case.

    The decoder is trained and then dropped: a saved model does not hold it, a trainer's checkpoint does. Weights that
    the decoder's folder lacks start from random numbers (cross-attention always does): ``torch.manual_seed`` before
    making the loss fixes them. With a decoder of another vocabulary the whole text is read back from its tokens and
    tokenized again.

    Relation to the others: for domain adaptation without labels, with 10,000 texts or more of the domain; then
    fine-tune with labelled pairs. ContrastiveTensionLossInBatchNegatives is faster and usually weaker.

    Reference: Wang et al., 2021, "TSDAE: Using Transformer-based Sequential Denoising Auto-Encoder for Unsupervised
    Sentence Embedding Learning", arXiv:2104.06979.

    Example::

        loader = DataLoader(DenoisingAutoEncoderDataset(texts), batch_size=8, shuffle=True)
        loss = losses.DenoisingAutoEncoderLoss(model)
        model.fit([(loader, loss)], epochs=1, weight_decay=0, scheduler="constantlr", optimizer_params={"lr": 3e-5})

    Raises:
        InputError: the model has no transformer, its embeddings have another dimension than the decoder reads, or
            ``tie_encoder_decoder=False`` without a decoder.
        UnsupportedModelError: the architecture can't be a decoder that reads an encoder (MPNet, DistilBERT, Llama).

    Warns:
        UserWarning: ``decoder_name_or_path`` is of another model and not used, because the decoder is tied.
    """

    citation = """@inproceedings{wang-2021-TSDAE, title={TSDAE: Using Transformer-based Sequential Denoising
Auto-Encoder for Unsupervised Sentence Embedding Learning}, author={Wang, Kexin and Reimers, Nils and Gurevych, Iryna},
booktitle={Findings of the Association for Computational Linguistics: EMNLP 2021}, year={2021}, pages={671--688},
url={https://arxiv.org/abs/2104.06979}}"""

    def __init__(
        self, model: Any, decoder_name_or_path: str | None = None, tie_encoder_decoder: bool = True
    ) -> None:
        super().__init__(model)
        reader = self._reader()
        self.tie_encoder_decoder = bool(tie_encoder_decoder)
        self.decoder: Any
        if self.tie_encoder_decoder:
            _warn_of_unused(decoder_name_or_path, model, reader.auto_model)
            self.decoder = decoder_like(reader.auto_model)
            tie(self.decoder, reader.auto_model)
            self.tokenizer_decoder = reader.tokenizer
            own_name = getattr(model, "name_or_path", None) or reader.auto_model.config.name_or_path
            self.decoder_name_or_path = str(own_name or "")
        else:
            if decoder_name_or_path is None:
                raise InputError(
                    "tie_encoder_decoder=False needs decoder_name_or_path, the folder or hub name of the decoder"
                )
            self.decoder, self.tokenizer_decoder = open_decoder(decoder_name_or_path)
            self.decoder.to(reader.auto_model.device)
            self.decoder_name_or_path = str(decoder_name_or_path)
        self._limit = length_limit(self.decoder, self.tokenizer_decoder)
        self._check_width()

    @property
    def encoder(self) -> Any:
        """The model, which is kept."""
        return self.model

    @property
    def tokenizer_encoder(self) -> Any:
        """The tokenizer of transformers that the model reads with."""
        return self._reader().tokenizer

    @property
    def need_retokenization(self) -> bool:
        """Whether the decoder reads other tokens than the model."""
        one, other = self.tokenizer_encoder, self.tokenizer_decoder
        return one is not other and bool(one.get_vocab() != other.get_vocab())

    def forward(self, sentence_features: Iterable[Features], labels: Tensor | None = None) -> Tensor:
        """The loss of a batch.

        Args:
            sentence_features: features of the damaged and of the whole texts.
            labels: not used.

        Raises:
            InputError: there are not two columns, or the embeddings have another dimension than the decoder reads.
        """
        features = list(sentence_features)
        self.check_columns(len(features))
        damaged, whole = features
        (embeddings,) = embed_columns(self.model, [damaged])
        if self._retokenizes():
            whole = self.retokenize(whole)
        ids, real = _left_aligned(whole["input_ids"].long(), whole.get("attention_mask"), self._limit)
        kept = real[:, 1:]
        if not bool(kept.any()):  # GPT-2 puts no token before the first
            return embeddings.sum() * 0
        wanted = ids[:, 1:].masked_fill(~kept, _IGNORED)
        logits = self.decoder(
            input_ids=ids[:, :-1],
            # Padding is behind the texts, where no token looks; an empty text must have something to look at.
            attention_mask=real[:, :-1].long().index_fill(1, ids.new_zeros(1), 1),
            # One vector to look at.
            encoder_hidden_states=embeddings[:, None].to(self.decoder.dtype),
            use_cache=False,
            return_dict=True,
        ).logits
        with torch.autocast(logits.device.type, enabled=False):
            wide = logits if logits.dtype == torch.float64 else logits.float()
            found = cross_entropy(
                wide.flatten(0, 1), wanted.flatten(), ignore_index=_IGNORED, reduction="sum"
            )
            return found / kept.sum()

    def retokenize(self, sentence_features: Features) -> Features:
        """Features of the same texts for the decoder, out of those for the model.

        The texts are read back from their tokens: what the model's tokenizer loses, such as case, stays lost.
        """
        ids = sentence_features["input_ids"]
        with quiet():  # a BPE tokenizer says that it leaves the spaces as they are
            texts = self.tokenizer_encoder.batch_decode(
                ids, skip_special_tokens=True, clean_up_tokenization_spaces=True
            )
        read = self.tokenizer_decoder(
            texts, padding=True, truncation="longest_first", return_tensors="pt", max_length=self._limit
        )
        return {key: value.to(ids.device) for key, value in read.items()}

    def _loss(self, embeddings: list[Tensor], labels: Tensor | None) -> Tensor:
        raise InputError(f"{self.name} needs the tokens of the whole texts: call it with sentence_features")

    def _reader(self) -> Any:
        """The model's module that holds the transformer and its tokenizer."""
        module = self.model if isinstance(self.model, nn.Module) else self.model.module
        found = next((each for each in module.modules() if hasattr(each, "auto_model")), None)
        if found is None:
            first = type(next(module.children(), module)).__name__
            raise InputError(
                f"{type(self).__name__} is not compatible with a SentenceTransformer model based on a {first}: its "
                "decoder is made after the model's transformer; ContrastiveTensionLossInBatchNegatives trains any "
                "model without labels"
            )
        return found

    def _retokenizes(self) -> bool:
        """As :attr:`need_retokenization`; vocabularies are compared once."""
        one, other = self.tokenizer_encoder, self.tokenizer_decoder
        if one is other:
            return False
        key = (id(one), id(other), len(one), len(other))
        if self._compared[0] != key:
            self._compared = (key, self.need_retokenization)
        return self._compared[1]

    _compared: tuple[Any, bool] = (None, False)

    def _check_width(self) -> None:
        """Refuse a model whose embeddings the decoder cannot read."""
        width = int(self.decoder.config.hidden_size)
        ask = getattr(self.model, "get_sentence_embedding_dimension", None)
        dimension = None if ask is None else ask()
        if dimension is not None and dimension != width:
            raise InputError(
                f"the model's embeddings have {dimension} dimensions, but the decoder reads {width}: take a decoder "
                f"with hidden_size={dimension} in its config.json, or train without the Dense module that changes it"
            )

    def __deepcopy__(self, memo: dict[int, Any]) -> DenoisingAutoEncoderLoss:
        new = type(self).__new__(type(self))
        memo[id(self)] = new
        new.__dict__ = {key: copy.deepcopy(value, memo) for key, value in self.__dict__.items()}
        if new.tie_encoder_decoder:  # the copy's model may hold parameters of its own
            tie(new.decoder, new._reader().auto_model)
        return new

    def get_config_dict(self) -> dict[str, Any]:
        return {
            "decoder_name_or_path": self.decoder_name_or_path,
            "need_retokenization": self.need_retokenization,
        }


def _left_aligned(ids: Tensor, mask: Tensor | None, limit: int) -> tuple[Tensor, Tensor]:
    """Token ids, and which of them are tokens, both (n, length): padding behind the texts, wherever it was."""
    real = torch.ones_like(ids, dtype=torch.bool) if mask is None else mask.bool()
    if not bool(real[:, :1].all()):
        order = real.long().argsort(dim=1, descending=True, stable=True)
        ids, real = ids.gather(1, order), real.gather(1, order)
    return ids[:, :limit], real[:, :limit]


def _warn_of_unused(name: Any, model: Any, encoder: Any) -> None:
    """Say that a decoder of another model is not used, because a tied one is the model's own."""
    own = str(encoder.config.name_or_path)
    if name is None or str(name) in (own, str(getattr(model, "name_or_path", ""))):
        return
    try:
        same = str(resolve(name, None, {"local_files_only": True})) == own
    except VicinalError:
        same = False
    if not same:
        warnings.warn(
            f"decoder_name_or_path={str(name)!r} is not used: a tied decoder has the model's own weights. "
            "tie_encoder_decoder=False takes the named one",
            UserWarning,
            stacklevel=caller_level(),
        )
