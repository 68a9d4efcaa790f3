from __future__ import annotations

import base64
import dataclasses
import hashlib
import re
from html.parser import HTMLParser

import pytest
from report_runs import MANIFEST, NASTY, Recorded, data_of, page_of, record
from report_tables import made_results

from accelsim.profile.labels import on_a_line
from accelsim.report import sweep_page
from accelsim.report.columns import decimals_for
from accelsim.report.manifest import program_hashes
from accelsim.report.page import _plain, plot_text, render_page
from accelsim.report.quantities import in_bytes, in_count, in_energy, in_time


class Tags(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.outside: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.outside += [value or "" for name, value in attrs if name in ("src", "href") and tag != "a"]
        assert not any(name.startswith("on") for name, _ in attrs)


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    layers = ((NASTY, "lstm", 1000, 100),)
    sweep = made_results({NASTY: ["<i>", NASTY], "mac.rows": [8, 16]}, models=(NASTY,), failing=3, layers=layers)
    return {"program": page_of(record(NASTY)), "sweep": sweep_page(sweep, NASTY, MANIFEST)}


@pytest.mark.parametrize("kind", ["program", "sweep"])
def test_names_are_text_wherever_they_stand(pages: dict[str, str], kind: str) -> None:
    page = pages[kind]
    tags = Tags(page)
    assert "img" not in tags.tags
    assert tags.tags.count("script") == page.count("</script>")
    assert tags.outside == ["data:,"]
    # What is left of the name is escaped, in the text and in the data.
    assert "&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;&amp;amp;" in page
    assert "\\u003c/script\\u003e" in page


@pytest.mark.parametrize("kind", ["program", "sweep"])
def test_the_policy_allows_the_pages_scripts_and_nothing_else(pages: dict[str, str], kind: str) -> None:
    page = pages[kind]
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts]
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    rules = dict(rule.split(" ", 1) for rule in policy[1].replace("&#39;", "'").split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["form-action"] == "'none'"
    assert rules["script-src"].split() == [f"'sha256-{digest}'" for digest in hashes]
    assert "http" not in policy[1]


def test_equal_runs_give_equal_pages(recorded: Recorded) -> None:
    assert page_of(recorded) == page_of(record())


def test_a_page_holds_no_date_and_no_place(recorded: Recorded) -> None:
    without_plotly = page_of(recorded).replace(page_of(recorded).split("<script>")[1], "")
    assert "/tmp" not in without_plotly
    assert "/home" not in without_plotly
    assert not re.search(r"\b20\d\d-\d\d-\d\d", without_plotly)


def test_the_manifest_names_the_command_and_the_hashes(recorded: Recorded) -> None:
    rows = dict(program_hashes(recorded.program, b"text of the .cfg"))
    assert rows[".cfg file, SHA-256"] == hashlib.sha256(b"text of the .cfg").hexdigest()
    assert rows["weights' image, SHA-256"] == hashlib.sha256(recorded.program.image).hexdigest()
    assert rows["chip, SHA-256"] == recorded.program.chip.digest
    assert rows["seed"] == "none: nothing is drawn at random"
    other = dataclasses.replace(recorded.program, words=recorded.program.words[:-1])
    assert dict(program_hashes(other, b""))["program words, SHA-256"] != rows["program words, SHA-256"]
    assert "accelsim report x_r.cfg" in page_of(recorded)


def test_the_seed_of_a_search_is_in_the_manifest() -> None:
    page = sweep_page(made_results(objectives=["latency", "energy"]), "s", MANIFEST)
    assert re.search(r"sweep: seed</th><td><code>7<", page)
    assert re.search(r"sweep: objectives</th><td><code>latency, energy<", page)
    assert "none: nothing is drawn at random" in sweep_page(made_results(), "s", MANIFEST)


def test_every_key_of_the_chip_is_there_with_its_source(recorded: Recorded) -> None:
    table = data_of(page_of(recorded))["tables"]["chip"]["values"]
    rows = dict(zip(table["key"], zip(table["value"], table["source"], strict=True), strict=True))
    assert rows["mac.rows"] == ("32", "assumed: the vendor's sparsity pattern is 32 x 64")
    assert rows["sram.weights.capacity_bytes"][0] == "294,912"
    assert {"dram.bytes_per_cycle", "chip.clock_mhz", "energy.dram_pj_per_byte"} <= set(rows)
    assert "None" not in table["value"]
    assert [text for column in table.values() for text in column if "\\n" in text] == []


def test_data_are_plain() -> None:
    assert _plain({"a": (1.0, float("nan"), 0.1 + 0.2, float("inf"))}) == {"a": [1, None, 0.3, None]}
    assert plot_text("<b>&amp;") == "&lt;b&gt;&amp;amp;"


def test_what_a_template_misses_is_an_error() -> None:
    with pytest.raises(Exception, match="'manifest' is undefined"):
        render_page("base.html.jinja", [], {}, title="x")


@pytest.mark.parametrize(
    ("largest", "decimals"), [(0, 1), (0.0123, 5), (1, 3), (9.99, 3), (99, 2), (999, 1), (1000, 0), (1e9, 0)]
)
def test_columns_have_about_four_digits(largest: float, decimals: int) -> None:
    assert decimals_for(largest) == decimals


def test_texts_of_several_lines_are_on_one() -> None:
    assert on_a_line("one\n  two\tthree\x1b[") == "one two three\\x1b["
    assert [in_count(number, "point") for number in (0, 1, 1200)] == ["0 points", "1 point", "1,200 points"]


def test_a_heat_map_of_one_key_is_not_linked() -> None:
    for axes, linked in (({"mac.rows": [8, 16]}, False), ({"mac.rows": [8, 16], "mac.columns": [8, 16]}, True)):
        assert ('href="#heat"' in sweep_page(made_results(axes), "s", MANIFEST)) == linked


def test_components_of_energy_are_named_in_words() -> None:
    components = data_of(sweep_page(made_results(), "s", MANIFEST))["components"]
    assert [one["name"] for one in components] == ["MACs", "DRAM", "leakage"]


def test_quantities_are_in_units_that_suit() -> None:
    assert [in_time(11.1725), in_time(113_492), in_time(2.5e6)] == ["11.17 µs", "113.5 ms", "2.5 s"]
    assert [in_energy(890.4), in_energy(999.99), in_energy(2.063e8)] == ["890.4 nJ", "1 µJ", "206.3 mJ"]
    assert [in_bytes(512), in_bytes(25_716), in_bytes(2_899_868_928)] == ["512 bytes", "25.72 kB", "2.9 GB"]
