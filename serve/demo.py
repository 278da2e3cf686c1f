"""The web demo: what people see of the service. It asks the same queue as the REST routes, and computes nothing."""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, Final, TypeVar

import gradio as gr
from fastapi import FastAPI, HTTPException, Request

from detente import Explanation, Reading, Score, Statement, StatementError, __version__
from detente.article.documents import load_document
from detente.article.ledger import plot_dyad, read_ledger
from detente.labels import HEADS
from detente.table import TABLE_SUFFIXES, join_scores, open_writer, read_rows, to_statement, to_values
from serve import render
from serve.batching import QueueFullError, StoppedError
from serve.routes import Service

T = TypeVar("T")
PATH: Final = "/demo"
_CHUNK_ROWS: Final = 128
_KEEP_FILES_S: Final = 3_600
_ROOT: Final = Path(__file__).parent.parent
_UNJUDGED: Final = "not judged"
_EXAMPLES: Final = (
    ("Despite all their hostile outbursts, we still want good relations with the US.", "Iran", "United States"),
    ("Portugal warned Kenya that it would pay a heavy price.", "Portugal", "Kenya"),
    ("We condemn the strike on Sudan and stand with its people.", "Brazil", "Sudan"),
    ("The so-called government in that capital is a gang of thieves and killers.", "Chile", "Peru"),
    ("The minister will meet her Dutch counterpart on Thursday to discuss fisheries.", "Iceland", "Netherlands"),
)
_ARTICLE: Final = (
    "Chile closed two ports to Peruvian ferries on Monday.\n\n"
    '"They have lied to us for years, and our patience is at an end," Chile\'s minister Ana Ruiz said.\n\n'
    "Peru said it regretted the decision and would welcome new talks with Chile. "
    "Brazil thanked both governments for their restraint."
)


def mount_demo(app: FastAPI, find: Callable[[], Service | None], max_upload_bytes: int) -> None:
    """Puts the demo, its API and its MCP server under ``/demo``.

    Args:
        app: The service.
        find: The running service; None before it has started.
        max_upload_bytes: Longest file.
    """
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


class RefusedError(Exception):
    """What a person is told instead of a result."""


async def _ask(work: Coroutine[Any, Any, T], timeout_s: float) -> T:
    """What the queue returns, or why not; who stops waiting leaves it."""
    try:
        return await asyncio.wait_for(work, timeout_s)
    except (QueueFullError, StoppedError, StatementError) as error:
        raise RefusedError(str(error)) from error
    except TimeoutError as error:
        raise RefusedError(f"no answer within {timeout_s:g} s: send less at once, or try again later") from error


