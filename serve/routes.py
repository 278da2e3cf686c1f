"""The REST routes: requests translated to calls of the classifier, and answers back."""

import asyncio
import base64
import logging
import math
from collections.abc import Awaitable, Coroutine
from dataclasses import asdict
from typing import Annotated, Any, Final, TypeVar

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel
from starlette.requests import HTTPConnection

from detente import Classifier, Explanation, Reading, Statement, StatementError, __version__
from serve.access import Caller, Keys, RateLimit, Store
from serve.batching import Batcher, QueueFullError, StoppedError, estimate_tokens
from serve.database import DatabaseUnavailableError, Feedback
from serve.guard import Counters
from serve.schemas import (
    ExplainAnswer,
    FeedbackAnswer,
    FeedbackRequest,
    ModelAnswer,
    Problem,
    ReadAnswer,
    ReadRequest,
    ScoreAnswer,
    ScoreRequest,
    StatementIn,
)
from serve.settings import Settings

logger = logging.getLogger(__name__)
T = TypeVar("T")
_LOOK_UP_S: Final = 0.25
"""How often a waiting request looks whether anybody still listens."""
_PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    400: {"model": Problem, "description": "The body is no JSON"},
    401: {"model": Problem, "description": "A key is asked for, and there is none or a wrong one"},
    413: {"model": Problem, "description": "The body is too long"},
    422: {"model": Problem, "description": "The request is not as the schema has it"},
    429: {"model": Problem, "description": "Too many requests; see Retry-After"},
    503: {
        "model": Problem,
        "description": "The queue is full, the database is away, or the service shuts down; see Retry-After",
    },
    504: {"model": Problem, "description": "It took too long"},
}


class Service:
    """What the routes share."""

    def __init__(
        self, classifier: Classifier, batcher: Batcher, counters: Counters, settings: Settings, store: Store
    ) -> None:
        """Joins the parts."""
        self.store = store
        self.keys = Keys(store)
        self.rate_limit = RateLimit(settings.requests_per_minute)
        self.classifier = classifier
        self.batcher = batcher
        self.counters = counters
        self.settings = settings

    @property
    def model_version(self) -> str:
        """Version of the model that answers."""
        return self.classifier.manifest.model_version

    async def wait(self, work: Coroutine[Any, Any, T], request: Request | None = None) -> T:
        """What the queue returns, in time, or an answer that says why not; who hangs up leaves the queue.

        Args:
            work: What waits in the queue.
            request: Who listens; None if whoever asks cancels by itself.

        Raises:
            StatementError: The text cannot be scored or read.
            HTTPException: 503 if the queue is full or closed, 504 if it takes too long, 499 if nobody listens any more.
        """
        task = asyncio.ensure_future(work)
        end = asyncio.get_running_loop().time() + self.settings.timeout_s
        try:
            while not (await asyncio.wait({task}, timeout=_LOOK_UP_S))[0]:
                if asyncio.get_running_loop().time() > end:
                    raise HTTPException(
                        504, f"no answer within {self.settings.timeout_s:g} s: send less at once, or try again later"
                    )
                if request is not None and await request.is_disconnected():
                    raise HTTPException(499, "the client hung up")
            return task.result()
        except QueueFullError as error:
            raise HTTPException(503, str(error), headers={"Retry-After": str(error.retry_after_s)}) from error
        except StoppedError as error:
            raise HTTPException(503, str(error), headers={"Retry-After": "5"}) from error
        finally:
            task.cancel()

    async def explain(self, statement: Statement) -> Explanation:
        """The words that moved a score, in their turn."""
        words = len(statement.text.split()) + 1
        return await self.batcher.run(
            lambda: self.classifier.explain(statement), words * estimate_tokens(statement.text)
        )

    async def read(self, text: str, date: str | None, parties: dict[str, list[str]] | None = None) -> Reading:
        """Who says what about whom in an article, in its turn."""
        return await self.batcher.run(
            lambda: self.classifier.read(text, date, parties or None), 3 * estimate_tokens(text)
        )

    async def keep_feedback(self, values: dict[str, Any], caller: Caller) -> Feedback:
        """Keeps a correction.

        Raises:
            HTTPException: 422 if it is none, 503 if the database is away.
        """
        try:
            given = Feedback(**values, author=caller.name, is_editor=caller.is_editor, model_version=self.model_version)
        except ValueError as error:
            raise HTTPException(422, str(error)) from error
        return await _ask(self.store.ask(lambda database: database.add_feedback(given)))

    async def admit(self, request: HTTPConnection) -> Caller:
        """Who calls; one request is counted.

        Raises:
            HTTPException: As ``find_caller``, and 429 beyond the limit.
        """
        caller = await self.find_caller(request)
        if wait := self.rate_limit.take(caller.id):
            raise HTTPException(
                429,
                f"more than {self.settings.requests_per_minute} requests a minute: try again in {wait:.0f} s",
                headers={"Retry-After": str(math.ceil(wait))},
            )
        return caller

    async def find_caller(self, request: HTTPConnection) -> Caller:
        """Who calls, by key or else by address.

        The key is a bearer token, or the password of HTTP Basic, for which browsers ask.

        Raises:
            HTTPException: 401 without a valid key where one is asked for or given, 503 if keys cannot be looked up.
        """
        given = _read_authorization(request.headers.get("authorization", ""))
        challenge = {"WWW-Authenticate": "Basic" if "text/html" in request.headers.get("accept", "") else "Bearer"}
        if given is not None:
            key = await _ask(self.keys.find(given))
            if key is None:
                raise HTTPException(401, "the key is unknown or revoked", headers=challenge)
            return Caller(key.id, key.name, key.is_editor)
        if self.settings.require_key:
            raise HTTPException(401, "an API key is asked for: send it as Authorization: Bearer KEY", headers=challenge)
        return Caller(request.client.host if request.client else "unknown")


