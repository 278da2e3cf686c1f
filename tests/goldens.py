"""Golden files: what must not change without a line in the changelog. ``make golden`` rewrites them."""

import difflib
import json
import os
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "golden"
_WRITE = "DETENTE_WRITE_GOLDEN"


def compare_golden(name: str, found: object) -> None:
    """Compares plain values with ``tests/golden/<name>.json``, to the letter.

    With DETENTE_WRITE_GOLDEN=1 the file is rewritten, and the test fails with the difference if there is one.
    """
    path = FOLDER / f"{name}.json"
    fresh = json.dumps(found, indent=1, ensure_ascii=False) + "\n"
    old = path.read_text(encoding="utf-8") if path.is_file() else ""
    if fresh == old:
        return
    changes = "".join(difflib.unified_diff(old.splitlines(True), fresh.splitlines(True), "golden", "found", n=2))
    if os.environ.get(_WRITE) == "1":
        path.parent.mkdir(exist_ok=True)
        path.write_text(fresh, encoding="utf-8")
        pytest.fail(f"{path.name} was rewritten; a change needs a line under Scores in CHANGELOG.md\n{changes}")
    pytest.fail(f"{path.name} differs; if the change is meant, run `make golden`\n{changes}")