def make_demo(find: Callable[[], Service | None]) -> gr.Blocks:
    """The page, not yet mounted."""

    def here(request: gr.Request | None = None) -> Service:
        service = find()
        if service is None:
            raise RefusedError("the model is not loaded yet: try again in a second")
        host = request.client.host if request is not None and request.client else "unknown"
        if wait := service.rate_limit.take(host):
            raise RefusedError(f"too many requests: try again in {wait:.0f} s")
        return service

    async def get_score(service: Service, statement: Statement) -> Score:
        return (await _ask(service.batcher.score([statement]), service.settings.timeout_s))[0]

    async def get_explanation(service: Service, statement: Statement) -> Explanation:
        return await _ask(service.explain(statement), service.settings.timeout_s)

    async def get_reading(service: Service, text: str, date: str | None) -> Reading:
        return await _ask(service.read(text, date), service.settings.timeout_s)

    # What agents call, by Gradio's API or by MCP.

    async def score(text: str, speaker: str = "", counterpart: str = "", request: gr.Request | None = None) -> Any:
        """Scores one statement: the speaker's stance toward the counterpart, the hostility shown, and the sentiment.

        Args:
            text: A clause, a sentence or a short passage, in English.
            speaker: The party whose attitude is scored, such as Iran; empty for the author.
            counterpart: The party toward whom, such as United States; empty for whomever it is about.
        """
        try:
            return (await get_score(here(request), _state(text, speaker, counterpart))).to_dict()
        except (RefusedError, StatementError) as error:
            raise gr.Error(str(error)) from error

    async def explain(text: str, speaker: str = "", counterpart: str = "", request: gr.Request | None = None) -> Any:
        """Says which words moved the stance and the hostility of one statement, and by how much.

        Args:
            text: A clause, a sentence or a short passage, in English.
            speaker: The party whose attitude is scored; empty for the author.
            counterpart: The party toward whom; empty for whomever it is about.
        """
        try:
            found = await get_explanation(here(request), _state(text, speaker, counterpart))
        except (RefusedError, StatementError) as error:
            raise gr.Error(str(error)) from error
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
            return (await get_reading(here(request), article, date or None)).to_dict()
        except (RefusedError, StatementError) as error:
            raise gr.Error(str(error)) from error

    # What the tabs call.

    async def show_score(text: str, speaker: str, counterpart: str, request: gr.Request) -> tuple[Any, ...]:
        try:
            statement = _state(text, speaker, counterpart)
            service = here(request)
            found = await get_explanation(service, statement)
        except (RefusedError, StatementError) as error:
            return render.show_error(str(error)), "", None, gr.update(visible=False)
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
            service = here(request)
            values = {"text": text, "speaker": speaker, "counterpart": counterpart, **given, "note": note or None}
            stored = await service.keep_feedback(values, await service.find_caller(_unwrap(request)))
        except HTTPException as error:
            return render.show_error(str(error.detail))
        except RefusedError as error:
            return render.show_error(str(error))
        return render.show_notice(f"Thank you. The correction is kept as {stored.id}.")

    async def show_article(text: str, date: str, request: gr.Request) -> tuple[str, str, str]:
        try:
            reading = await get_reading(here(request), text, date.strip() or None)
        except (RefusedError, StatementError) as error:
            return render.show_error(str(error)), "", ""
        return render.show_article(reading), render.show_dyads(reading), render.list_statements(reading)

    def load_article(path: str | None) -> tuple[Any, Any, str]:
        if path is None:
            return gr.update(), gr.update(), ""
        try:
            document = load_document(Path(path), Path(path).name)
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
        try:
            service = here(request)
            rows = await asyncio.to_thread(read_rows, Path(path))
        except (RefusedError, StatementError, ModuleNotFoundError) as error:
            yield render.show_error(str(error)), "", hidden
            return
        suffix = ".jsonl" if path.lower().endswith(".jsonl") else ".csv"
        out = Path(tempfile.mkdtemp(dir=Path(path).parent)) / f"{Path(path).stem}.scores{suffix}"
        failures: list[tuple[int, str]] = []
        began = time.monotonic()
        yield render.show_progress(0, len(rows), 0, 0), "", hidden
        with open_writer(out, rows) as write:
            for begin in range(0, len(rows), _CHUNK_ROWS):
                chunk = rows[begin : begin + _CHUNK_ROWS]
                read = [to_statement(row) for row in chunk]
                scores = await _score_patiently(service, [s for s in read if isinstance(s, Statement)])
                for number, (row, result) in enumerate(join_scores(chunk, read, scores), begin + 1):
                    write(to_values(row, result))
                    if isinstance(result, str):
                        failures.append((number, result))
                done = begin + len(chunk)
                rate = done / max(time.monotonic() - began, 1e-3)
                yield render.show_progress(done, len(rows), len(failures), rate), "", hidden
        took = time.monotonic() - began
        summary = f"{len(rows):,} rows in {took:.1f} s, {len(failures):,} with an error. The scores are ready."
        yield (
            render.show_notice(summary),
            render.show_failures(failures),
            gr.update(value=str(out), visible=True),
        )

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
                    text = gr.Textbox(_EXAMPLES[0][0], label="Statement", lines=3, max_lines=12)
                    speaker = gr.Textbox(_EXAMPLES[0][1], label="Speaker", info="Empty: the author")
                    counterpart = gr.Textbox(_EXAMPLES[0][2], label="Counterpart", info="Empty: whomever it is about")
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
            gr.Examples([list(e) for e in _EXAMPLES], [text, speaker, counterpart], api_visibility="private")
            outputs = [shown, words, kept, correction]
            for trigger in (go.click, text.submit, speaker.submit, counterpart.submit):
                trigger(show_score, [text, speaker, counterpart], outputs, api_visibility="private")
            swap.click(
                lambda a, b: (b, a), [speaker, counterpart], [speaker, counterpart], api_visibility="private"
            ).then(show_score, [text, speaker, counterpart], outputs, api_visibility="private")
            send.click(correct, [kept, *choices, note], sent, api_visibility="private")
        with gr.Tab("Article"):
            article = gr.Textbox(_ARTICLE, label="Article", lines=8, max_lines=20)
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
            source = gr.File(label="CSV, JSONL or Parquet", file_types=list(TABLE_SUFFIXES), height=160)
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
            gr.api(call, api_name=call.__name__)
        demo.load(lambda: _describe(find()), None, about, api_visibility="private")
    # the service's own queue is bounded; Gradio's would let one caller of each function in at a time
    demo.queue(default_concurrency_limit=None)
    return demo


def _unwrap(request: gr.Request) -> Request:
    """The web request below Gradio's."""
    found = request.request
    assert isinstance(found, Request)
    return found


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
