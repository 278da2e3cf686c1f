"""Statements a second: ours beside the alternatives, in one run, as a table: ``python -m bench``.

All take the same statements and an encoder of one shape (six layers, 384 wide): ours, the transformers pipeline (32 at
once, unsorted, as it comes), torch by length, and the CrossEncoder of sentence-transformers on ONNX. They take turns,
so that a machine that slows down slows all; the table has medians, the lowest and the highest. The ceiling is what int8
matrix products of the encoder's shapes alone would allow.
"""

import argparse
import itertools
import json
import platform
import random
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import numpy as np

from detente import Classifier, Statement
from detente.article.sentences import split_sentences
from detente.artifact import TOKENIZER
from detente.encoding import StatementEncoder, load_tokenizer
from detente.runtime import count_cores

_ARTICLES: Final = Path(__file__).parent.parent / "data" / "articles"
_PARTIES: Final = ("United States", "Russia", "China", "Iran", "France", "Japan", "Brazil", "Kenya")
_BASE: Final = "sentence-transformers/all-MiniLM-L6-v2"
_BASE_SHA256: Final = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_MIN_CHARS: Final = 130
_PIPELINE_BATCH: Final = 32
_LAYERS: Final = 6
_SHAPES: Final = ((384, 384),) * 4 + ((384, 1536), (1536, 384))
_CEILING_TOKENS: Final = 512


def main() -> None:
    """Reads the command line, measures, and prints a Markdown table and what it was measured on."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--statements", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu", help="cuda: ours and the pipeline on a GPU")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    statements = make_statements(arguments.statements)
    contenders = make_contenders(statements, arguments.device)
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(arguments.rounds + 1):
        for name, run in contenders.items():
            began = time.perf_counter()
            run()
            if turn:  # the first warms up
                rates[name].append(len(statements) / (time.perf_counter() - began))
    tokens = count_tokens(statements)
    print(f"{len(statements)} statements, {tokens:.1f} tokens on average; {describe_machine()}\n")
    print_table(rates)
    if arguments.device == "cpu":
        print_ceiling(tokens, rates, arguments.rounds)
        print_small_figures(statements)


def make_statements(count: int) -> list[Statement]:
    """Sentences of our own articles, with made-up parties; always the same."""
    sentences: list[str] = []
    for path in sorted(_ARTICLES.glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            text = json.loads(line)["text"]
            sentences += [" ".join(text[s.start : s.end].split()) for s in split_sentences(text)]
    chosen = sorted({s for s in sentences if len(s) >= _MIN_CHARS})
    shuffled = random.Random(0)  # noqa: S311  # an order, not a secret
    shuffled.shuffle(chosen)
    pairs = itertools.cycle(itertools.permutations(_PARTIES, 2))
    return [Statement(text, *pair) for text, pair in zip(chosen[:count], pairs, strict=False)]


def make_contenders(statements: list[Statement], device: str) -> dict[str, Callable[[], object]]:
    """What takes turns; each call scores all statements."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

    from detente.runtime import find_base

    base = str(find_base(_BASE, None, _BASE_SHA256))
    texts = [s.text for s in statements]
    ours = Classifier.from_pretrained(device=device)
    tokenizer = AutoTokenizer.from_pretrained(base)
    plain = AutoModelForSequenceClassification.from_pretrained(base, num_labels=3)
    as_it_comes = pipeline("text-classification", model=plain, tokenizer=tokenizer, device=device)
    torch.set_num_threads(count_cores())

    def run_pipeline() -> object:
        return list(as_it_comes(texts, batch_size=_PIPELINE_BATCH))

    def run_torch() -> object:
        ordered = sorted(texts, key=len)
        with torch.inference_mode():
            for begin in range(0, len(ordered), _PIPELINE_BATCH):
                batch = tokenizer(ordered[begin : begin + _PIPELINE_BATCH], padding=True, return_tensors="pt")
                plain(**batch.to(device))
        return None

    contenders: dict[str, Callable[[], object]] = {
        "detente, parties found and masked": lambda: ours.score_many(statements),
        "transformers pipeline, fp32": run_pipeline,
        "torch sorted by length, fp32": run_torch,
    }
    if device == "cpu":
        if run_cross_encoder := make_cross_encoder(base, statements):
            contenders["sentence-transformers CrossEncoder, ONNX fp32"] = run_cross_encoder
        else:
            print("no CrossEncoder row: its ONNX backend needs optimum-onnx, which asks for transformers below 5\n")
    return contenders


def make_cross_encoder(base: str, statements: list[Statement]) -> Callable[[], object] | None:
    """The CrossEncoder on its ONNX backend in fp32, or None if Optimum, which it needs, is not installed."""
    try:
        import optimum.onnxruntime  # noqa: F401  # asked for here, as sentence-transformers says less
        from sentence_transformers import CrossEncoder
    except ModuleNotFoundError:
        return None
    encoder = CrossEncoder(base, num_labels=3, backend="onnx", model_kwargs={"export": True})
    pairs = [(s.text, f"{s.speaker} {s.counterpart}") for s in statements]
    return lambda: encoder.predict(pairs, batch_size=_PIPELINE_BATCH)


