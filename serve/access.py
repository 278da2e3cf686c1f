"""Who calls: API keys, how often each may call, and the database behind them."""

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Final, TypeVar

from serve.database import ANONYMOUS, ApiKey, Database, DatabaseUnavailableError

logger = logging.getLogger(__name__)
T = TypeVar("T")
_KNOWN_S: Final = 10.0
"""How long a key is known without asking the database: a revoked key is refused after this time."""
_MAX_KNOWN: Final = 10_000


class Store:
    """The database, opened when it is first needed, so that scoring starts and goes on without it."""

    def __init__(self, url: str) -> None:
        """Keeps the address; nothing is opened yet."""
        self._url = url
        self._lock = Lock()
        self._database: Database | None = None

    async def ask(self, call: Callable[[Database], T]) -> T:
        """What a call of the database returns, run in a thread.

        Raises:
            DatabaseUnavailableError: It cannot be reached.
        """
        return await asyncio.to_thread(lambda: call(self.open()))

    def open(self) -> Database:
        """The database.

        Raises:
            DatabaseUnavailableError: It cannot be reached.
        """
        with self._lock:
            if self._database is None:
                self._database = Database.open(self._url)
            return self._database

    def close(self) -> None:
        """Lets go of it."""
        with self._lock:
            if self._database is not None:
                self._database.close()
                self._database = None


class Keys:
    """Known keys; one that was found lately is still known while the database is away."""

    def __init__(self, store: Store) -> None:
        """Knows no key yet."""
        self._store = store
        self._known: dict[str, tuple[ApiKey, float]] = {}

    async def find(self, plaintext: str) -> ApiKey | None:
        """The key, or None if it is unknown or revoked.

        Raises:
            DatabaseUnavailableError: The database cannot be reached, and the key was not found lately.
        """
        name = hashlib.sha256(plaintext.encode("utf-8", "replace")).hexdigest()
        known = self._known.get(name)
        if known and known[1] > time.monotonic():
            return known[0]
        try:
            found = await self._store.ask(lambda database: database.find_key(plaintext))
        except DatabaseUnavailableError:
            if known:
                logger.warning("the database is away: a key that was known before is let in")
                return known[0]
            raise
        if found is None:
            self._known.pop(name, None)
            return None
        if len(self._known) >= _MAX_KNOWN:
            self._known.clear()
        self._known[name] = (found, time.monotonic() + _KNOWN_S)
        return found


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls.

    Attributes:
        id: Of the key, or the address of a caller without one.
        name: Of the key, or ``anonymous``.
        is_editor: Whether the caller's corrections overrule others.
    """

    id: str
    name: str = ANONYMOUS
    is_editor: bool = False


class RateLimit:
    """So many requests a minute for each caller, with as many at once (token bucket)."""

    def __init__(self, per_minute: int) -> None:
        """Full buckets.

        Args:
            per_minute: 0 is no limit.
        """
        self._per_minute = per_minute
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, caller: str) -> float:
        """Takes one request; returns 0, or the seconds until the next is allowed."""
        if not self._per_minute:
            return 0.0
        now, rate = time.monotonic(), self._per_minute / 60
        left, then = self._buckets.get(caller, (float(self._per_minute), now))
        left = min(self._per_minute, left + (now - then) * rate)
        if left < 1:
            return (1 - left) / rate
        if len(self._buckets) >= _MAX_KNOWN:  # a full bucket is the same as none
            self._buckets = {
                c: (kept, t) for c, (kept, t) in self._buckets.items() if kept + (now - t) * rate < self._per_minute
            }
        self._buckets[caller] = (left - 1, now)
        return 0.0
