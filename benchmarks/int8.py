"""int8 beside sentence-transformers' own int8: cosines to float32, and texts a second, in one run.

    python benchmarks/int8.py [--rounds 3]

The model is all-MiniLM-L6-v2. Both libraries calibrate with the same texts, SICK sentences and abstracts that are
not measured. The peer's int8 is what its ``export_static_quantized_openvino_model`` writes, which pads each to 384
tokens. Cosines are those of a library's vectors to its own float32 vectors, mean and lowest; speeds are the best of
several rounds, in which all take turns.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, get_args

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
import common
import encode

HERE = Path(__file__).resolve()
# Without torchvision, which optimum-intel asks for and never uses here: the one that pip finds fits another torch.
PEER = [
    common.TORCH,
    [
        *common.TORCH,
        "sentence-transformers==6.2.0",
        "transformers==5.5.4",
        "huggingface-hub<1.22",
        "datasets",
        "requests",
        "openvino==2026.4.1",
        "nncf==3.4.0",
    ],
    ["--no-deps", "optimum==2.3.0", "optimum-intel==2.2.0", "openvino-tokenizers==2026.4.1.0"],
]
TORCH32, OPENVINO32, OPENVINO8 = "torch float32", "OpenVINO float32", "OpenVINO int8"
FLOATS = ("float32", "bfloat16", "auto")


def calibration(long: list[str]) -> list[str]:
    """Texts that are not measured: sentences and abstracts in turn, as the peer takes the first 128 alone."""
    lines = (common.SHARED / "data/sick/train.tsv").read_text(encoding="utf-8").splitlines()[1:]
    sentences = [line.split("\t")[1] for line in lines[::28]]
    return [text for both in zip(sentences, long[1::2], strict=False) for text in both]


def write_peer(folder: str, texts: str, target: str) -> None:
    """Inside the peer's environment: write the model as OpenVINO graphs, in float32 and in int8."""
    from sentence_transformers import SentenceTransformer as Peer
    from sentence_transformers import export_static_quantized_openvino_model

    Peer(folder, device="cpu", backend="openvino").save_pretrained(target)
    data = Path(target).with_name("calibration")
    data.mkdir()
    rows = [json.dumps({"sentence": text}) for text in json.loads(Path(texts).read_text(encoding="utf-8"))]
    (data / "train.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    export_static_quantized_openvino_model(
        Peer(target, device="cpu", backend="openvino"),
        None,
        target,
        dataset_name=str(data),
        dataset_config_name="default",
        dataset_split="train",
        column_name="sentence",
    )
    print(json.dumps(sorted(path.name for path in Path(target, "openvino").iterdir())))


def load(library: str, folder: str, kind: str) -> Any:
    """A model, and the options of its ``encode``."""
    if library == "vicinal":
        from vicinal import SentenceTransformer

        return SentenceTransformer(folder, dtype=kind if kind in FLOATS else "int8")
    from sentence_transformers import SentenceTransformer as Peer

    if kind == TORCH32:
        return Peer(folder, device="cpu")
    file = "openvino_model.xml" if kind == OPENVINO32 else "openvino_model_qint8_quantized.xml"
    return Peer(folder, device="cpu", backend="openvino", model_kwargs={"file_name": file})


def measure(library: str, folder: str, kind: str, file: str, vectors: str) -> None:
    """Texts a second on both kinds of texts, the faster of two passes; their vectors go to files.

    The first pass makes a kernel for each new shape of a batch, which many texts repay and these few do not.
    """
    samples = json.loads(Path(file).read_text(encoding="utf-8"))
    model = load(library, folder, kind)
    options = {"on_truncate": "ignore"} if library == "vicinal" else {}
    model.encode(samples["short"][:64], **options)
    model.encode(samples["long"][:16], **options)
    rates = {}
    for name, texts in samples.items():
        seconds = []
        for _ in range(2):
            start = time.perf_counter()
            found = model.encode(texts, show_progress_bar=False, normalize_embeddings=True, **options)
            seconds.append(time.perf_counter() - start)
        rates[name] = len(texts) / min(seconds)
        np.save(Path(vectors) / f"{library} {kind} {name}.npy", found)
    print(json.dumps(rates))


def compare(rounds: int) -> None:
    """Make all models, measure them in turn, print the table."""
    from vicinal import SentenceTransformer
    from vicinal.models.quantize import Accuracy

    peer, folder = common.peer_python("peer-openvino", PEER), str(common.minilm())
    samples = encode.texts()
    calibrating = calibration(samples["long"])
    samples = {"short": samples["short"][::2], "long": samples["long"][::2]}
    print(common.machine("vicinal", "openvino", "nncf", "numpy"))
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        (place / "texts.json").write_text(json.dumps(samples), encoding="utf-8")
        (place / "calibration.json").write_text(json.dumps(calibrating), encoding="utf-8")
        runs = [("peer", TORCH32, folder)]
        runs += [("peer", kind, str(place / "peer")) for kind in (OPENVINO32, OPENVINO8)]
        runs += [("vicinal", kind, folder) for kind in FLOATS]
        print("the peer's int8 ...", file=sys.stderr)
        common.run_json(
            peer, HERE, "--write-peer", folder, str(place / "calibration.json"), str(place / "peer")
        )
        for accuracy in get_args(Accuracy):
            target = place / accuracy
            SentenceTransformer(folder, dtype="float32").quantize(calibrating, target, accuracy=accuracy)
            runs.append(("vicinal", f"int8 {accuracy}", str(target)))
        best: dict[tuple[str, str], dict[str, float]] = {}
        for number in range(rounds):
            for library, kind, path in runs:
                python = peer if library == "peer" else sys.executable
                arguments = ("--measure", library, path, kind, str(place / "texts.json"), scratch)
                rates = common.run_json(python, HERE, *arguments)
                print(f"round {number + 1}: {library} {kind}: {rates}", file=sys.stderr)
                kept = best.setdefault((library, kind), rates)
                kept.update({name: max(rate, kept[name]) for name, rate in rates.items()})
        report(best, place)


def report(best: dict[tuple[str, str], dict[str, float]], place: Path) -> None:
    """Print the table: speeds with their ratio to the peer's float32, cosines to the library's own float32."""
    base = best["peer", TORCH32]
    print(f"\n{'':24} {'short texts/s':>18} {'long texts/s':>18} {'cosine, short':>18} {'cosine, long':>18}")
    for (library, kind), rates in best.items():
        exact = TORCH32 if library == "peer" else "float32"
        line = f"{library + ' ' + kind:24}"
        for name in ("short", "long"):
            line += f" {rates[name]:9.1f} ({rates[name] / base[name]:5.2f}x)"
        for name in ("short", "long"):
            found, wanted = (
                np.load(place / f"{library} {each} {name}.npy").astype(np.float64) for each in (kind, exact)
            )
            cosines = np.einsum("ij,ij->i", found, wanted)
            line += f"   {cosines.mean():.5f}, {cosines.min():.3f}"
        print(line)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write-peer", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--measure", nargs=5, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.write_peer:
        write_peer(*arguments.write_peer)
    elif arguments.measure:
        measure(*arguments.measure)
    else:
        compare(arguments.rounds)


if __name__ == "__main__":
    main()
