"""What stands before every route: a request id, limits, headers, one log line and the counters."""

import json
import logging
import re
import time
import uuid
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger("detente.requests")

_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)
UPLOAD_PATH: Final = "/demo/gradio_api/upload"
_REQUEST_ID: Final = re.compile(rb"[\w.-]{1,64}")


class Counters:
    """What ``/metrics`` shows."""

    def __init__(self, model_version: str) -> None:
        """Makes them; each app has a registry of its own."""
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "detente_requests", "Answered requests", ("method", "route", "status"), registry=self.registry
        )
        self.latency = Histogram(
            "detente_request_seconds", "Time from request to answer", ("route",), registry=self.registry
        )
        self.batch = Histogram(
            "detente_batch_statements",
            "Statements run together",
            buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024),
            registry=self.registry,
        )
        self.queue = Gauge("detente_queue_tokens", "About how many tokens wait", registry=self.registry)
        model = Gauge("detente_model", "The model that answers", ("version",), registry=self.registry)
        model.labels(model_version).set(1)


class Guard:
    """ASGI middleware around the whole app."""

    def __init__(self, app: ASGIApp, counters: Counters, max_body_bytes: int, max_upload_bytes: int) -> None:
        """Wraps an app."""
        self._app = app
        self._counters = counters
        self._max_body_bytes = max_body_bytes
        self._max_upload_bytes = max_upload_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(b"x-request-id", b"")
        request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex.encode()
        began = time.perf_counter()
        status = 500
        received = 0
        has_started = False
        is_upload = scope["path"] == UPLOAD_PATH
        most = self._max_upload_bytes if is_upload else self._max_body_bytes

        async def count() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > most:
                raise HTTPException(413, f"the body is longer than {most:,} bytes: send it in parts")
            return message

        async def mark(message: Message) -> None:
            nonlocal status, has_started
            if message["type"] == "http.response.start":
                status, has_started = message["status"], True
                given = {name for name, _ in message["headers"]}
                added = [(name, value) for name, value in _HEADERS if name not in given]
                message = {**message, "headers": [*message["headers"], *added, (b"x-request-id", request_id)]}
            await send(message)

        try:
            await self._app(scope, count, mark)
        except Exception:
            logger.exception("a request failed", extra={"request_id": request_id.decode()})
            if has_started:
                raise
            await _answer(mark, 500, "the service failed at this request; its log has the reason under this request id")
        finally:
            route = getattr(scope.get("route"), "path", "(none)")
            took = time.perf_counter() - began
            self._counters.requests.labels(scope["method"], route, status).inc()
            self._counters.latency.labels(route).observe(took)
            logger.info(
                "request",
                extra={
                    "request_id": request_id.decode(),
                    "method": scope["method"],
                    "route": route,
                    "status": status,
                    "took_ms": round(1_000 * took, 1),
                    "body_bytes": received,
                },
            )


async def _answer(send: Send, status: int, error: str) -> None:
    body = json.dumps({"error": error, "details": []}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and what the record carries besides; never a text."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        usual = logging.makeLogRecord({}).__dict__.keys() | {"message", "asctime", "color_message"}
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **{key: value for key, value in record.__dict__.items() if key not in usual},
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)
