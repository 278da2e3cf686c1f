"""The wheel: built from a copy without .git, it holds the package and nothing else."""

import shutil
import subprocess
import sys
import zipfile
from importlib.util import find_spec

import pytest
from conftest import ROOT

from detente import __version__

LEFT_OUT = (".git", ".venv", "build", "runs", "dist", "*.egg-info", "__pycache__", ".*_cache")

pytestmark = pytest.mark.skipif(
    find_spec("build") is None or find_spec("setuptools") is None, reason="needs build and setuptools: detente[dev]"
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT, folder / "tree", ignore=shutil.ignore_patterns(*LEFT_OUT))
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), "."]
    built = subprocess.run(command, cwd=folder / "tree", capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    return zipfile.ZipFile(next(folder.glob("*.whl")))


def test_wheel_holds_the_package_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    assert {name.split("/")[0] for name in names} == {"detente", f"detente-{__version__}.dist-info"}
    assert {"detente/py.typed", "detente/data/parties.yaml"} <= set(names)
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "detente").rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == modules
    assert any(name.endswith("LICENSE") for name in names)


def test_wheel_holds_the_weights(wheel: zipfile.ZipFile) -> None:
    weights = ROOT / "detente" / "weights"
    expected = {p.relative_to(ROOT).as_posix() for p in weights.rglob("*") if p.is_file()}
    if not expected:
        pytest.skip("no weights in detente/weights: make train writes them")
    assert {name for name in wheel.namelist() if name.startswith("detente/weights/")} == expected


def test_wheel_asks_for_what_it_imports_and_offers_the_command(wheel: zipfile.ZipFile) -> None:
    info = f"detente-{__version__}.dist-info"
    metadata = wheel.read(f"{info}/METADATA").decode()
    assert f"Version: {__version__}" in metadata
    plain = [line for line in metadata.splitlines() if line.startswith("Requires-Dist:") and "extra ==" not in line]
    assert not [line for line in plain if "torch" in line]
    assert "detente = detente.cli:main" in wheel.read(f"{info}/entry_points.txt").decode()
