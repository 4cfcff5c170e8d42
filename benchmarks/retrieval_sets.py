"""The sets of benchmarks/retrieval.py: documents, queries, and the grades of each query's relevant documents."""

from __future__ import annotations

import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable

import common
import perl_documentation

Grades = dict[str, dict[str, float]]
Data = tuple[dict[str, str], dict[str, str], Grades]


def cranfield() -> Data:
    """1,400 abstracts on aerodynamics with their titles, 225 questions, judged by people (graded)."""
    folder = common.SHARED / "data/cranfield"
    corpus = [json.loads(line) for line in (folder / "corpus.jsonl").read_text("utf-8").splitlines()]
    queries = [json.loads(line) for line in (folder / "queries.jsonl").read_text("utf-8").splitlines()]
    grades: Grades = {}
    for line in (folder / "qrels/test.tsv").read_text("utf-8").splitlines()[1:]:
        query, document, grade = line.split("\t")
        if int(grade) > 0:
            grades.setdefault(query, {})[document] = int(grade)
    return (
        {item["_id"]: f"{item['title']} {item['text']}" for item in corpus},
        {item["_id"]: item["text"] for item in queries},
        grades,
    )


def titles_of_a_class() -> Data:
    """Stack Overflow: 200 titles ask 8,000 others; those of the same of 20 classes are relevant."""
    titles, labels = _titles()
    places = list(range(len(titles)))
    random.Random(1).shuffle(places)
    asked, held = places[:200], places[200:8200]
    of_class: dict[str, list[str]] = defaultdict(list)
    for place in held:
        of_class[labels[place]].append(str(place))
    return (
        {str(place): titles[place] for place in held},
        {str(place): titles[place] for place in asked},
        {str(place): dict.fromkeys(of_class[labels[place]], 1.0) for place in asked},
    )


def codes_in_titles() -> Data:
    """Stack Overflow: questions with a code (letters and digits) that at most 3 of 10,000 titles hold: those."""
    titles = _titles()[0][:10_000]
    holders: dict[str, set[str]] = defaultdict(set)
    for place, title in enumerate(titles):
        for word in re.findall(r"[^\W_]+", title.lower()):
            if re.search(r"\d", word) and re.search("[a-z]", word) and len(word) >= 3:
                holders[word].add(str(place))
    codes = [code for code, places in holders.items() if len(places) <= 3]
    random.Random(2).shuffle(codes)
    forms = ("error {}", "problem with {}", "how to fix {} in my code", "{}")
    return (
        {str(place): title for place, title in enumerate(titles)},
        {code: forms[i % len(forms)].format(code) for i, code in enumerate(codes)},
        {code: dict.fromkeys(holders[code], 1.0) for code in codes},
    )


def paraphrases(part: str) -> Data:
    """STS Benchmark: a first sentence asks all second ones of its part; those scored 3 and more are relevant."""
    documents: dict[str, str] = {}
    numbers: dict[str, str] = {}
    grades: Grades = {}
    for line in (common.SHARED / f"data/stsb/{part}.tsv").read_text("utf-8").splitlines():
        _, _, _, _, score, first, second = line.split("\t")[:7]
        number = numbers.setdefault(second, str(len(numbers)))
        documents[number] = second
        if float(score) >= 3:
            of_query = grades.setdefault(first, {})
            of_query[number] = max(of_query.get(number, 0.0), float(score))
    asked = list(grades)[:500]
    return documents, {text: text for text in asked}, {text: grades[text] for text in asked}


def entailments() -> Data:
    """SICK: a first sentence asks all second ones; those with a relatedness of 4 and more are relevant."""
    documents: dict[str, str] = {}
    numbers: dict[str, str] = {}
    grades: Grades = {}
    for line in (common.SHARED / "data/sick/train.tsv").read_text("utf-8").splitlines()[1:]:
        _, first, second, score = line.split("\t")[:4]
        number = numbers.setdefault(second, str(len(numbers)))
        documents[number] = second
        if float(score) >= 4:
            of_query = grades.setdefault(first, {})
            of_query[number] = max(of_query.get(number, 0.0), float(score))
    asked = list(grades)[:300]
    return documents, {text: text for text in asked}, {text: grades[text] for text in asked}


def documentation() -> Data:
    """Perl's documentation: its sections answer the questions of perlfaq1 to perlfaq9.

    A question stands in no text of its own answer; other sections keep their headings.
    """
    answers = perl_documentation.questions()
    documents: dict[str, str] = {}
    seen: set[str] = set()
    for number, section in enumerate(perl_documentation.sections()):
        text = f"{section.heading}\n\n{section.text}"
        if str(number) in answers:
            documents[str(number)] = answers[str(number)][1]
        elif text not in seen:  # the notes on releases repeat themselves
            documents[str(number)] = text
        seen.add(text)
    return (
        documents,
        {number: question for number, (question, _) in answers.items()},
        {number: {number: 1.0} for number in answers},
    )


def headings() -> Data:
    """Perl's documentation: 300 headings ask for their sections, in which they do not stand; questions left out."""
    sections = perl_documentation.sections()
    often = Counter(section.heading for section in sections)
    fit = [
        place
        for place, section in enumerate(sections)
        if not section.page.startswith("perlfaq")
        and often[section.heading] == 1
        and len(section.heading.split()) >= 4
        and len(section.text.split()) >= 30
    ]
    random.Random(3).shuffle(fit)
    asked = set(fit[:300])
    return (
        {
            str(place): perl_documentation.without(section.text, section.heading)
            if place in asked
            else f"{section.heading}\n\n{section.text}"
            for place, section in enumerate(sections)
        },
        {str(place): sections[place].heading for place in sorted(asked)},
        {str(place): {str(place): 1.0} for place in sorted(asked)},
    )


def _titles() -> tuple[list[str], list[str]]:
    folder = common.SHARED / "data/stackoverflow"
    titles = (folder / "titles.txt").read_text("utf-8").splitlines()
    return [title.strip() for title in titles], (folder / "labels.txt").read_text("utf-8").split()


SETS: dict[str, Callable[[], Data]] = {
    "Cranfield": cranfield,
    "Perl's documentation": documentation,
    "Perl's documentation, headings": headings,
    "Stack Overflow, same class": titles_of_a_class,
    "Stack Overflow, codes": codes_in_titles,
    "STS-B dev, paraphrases": lambda: paraphrases("dev"),
    "STS-B train, paraphrases": lambda: paraphrases("train"),
    "SICK, related sentences": entailments,
}
