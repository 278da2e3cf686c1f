"""The service in a process of its own, as people run it."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
from conftest import ROOT


class Server:
    """A service in a process of its own."""

    def __init__(self, folder: Path, **settings: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.database_url = f"sqlite:///{folder / 'd.sqlite'}"
        self.log = folder / "log"
        values = {"PORT": str(self.port), "DATABASE_URL": self.database_url, "TIMEOUT_S": "8", **settings}
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        environment = (
            os.environ | {"TMPDIR": str(self.temporary)} | {f"DETENTE_{name}": value for name, value in values.items()}
        )
        with self.log.open("w") as stream:
            self.process = subprocess.Popen([sys.executable, "-m", "serve"], cwd=ROOT, env=environment, stderr=stream)
        self._wait()

    def _wait(self) -> None:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                if httpx.get(f"{self.url}/readyz", timeout=1).status_code == 200:
                    return
            except httpx.TransportError:
                assert self.process.poll() is None, self.log.read_text()[-2_000:]
                time.sleep(0.1)
        raise AssertionError(f"the service did not start: {self.log.read_text()[-2_000:]}")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)
