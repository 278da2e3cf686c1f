"""Measures the service under load: so many clients at once, with requests run together and one by one.

python -m bench.load [--seconds 30] [--clients 1 8 64 256]

Each client sends one statement, waits for its score and sends the next, over loopback, from one process beside the
server's: both share the machine's cores.
"""

import argparse
import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_TEXT: Final = "Minister number {} said that Kenya had broken the ceasefire and would answer for it before the court."
_START_S: Final = 60
_MODES: Final = {"together": {}, "one by one": {"DETENTE_MAX_BATCH_TOKENS": "1"}}
"""Name to settings; a batch of one token holds one request."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What so many clients saw: statements a second, milliseconds below which 50, 95 and 99 % were answered, errors."""

    per_second: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    errors: int


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> int:
    """Sends one statement; returns the status."""
    body = json.dumps(
        {"statements": [{"text": _TEXT.format(number), "speaker": "Chile", "counterpart": "Kenya"}]}
    ).encode()
    head = (
        f"POST /v1/score HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    lines = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
    length = next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length"))
    await reader.readexactly(length)
    return int(lines[0].split()[1])


async def load(port: int, clients: int, seconds: float) -> Figures:
    """What this many clients see."""
    took: list[float] = []
    errors = 0
    end = time.perf_counter() + seconds

    async def be_client(client: int) -> None:
        nonlocal errors
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        number = client * 1_000_000
        while (began := time.perf_counter()) < end:
            errors += await ask(reader, writer, number) != 200
            took.append(time.perf_counter() - began)
            number += 1
        writer.close()

    await asyncio.gather(*(be_client(client) for client in range(clients)))
    took.sort()
    p50, p95, p99 = (1_000 * took[int(share * (len(took) - 1))] for share in (0.5, 0.95, 0.99))
    return Figures(len(took) / seconds, p50, p95, p99, errors)


def find_port() -> int:
    """A free port."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def start(port: int, settings: dict[str, str]) -> subprocess.Popen[bytes]:
    """A service that answers.

    Raises:
        RuntimeError: It does not start.
    """
    environment = {**os.environ, "DETENTE_PORT": str(port), "DETENTE_LOG_LEVEL": "WARNING", **settings}
    server = subprocess.Popen([sys.executable, "-m", "serve"], env=environment)  # ourselves
    for _ in range(10 * _START_S):
        if server.poll() is not None:
            raise RuntimeError(f"the service stopped with {server.returncode} before it answered")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return server
    server.kill()
    raise RuntimeError(f"the service did not answer within {_START_S} s")


def measure(clients: Sequence[int], seconds: float) -> dict[str, list[Figures]]:
    """The figures of each mode and number of clients; each mode has a server of its own."""
    measured = {}
    for mode, settings in _MODES.items():
        port = find_port()
        server = start(port, settings)
        try:
            asyncio.run(load(port, 8, 2))  # warm
            measured[mode] = [asyncio.run(load(port, count, seconds)) for count in clients]
        finally:
            server.terminate()
            server.wait(30)
    return measured


def main() -> None:
    """Parses the command line, measures and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 64, 256])
    arguments = parser.parse_args()
    measured = measure(arguments.clients, arguments.seconds)
    print("| clients | statements/s | p50, p95, p99 (ms) | errors | one by one: statements/s | ratio |")
    print("| ---: | ---: | --- | ---: | ---: | ---: |")
    for clients, together, alone in zip(arguments.clients, *measured.values(), strict=True):
        print(
            f"| {clients} | {together.per_second:.0f} | {together.p50_ms:.0f}, {together.p95_ms:.0f}, "
            f"{together.p99_ms:.0f} | {together.errors + alone.errors} | {alone.per_second:.0f} | "
            f"{together.per_second / alone.per_second:.2f} |"
        )


if __name__ == "__main__":
    main()
