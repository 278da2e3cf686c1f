"""The demo in a real browser, every tab as a person uses it; its API and MCP server as agents do.

Screenshots go to build/screenshots: desktop and phone, light and dark.
"""

import ast
import json
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from conftest import ROOT

pytest.importorskip("gradio", reason="the demo needs the extra serve")

import anyio
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from service import Server

from detente import Statement
from detente.article.ledger import Entry
from detente.artifact import find_shipped
from detente.classifier import Classifier
from serve import render
from serve.database import Database

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

SHOTS = ROOT / "build" / "screenshots"
ODD = '<script>document.title="broken"</script><img src=x onerror=alert(1)> \u202eright to left 🙂 \'; DROP TABLE x; --'
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
TABS = ("Statement", "Article", "File", "Over time", "About")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if not (find_shipped() / "config.json").is_file():
        pytest.skip("detente/weights has no model")
    server = Server(tmp_path_factory.mktemp("demo"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    api = pytest.importorskip("playwright.sync_api", reason="browser tests need playwright")
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("browser tests need Debian's chromium: apt-get install chromium")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(server: Server, browser: "Browser", request: pytest.FixtureRequest) -> Iterator["Page"]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(20_000)
    outside: list[str] = []
    page.on(
        "request", lambda r: outside.append(r.url) if not r.url.startswith((server.url, "data:", "blob:")) else None
    )
    page.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
    page.goto(f"{server.url}/")
    page.get_by_role("heading", name="detente").wait_for()
    yield page
    page.screenshot(path=SHOTS / f"last-{request.node.name}.png", full_page=True)  # what a failed test saw
    assert not outside, f"the page asks other machines: {outside[:3]}"
    context.close()


def open_tab(page: "Page", name: str) -> None:
    page.get_by_role("tab", name=name).click()
    page.wait_for_timeout(500)  # a tab is built when it is opened; nobody types sooner


def upload(page: "Page", panel: "Locator", path: Path) -> None:
    with page.expect_file_chooser() as chooser:
        panel.get_by_text("Click to Upload").click()
    chooser.value.set_files(path)
    panel.get_by_text(path.stem).first.wait_for()


# What is shown, without a browser


def test_every_text_is_escaped() -> None:
    classifier = Classifier.from_pretrained()
    statement = Statement(f"They have lied. {ODD}", "<b>A</b>", "<i>B</i>")
    explanation = classifier.explain(statement)
    shown = render.show_score(statement, explanation.score, "v") + render.show_words(statement, explanation)
    reading = classifier.read(f'"They have lied to us," Chile said of Peru. {ODD}')
    shown += render.show_article(reading) + render.show_dyads(reading) + render.show_error(ODD)
    assert "<script" not in shown and "<img" not in shown and "<b>A" not in shown and "<i>B" not in shown
    assert "&lt;script&gt;" in shown


# Agents


TOOLS = ["explain", "read_article", "score"]


async def score_by_mcp(url: str, headers: dict[str, str]) -> tuple[list[str], Any]:
    """The names of the tools, and what one of them says."""
    arguments = {"text": "They have lied to us for years.", "speaker": "Chile", "counterpart": "Peru"}
    async with (
        httpx.AsyncClient(headers=headers, timeout=30) as http,
        streamable_http_client(f"{url}/demo/gradio_api/mcp/", http_client=http) as (get, put, _),
        ClientSession(get, put) as session,
    ):
        await session.initialize()
        names = sorted(tool.name for tool in (await session.list_tools()).tools)
        return names, (await session.call_tool("score", arguments)).content[0]


def test_mcp_lists_the_tools_and_scores(server: Server) -> None:
    names, content = anyio.run(score_by_mcp, server.url, {})
    assert names == TOOLS
    expected = Classifier.from_pretrained().score("They have lied to us for years.", "Chile", "Peru")
    assert ast.literal_eval(content.text)["stance"] == pytest.approx(expected.stance, abs=1e-6)


def test_the_api_gives_the_same_numbers_as_python(server: Server) -> None:
    from gradio_client import Client

    client = Client(f"{server.url}/demo/", verbose=False)
    try:
        found = client.predict("They have lied to us for years.", "Chile", "Peru", api_name="/score")
    finally:
        client.close()
    expected = Classifier.from_pretrained().score("They have lied to us for years.", "Chile", "Peru")
    assert found["stance"] == pytest.approx(expected.stance, abs=1e-6)
    assert found["hostility_level"] == expected.hostility_level


def test_with_keys_the_demo_asks_for_one_and_counts_by_it(tmp_path: Path) -> None:
    server = Server(tmp_path, REQUIRE_KEY="true", REQUESTS_PER_MINUTE="1")
    try:
        database = Database.open(server.database_url)
        key = database.make_key("Ana")
        database.close()
        url = f"{server.url}/demo/config"
        refused = httpx.get(url, headers={"Accept": "text/html"})
        assert refused.status_code == 401 and refused.headers["WWW-Authenticate"] == "Basic"  # the browser asks
        assert httpx.get(url, headers={"Authorization": "Bearer wrong"}).status_code == 401
        for path in ("mcp/", "mcp/schema", "info", "call/score", "upload", "queue/join", "startup-events"):
            assert httpx.post(f"{server.url}/demo/gradio_api/{path}", json={}).status_code == 401, path
            assert httpx.get(f"{server.url}/demo/gradio_api/{path}").status_code == 401, path
        kept = httpx.post(
            f"{server.url}/demo/gradio_api/upload", files={"files": ("a.csv", b"text")}, auth=("ana", key)
        )
        (path,) = map(Path, kept.json())
        assert path.is_relative_to(server.temporary) and path.read_bytes() == b"text"
        names, content = anyio.run(score_by_mcp, server.url, {"Authorization": f"Bearer {key}"})
        assert names == TOOLS and "stance" in content.text
        _, content = anyio.run(score_by_mcp, server.url, {"Authorization": f"Bearer {key}"})
        assert "more than 1 requests a minute" in content.text  # counted by key, as for the routes
        assert httpx.get(url, headers={"Authorization": f"Bearer {key}"}).status_code == 200
        assert httpx.get(url, auth=("ana", key)).status_code == 200
    finally:
        server.stop()
    assert not path.exists()


# People


def test_a_statement_is_scored_swapped_and_corrected(page: "Page", server: Server) -> None:
    page.locator("#score").click()
    page.get_by_label("Score", exact=True).get_by_text("Iran").wait_for()
    first = page.locator(".dt-score").inner_text()
    assert "United States" in first and "Hostility" in first and "Sentiment" in first
    assert page.locator("ol.dt-levels li").count() == 5
    assert page.locator(".dt-text .dt-counterpart").inner_text() == "the US"
    page.locator("#swap").click()
    page.locator(".dt-score h3", has_text=re.compile("^United States")).wait_for()
    assert page.get_by_label("Speaker").input_value() == "United States"
    page.locator("#correct").get_by_text("Correct this").click()
    page.get_by_label("Right stance").click()
    page.get_by_role("option", name="neutral").click()
    page.get_by_label("Note").fill(ODD)
    page.locator("#send").click()
    page.get_by_text("The correction is kept as").wait_for()
    database = Database.open(server.database_url)
    last = database.list_feedback()[-1]
    database.close()
    assert (last.speaker, last.counterpart, last.stance, last.note) == ("United States", "Iran", "neutral", ODD)


def test_a_blank_statement_is_refused_in_words(page: "Page") -> None:
    page.get_by_label("Statement").first.fill(" ")
    page.locator("#score").click()
    page.get_by_role("alert").get_by_text("text is empty").wait_for()


def test_odd_texts_are_shown_and_harmless(page: "Page") -> None:
    page.get_by_label("Statement").first.fill(ODD)
    page.get_by_label("Speaker").fill("<b>x</b>")
    page.locator("#score").click()
    page.locator(".dt-score h3", has_text="<b>x</b>").wait_for()
    open_tab(page, "Article")
    page.get_by_label("Article", exact=True).first.fill(f'"They have lied," Chile said of Peru. {ODD}')
    page.locator("#read").click()
    page.locator(".dt-article").get_by_text("DROP TABLE").wait_for()
    assert page.title() != "broken"


def test_an_article_is_read(page: "Page", tmp_path: Path) -> None:
    open_tab(page, "Article")
    page.locator("#read").click()
    page.locator(".dt-article mark").first.wait_for()
    assert page.locator(".dt-heat tbody tr").count() >= 1
    assert "This was a petty act" in page.locator(".dt-article").inner_text()
    (tmp_path / "news.txt").write_text('"We thank Kenya," the minister of Norway said.', encoding="utf-8")
    upload(page, page.get_by_role("tabpanel").filter(has=page.locator("#read")), tmp_path / "news.txt")
    page.get_by_text("news.txt is loaded").wait_for()
    page.locator("#read").click()
    page.locator(".dt-article").get_by_text("Kenya").first.wait_for()


def test_a_file_is_scored_and_downloaded(page: "Page", tmp_path: Path) -> None:
    open_tab(page, "File")
    rows = ["text,speaker,counterpart,id", *(f"They have lied to us {k} times.,Chile,Peru,{k}" for k in range(300))]
    (tmp_path / "in.csv").write_text("\n".join([*rows, ",Chile,Peru,bad"]), encoding="utf-8")
    panel = page.get_by_role("tabpanel").filter(has=page.locator("#score-file"))
    upload(page, panel, tmp_path / "in.csv")
    page.locator("#score-file").click()
    page.get_by_text("The scores are ready").wait_for()
    page.get_by_text("row 301").wait_for()
    with page.expect_download() as download:
        page.locator("#download").click()
    lines = Path(download.value.path()).read_text(encoding="utf-8").splitlines()
    assert len(lines) == 302 and lines[0].startswith("text,speaker,counterpart,id,stance")
    assert "text is empty" in lines[-1]


def test_a_running_file_is_cancelled(page: "Page", tmp_path: Path) -> None:
    open_tab(page, "File")
    rows = [
        "text",
        *(f"They have lied to us {k} times, and we are still waiting for an answer." for k in range(20_000)),
    ]
    (tmp_path / "long.csv").write_text("\n".join(rows).replace(", and", "; and"), encoding="utf-8")
    panel = page.get_by_role("tabpanel").filter(has=page.locator("#score-file"))
    upload(page, panel, tmp_path / "long.csv")
    page.locator("#score-file").click()
    page.get_by_label("Rows scored").wait_for()
    page.locator("#cancel-file").click()
    page.get_by_text("Cancelled").wait_for()
    time.sleep(1)
    assert page.get_by_text("Cancelled").is_visible() and not page.get_by_label("Rows scored").is_visible()


def test_a_long_file_keeps_nobody_waiting(server: Server, page: "Page", tmp_path: Path) -> None:
    other = page.context.new_page()
    other.goto(f"{server.url}/demo/")
    for tab, name, rows in ((page, "long.csv", 20_000), (other, "short.csv", 3)):
        open_tab(tab, "File")
        text = "They have lied to us for years; we are still waiting for an answer."
        (tmp_path / name).write_text("\n".join(["text", *(f"{k}: {text}" for k in range(rows))]), encoding="utf-8")
        upload(tab, tab.get_by_role("tabpanel").filter(has=tab.locator("#score-file")), tmp_path / name)
        tab.locator("#score-file").click()
        tab.get_by_label("Rows scored").or_(tab.get_by_text("The scores are ready")).first.wait_for()
    other.get_by_text("The scores are ready").wait_for(timeout=10_000)
    assert page.get_by_label("Rows scored").is_visible()
    page.locator("#cancel-file").click()
    page.get_by_text("Cancelled").wait_for()


def test_a_dyad_is_drawn_over_time(page: "Page", tmp_path: Path) -> None:
    entries = [
        Entry(f"2026-03-{d:02d}", "Chile", "Peru", 3, 2, s, s - 0.1, s + 0.1, h, h - 0.05, h + 0.05, h, "v")
        for d in range(1, 25)
        for s, h in [((0.5, 0.1) if d < 12 else (-0.6, 0.6))]
    ]
    (tmp_path / "ledger.jsonl").write_text("\n".join(json.dumps(asdict(e)) for e in entries), encoding="utf-8")
    open_tab(page, "Over time")
    panel = page.get_by_role("tabpanel").filter(has=page.get_by_text("A ledger of dyads by day"))
    upload(page, panel, tmp_path / "ledger.jsonl")
    page.get_by_text("Changes of level: 2026-03-12").wait_for()
    panel.locator("img").first.wait_for()


def test_the_model_card_is_shown(page: "Page") -> None:
    open_tab(page, "About")
    page.get_by_text("Texts are not logged").wait_for()
    assert re.search("(?i)not be used", page.locator("body").inner_text())


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_tab_fits_and_is_photographed(server: Server, browser: "Browser", size: str, theme: str) -> None:
    width, height = SIZES[size]
    context = browser.new_context(viewport={"width": width, "height": height})
    page = context.new_page()
    page.set_default_timeout(20_000)
    page.goto(f"{server.url}/demo/?__theme={theme}")
    page.locator("#score").click()
    page.locator(".dt-score h3").wait_for()
    for name in TABS:
        tab = page.get_by_role("tab", name=name)
        if not tab.is_visible():  # in the menu of a narrow screen
            page.locator(".overflow-menu button").first.click()
            tab = page.locator(".overflow-dropdown button", has_text=name)
        tab.click()
        if name == "Article":
            page.locator("#read").click()
            page.locator(".dt-heat").wait_for()
        page.wait_for_timeout(400)
        page.screenshot(path=SHOTS / f"{name.replace(' ', '-').lower()}-{size}-{theme}.png", full_page=True)
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, f"{name} is {wide} pixels wide on a screen of {width}"
    context.close()
