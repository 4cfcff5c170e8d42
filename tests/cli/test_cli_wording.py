"""What is said to people who type commands: options and plain words, nothing of Python."""

from __future__ import annotations

import json
import re
import shlex

import pytest
from cli_shell import Done, Shell

from vicinal.cli.wording import as_sentence, in_options

# Arguments, classes, types and containers of Python, and the parser's own phrases.
FOREIGN = re.compile(
    r"\b[a-z_]+=(?!\w+\.)|=None|=True|=False|show_progress_bar|\b[a-z]+_(?:dim|size|name|k|length|clusters|docs)\b|"
    r"Spec\b|Traceback|\b\w+Error\b|not foreseen|NoneType|\['|\bdict\b|\bis (?:int|float|str|list)\b|"
    r"\(\.\.\.\)|\.fit\(|predict\(|Value error|Input should|<str>|\{[A-Z]+\}|"
    r"Sentence(?:Transformer|Evaluator)|CrossEncoder"
)

FILES = {
    "x.txt": "a cat\na dog\na house\n" * 3,
    "list.json": json.dumps([{"text": "a"}]),
    "lines.json": json.dumps([{"text": "a"}], indent=1),
    "number.jsonl": '{"text": 5}\n',
    "object.jsonl": '{"text": {}}\n',
    "bad.jsonl": '{"text": "x"}\nrubbish\n',
    "x.csv": "id,q\n1,a\n2,b\n",
    "sts.tsv": "sentence1\tsentence2\tscore\na\tb\t1\nc\td\t0\n",
    "word.tsv": "sentence1\tsentence2\tscore\na\tb\tx\n",
    "classes.tsv": "sentence1\tsentence2\tlabel\na\tb\t1\nc\td\t3\n",
    "no negatives.jsonl": '{"query": "a", "positive": ["b"], "negative": []}\n',
    "one negative.jsonl": '{"query": "a", "positive": "b", "negative": 5}\n',
    "no query.jsonl": '{"question": "a"}\n',
    "empty.txt": "",
    "blank.txt": "\n \n",
}