def _read_authorization(header: str) -> str | None:
    """The key of an ``Authorization`` header, empty if it holds none; None without a header."""
    scheme, _, value = header.strip().partition(" ")
    if not scheme:
        return None
    if scheme.lower() != "basic":
        return value.strip()
    try:
        return base64.b64decode(value, validate=True).decode().partition(":")[2]
    except ValueError:
        return ""


def find_service(request: Request) -> Service:
    """The service of the app that answers.

    Raises:
        HTTPException: 503 while the model loads.
    """
    service: Service | None = getattr(request.app.state, "service", None)
    if service is None:
        raise HTTPException(503, "the model is not loaded yet", headers={"Retry-After": "1"})
    return service


Here = Annotated[Service, Depends(find_service)]
_BEARER: Final = HTTPBearer(auto_error=False, description="An API key; asked for if the service is set so")


async def find_caller(
    request: Request, here: Here, documented: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]
) -> Caller:
    """Who calls, by key or else by address; one request is counted.

    Raises:
        HTTPException: 401 without a valid key where one is asked for or given, 429 beyond the limit, 503 if keys cannot
            be looked up.
    """
    del documented  # it stands in the OpenAPI document
    return await here.admit(request)


async def _ask(work: Awaitable[T]) -> T:
    try:
        return await work
    except DatabaseUnavailableError as error:
        logger.warning("the database is away: %s", error)
        raise HTTPException(503, "the database is away: try again later", headers={"Retry-After": "5"}) from error


Known = Annotated[Caller, Depends(find_caller)]
api = APIRouter(prefix="/v1", responses=_PROBLEMS, dependencies=[Depends(find_caller)])
health = APIRouter()


