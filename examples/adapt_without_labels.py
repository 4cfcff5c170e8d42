"""Adapt a model to the texts of a domain, without labels: TSDAE (Wang et al. 2021).

    python examples/adapt_without_labels.py [OUTPUT] [--model all-MiniLM-L6-v2] [--data ../shared/data] [--short]

The domain is that of questions on programming: 20,000 titles from Stack Overflow. A decoder writes a title from the
vector of what is left after about 60 % of its words were deleted. The titles' 20 classes are not trained on: k-means
clusters are compared with them (V-measure, mean of three starts). Needs scikit-learn.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import torch
from sklearn.cluster import KMeans
from sklearn.metrics import v_measure_score
from torch.utils.data import DataLoader

from vicinal import SentenceTransformer, losses
from vicinal.datasets import DenoisingAutoEncoderDataset


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("output", nargs="?", type=Path, default=Path("adapted-model"))
    parser.add_argument("--model", default="all-MiniLM-L6-v2", help="hub name or folder")
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared/data")
    parser.add_argument("--rate", type=float, default=3e-5, help="learning rate")
    parser.add_argument("--steps", type=int, help="of 32 titles; without it each title is read once")
    parser.add_argument("--short", action="store_true", help="a few steps only, to see that it runs")
    options = parser.parse_args()

    folder = options.data / "stackoverflow"
    titles = (folder / "titles.txt").read_text(encoding="utf-8").splitlines()
    classes = (folder / "labels.txt").read_text(encoding="utf-8").splitlines()

    def v_measure(model: SentenceTransformer) -> float:
        vectors = model.encode(titles, normalize_embeddings=True)
        found = [KMeans(len(set(classes)), random_state=seed).fit_predict(vectors) for seed in range(3)]
        return sum(v_measure_score(classes, clusters) for clusters in found) / 3

    random.seed(0)
    torch.manual_seed(0)
    model = SentenceTransformer(options.model)
    print(f"before: V-measure {v_measure(model):.4f}")

    loader = DataLoader(DenoisingAutoEncoderDataset(titles), batch_size=32, shuffle=True)
    loss = losses.DenoisingAutoEncoderLoss(model, tie_encoder_decoder=True)
    model.fit(
        [(loader, loss)],
        epochs=1,
        steps_per_epoch=4 if options.short else options.steps,
        scheduler="constantlr",
        optimizer_params={"lr": options.rate},
        weight_decay=0,
    )
    model.save(options.output)
    print(f"after:  V-measure {v_measure(SentenceTransformer(options.output)):.4f}")


if __name__ == "__main__":
    main()
