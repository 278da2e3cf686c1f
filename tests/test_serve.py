"""The REST service: the same numbers as Python, clear refusals, and a queue that is fair, bounded and never lies."""

import asyncio
import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the service needs the extra serve")

from fastapi.testclient import TestClient
from service import Server

from detente import Classifier, Score, Statement
from detente.artifact import find_shipped
from serve.__main__ import main as serve_main
from serve.app import make_app
from serve.batching import Batcher, QueueFullError, StoppedError
from serve.database import Database
from serve.guard import JsonLines
from serve.settings import Settings

ODD = [
    "\u202eright to left",
    "🙂🙂",
    "'; DROP TABLE scores; --",
    "<script>alert(1)</script>",
    "\x00\x07 control",
    "a\ud800b",
]


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    if not (find_shipped() / "config.json").is_file():
        pytest.skip("detente/weights has no model")
    return Classifier.from_pretrained()


@pytest.fixture(scope="module")
def client(classifier: Classifier) -> Iterator[TestClient]:
    settings = Settings(max_body_bytes=20_000, max_statements=50)
    with TestClient(make_app(settings, classifier), raise_server_exceptions=False) as client:
        yield client


# REST


def test_rest_and_python_give_the_same_numbers(client: TestClient, classifier: Classifier) -> None:
    rows = [
        ("They have lied to us for years.", "Chile", "Peru"),
        ("Kenya accused Portugal of breaking the ceasefire.", "Portugal", "Kenya"),
        ("We thank them. " * 120, None, None),
    ]
    body = {"statements": [{"text": t, "speaker": s, "counterpart": c} for t, s, c in rows]}
    answer = client.post("/v1/score", json=body).json()
    assert answer["model_version"] == classifier.manifest.model_version
    expected = classifier.score_many([Statement(*row) for row in rows])
    for found, score in zip(answer["results"], expected, strict=True):
        assert found["error"] is None
        assert found["score"].keys() == score.to_dict().keys()
        assert found["score"]["stance"] == pytest.approx(score.stance, abs=1e-6)
        assert found["score"]["hostility_probs"] == pytest.approx(score.hostility_probs, abs=1e-6)
        assert [tuple(w) for w in found["score"]["windows"]] == list(score.windows)


def test_an_article_and_an_explanation_are_the_same_too(client: TestClient, classifier: Classifier) -> None:
    article = 'Chile closed two ports to Peruvian ferries.\n\n"They have lied to us," Chile\'s minister Ana Ruiz said.'
    answer = client.post("/v1/read", json={"text": article, "date": "2026-03-04"}).json()
    reading = json.loads(json.dumps(classifier.read(article, "2026-03-04").to_dict()))
    assert [s["text"] for s in answer["statements"]] == [s["text"] for s in reading["statements"]]
    assert [d["n"] for d in answer["dyads"]] == [d["n"] for d in reading["dyads"]]
    assert answer["date"] == "2026-03-04" and answer["model_version"] == reading["model_version"]
    text = "They have lied to us for years."
    shown = client.post("/v1/explain", json={"text": text, "speaker": "Chile", "counterpart": "Peru"}).json()
    explained = classifier.explain(text, "Chile", "Peru")
    assert [w["word"] for w in shown["stance"]] == [w.word for w in explained.stance]
    assert [w["weight"] for w in shown["hostility"]] == pytest.approx([w.weight for w in explained.hostility], abs=1e-5)


def test_a_bad_statement_stops_no_other(client: TestClient) -> None:
    body = {"statements": [{"text": " "}, {"text": "We agree.", "speaker": "A", "counterpart": "A"}, {"text": "Fine."}]}
    answer = client.post("/v1/score", json=body)
    errors = [r["error"] for r in answer.json()["results"]]
    assert answer.status_code == 200
    assert "text is empty" in errors[0] and "name two parties" in errors[1] and errors[2] is None


@pytest.mark.parametrize("odd", ODD)
def test_odd_characters_are_harmless(client: TestClient, odd: str) -> None:
    for path, body in (
        ("/v1/score", {"statements": [{"text": odd, "speaker": odd[:100], "counterpart": None}]}),
        ("/v1/explain", {"text": odd}),
        ("/v1/read", {"text": odd, "parties": {odd: [odd]}}),
        ("/v1/read", {"text": "Norway waits.", "date": odd}),
    ):
        answer = client.post(path, content=json.dumps(body), headers={"content-type": "application/json"})
        assert answer.status_code in (200, 422), answer.text
        assert answer.headers["content-type"] == "application/json"
        answer.json()


