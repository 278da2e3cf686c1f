"""The web demo: what people see of the service. It asks the same queue as the REST routes, and computes nothing."""

import asyncio
import atexit
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final

import gradio as gr
from fastapi import FastAPI, HTTPException, Request

from detente import Score, Statement, StatementError, __version__
from detente.article.documents import load_document
from detente.article.ledger import plot_dyad, read_ledger
from detente.inputs import read_rows
from detente.labels import HEADS
from detente.table import (
    ERROR_COLUMN,
    SCORE_COLUMNS,
    TABLE_SUFFIXES,
    encode_header,
    encode_rows,
    join_scores,
    to_statement,
    to_values,
)
from serve import render
from serve.access import Caller
from serve.batching import QueueFullError, StoppedError
from serve.routes import Service

PATH: Final = "/demo"
_CHUNK_ROWS: Final = 128
_KEEP_FILES_S: Final = 3_600
_ROOT: Final = Path(__file__).parent.parent
_UNJUDGED: Final = "not judged"
_STATEMENTS: Final = _ROOT / "data" / "examples" / "statements.csv"
_ARTICLE: Final = _ROOT / "data" / "examples" / "article.txt"
_REFUSALS: Final = (HTTPException, StatementError)
"""Why a person gets no result."""


def mount_demo(app: FastAPI, find: Callable[[], Service | None], max_upload_bytes: int) -> None:
    """Puts the demo, its API and its MCP server under ``/demo``.

    Args:
        app: The service.
        find: The running service; None before it has started.
        max_upload_bytes: Longest file.
    """
    _make_upload_folder()
    gr.mount_gradio_app(
        app,
        make_demo(find),
        PATH,
        max_file_size=max_upload_bytes,
        ssr_mode=False,
        run_history=False,
        mcp_server=True,
        footer_links=["api"],
        theme=gr.themes.Soft(
            primary_hue="blue",
            neutral_hue="slate",
            font=["system-ui", "Segoe UI", "sans-serif"],
            font_mono=["ui-monospace", "monospace"],
        ),
        css_paths=Path(__file__).parent / "demo.css",
    )


