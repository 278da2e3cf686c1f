"""The front door: its names, and an import that does no work."""

import subprocess
import sys

import pytest

import detente

HEAVY = ("torch", "transformers", "onnxruntime", "numpy", "tokenizers", "yaml", "peft", "datasets", "typer")


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_public_names_are_pinned() -> None:
    assert detente.__all__ == [
        "Classifier",
        "Explanation",
        "Party",
        "Reading",
        "Score",
        "Statement",
        "StatementError",
        "__version__",
    ]
    assert dir(detente) == sorted(detente.__all__)


@pytest.mark.parametrize("name", detente.__all__)
def test_public_names_exist_and_are_documented(name: str) -> None:
    value = getattr(detente, name)
    assert value.count(".") == 2 if name == "__version__" else value.__doc__ and value.__name__ == name


def test_import_loads_nothing_heavy() -> None:
    code = f"import sys, detente; print([m for m in {HEAVY!r} if m in sys.modules])"
    assert run_python(code).strip() == "[]"


def test_import_loads_none_of_our_own_modules() -> None:
    code = "import sys, detente; print(sorted(m for m in sys.modules if m.startswith('detente')))"
    assert run_python(code).strip() == "['detente']"


def test_statement_needs_nothing_heavy() -> None:
    code = f"import sys; from detente import Statement; print([m for m in {HEAVY!r} if m in sys.modules])"
    assert run_python(code).strip() == "[]"


def test_foundations_and_classifier_need_no_torch() -> None:
    code = (
        "import sys, detente.labels, detente.config, detente.records, detente.parties, detente.encoding\n"
        "from detente import Classifier\n"
        "print([m for m in ('torch', 'transformers') if m in sys.modules])"
    )
    assert run_python(code).strip() == "[]"


def test_unknown_name_lists_the_public_ones() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'classify': the public names are Classifier, .*Statement"):
        _ = detente.classify  # type: ignore[attr-defined]
