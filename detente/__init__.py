"""detente scores who is hostile to whom."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from detente.article.reading import Reading
    from detente.classifier import Classifier
    from detente.parties import Party
    from detente.records import Explanation, Score, Statement, StatementError

__version__ = "0.1.0"

_HOMES = {
    "Classifier": "detente.classifier",
    "Explanation": "detente.records",
    "Party": "detente.parties",
    "Reading": "detente.article.reading",
    "Score": "detente.records",
    "Statement": "detente.records",
    "StatementError": "detente.records",
}

__all__ = ["Classifier", "Explanation", "Party", "Reading", "Score", "Statement", "StatementError", "__version__"]


def __getattr__(name: str) -> object:
    """Loads a public name when it is first asked for, so that the import itself does no work."""
    if name not in _HOMES:
        raise AttributeError(f"module 'detente' has no attribute {name!r}: the public names are {', '.join(__all__)}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