@pytest.mark.parametrize(
    ("content", "status", "message"),
    [
        (b"{", 400, "no JSON"),
        (b'{"statements": []}', 422, "at least 1 item"),
        (b'{"statements": [{"text": 7}]}', 422, "statements.0.text"),
        (b'{"statements": [{"text": "a", "tone": 1}]}', 422, "tone"),
        (b"[" * 5_000, 400, ""),
        (b'{"statements": [' + b",".join([b'{"text": "a"}'] * 51) + b"]}", 422, "at most 50"),
        (b'{"statements": [{"text": "' + b"a" * 30_000 + b'"}]}', 413, "20,000 bytes"),
    ],
)
def test_refusals_say_what_is_wrong(client: TestClient, content: bytes, status: int, message: str) -> None:
    answer = client.post("/v1/score", content=content, headers={"content-type": "application/json"})
    assert (answer.status_code, message in answer.text) == (status, True), answer.text
    assert set(answer.json()) == {"error", "details"}


def test_health_model_and_metrics(client: TestClient, classifier: Classifier) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json()["model_version"] == classifier.manifest.model_version
    model = client.get("/v1/model").json()
    assert model["labels"]["stance"] == ["favour", "neutral", "against"] and model["backend"] == classifier.backend
    client.post("/v1/score", json={"statements": [{"text": "We agree."}]})
    shown = client.get("/metrics").text
    assert 'detente_requests_total{method="POST",route="/v1/score",status="200"}' in shown
    assert "detente_batch_statements_bucket" in shown and "detente_queue_tokens 0.0" in shown
    assert classifier.manifest.model_version in shown
    assert client.get("/nowhere").json()["error"] == "Not Found"


