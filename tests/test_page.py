"""The page: what it has without a script, and that nothing is left out of it."""

from __future__ import annotations

import base64
import gzip
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from report_rows import OTHER, TEXT, frame_of, peer, row

from suite.report.comparisons import bests
from suite.report.gate import gate_html
from suite.report.load import load, together
from suite.report.page import Extra, page
from suite.report.plots import speedup_figure, strip_figure
from suite.report.svg import Scale
from suite.results.files import StoreError

_GATES = Path(__file__).parent.parent / "results" / "gate"

_ROWS = [
    row("auto", 0.1, family="auto", reason="chose mine"), row("mine", 0.1),
    row("refuses", None, status="skipped", reason="<no>"),
    row("errs", None, status="wrong", reason="5 | 6 differ"), row("raises", None, status="failed", reason="KeyError"),
    row("loud", 0.3, status="mistrusted", reason="disturbed"), peer("lib", 0.2),
    peer("gone", None, status="skipped", reason="install it"),
    row("mine", 0.4, layer="two", problem=OTHER, family="winograd"), peer("lib", 0.2, layer="two", problem=OTHER),
]  # fmt: skip

#: Elements that have no end tag, and those whose end tag may be left out.
_VOID = {"meta", "link", "br", "input"}
_OPTIONAL = {"html", "th", "td", "tr", "p", "li"}