# A command line, and what its message has to say.
WRONG = [
    ("encode list.json -o o.npy", "one JSON document, a list"),
    ("encode lines.json -o o.npy", "one JSON document, a list"),
    ("encode number.jsonl -o o.npy", "is a number, not text"),
    ("encode object.jsonl -o o.npy", "is an object, not text"),
    ("encode bad.jsonl -o o.npy", "line 2, column 1"),
    ("encode x.txt -o o.parquet", ".npy, .csv or .tsv"),
    ("encode x.txt -o o.json", ".npy, .csv or .tsv"),
    ("encode x.txt -o -", "--output -"),
    ("encode x.txt -o .", "a folder"),
    ("encode x.txt -o o.npy --format xml", "--format xml is unknown: choose one of txt, jsonl, csv, tsv ("),
    ("encode x.txt -o o.npy --dtype int3", "--dtype int3 is unknown: choose one of auto, float32,"),
    ("encode x.txt -o o.npy --dtype int8", "--dtype int8 is for transformers"),
    ("encode x.txt -o o.npy --prompt-name query", "--prompt-name query: the model has no prompt"),
    ("encode x.txt -o o.npy --truncate-dim 999", "--truncate-dim 999: the model gives 256 dimensions"),
    ("encode x.txt -o o.npy --truncate-dim 0", "--truncate-dim 0 is too small: give 1 or more"),
    (
        "encode x.txt -o o.npy --truncate-dim 3 --truncate-dim 0",
        "--truncate-dim 0 is too small: give 1 or more",
    ),
    ("encode x.txt -o o.npy --batch-size many", "--batch-size many is not a whole number"),
    ("encode x.txt -o o.npy --normalise", "Did you mean --normalize?"),
    ("encode x.txt -o o.npy --batch 3", "Did you mean --batch-size?"),
    ("encode x.txt -o o.npy y.txt", "Unexpected argument: y.txt"),
    ("encode x.txt", "Missing option '--output'"),
    ("encode x.txt -o o.npy -f body", "say so with --format"),
    ("encode x.csv -o o.npy", "no field 'text'"),
    ("encode x.csv -o o.npy -f 9", "no column 9"),
    ("encode empty.txt -o o.npy", "is empty"),
    ("encode '' -o o.npy", "name of the file is empty"),
    ("encode x.txt -o o.npy -m ''", "no model name"),
    ("encode x.txt -o o.npy -m .", "not a model folder"),
    ("encode x.txt -o o.npy -m x.txt", "x.txt' is a file, not a folder"),
    ("encode x.txt -o o.npy -m org/unknown", "No cached model has a similar name"),
    ("encode x.txt -o o.npy -m CROSS", "`vicinal rerank` takes it"),
    ("encod x.txt", "Did you mean 'encode'?"),
    ("--versoin", "Did you mean --version?"),
    ("mine x.txt --dtype foo", "--dtype foo"),
    ("mine x.txt -t 2", "--threshold 2 is too large: give 1 or less"),
    ("mine x.txt -t nan", "--threshold nan is not a number"),
    ("mine x.txt --threshold=much", "--threshold much is not a number"),
    ("mine blank.txt", "only blank lines"),
    ("mine", "Missing argument 'FILE'"),
    ("similarity a b --prompt-name foo", "--prompt-name foo"),
    ("similarity a b --dtype int8", "--dtype int8"),
    ("similarity a", "one text alone"),
    ("cluster x.txt --k 3", "Did you mean -k?"),
    ("cluster x.txt -k 3 --dtype f16", "--dtype f16"),
    ("cluster x.txt --method hdbscan --min-size 1", "--min-size 1: hdbscan needs 2 or more"),
    ("cluster x.txt --method agglomerative -t 0.5 -k 3", "needs -k or --threshold"),
    ("cluster x.txt -k 3 --seed -1", "--seed -1 is too small"),
    ("cluster x.txt -k 3 --labels .", "--labels ."),
    ("rerank q x.txt -m vicinal-mini", "is a model for vectors (a bi-encoder)"),
    ("rerank q x.txt -m CROSS --dtype int8", "--dtype int8"),
    ("rerank q x.txt -m CROSS --dtype int4", "--dtype int4"),
    ("evaluate vicinal-mini -t stss -d sts.tsv", "--task stss is unknown: choose one of sts,"),
    ("evaluate vicinal-mini -t sts -d none.tsv", "none.tsv: no such file"),
    ("evaluate vicinal-mini -t sts -d x.txt", "unknown kind"),
    ("evaluate vicinal-mini -t sts -d x.csv", "--columns"),
    ("evaluate vicinal-mini -t sts -d word.tsv", "with --columns"),
    ("evaluate vicinal-mini -t sts -d sts.tsv --columns a,b", "--columns names 2 columns, but 3 are needed"),
    ("evaluate vicinal-mini -t sts -d sts.tsv --similarity foo", "choose one of cosine, dot"),
    ("evaluate vicinal-mini -t sts -d sts.tsv --truncate-dim 999", "--truncate-dim 999"),
    ("evaluate vicinal-mini -t classification -d classes.tsv", "classes are 0 or 1"),
    ("evaluate vicinal-mini -t triplets -d sts.tsv", "which columns are anchor, positive, negative?"),
    ("evaluate vicinal-mini -t retrieval -d .", "queries.jsonl"),
    ("evaluate vicinal-mini -t rerank -d 'no negatives.jsonl'", "no sample has both"),
    ("evaluate vicinal-mini -t rerank -d 'one negative.jsonl'", "one negative.jsonl"),
    ("evaluate vicinal-mini -t rerank -d 'no query.jsonl'", "sample 1 has no 'query'"),
    ("evaluate CROSS -t triplets -d sts.tsv", "cannot do triplets"),
    ("evaluate CROSS -t sts -d sts.tsv --dtype int8", "--dtype int8"),
    ("quantize vicinal-mini x.txt out", "9 texts"),
    ("distill vicinal-mini out", "static model already"),
    (
        "distill org/none out --precision foo",
        "--precision foo is unknown: choose one of float32, float16, int8",
    ),
    ("download 'a b'", "not a hub name"),
    ("download org/none", "offline mode is on"),
    ("cache clera", "Did you mean 'clear'?"),
    ("cache clear nothing", "`vicinal cache list`"),
    ("cache clear vicinal-mini", "comes with Vicinal"),
    ("models extra", "Unexpected argument: extra"),
    ("info x.txt", "x.txt"),
    ("search none.db q", "none.db"),
]


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    folder = tmp_path_factory.mktemp("wrong")
    for name, content in FILES.items():
        (folder / name).write_text(content)
    return Shell(folder, folder / "cache")


