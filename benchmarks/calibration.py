"""Whether scores tell that there is no answer: vicinal calibrate on two collections, with questions about other things.

    python benchmarks/calibration.py [MODEL ...]

For each model and collection: the threshold under which 5 % of queries with an answer should fall, made without any
judgement; the share of the set's own questions (which people wrote) whose best hit in the index is above it; and of
questions about something else, which should be below. Then how well the best score tells answered questions from
unanswered ones of the same field (area under the ROC curve: is the first hit relevant?): hardly, so there is no
"probability of relevance".
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
import common
import retrieval
import retrieval_sets

from vicinal.evaluation.calibration import calibrate
from vicinal.evaluation.metrics import average_ranks
from vicinal.index import Index

COUNT = 150


def main() -> None:
    warnings.simplefilter("ignore")  # texts longer than the window are cut
    print(common.machine("vicinal", "openvino", "numpy"))
    sets = {
        "Cranfield": retrieval_sets.cranfield(),
        "Perl's documentation": retrieval_sets.documentation(),
    }
    titles = list(retrieval_sets.titles_of_a_class()[1].values())
    sentences = list(retrieval_sets.paraphrases("dev")[1].values())
    own = {title: [queries[query] for query in grades] for title, (_, queries, grades) in sets.items()}
    print(
        "\n| model | collection | 5 % below | own questions above | first hit relevant, AUC | of others above |"
    )
    print("|---|---|---|---|---|---|")
    for name in sys.argv[1:] or retrieval.MODELS:
        model = retrieval.load_model(name)
        for title, (documents, queries, grades) in sets.items():
            found = calibrate(model, documents.values())
            lowest = found.threshold(0.05)
            with retrieval.filled(documents, model) as index:
                hits = [retrieval.ranked(index, queries[query], "dense", 1)[0] for query in grades]
                best = np.array([hit.score for hit in hits])
                relevant = np.array(
                    [hit.id in of_query for hit, of_query in zip(hits, grades.values(), strict=True)]
                )
                others = {"Stack Overflow titles": titles, "sentences of STS-B": sentences}
                others |= {f"questions of {other}": asked for other, asked in own.items() if other != title}
                shares = ", ".join(
                    f"{what} {above(index, asked, lowest):.3f}" for what, asked in others.items()
                )
            figures = [lowest, (best >= lowest).mean(), auc(best, relevant)]
            print(
                f"| {name} | {title} | {' | '.join(f'{each:.3f}' for each in figures)} | {shares} |",
                flush=True,
            )


def above(index: Index, asked: list[str], lowest: float) -> float:
    """Share of questions whose best hit is no lower."""
    scores = [retrieval.ranked(index, text, "dense", 1)[0].score for text in asked[:COUNT]]
    return float(np.mean(np.array(scores) >= lowest))


def auc(scores: np.ndarray, relevant: np.ndarray) -> float:
    """The probability that a relevant hit has the higher score."""
    count, others = relevant.sum(), (~relevant).sum()
    ranks = average_ranks(scores)[relevant]
    return float((ranks.sum() - count * (count + 1) / 2) / (count * others))


if __name__ == "__main__":
    main()