def _make_upload_folder() -> None:
    """A folder for uploaded files that nobody else reads, gone with the process; Gradio's own is one for all users."""
    if "GRADIO_TEMP_DIR" not in os.environ:
        os.environ["GRADIO_TEMP_DIR"] = folder = tempfile.mkdtemp(prefix="detente-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)


def make_demo(find: Callable[[], Service | None]) -> gr.Blocks:
    """The page, not yet mounted."""
    examples = [[row.values[name] for name in ("text", "speaker", "counterpart")] for row in read_rows(_STATEMENTS)]

    async def enter(request: gr.Request | None) -> tuple[Service, Caller]:
        service = find()
        if service is None or request is None:
            raise HTTPException(503, "the model is not loaded yet: try again in a second")
        return service, await service.admit(_unwrap(request))

    # What agents call, by Gradio's API or by MCP.

    async def score(text: str, speaker: str = "", counterpart: str = "", request: gr.Request | None = None) -> Any:
        """Scores one statement: the speaker's stance toward the counterpart, the hostility shown, and the sentiment.

        Args:
            text: A clause, a sentence or a short passage, in English.
            speaker: The party whose attitude is scored, such as Iran; empty for the author.
            counterpart: The party toward whom, such as United States; empty for whomever it is about.
        """
        try:
            service, _ = await enter(request)
            return (await service.wait(service.batcher.score([_state(text, speaker, counterpart)])))[0].to_dict()
        except _REFUSALS as error:
            raise gr.Error(_say(error)) from error

    async def explain(text: str, speaker: str = "", counterpart: str = "", request: gr.Request | None = None) -> Any:
        """Says which words moved the stance and the hostility of one statement, and by how much.

        Args:
            text: A clause, a sentence or a short passage, in English.
            speaker: The party whose attitude is scored; empty for the author.
            counterpart: The party toward whom; empty for whomever it is about.
        """
        try:
            service, _ = await enter(request)
            found = await service.wait(service.explain(_state(text, speaker, counterpart)))
        except _REFUSALS as error:
            raise gr.Error(_say(error)) from error
        weights = {"stance": found.stance, "hostility": found.hostility}
        return {
            "score": found.score.to_dict(),
            **{name: [{"word": w.word, "weight": w.weight} for w in words] for name, words in weights.items()},
        }

    async def read_article(article: str, date: str = "", request: gr.Request | None = None) -> Any:
        """Finds who says what about whom in a news article, scores each statement, and sums up each pair of parties.

        Args:
            article: The text of the article, in English.
            date: Its date, YYYY-MM-DD; may be empty.
        """
        try:
            service, _ = await enter(request)
            return (await service.wait(service.read(article, date or None))).to_dict()
        except _REFUSALS as error:
            raise gr.Error(_say(error)) from error

    # What the tabs call.

    async def show_score(text: str, speaker: str, counterpart: str, request: gr.Request) -> tuple[Any, ...]:
        try:
            statement = _state(text, speaker, counterpart)
            service, _ = await enter(request)
            found = await service.wait(service.explain(statement))
        except _REFUSALS as error:
            return render.show_error(_say(error)), "", None, gr.update(visible=False)
        shown = render.show_score(statement, found.score, service.model_version)
        kept = (statement.text, statement.speaker, statement.counterpart)
        return shown, render.show_words(statement, found), kept, gr.update(visible=True)

    async def correct(
        kept: tuple[str, str | None, str | None] | None,
        stance: str,
        hostility: str,
        sentiment: str,
        note: str,
        request: gr.Request,
    ) -> str:
        if kept is None:
            return render.show_error("score a statement first")
        labels = dict(zip(HEADS, (stance, hostility, sentiment), strict=True))
        given = {head: None if label == _UNJUDGED else label for head, label in labels.items()}
        text, speaker, counterpart = kept
        try:
            service, caller = await enter(request)
            values = {"text": text, "speaker": speaker, "counterpart": counterpart, **given, "note": note or None}
            stored = await service.keep_feedback(values, caller)
        except HTTPException as error:
            return render.show_error(_say(error))
        return render.show_notice(f"Thank you. The correction is kept as {stored.id}.")

    async def show_article(text: str, date: str, request: gr.Request) -> tuple[str, str, str]:
        try:
            service, _ = await enter(request)
            reading = await service.wait(service.read(text, date.strip() or None))
        except _REFUSALS as error:
            return render.show_error(_say(error)), "", ""
        return render.show_article(reading), render.show_dyads(reading), render.list_statements(reading)

    def load_article(path: str | None) -> tuple[Any, Any, str]:
        if path is None:
            return gr.update(), gr.update(), ""
        try:
            document = load_document(Path(path))
        except (OSError, ValueError) as error:
            return gr.update(), gr.update(), render.show_error(str(error))
        if document.problem:
            return gr.update(), gr.update(), render.show_error(document.problem)
        return document.text, str(document.date or ""), render.show_notice(f"{document.id} is loaded: press Read.")

    async def score_file(path: str | None, request: gr.Request) -> AsyncIterator[tuple[Any, str, Any]]:
        hidden = gr.update(visible=False)
        if path is None:
            yield render.show_error("choose a file first"), "", hidden
            return
        failures: list[tuple[int, str]] = []
        began = time.monotonic()
        suffix = ".jsonl" if path.lower().endswith(".jsonl") else ".csv"
        out = Path(tempfile.mkdtemp(dir=Path(path).parent)) / f"{Path(path).stem}.scores{suffix}"
        try:
            service, _ = await enter(request)
            rows = await asyncio.to_thread(read_rows, Path(path))
            yield render.show_progress(0, len(rows), 0, 0), "", hidden
            names = tuple(dict.fromkeys([*(n for row in rows for n in row.values), *SCORE_COLUMNS, ERROR_COLUMN]))
            with out.open("wb") as stream:
                stream.write(encode_header(suffix, names))
                for begin in range(0, len(rows), _CHUNK_ROWS):
                    chunk = rows[begin : begin + _CHUNK_ROWS]
                    read = [to_statement(row) for row in chunk]
                    scores = await _score_patiently(service, [s for s in read if isinstance(s, Statement)])
                    scored = join_scores(chunk, read, scores)
                    stream.write(encode_rows(suffix, names, [to_values(row, result) for row, result in scored]))
                    failures += [
                        (number, result)
                        for number, (_, result) in enumerate(scored, begin + 1)
                        if isinstance(result, str)
                    ]
                    done = begin + len(chunk)
                    rate = done / max(time.monotonic() - began, 1e-3)
                    yield render.show_progress(done, len(rows), len(failures), rate), "", hidden
        except (*_REFUSALS, StoppedError, ModuleNotFoundError, OSError) as error:
            yield render.show_error(_say(error)), "", hidden
            return
        took = time.monotonic() - began
        summary = f"{len(rows):,} rows in {took:.1f} s, {len(failures):,} with an error. The scores are ready."
        shown = gr.update(value=str(out), visible=True)
        yield render.show_notice(summary), render.show_failures(failures), shown

    def load_ledger(path: str | None) -> tuple[Any, str]:
        if path is None:
            return gr.update(choices=[], value=None), ""
        try:
            names = render.list_dyads(read_ledger(Path(path)))
        except (ValueError, OSError) as error:
            return gr.update(choices=[], value=None), render.show_error(f"{Path(path).name} is no ledger: {error}")
        if not names:
            return gr.update(choices=[], value=None), render.show_error("the ledger has no dated entry")
        return gr.update(choices=names, value=names[0]), ""

    def show_dyad(path: str | None, name: str | None) -> tuple[Any, str]:
        if path is None or not name:
            return gr.update(value=None, visible=False), render.show_empty("Upload a ledger to see a dyad over time.")
        speaker, _, counterpart = name.partition(" → ")
        picture = Path(tempfile.mkdtemp(dir=Path(path).parent)) / "dyad.png"
        try:
            changes = plot_dyad(read_ledger(Path(path)), speaker, counterpart, picture)
        except (ValueError, OSError) as error:
            return gr.update(value=None, visible=False), render.show_error(str(error))
        said = f"Changes of level: {', '.join(changes)}." if changes else "No change of level was found."
        return gr.update(value=str(picture), visible=True), render.show_notice(said)

    with gr.Blocks(title="detente", analytics_enabled=False, delete_cache=(_KEEP_FILES_S, _KEEP_FILES_S)) as demo:
        gr.Markdown("# detente\nWho is hostile to whom: the stance, hostility and sentiment of statements.")
        with gr.Tab("Statement"):
            kept = gr.State(None)
            with gr.Row():
                with gr.Column():
                    text = gr.Textbox(examples[0][0], label="Statement", lines=3, max_lines=12)
                    speaker = gr.Textbox(examples[0][1], label="Speaker", info="Empty: the author")
                    counterpart = gr.Textbox(examples[0][2], label="Counterpart", info="Empty: whomever it is about")
                    with gr.Row():
                        go = gr.Button("Score", variant="primary", elem_id="score")
                        swap = gr.Button("Swap direction", elem_id="swap")
                with gr.Column():
                    shown = gr.HTML(render.show_empty("Press Score to see stance, hostility and sentiment."))
                    words = gr.HTML()
                    with gr.Accordion("Correct this", open=False, visible=False, elem_id="correct") as correction:
                        gr.Markdown("What should it say? Leave what you do not judge.")
                        choices = [
                            gr.Dropdown([_UNJUDGED, *HEADS[head]], value=_UNJUDGED, label=f"Right {head}")
                            for head in HEADS
                        ]
                        note = gr.Textbox(label="Note", lines=2)
                        send = gr.Button("Wrong: send the correction", elem_id="send")
                        sent = gr.HTML()
            gr.Examples(examples, [text, speaker, counterpart], examples_per_page=6, api_visibility="private")
            outputs = [shown, words, kept, correction]
            for trigger in (go.click, text.submit, speaker.submit, counterpart.submit):
                trigger(show_score, [text, speaker, counterpart], outputs, api_visibility="private")
            swap.click(
                lambda a, b: (b, a), [speaker, counterpart], [speaker, counterpart], api_visibility="private"
            ).then(show_score, [text, speaker, counterpart], outputs, api_visibility="private")
            send.click(correct, [kept, *choices, note], sent, api_visibility="private")
        with gr.Tab("Article"):
            article = gr.Textbox(load_document(_ARTICLE).text, label="Article", lines=8, max_lines=20)
            with gr.Row():
                date = gr.Textbox(label="Date", info="YYYY-MM-DD, may be empty")
                upload = gr.File(label="or a .txt, .md or .html file", file_types=[".txt", ".md", ".html"], height=160)
            loaded = gr.HTML()
            go_read = gr.Button("Read", variant="primary", elem_id="read")
            marked = gr.HTML(render.show_empty("Press Read: each statement is marked in the colour of its speaker."))
            heat = gr.HTML()
            table = gr.HTML()
            upload.change(load_article, upload, [article, date, loaded], api_visibility="private")
            go_read.click(show_article, [article, date], [marked, heat, table], api_visibility="private")
        with gr.Tab("File"):
            gr.Markdown(
                "A table with the column `text`, and if you have them `speaker` and `counterpart`; the first row "
                "of a CSV names the columns. Other columns are kept. A row that cannot be scored says why and stops "
                "no other."
            )
            source = gr.File(label="CSV, TSV, JSONL, Parquet or Arrow", file_types=list(TABLE_SUFFIXES), height=160)
            with gr.Row():
                go_file = gr.Button("Score the file", variant="primary", elem_id="score-file")
                cancel = gr.Button("Cancel", elem_id="cancel-file")
            progress = gr.HTML(render.show_empty("Choose a file, then press Score the file."))
            failures = gr.HTML()
            download = gr.DownloadButton("Download the scores", visible=False, elem_id="download")
            running = go_file.click(score_file, source, [progress, failures, download], api_visibility="private")
            cancel.click(None, None, None, cancels=[running], api_visibility="private").then(
                lambda: render.show_notice("Cancelled. Nothing is kept of this run."),
                None,
                progress,
                api_visibility="private",
            )
        with gr.Tab("Over time"):
            gr.Markdown("A ledger of dyads by day, made by `detente read FOLDER -o OUT`: `ledger.jsonl` or `.parquet`.")
            ledger = gr.File(label="Ledger", file_types=[".jsonl", ".parquet"], height=160)
            problem = gr.HTML()
            dyad = gr.Dropdown([], label="Dyad", interactive=True)
            picture = gr.Image(label="Stance and hostility over time", visible=False, interactive=False)
            changes = gr.HTML(render.show_empty("Upload a ledger to see a dyad over time."))
            ledger.change(load_ledger, ledger, [dyad, problem], api_visibility="private").then(
                show_dyad, [ledger, dyad], [picture, changes], api_visibility="private"
            )
            dyad.input(show_dyad, [ledger, dyad], [picture, changes], api_visibility="private")
        with gr.Tab("About"):
            about = gr.Markdown()
        for call in (score, explain, read_article):
            gr.api(call, api_name=call.__name__, queue=False)  # or MCP would call itself over HTTP, without the key
        demo.load(lambda: _describe(find()), None, about, api_visibility="private")
    # the service's own queue is bounded; Gradio's would let one caller of each function in at a time
    demo.queue(default_concurrency_limit=None)
    return demo


def _unwrap(request: gr.Request | Request) -> Request:
    """The web request: Gradio wraps it, but not for MCP."""
    found = request if isinstance(request, Request) else request.request
    assert isinstance(found, Request)
    return found


def _say(error: Exception) -> str:
    """Why something was refused, for people."""
    return str(error.detail if isinstance(error, HTTPException) else error)


def _state(text: str, speaker: str, counterpart: str) -> Statement:
    return Statement(text or "", (speaker or "").strip() or None, (counterpart or "").strip() or None)


async def _score_patiently(service: Service, statements: list[Statement]) -> list[Score]:
    """Scores of a file's rows: where a request is refused, a file waits its turn."""
    while True:
        try:
            return await service.batcher.score(statements)
        except QueueFullError as error:
            await asyncio.sleep(error.retry_after_s)


def _describe(service: Service | None) -> str:
    """Versions and limits, and the model card where the checkout has one."""
    if service is None:
        return "The model is not loaded yet: reload the page."
    versions = f"detente {__version__} · model {service.model_version} · {service.classifier.backend}"
    limits = service.settings
    said = (
        f"**{versions}**\n\nA request may take {limits.timeout_s:g} s and hold {limits.max_statements:,} statements. "
        "Texts are not logged; a correction is kept with its text."
    )
    card = _ROOT / "MODEL_CARD.md"
    body = card.read_text(encoding="utf-8") if card.is_file() else "The model card is not beside this installation."
    if body.startswith("---"):  # settings of a model hub
        body = body.split("---", 2)[2]
    return f"{said}\n\n{body}"
