"""The words that tell clusters of texts apart."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from vicinal.core.arrays import Embeddings
from vicinal.core.inputs import as_count, as_texts
from vicinal.vectors.clustering import cluster_numbers

_WORD = re.compile(r"[^\W_][\w'’+#-]*[\w+#]|[^\W\d_]")  # keeps "c++", "c#", "don't" and "end-to-end" whole
_NUMBER = re.compile(r"[\d'’-]+")

# The commonest words of seven languages. What is common in the texts at hand is found by counting.
_LISTED = """
a about after again all also am an and any are aren't as at be because been before being below between both but by
can can't cannot could couldn't did didn't do does doesn't doing don't down during each few for from further get
gets getting had has have having he her here hers him his how how's i i'm i've if in into is isn't it it's its just
let's like make makes me more most my need no nor not of off on once one only or other our out over own same she
should shouldn't so some such than that that's the their them then there these they this those through to too
under until up us use used uses using very via vs want was wasn't way we were what what's when where which while
who whom why will with without won't would wouldn't you your
aber als am an auch auf aus bei bin bis da das dass dem den der des die dies diese dieser doch du durch ein eine
einem einen einer er es für haben ich ihr im in ist kann mein mit nach nicht noch nur oder sein sich sie sind so
über um und uns vom von vor was wenn wer wie wir wird zu zum zur
au aux avec ce ces cette dans de des du elle en est et être il ils je la le les leur lui mais ne nous on ou où par
pas plus pour qu que qui sa se ses sont sur un une vous
al como con cuando del el ella en entre era es esta este hay la las lo los más me mi muy no nos o para pero por que
se si sobre su sus también un una uno y ya
alla anche ai che chi come con cui da dal dalla degli dei del della delle di e gli i il io la le lo ma mi nel nella
non per più quando questo se sono su tra un una
ao aos as da das de do dos e ela ele em entre essa este eu foi isso já mais mas na não nas no nos o os ou para
pela pelo que se sem ser seu sua são também um uma
aan al als bij dan dat de den der deze die dit een en er geen het hij hoe ik in is je maar mijn naar niet
nog of om onder ook op over te uit van voor wat we wel wie wij zijn
"""
_COMMON = frozenset(_LISTED.split())


def keywords(texts: Sequence[str], labels: Embeddings, top: int = 10) -> dict[int, list[tuple[str, float]]]:
    """The words that set each cluster apart: class-based tf-idf (Grootendorst, 2022, arXiv:2203.05794).

    A word weighs the share of the cluster's texts that it occurs in, times
    ``log(1 + words per cluster / texts that it occurs in anywhere)``. Each word belongs to one cluster, in whose texts
    it is most frequent, so that no two clusters show the same. Left out are numbers, single letters, the commonest
    words of seven languages, and, with four clusters or more, words that occur in over four fifths of them.
    ``file`` and ``files`` are one word, shown in its more frequent form.

    Args:
        texts: (n,) strings.
        labels: (n,) cluster numbers; -1 is no cluster and is left out.
        top: how many words for each.

    Returns:
        For each cluster number, ascending, ``(word, weight)``, best first (then alphabetically).

    Raises:
        InputError: not as many labels as texts, or ``top`` below 1.
    """
    texts, _ = as_texts(texts, "texts")
    numbers = cluster_numbers(labels, len(texts))
    top = as_count(top, "top")
    counts: dict[int, Counter[str]] = {int(c): Counter() for c in np.unique(numbers) if c >= 0}
    sizes: Counter[int] = Counter()
    forms: dict[str, Counter[str]] = defaultdict(Counter)
    for text, number in zip(texts, numbers.tolist(), strict=True):
        if number < 0:
            continue
        sizes[number] += 1
        found = {}
        for word in _WORD.findall(text.lower()):
            if not _is_common(word):
                found[_stem(word)] = word
        counts[number].update(found.keys())
        for stem, word in found.items():
            forms[stem][word] += 1
    overall: Counter[str] = Counter()
    spread: Counter[str] = Counter()
    owner: dict[str, tuple[float, int]] = {}
    for number, counted in counts.items():
        overall.update(counted)
        spread.update(counted.keys())
        for stem, count in counted.items():
            share = count / sizes[number]
            if stem not in owner or share > owner[stem][0]:
                owner[stem] = share, number
    mean = sum(overall.values()) / max(1, len(counts))
    limit = 0.8 * len(counts) if len(counts) >= 4 else len(counts)
    answer: dict[int, list[tuple[str, float]]] = {number: [] for number in counts}
    for stem, (share, number) in owner.items():
        if spread[stem] <= limit:
            word = min(forms[stem], key=lambda form: (-forms[stem][form], form))
            answer[number].append((word, share * math.log1p(mean / overall[stem])))
    return {
        number: sorted(words, key=lambda pair: (-pair[1], pair[0]))[:top] for number, words in answer.items()
    }


def _is_common(word: str) -> bool:
    """Single Latin letters say nothing either, but for the two that are languages."""
    letter = len(word) == 1 and word.isascii() and word not in "cr"
    return letter or word.replace("’", "'") in _COMMON or _NUMBER.fullmatch(word) is not None


def _stem(word: str) -> str:
    """Singular and plural of most English words alike; the stem itself is never shown."""
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith(("sses", "xes", "ches", "shes")):
        return word[:-2]
    return word[:-1] if len(word) > 3 and word.endswith("s") and word[-2] not in "su'i" else word