def count_tokens(statements: list[Statement]) -> float:
    """Mean number of tokens of a statement, as ours reads it."""
    classifier = Classifier.from_pretrained()
    manifest = classifier.manifest
    encoder = StatementEncoder(
        load_tokenizer(str(classifier.folder / TOKENIZER)),
        max_tokens=manifest.max_tokens,
        overlap_tokens=manifest.overlap_tokens,
    )
    return statistics.mean(len(window.ids) for windows in encoder.encode(statements) for window in windows)


def describe_machine() -> str:
    """Processor and cores."""
    name = platform.processor() or platform.machine()
    path = Path("/proc/cpuinfo")
    if path.is_file():
        found = [line.partition(":")[2].strip() for line in path.read_text().splitlines() if "model name" in line]
        name = next(iter(found), name)
    return f"{count_cores()} cores of {name}, Python {platform.python_version()}"


def print_table(rates: dict[str, list[float]]) -> None:
    """Statements a second: median, lowest and highest, and the ratio to the pipeline, turn by turn."""
    reference = next(values for name, values in rates.items() if "pipeline" in name)
    print("| what | statements/s: median (lowest to highest) | times the pipeline |\n| --- | ---: | ---: |")
    for name, values in rates.items():
        ratio = statistics.median(a / b for a, b in zip(values, reference, strict=True))
        print(f"| {name} | {statistics.median(values):,.0f} ({min(values):,.0f} to {max(values):,.0f}) | {ratio:.1f} |")


def print_ceiling(tokens: float, rates: dict[str, list[float]], rounds: int) -> None:
    """What int8 products of the encoder's shapes reach on all cores, and the share of it that ours uses."""
    speeds = [measure_products() for _ in range(rounds)]
    speed = statistics.median(speeds)
    work = 2 * tokens * _LAYERS * sum(a * b for a, b in _SHAPES)
    ours = statistics.median(next(iter(rates.values())))
    print(
        f"\nint8 matrix products alone: {speed / 1e9:,.0f} GOP/s "
        f"({min(speeds) / 1e9:,.0f} to {max(speeds) / 1e9:,.0f}), "
        f"{speed / work:,.0f} statements/s; detente uses {ours * work / speed:.0%} of that"
    )


def measure_products() -> float:
    """Operations a second of int8 products of the encoder's shapes, each core on its own batch."""
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    generator = np.random.default_rng(0)
    sessions = []
    for inner, outer in _SHAPES:
        weights = generator.integers(-127, 128, (inner, outer)).astype(np.int8)
        graph = helper.make_graph(
            [helper.make_node("MatMulInteger", ["x", "w", "zero"], ["y"])],
            "product",
            [helper.make_tensor_value_info("x", TensorProto.UINT8, [None, inner])],
            [helper.make_tensor_value_info("y", TensorProto.INT32, [None, outer])],
            [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(np.array(128, dtype=np.uint8), "zero")],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        sessions.append((session, generator.integers(0, 256, (_CEILING_TOKENS, inner)).astype(np.uint8)))

    def multiply(times: int) -> None:
        for _ in range(times):
            for session, rows in sessions:
                session.run(None, {"x": rows})

    times = 50
    with ThreadPoolExecutor(count_cores()) as pool:
        list(pool.map(multiply, [2] * count_cores()))
        began = time.perf_counter()
        list(pool.map(multiply, [times] * count_cores()))
        took = time.perf_counter() - began
    return 2 * _CEILING_TOKENS * sum(a * b for a, b in _SHAPES) * times * count_cores() / took


def print_small_figures(statements: list[Statement]) -> None:
    """Latency of one statement, time of the import, memory."""
    classifier = Classifier.from_pretrained()
    times = []
    for statement in statements[:400]:
        began = time.perf_counter()
        classifier.score(statement)
        times.append(1e3 * (time.perf_counter() - began))
    print(f"one statement: p50 {statistics.median(times):.1f} ms, p95 {statistics.quantiles(times, n=20)[-1]:.1f} ms")
    code = "import time; t = time.perf_counter(); import detente; print(time.perf_counter() - t)"
    print(f"import detente: {1e3 * statistics.median(float(run_python(code)) for _ in range(5)):.0f} ms")
    code = (
        "import json, re, sys; from detente import Classifier, Statement;"
        "Classifier.from_pretrained().score_many([Statement(*s) for s in json.load(sys.stdin)]);"
        "print(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])"
    )
    memory = int(run_python(code, json.dumps([(s.text, s.speaker, s.counterpart) for s in statements])))
    print(f"memory of a process that scores them: {memory / 1024:.0f} MB at most")


def run_python(code: str, given: str = "") -> str:
    """What a fresh Python prints."""
    command = [sys.executable, "-c", code]
    return subprocess.run(command, input=given, capture_output=True, text=True, check=True).stdout  # noqa: S603  # ours


if __name__ == "__main__":
    main()