class _Elements(HTMLParser):
    """Counts elements, and finds end tags that close nothing."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.stray: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.ids += [values["id"] or ""] if "id" in values else []
        self.links += [values[name] or "" for name in ("href", "src") if name in values]
        if tag not in _VOID | _OPTIONAL:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        if tag in _OPTIONAL:
            return
        if self.open and self.open[-1] == tag:
            self.open.pop()
        else:
            self.stray.append(tag)


def _sections(text: str) -> dict[str, str]:
    parts = re.split(r"<section id=(\w+)>", text)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_the_page_is_well_formed_and_asks_nothing_of_the_network() -> None:
    text = page(frame_of(_ROWS))
    found = _Elements(text)
    assert (found.open, found.stray) == ([], [])
    assert len(set(found.ids)) == len(found.ids)
    # Every link is into the page or is data in it, and what a browser would load is refused.
    assert all(link.startswith(("#", "data:")) for link in found.links)
    assert {link[1:] for link in found.links if re.fullmatch(r"#\w+", link)} <= set(found.ids)
    assert "default-src 'none'" in text and "url(" not in text and "@import" not in text
    assert {link[1:] for link in found.links if link.startswith("#layer=")} <= set(found.ids)


def test_the_answer_is_a_sentence_and_a_picture() -> None:
    answer = _sections(page(frame_of(_ROWS)))["answer"]
    assert "On 1 thread, algorithm=&quot;auto&quot; is 2.00x as fast as the best other library" in answer
    assert "faster on 1 of 1; at worst 2.00x, on net/one" in answer and "<svg" in answer
    without = _sections(page(frame_of([row("mine", 0.1), row("other", 0.2)])))["answer"]
    assert "On 1 thread, mine is the fastest on 1 of 1 layers." in without and "% of the measured limit" in without


def test_the_winner_map_has_the_right_winner_of_recorded_rows_and_every_refusal() -> None:
    board = _sections(page(frame_of(_ROWS)))["map"]
    lines = re.findall(r"<tr data-n=.*", board)
    heads = re.findall(r'data-who="(\w+)"', board)
    assert heads[0] == "auto" and heads[-1] == "lib" and "gone" not in heads
    one, two = (re.findall(r"<td[^>]*>[^<]*", line) for line in lines)
    # Both take as long: the first of the rows is framed.
    assert [cell for cell in one if " w" in cell and "wrong" not in cell] == ['<td class="m5 w" data-r=0>2.00']
    assert [cell for cell in two if " w" in cell] == ['<td class="m3 w" data-r=9>1.00']
    cells = dict(zip(heads, one, strict=True))
    assert cells["errs"] == '<td class=wrong title="5 | 6 differ">wrong'
    assert cells["raises"] == '<td class=failed title="KeyError">failed'
    assert cells["loud"].endswith(">~0.67")
    assert "refuses: &lt;no&gt;" in board and "gone: install it" in board


def test_what_is_wrong_failed_skipped_or_mistrusted_is_said_where_it_belongs() -> None:
    parts = _sections(page(frame_of(_ROWS)))
    assert "Rows: 5 ok, 2 skipped, 1 wrong, 1 failed, 1 mistrusted." in parts["answer"]
    for words in ("wrong errs on net/one: 5 | 6 differ", "failed raises on net/one: KeyError", "mistrusted loud"):
        assert words in parts["answer"]
    layers = parts["layers"]
    assert 'id="layer=net/one"' in layers and 'id="layer=net/two"' in layers
    assert "<tr class=wrong data-r=3>" in layers and "<tr class=mistrusted data-r=5>" in layers
    assert "refuses: &lt;no&gt;" in layers


def test_every_row_is_embedded_whole() -> None:
    frame = frame_of(_ROWS)
    packed = re.search(r'href="data:application/gzip;base64,([^"]+)"', page(frame))
    assert packed is not None
    rows = pd.read_csv(io.BytesIO(gzip.decompress(base64.b64decode(packed[1]))))
    assert rows["algorithm"].tolist() == frame["algorithm"].tolist() and [*rows.columns] == [*frame.columns]
    assert rows["time_s"].tolist()[:2] == [0.1, 0.1]


@pytest.mark.parametrize("rows", [[], _ROWS[1:2], _ROWS[3:4]], ids=["none", "one", "wrong"])
def test_a_run_of_no_row_or_one_gives_a_page(rows: list[dict[str, object]]) -> None:
    text = page(frame_of(rows))
    found = _Elements(text)
    assert (found.open, found.stray) == ([], [])
    assert ("No rows are stored in this run yet." in text) == (not rows)


def test_several_runs_stand_side_by_side() -> None:
    from suite.report.load import tidy

    frame = together([tidy([row("mine", 0.1)], cpu="here"), tidy([{**row("mine", 0.2), "run": "s"}], cpu="there")])
    text = page(frame)
    assert text.count("<p class=lede") == 2 and "1 thread, here" in text and "1 thread, there" in text


def test_samples_and_further_sections_are_on_the_page() -> None:
    frame = frame_of(_ROWS)
    text = page(frame, Extra(samples={1: [[0.1, 0.11], [0.12]]}, sections=[("extra", "Extra", "<p>more</p>")]))
    packed = re.search(r"id=samples>([^<]+)<", text)
    assert packed is not None
    assert gzip.decompress(base64.b64decode(packed[1])) == b'{"1":[[100000.0,110000.0],[120000.0]]}'
    assert "<section id=extra><h2>Extra</h2><p>more</p></section>" in text


def test_plots_say_what_they_show_and_have_units() -> None:
    frame = frame_of(_ROWS)
    text = page(frame)
    for svg in re.findall(r'<svg class="plot .*?</svg>', text, re.S):
        assert 'aria-label="' in svg and "class=axis" in svg
    assert text.count("<figure") == text.count("<figcaption><b>")
    figure = speedup_figure(bests(frame), "1 thread")
    assert figure is not None and figure.how.startswith("Each bar is a layer")
    # Faster and slower bars differ in colour, and lie on both sides of one.
    assert (figure.svg.count("class=up"), figure.svg.count("class=down")) == (1, 0)
    assert strip_figure(frame[:0], "time_s", "t", "time (s)", "how.", write=str) is None


@pytest.mark.parametrize(
    ("scale", "value", "place"),
    [(Scale(0, 10), 5, 50), (Scale(1, 100, True), 10, 50), (Scale(1, 100, True), 100, 100), (Scale(2, 4), 2, 0)],
)
def test_scales(scale: Scale, value: float, place: float) -> None:
    assert scale.at(value) == pytest.approx(place)


@pytest.mark.parametrize("values", [[1.0], [0.5, 2.0], [1e-7, 3e-2], [99.0, 101.0], [1.0, 1.0]])
@pytest.mark.parametrize("log", [False, True])
def test_scales_have_room_and_some_ticks(values: list[float], log: bool) -> None:
    scale = Scale.over(values, log=log)
    assert all(0 < scale.at(value) < 100 for value in values)
    ticks = scale.ticks()
    assert 1 <= len(ticks) <= 8 and all(-1e-9 <= scale.at(tick) <= 100 + 1e-9 for tick in ticks)


def test_a_gates_suspects_are_shown_as_pairs_beside_the_control() -> None:
    text = gate_html(_GATES / "slower", pytest.fail)
    assert text.count("<figure") == 4 and "4 slower of 30 benchmarks." in text
    assert "Control: base compared with itself" in text and "hollow" in text
    assert _Elements(text).stray == []
    assert TEXT in text


def test_a_damaged_gate_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"cannot read .*findings\.json"):
        gate_html(tmp_path, pytest.fail)
    (tmp_path / "findings.json").write_text(
        '{"findings": [{}], "margin": 0.05, "head": "h", "base": "b", "headline": ""}'
    )
    with pytest.raises(StoreError, match=r"findings\.json is damaged, expected a folder of convmark gate"):
        gate_html(tmp_path, pytest.fail)


def test_layers_that_have_no_room_are_said_to_be_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = page(frame_of(_ROWS))
    monkeypatch.setattr("suite.report.page._MOST_BYTES", 1000)
    text = page(frame_of(_ROWS))
    assert "2 further layers have no room here: they are in report.md and report.csv." in text
    assert "further layers" not in whole and whole.count("<details class=layer") == 2


def test_the_winner_of_every_recorded_layer_is_the_one_with_the_least_time() -> None:
    frame = load(Path(__file__).parent.parent / "results" / "layers" / "choice_avx512")
    frame = frame[(frame["network"] == "resnet50") & (frame["threads"] == 1)]
    ok = frame[frame["status"] == "ok"]
    least = ok.loc[ok.groupby("layer")["time_s"].idxmin()].set_index("layer")["contender"]
    board = _sections(page(frame))["map"]
    heads = re.findall(r'data-who="(\w+)"', board)
    found = {}
    for line in re.findall(r"<tr data-n=.*", board):
        [framed] = [i for i, cell in enumerate(re.findall(r"<td[^>]*>", line)) if re.search(r'm\d w"', cell)]
        found[re.findall(r"</i>([^<]+)</a>", line)[0]] = heads[framed]
    assert found == least.to_dict() and len(found) > 2