def test_generated_clients_get_plain_names(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    names = {path: operation["operationId"] for path, methods in paths.items() for operation in methods.values()}
    assert names["/v1/score"] == "score" and names["/v1/feedback"] == "feedback"
    assert {"401", "422", "429", "503"} <= paths["/v1/score"]["post"]["responses"].keys()


def test_headers_and_request_id(client: TestClient) -> None:
    answer = client.get("/healthz", headers={"x-request-id": "abc-1", "origin": "https://elsewhere.example"})
    assert answer.headers["x-request-id"] == "abc-1" and answer.headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in answer.headers
    assert len(client.get("/healthz", headers={"x-request-id": "no good\n"}).headers["x-request-id"]) == 32


def test_logs_are_json_without_texts(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="detente.requests"):
        client.post("/v1/score", json={"statements": [{"text": "A secret sentence.", "speaker": "Nobodyland"}]})
    lines = [json.loads(JsonLines().format(record)) for record in caplog.records]
    assert any(line.get("route") == "/v1/score" and line["status"] == 200 and line["request_id"] for line in lines)
    assert "secret" not in json.dumps(lines) and "Nobodyland" not in json.dumps(lines)


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETENTE_PORT", "9001")
    assert (Settings().port, Settings().host) == (9001, "127.0.0.1")


def test_shutdown_is_announced(classifier: Classifier) -> None:
    app = make_app(Settings(), classifier)
    with TestClient(app) as client:
        app.state.service.batcher._is_stopping = True
        answer = client.post("/v1/score", json={"statements": [{"text": "We agree."}]})
    assert answer.status_code == 503 and answer.headers["retry-after"] == "5"


# The queue


class Slow:
    """A model that waits to be let go, and keeps what it was given."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.go = threading.Event()
        self.score = Score({"favour": 1.0, "neutral": 0.0, "against": 0.0}, {}, {}, 1.0, False, ())

    def score_many(self, statements: Sequence[Statement]) -> list[Score]:
        self.batches.append(len(statements))
        assert self.go.wait(10)
        if any(s.text == "fail" for s in statements):
            raise RuntimeError("the model failed")
        return [self.score] * len(statements)


def test_requests_run_together_up_to_a_batch() -> None:
    async def run() -> list[int]:
        slow = Slow()
        batcher = Batcher(slow.score_many, max_batch_tokens=60, max_queue_tokens=10_000)
        batcher.start()
        waiting = [asyncio.ensure_future(batcher.score([Statement("We agree.")])) for _ in range(13)]
        await asyncio.sleep(0.1)
        slow.go.set()
        assert all(len(scores) == 1 for scores in await asyncio.gather(*waiting))
        await batcher.stop()
        return slow.batches

    batches = asyncio.run(run())
    assert sum(batches) == 13 and max(batches) == 6 and len(batches) <= 4


def test_a_full_queue_answers_at_once_and_a_cancelled_request_leaves_it() -> None:
    async def run() -> None:
        slow = Slow()
        batcher = Batcher(slow.score_many, max_batch_tokens=10, max_queue_tokens=25)
        batcher.start()
        running = asyncio.ensure_future(batcher.score([Statement("We agree.")]))
        await asyncio.sleep(0.1)
        waiting = [asyncio.ensure_future(batcher.score([Statement("We agree.")])) for _ in range(2)]
        await asyncio.sleep(0.05)
        began = time.monotonic()
        with pytest.raises(QueueFullError) as full:
            await batcher.score([Statement("We agree.")])
        assert time.monotonic() - began < 0.1 and full.value.retry_after_s >= 1
        waiting[0].cancel()
        await asyncio.sleep(0)
        assert batcher.queued_tokens == 10
        slow.go.set()
        await asyncio.gather(running, waiting[1])
        await batcher.stop()
        assert slow.batches == [1, 1], "what was cancelled was not run"

    asyncio.run(run())


def test_a_failure_reaches_its_requests_and_the_queue_goes_on() -> None:
    async def run() -> None:
        slow = Slow()
        slow.go.set()
        batcher = Batcher(slow.score_many, max_batch_tokens=1, max_queue_tokens=100)
        batcher.start()
        with pytest.raises(RuntimeError, match="the model failed"):
            await batcher.score([Statement("fail")])
        with pytest.raises(ZeroDivisionError):
            await batcher.run(lambda: 1 // 0, 10)
        assert await batcher.run(lambda: 7, 10) == 7
        assert len(await batcher.score([Statement("We agree.")])) == 1
        assert await batcher.score([]) == []
        await batcher.stop()

    asyncio.run(run())


def test_stopping_finishes_what_was_accepted() -> None:
    async def run() -> None:
        slow = Slow()
        batcher = Batcher(slow.score_many, max_batch_tokens=10, max_queue_tokens=100)
        batcher.start()
        waiting = [asyncio.ensure_future(batcher.score([Statement("We agree.")])) for _ in range(3)]
        await asyncio.sleep(0.05)
        stopping = asyncio.ensure_future(batcher.stop())
        await asyncio.sleep(0.05)
        with pytest.raises(StoppedError):
            await batcher.score([Statement("We agree.")])
        slow.go.set()
        assert [len(scores) for scores in await asyncio.gather(*waiting)] == [1, 1, 1]
        await stopping

    asyncio.run(run())


def test_a_request_that_takes_too_long_is_answered(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    score_many = classifier.score_many
    monkeypatch.setattr(classifier, "score_many", lambda found: (gate.wait(5), score_many(found))[1])
    with TestClient(make_app(Settings(timeout_s=0.3), classifier)) as client:
        answer = client.post("/v1/score", json={"statements": [{"text": "We agree."}]})
        gate.set()
    assert answer.status_code == 504 and "0.3 s" in answer.json()["error"]


def test_the_readme_lists_every_setting() -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    assert [name for name in Settings.model_fields if f"DETENTE_{name.upper()}" not in readme] == []


# Keys and feedback

CORRECTION = {"text": "They have lied to us.", "speaker": "Chile", "counterpart": "Peru", "stance": "against"}


def test_a_correction_is_in_the_database(classifier: Classifier, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'kept.sqlite'}"
    with TestClient(make_app(Settings(database_url=url), classifier)) as client:
        answer = client.post("/v1/feedback", json={**CORRECTION, "note": "a <b>note</b>"})
        assert answer.status_code == 201, answer.text
        assert client.post("/v1/feedback", json={"text": "Nothing is corrected."}).status_code == 422
        assert client.post("/v1/feedback", json={**CORRECTION, "stance": "angry"}).status_code == 422
    database = Database.open(url)
    (kept,) = database.list_feedback()
    database.close()
    assert (kept.id, kept.stance, kept.author, kept.note) == (
        answer.json()["id"],
        "against",
        "anonymous",
        "a <b>note</b>",
    )
    assert kept.model_version == classifier.manifest.model_version


def test_keys_are_asked_for_and_can_be_revoked(
    classifier: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serve.access._KNOWN_S", 0.0)
    url = f"sqlite:///{tmp_path / 'kept.sqlite'}"
    database = Database.open(url)
    secret = database.make_key("the desk", is_editor=True)
    with TestClient(make_app(Settings(database_url=url, require_key=True), classifier)) as client:
        assert client.get("/healthz").status_code == 200
        refused = client.get("/v1/model")
        assert refused.status_code == 401 and refused.headers["www-authenticate"] == "Bearer"
        assert client.get("/v1/model", headers={"authorization": "Bearer dtn_wrong"}).status_code == 401
        right = {"authorization": f"Bearer {secret}"}
        assert client.get("/v1/model", headers=right).status_code == 200
        assert client.post("/v1/feedback", json=CORRECTION, headers=right).status_code == 201
        database.revoke_key(database.list_keys()[0].id)
        assert client.get("/v1/model", headers=right).status_code == 401
    (kept,) = database.list_feedback()
    database.close()
    assert (kept.author, kept.is_editor) == ("the desk", True)


def test_too_many_requests_are_refused(classifier: Classifier) -> None:
    with TestClient(make_app(Settings(requests_per_minute=3), classifier)) as client:
        answers = [client.get("/v1/model") for _ in range(4)]
        assert [a.status_code for a in answers] == [200, 200, 200, 429]
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 20
        assert client.get("/healthz").status_code == 200


def test_scoring_goes_on_while_the_database_is_away(classifier: Classifier, tmp_path: Path) -> None:
    block = tmp_path / "folder"
    block.write_text("a file where the database's folder should be", encoding="utf-8")
    settings = Settings(database_url=f"sqlite:///{block / 'kept.sqlite'}")
    with TestClient(make_app(settings, classifier)) as client:
        refused = client.post("/v1/feedback", json=CORRECTION)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        assert client.post("/v1/score", json={"statements": [{"text": "We agree."}]}).status_code == 200
        block.unlink()
        assert client.post("/v1/feedback", json=CORRECTION).status_code == 201


def test_keys_by_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("DETENTE_DATABASE_URL", f"sqlite:///{tmp_path / 'kept.sqlite'}")

    def run(*arguments: str) -> str:
        monkeypatch.setattr("sys.argv", ["serve", "keys", *arguments])
        with pytest.raises(SystemExit) as stopped:
            serve_main()
        out, error = capsys.readouterr()
        return f"{stopped.value.code} {out}{error}"

    made = run("add", "the desk")
    assert made.startswith("0 dtn_")
    listed = run("list")
    assert "the desk" in listed and made.split()[1] not in listed
    key_id = listed.split()[1]
    assert run("revoke", key_id).startswith("0")
    assert "revoked" in run("list") and "no valid key" in run("revoke", key_id)


@pytest.mark.usefixtures("classifier")
def test_the_service_answers_as_its_document_says(tmp_path: Path) -> None:
    """No 500, no undocumented answer, nothing accepted that the schema forbids (schemathesis)."""
    pytest.importorskip("schemathesis", reason="the document is tested with schemathesis, of the extra dev")
    config = tmp_path / "schemathesis.toml"
    # A body beyond the limit is refused with 413. That a statement is not blank and that a correction has a label is
    # checked by the package, and no schema says it: positive_data_acceptance would call these 422 a mistake.
    config.write_text(
        '[checks.negative_data_rejection]\nexpected-statuses = ["400", "401", "405", "413", "422"]\n', encoding="utf-8"
    )
    server = Server(tmp_path)
    program = Path(sys.executable).with_name("schemathesis")
    command = [program, "--config-file", config, "run", f"{server.url}/openapi.json", "--seed", "1", "--no-color"]
    options = ["--max-examples", "25", "--exclude-checks", "positive_data_acceptance"]
    try:
        done = subprocess.run([*command, *options], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    finally:
        server.stop()
    assert done.returncode == 0, done.stdout[:200] + done.stdout[-1_500:]
    assert "Tested: 8" in done.stdout
