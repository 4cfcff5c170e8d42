"""Peak memory of encoding many short texts, beside the size of the result.

    python benchmarks/memory.py [--texts 1000000] [--dim 384]

Uses a small random BERT (one layer), as the peak is a matter of texts and vectors and not of the model.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from tokenizers.processors import TemplateProcessing

sys.path.insert(0, str(Path(__file__).resolve().parent))
import common


def make_model(folder: Path, dim: int) -> Path:
    """Write a random one-layer BERT whose words are w0 to w999."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *(f"w{number}" for number in range(1000))]
    config = {
        "model_type": "bert",
        "hidden_size": dim,
        "num_hidden_layers": 1,
        "num_attention_heads": 4,
        "intermediate_size": 2 * dim,
        "max_position_embeddings": 64,
        "type_vocab_size": 2,
        "vocab_size": len(words),
        "pad_token_id": 0,
    }
    rng = np.random.default_rng(0)
    shapes = {
        "embeddings.word_embeddings.weight": (len(words), dim),
        "embeddings.position_embeddings.weight": (64, dim),
        "embeddings.token_type_embeddings.weight": (2, dim),
        "embeddings.LayerNorm": (dim,),
        "encoder.layer.0.attention.self.query": (dim, dim),
        "encoder.layer.0.attention.self.key": (dim, dim),
        "encoder.layer.0.attention.self.value": (dim, dim),
        "encoder.layer.0.attention.output.dense": (dim, dim),
        "encoder.layer.0.attention.output.LayerNorm": (dim,),
        "encoder.layer.0.intermediate.dense": (2 * dim, dim),
        "encoder.layer.0.output.dense": (dim, 2 * dim),
        "encoder.layer.0.output.LayerNorm": (dim,),
    }
    weights = {}
    for name, shape in shapes.items():
        values = rng.standard_normal(shape).astype(np.float32)
        if name.endswith(".weight"):
            weights[name] = values
        else:
            weights[f"{name}.weight"] = values
            weights[f"{name}.bias"] = np.zeros(shape[0], dtype=np.float32)
    save_file(weights, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))
    tokenizer = Tokenizer(
        models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="[UNK]")
    )
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def peak() -> int:
    """Bytes that this process ever held."""
    return int(common.peak_memory_mib() * 2**20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=384)
    options = parser.parse_args()

    from vicinal import SentenceTransformer

    with tempfile.TemporaryDirectory() as folder:
        model = SentenceTransformer(make_model(Path(folder), options.dim))
        texts = [f"w{number % 1000} w{number % 777} w{number % 31}" for number in range(options.texts)]
        model.encode(texts[:100])
        before, start = peak(), time.perf_counter()
        vectors = model.encode(texts, show_progress_bar=False, normalize_embeddings=True)
        seconds = time.perf_counter() - start
    limit = 1.6 * vectors.nbytes + 2**30
    facts = {
        "texts": len(texts),
        "dim": options.dim,
        "seconds": round(seconds, 1),
        "texts_per_second": round(len(texts) / seconds),
        "result_MiB": round(vectors.nbytes / 2**20),
        "before_MiB": round(before / 2**20),
        "peak_MiB": round(peak() / 2**20),
        "limit_MiB": round(limit / 2**20),
        "peak_to_result": round(peak() / vectors.nbytes, 3),
        "within": peak() < limit,
    }
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
