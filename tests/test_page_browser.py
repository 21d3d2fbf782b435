"""The page in a browser, if there is one: nothing asks the network, filters, sorting and copying work."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from report_rows import OTHER, frame_of, peer, row

from suite.report.page import Extra, page

playwright = pytest.importorskip(
    "playwright.sync_api", reason="no playwright, expected it after: pip install playwright"
)

_CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytestmark = pytest.mark.skipif(_CHROMIUM is None, reason="no chromium on the path")

#: A name that leaves no place to break it, and is wider than a phone.
_LONG = "small_" + "x" * 50
_ROWS = [
    row("auto", 0.1, family="auto", threads=n, network=network, reference="lib", ratio=0.5 / i, ratio_low=0.4 / i,
        ratio_high=0.6 / i)
    for n in (1, 2) for i, network in enumerate(("one", "two"), 1)
] + [
    *(row("mine", 0.11 * i, threads=n, network=network, family="winograd") for n in (1, 2)
      for i, network in enumerate(("one", "two"), 1)),
    *(peer("lib", 0.2 if network == "one" else 0.08, threads=n, network=network) for n in (1, 2)
      for network in ("one", "two")),
    row("mine", 3e-4, network="two", layer=_LONG, problem=OTHER), row("errs", None, status="wrong", reason="bad"),
]  # fmt: skip


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(page(frame_of(_ROWS), Extra(samples={0: [[0.1, 0.12], [0.11]]})), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=_CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def view(browser: Any, file: Path) -> Iterator[Any]:
    """The page, offline; what its console says or its scripts raise fails the test."""
    context = browser.new_context(offline=True, viewport={"width": 1200, "height": 900})
    said: list[str] = []
    opened = context.new_page()
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on(
        "request", lambda request: None if request.url.startswith(("file:", "data:")) else said.append(request.url)
    )
    opened.goto(file.as_uri())
    opened.wait_for_selector("html[data-ready]")
    yield opened
    context.close()
    assert said == []


def _layers(view: Any) -> list[str]:
    return view.locator("table.map tbody tr:visible th").all_inner_texts()  # type: ignore[no-any-return]


def test_filters_show_what_they_say_and_are_in_the_address(view: Any) -> None:
    # Of two numbers of threads the first is shown.
    assert _layers(view) == ["one/one", "two/one", f"two/{_LONG}", "net/one"]
    view.select_option("#filter-network", "two")
    assert _layers(view) == ["two/one", f"two/{_LONG}"] and "network=two" in view.url
    view.select_option("#filter-show", "lose")
    assert _layers(view) == ["two/one"] and "faster on 0 of 1" in view.inner_text("#told")
    view.get_by_text("reset", exact=True).click()
    view.select_option("#filter-show", "bad")
    assert _layers(view) == ["net/one"]
    view.get_by_text("reset", exact=True).click()
    view.select_option("#filter-contender", "mine")
    assert view.locator("table.map:visible th.v:visible").all_inner_texts() == ["mine"]
    view.get_by_text("reset", exact=True).click()
    view.select_option("#filter-circumstances", "1")
    assert _layers(view) == ["one/one", "two/one"]


def test_columns_sort_by_value_and_unit(view: Any) -> None:
    table = view.locator("#fastest table", has_text="small").first
    table.locator("th", has_text="time").first.click()
    times = [line.split("\t")[3] for line in table.locator("tbody tr").all_inner_texts()]
    assert times[0].endswith("us") and times[1].endswith("ms")


def test_tables_copy_as_csv_and_markdown(view: Any) -> None:
    view.context.grant_permissions(["clipboard-read", "clipboard-write"])
    section = view.locator("#networks")
    section.get_by_text("copy CSV").first.click()
    assert view.evaluate("navigator.clipboard.readText()").startswith("network,circumstances,layers,geomean speed-up")
    section.get_by_text("copy Markdown").first.click()
    assert view.evaluate("navigator.clipboard.readText()").startswith("| network | circumstances |")


def test_a_row_has_a_card_with_its_samples_and_its_command(view: Any) -> None:
    view.locator("table.map td.w").first.hover()
    card = view.locator("#tip")
    text = card.inner_text()
    assert "auto" in text and "100 ms" in text and "2.00x" not in text.split("ratio")[0]
    assert "convmark run --problem ic64ih56oc64kh3ph1 --contender auto --contender lib --threads 1" in text
    assert card.locator("circle").count() == 3


def test_a_layers_address_opens_it(view: Any, file: Path) -> None:
    view.goto(f"{file.as_uri()}#layer=two/one@2")
    view.wait_for_selector("html[data-ready]")
    opened = view.locator("details.layer[open]")
    assert opened.count() == 1 and "2 threads" in opened.inner_text()


def test_rows_are_downloaded_whole(view: Any) -> None:
    with view.expect_download() as download:
        view.locator("#downloads").get_by_text("rows.csv").click()
    text = Path(download.value.path()).read_text()
    assert len(text.splitlines()) == len(_ROWS) + 1 and text.startswith("run,machine,network")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_a_phone(browser: Any, file: Path, scheme: str) -> None:
    context = browser.new_context(offline=True, viewport={"width": 390, "height": 800}, color_scheme=scheme)
    view = context.new_page()
    view.goto(file.as_uri())
    view.wait_for_selector("html[data-ready]")
    view.evaluate("document.querySelectorAll('details').forEach((each) => (each.open = true))")
    assert view.evaluate("document.documentElement.scrollWidth") == 390
    background = view.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, background[4:-1].split(","))) > 380) == (scheme == "light")
    context.close()


def test_without_a_script_tables_and_plots_are_all_there(browser: Any, file: Path) -> None:
    context = browser.new_context(offline=True, java_script_enabled=False)
    view = context.new_page()
    view.goto(file.as_uri())
    assert view.locator("table.map:visible").count() == 2 and view.locator("svg.plot:visible").count() > 6
    assert not view.locator("#filters").is_visible()
    context.close()