@api.post("/score", response_model=ScoreAnswer, summary="Score statements")
async def score(request: Request, body: ScoreRequest, here: Here) -> Response:
    """A score for each statement, in their order; a statement that cannot be scored says why and stops no other."""
    most = here.settings.max_statements
    if len(body.statements) > most:
        raise HTTPException(
            422, f"statements has {len(body.statements):,} items, at most {most:,} are allowed: send several requests"
        )
    read = [_to_statement(item) for item in body.statements]
    good = [statement for statement in read if isinstance(statement, Statement)]
    scores = iter(await here.wait(here.batcher.score(good), request))
    results = [
        {"score": next(scores).to_dict(), "error": None}
        if isinstance(found, Statement)
        else {"score": None, "error": found}
        for found in read
    ]
    return _answer(ScoreAnswer, {"model_version": here.model_version, "results": results})


@api.post("/explain", response_model=ExplainAnswer, summary="The words that moved a score")
async def explain(request: Request, body: StatementIn, here: Here) -> Response:
    """The stance and the hostility of one statement, and what each word adds to them."""
    statement = _to_statement(body)
    if isinstance(statement, str):
        raise HTTPException(422, statement)
    try:
        found = await here.wait(here.explain(statement), request)
    except StatementError as error:
        raise HTTPException(422, str(error)) from error
    shown = {"model_version": here.model_version, **asdict(found), "score": found.score.to_dict()}
    return _answer(ExplainAnswer, shown)


@api.post("/read", response_model=ReadAnswer, summary="Read an article")
async def read(request: Request, body: ReadRequest, here: Here) -> Response:
    """Who says what about whom in an article, with scores, and its dyads."""
    try:
        reading = await here.wait(here.read(body.text, body.date, body.parties), request)
    except StatementError as error:
        raise HTTPException(422, str(error)) from error
    return _answer(ReadAnswer, reading.to_dict())


@api.post("/feedback", status_code=201, summary="Correct a score")
async def feedback(body: FeedbackRequest, here: Here, caller: Known) -> FeedbackAnswer:
    """Keeps what a statement's labels should be; once it is answered it is on disk."""
    kept = await here.keep_feedback(body.model_dump(), caller)
    return FeedbackAnswer(id=kept.id, created=kept.created)


@api.get("/model", summary="The model that answers")
async def model(here: Here) -> ModelAnswer:
    """Its version, base, labels and where it runs."""
    manifest = here.classifier.manifest
    return ModelAnswer(
        model_version=manifest.model_version,
        package_version=__version__,
        backend=here.classifier.backend,
        device=here.classifier.device,
        base={"model": manifest.base_model, "revision": manifest.base_revision, "sha256": manifest.base_sha256},
        labels={head: list(labels) for head, labels in manifest.labels.items()},
        review_below=manifest.calibration.review_below,
    )


@health.get("/healthz", summary="The process lives")
async def live() -> dict[str, str]:
    """Always the same answer."""
    return {"status": "ok"}


@health.get("/readyz", summary="It can score", responses={503: {"model": Problem}})
async def ready(here: Here) -> dict[str, str]:
    """The model is loaded and the queue is open."""
    return {"status": "ok", "model_version": here.model_version}


@health.get("/metrics", summary="Counters for Prometheus", response_class=Response, responses={503: {"model": Problem}})
async def metrics(here: Here) -> Response:
    """Requests, latency, sizes of batches, the queue and the model."""
    here.counters.queue.set(here.batcher.queued_tokens)
    return Response(generate_latest(here.counters.registry), media_type=CONTENT_TYPE_LATEST)


def _to_statement(item: StatementIn) -> Statement | str:
    """The statement, or why it is none."""
    try:
        return Statement(
            item.text,
            item.speaker,
            item.counterpart,
            {"speaker": item.aliases.speaker, "counterpart": item.aliases.counterpart},
        )
    except StatementError as error:
        return str(error)


def _answer(schema: type[BaseModel], values: dict[str, Any]) -> Response:
    """The answer as JSON, checked against its schema once; FastAPI would check it again and walk through it twice."""
    return Response(schema.model_validate(values).model_dump_json(), media_type="application/json")
