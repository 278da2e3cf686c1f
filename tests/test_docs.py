"""Documentation is executed: README.md's blocks run with the shipped weights, and every link leads somewhere.

A line ``expression  # -> text`` in a Python block prints the expression and expects the text. A ```text block right
after a Python or shell block holds the whole output. Of a shell block, or one without a language, the lines that
begin with ``detente`` are run.
"""

import ast
import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
SHELL = ("", "shell", "bash", "sh", "console")
_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```[ ]*$", re.MULTILINE | re.DOTALL)
_ARROW = re.compile(r"#\s*->\s*(.+?)\s*$")


@dataclass(frozen=True)
class Block:
    """A fenced block; ``output`` is the ```text block that follows it at once, if there is one."""

    language: str
    code: str
    output: str | None


def read_blocks(markdown: str) -> list[Block]:
    fences = list(_FENCE.finditer(markdown))
    blocks = []
    for fence, following in zip(fences, [*fences[1:], None], strict=True):
        output = None
        if following and following[1] == "text" and not markdown[fence.end() : following.start()].strip():
            output = following[2]
        blocks.append(Block(fence[1], fence[2], output))
    return blocks


def tidy(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip("\n").splitlines()]


def run_python(block: Block, names: dict[str, object]) -> None:
    """Runs a block in ``names``, and compares what it prints."""
    lines = block.code.splitlines()
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        for node in ast.parse(block.code).body:
            arrow = _ARROW.search(lines[(node.end_lineno or node.lineno) - 1])
            start = printed.tell()
            if isinstance(node, ast.Expr):
                value = eval(compile(ast.Expression(node.value), "README.md", "eval"), names)  # noqa: S307  # our README
                if arrow and value is not None:
                    print(value)
            else:
                exec(compile(ast.Module([node], []), "README.md", "exec"), names)  # noqa: S102  # our README
            if arrow:
                assert printed.getvalue()[start:].strip() == arrow[1], ast.unparse(node)
    if block.output is not None:
        assert tidy(printed.getvalue()) == tidy(block.output)


def list_commands(block: Block) -> list[str]:
    """The ``detente`` commands of a shell block, continued lines joined."""
    lines = block.code.replace("\\\n", " ").splitlines()
    return [line for line in (raw.removeprefix("$ ") for raw in lines) if line.startswith("detente ")]


def run_shell(block: Block, folder: Path) -> None:
    prelude = (
        f"set -euo pipefail\ndetente() {{ '{sys.executable}' -c 'from detente.cli import main; main()' \"$@\"; }}\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120", "NO_COLOR": "1"}
    output = ""
    for command in list_commands(block):
        done = subprocess.run(
            ["/bin/bash", "-c", prelude + command],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        output += done.stdout
    if block.output is not None and list_commands(block):
        assert tidy(output) == tidy(block.output)


@pytest.fixture
def readme() -> list[Block]:
    if not README.is_file():
        pytest.skip("README.md is not written yet")
    if not (ROOT / "detente" / "weights" / "config.json").is_file():
        pytest.skip("detente/weights has no model: train one and run train.export to run README.md's examples")
    return read_blocks(README.read_text(encoding="utf-8"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the examples, under their path and beside the reader, in which blocks may write."""
    shutil.copytree(ROOT / "data" / "examples", tmp_path / "data" / "examples")
    shutil.copytree(ROOT / "data" / "examples", tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_readme_python_blocks_run(readme: list[Block], folder: Path) -> None:
    blocks = [block for block in readme if block.language == "python"]
    assert blocks and folder.is_dir()
    names: dict[str, object] = {}
    for block in blocks:
        run_python(block, names)


def test_readme_shell_blocks_run(readme: list[Block], folder: Path) -> None:
    blocks = [block for block in readme if block.language in SHELL]
    assert any(list_commands(block) for block in blocks)
    for block in blocks:
        run_shell(block, folder)


SAMPLE = """
```python
number = 1
number + 1  # -> 2
print("three")  # -> three
```

```text
2
three
```
Words.
```python
print(number)
```
```shell
pip install detente
$ detente info \\
  --json
```
"""


def test_runner_reads_blocks() -> None:
    python, text, later, shell = read_blocks(SAMPLE)
    assert (python.output, later.output, text.language) == ("2\nthree\n", None, "text")
    assert list_commands(shell) == ["detente info    --json"]
    names: dict[str, object] = {}
    run_python(python, names)
    run_python(later, names)
    assert names["number"] == 1


@pytest.mark.parametrize(("right", "wrong"), [("# -> 2", "# -> 3"), ("2\nthree", "2\nfour"), ("+ 1", "+ 2")])
def test_runner_notices_another_output(right: str, wrong: str) -> None:
    with pytest.raises(AssertionError):
        run_python(read_blocks(SAMPLE.replace(right, wrong))[0], {})


def test_runner_notices_a_failing_command(folder: Path) -> None:
    with pytest.raises(AssertionError, match="No such command"):
        run_shell(Block("shell", "detente scoer x\n", None), folder)


# Links

DOCUMENTS = [
    path
    for path in (
        *(ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "MODEL_CARD.md")),
        *sorted((ROOT / "docs").rglob("*.md")),
    )
    if path.is_file()
]
_LINK = re.compile(r"\[[^\]]*\]\(\s*<?([^)\s>]+)>?[^)]*\)")


def list_headings(markdown: str) -> set[str]:
    """The anchors that GitHub gives a document's headings."""
    headings = re.findall(r"^#+\s+(.*?)\s*$", _FENCE.sub("", markdown), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def find_broken_links(document: Path) -> list[str]:
    text = _FENCE.sub("", document.read_text(encoding="utf-8"))
    broken = []
    for link in _LINK.findall(text):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (document.parent / name) if name else document
        is_text = anchor and target.suffix == ".md" and target.is_file()
        if not target.exists() or (is_text and anchor not in list_headings(target.read_text(encoding="utf-8"))):
            broken.append(link)
    return broken


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_relative_links_resolve(document: Path) -> None:
    assert find_broken_links(document) == []


def test_broken_links_are_found(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# One, two\n", encoding="utf-8")
    page = tmp_path / "page.md"
    page.write_text(
        "# Here\n[a](other.md) [b](other.md#one-two) [c](#here) [d](https://example.org/x)\n"
        "[e](none.md) [f](other.md#three) [g](#there) ![h](none.png)\n```\n[i](none.md)\n```\n",
        encoding="utf-8",
    )
    assert find_broken_links(page) == ["none.md", "other.md#three", "#there", "none.png"]


def test_paths_named_in_docstrings_exist() -> None:
    """A docstring that sends the reader to a document must not send him nowhere."""
    missing = [
        (path.name, name)
        for path in sorted((ROOT / "detente").glob("*.py"))
        for name in re.findall(r"docs/[\w./-]+\.md", path.read_text(encoding="utf-8"))
        if not (ROOT / name).is_file()
    ]
    assert missing == []