@pytest.mark.parametrize(
    "line",
    [
        "search x.db q --mode fuzzy",
        "index x.db - --format xml",
        "encode x.txt -o o.npy --format xml",
        "mine x.txt --dtype foo",
        "cluster x.txt --method dbscan",
        "cluster x.txt -k 2 --projection foo",
        "evaluate vicinal-mini -t foo -d sts.tsv",
        "evaluate vicinal-mini -t sts -d sts.tsv --similarity foo",
        "train -m vicinal-mini -d sts.tsv -o out --loss foo",
        "distill org/none out --precision foo",
    ],
)
def test_a_value_that_is_none_of_an_options_ends_with_2(shell: Shell, line: str) -> None:
    done = shell.quick(*shlex.split(line))
    assert (done.code, done.out) == (2, "")
    assert " is unknown: choose one of " in done.err.splitlines()[-1]


@pytest.mark.parametrize(("line", "words"), WRONG, ids=[line for line, _ in WRONG])
def test_a_wrong_command_line_is_told_so_in_its_own_words(
    shell: Shell, line: str, words: str, cross_encoder: str
) -> None:
    done = shell.quick(*shlex.split(line.replace("CROSS", shlex.quote(cross_encoder))))
    assert done.code in (1, 2)
    assert done.out == ""
    assert done.err.count("error: ") == 1 and done.err.splitlines()[-1].startswith("error: ")
    assert words in done.err
    assert not FOREIGN.search(done.err), done.err
    assert {file.name for file in shell.folder.iterdir()} - {"cache"} == set(FILES)


def test_undefined_metrics_are_null_and_named(shell: Shell) -> None:
    (shell.folder / "one.tsv").write_text("sentence1\tsentence2\tscore\na\tb\t1\n")
    done: Done = shell.quick("evaluate", "vicinal-mini", "-t", "sts", "-d", "one.tsv", "--json")
    (shell.folder / "one.tsv").unlink()
    assert done.code == 0
    assert json.loads(done.out, parse_constant=pytest.fail)["figures"]["spearman_cosine"] is None
    assert "note: pearson_cosine, spearman_cosine: undefined" in done.err


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("dtype='x' is wrong; use dtype=\"auto\"", "--dtype x is wrong; use --dtype auto"),
        ("top_k=0 and batch_size=-1", "--top 0 and --batch-size -1"),
        ("choose one of ['a', 'b']", "choose one of a, b"),
        ("the field 'n' is NoneType, not text", "the field 'n' is null, not text"),
        ("notes/dtype='x'.txt: no such file", "notes/dtype='x'.txt: no such file"),
        ("a sum=3 of 'text_name' stays", "a sum=3 of 'text_name' stays"),
        (
            "calibration_texts holds 18 texts: ranges are too narrow. Give 100 or more",
            "the model is calibrated on 18 texts: ranges are too narrow. Give 100 or more",
        ),
    ],
)
def test_arguments_become_options_and_names_stay(message: str, words: str) -> None:
    assert in_options(message) == words
    assert in_options(words) == words


def test_a_list_stays_one_when_its_lines_are_joined() -> None:
    assert as_sentence("Looked for:\n  the folder\n  the cache\nNone is like it. Or\nis it?") == (
        "Looked for: the folder; the cache. None is like it. Or is it?"
    )
    assert as_sentence("") == as_sentence("\n") == ""


@pytest.mark.parametrize("columns", [40, 80])
def test_usage_fits_narrow_terminals(shell: Shell, monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    from vicinal.cli.app import app

    names = [str(command.name) for command in app.registered_commands]
    assert len(names) > 12
    for words in [[], *([name] for name in names), ["cache"], ["cache", "list"], ["cache", "clear"]]:
        monkeypatch.setattr(Shell, "environment", lambda self: {"COLUMNS": str(columns)})
        done = shell.quick(*words, "--help")
        assert done.code == 0
        assert max(map(len, done.out.splitlines())) <= columns, done.out
        assert not re.search(r"<str>|list\[|\{[A-Z]+\}", done.out)
