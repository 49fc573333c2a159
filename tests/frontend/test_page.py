"""The page in a real browser, on the real API, on a history of two promotions, a refusal and a skipped batch."""

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from frontend.formats import moment, money, signed, when
from frontend.texts import every
from tests.frontend import explained
from tests.frontend.conftest import Shown
from tests.frontend.running import PHONE, open_page, open_tab, settled, window

TABS = ("predict", "batch", "explain", "models", "batches", "why")


def said(key: str, language: str = "en") -> str:
    """Return a text of the page up to its first place."""
    return every()[key][language].split("{", maxsplit=1)[0].strip()


def price_it(page: Page) -> int:
    """Price what is in the form and return the price on screen."""
    page.get_by_role("button", name=said("predict.button")).click()
    page.get_by_role("button", name=said("predict.why")).wait_for()
    settled(page)
    return dollars(page.get_by_test_id("price").inner_text())


def dollars(shown: str) -> int:
    return int(shown.replace("\N{MINUS SIGN}", "-").replace("+", "").replace("$", "").replace(",", ""))


def bars(page: Page, chart: str) -> Locator:
    """Return the bars of a chart, by the words for whoever cannot see it."""
    return page.locator(f'[aria-label^="{said(chart)}"] [aria-roledescription=bar]')


def upload(page: Page, content: str) -> None:
    page.locator("input[type=file]").set_input_files(
        {"name": "houses.csv", "mimeType": "text/csv", "buffer": content.encode()}
    )


def test_every_tab_shows_something_in_both_languages_and_no_trouble(page: Page) -> None:
    for language in ("en", "es"):
        page.get_by_role("radio", name="Español" if language == "es" else "English").click()
        settled(page)
        for tab in TABS:
            open_tab(page, said(f"tab.{tab}", language))
            expect(page.get_by_role("tabpanel")).to_contain_text(re.compile(r"\S(.|\n){80}"))
            expect(page.get_by_text(said("trouble.page_failed", language))).to_have_count(0)
            assert "Traceback" not in page.content()
    expect(page.get_by_test_id("stSidebar")).to_contain_text(f"{said('status.version', 'es')} 2")


def test_a_price_is_the_apis_and_names_its_version(page: Page, shown: Shown) -> None:
    page.get_by_label("Bedrooms", exact=True).fill("4")
    page.get_by_label("Living area (sq ft)", exact=True).fill("2400")
    page.get_by_label("Zip code", exact=True).fill("01007")
    shown_price = price_it(page)
    listing = {
        "status": "for_sale", "bed": 4, "bath": 2, "house_size": 2400, "state": "Massachusetts", "zip_code": "01007",
        "acre_lot": 0.25, "city": "Agawam", "street": "1962661", "brokered_by": "103378",
        "prev_sold_date": "2022-03-14",
    }  # fmt: skip
    answer = shown.api.post("/predict", listing).json()
    assert shown_price == round(answer["price"])
    expect(page.get_by_test_id("stMain")).to_contain_text("version 2")
    assert answer["unseen_fields"] == ["brokered_by"]
    expect(page.get_by_text(said("predict.unseen"))).to_have_count(1)


def test_a_broken_rule_stands_at_its_field_and_what_was_typed_stays(page: Page) -> None:
    page.get_by_label("Zip code", exact=True).fill("nowhere")
    page.get_by_label("Zip code", exact=True).press("Enter")
    expect(page.get_by_text("must be a US zip code").first).to_be_visible()
    open_tab(page, said("tab.models"))
    open_tab(page, said("tab.predict"))
    expect(page.get_by_label("Zip code", exact=True)).to_have_value("nowhere")


def test_the_bars_of_an_explanation_add_up_to_the_price_on_screen(page: Page) -> None:
    price = price_it(page)
    page.get_by_role("button", name=said("predict.why")).click()
    page.get_by_test_id("explained-price").wait_for()
    settled(page)
    assert dollars(page.get_by_test_id("explained-price").inner_text()) == price
    cells = page.locator(".ap-table tbody td:last-child").all_inner_texts()
    base, *parts, total = map(dollars, cells)
    assert total == price
    assert len(parts) == 14
    # Each figure is rounded to a dollar.
    assert abs(base + sum(parts) - price) <= len(parts) / 2
    drawn_bars = bars(page, "explain.waterfall_alt")
    drawn_bars.first.wait_for()
    labels = [bar.get_attribute("aria-label") or "" for bar in drawn_bars.all()]
    drawn = [dollars(found[1]) for label in labels if (found := re.search(r"Dollars: ([^;]+)", label))]
    assert sorted(drawn) == sorted(parts)


def test_a_batch_with_good_and_bad_rows(page: Page, tmp_path: Path) -> None:
    open_tab(page, said("tab.batch"))
    with page.expect_download() as started:
        page.get_by_role("button", name=said("batch.template")).click()
    head, example = started.value.path().read_text("utf-8-sig").splitlines()
    rows = [head, *[example] * 700, example.replace("for_sale", "=HYPERLINK(1)"), example.replace(",3,", ",444,"), "x"]
    upload(page, "\n".join(rows))
    page.get_by_role("button", name="Price 702 rows").click()
    expect(page.get_by_text(said("batch.refusals"))).to_be_visible()
    settled(page)
    refused = page.locator(".ap-table tbody tr").all_inner_texts()
    assert [row.split("\t")[0] for row in refused] == ["703", "704"]
    assert "less than or equal to 50" in refused[0]
    assert said("batch.ragged") in refused[1]
    with page.expect_download() as started:
        page.get_by_role("button", name=said("batch.download")).click()
    kept = tmp_path / "prices.csv"
    started.value.save_as(kept)
    lines = kept.read_text("utf-8-sig").splitlines()
    assert len(lines) == 704
    assert "'=HYPERLINK(1)" in lines[701]
    assert ",=HYPERLINK" not in kept.read_text()


@pytest.mark.parametrize(("content", "key"), [
    ("status,bed\nsold,3\n", "batch.columns_missing"), ("PK\0\1", "batch.not_text"),
])  # fmt: skip
def test_a_file_that_is_no_batch_gets_a_sentence(page: Page, content: str, key: str) -> None:
    open_tab(page, said("tab.batch"))
    upload(page, content)
    expect(page.get_by_text(said(key))).to_be_visible()


def test_the_history_of_two_promotions_a_refusal_and_a_skip(page: Page) -> None:
    open_tab(page, said("tab.models"))
    rows = page.locator(".ap-table").first.locator("tbody tr").all_inner_texts()
    assert [re.split(r"\t", row)[:2] for row in rows] == [["3", "never"], ["2", "now"], ["1", "before"]]
    verdicts = ["Held back Cannot tell: ", "Promoted RMSE falls ", "Promoted This is the first model: "]
    assert all(row.split("\t")[6].startswith(told) for row, told in zip(rows, verdicts, strict=True))
    assert money(explained.rmse("champion")) in rows[2], "version 1 in the newest comparison it took part in"
    expect(bars(page, "models.reigns_alt")).to_have_count(2)
    open_tab(page, said("tab.batches"))
    rows = page.locator(".ap-table").first.locator("tbody tr").all_inner_texts()
    assert [row.split("\t")[:2] for row in rows] == [
        ["3", "Skipped"], ["2", "Held back"], ["1", "Promoted"], ["0", "Promoted"],
    ]  # fmt: skip
    assert rows[3].split("\t")[4] == "10", "rows refused by the real parser"


def test_a_browser_elsewhere_draws_who_was_champion_when_in_utc_too(browser: Browser, shown: Shown) -> None:
    first = shown.api.get("/models").json()["alias_events"][-1]["at"]
    with window(browser, timezone_id="Asia/Kolkata") as page:
        open_page(page, shown.frontend.url)
        open_tab(page, said("tab.models"))
        expect(bars(page, "models.reigns_alt").first).to_have_attribute("aria-label", re.compile(moment(first)[:-1]))
        chart = page.locator(f'[aria-label^="{said("models.reigns_alt")}"]')
        expect(chart).to_contain_text("Time (UTC)")
        expect(chart).to_contain_text(f"{when(first):%b %d, %H:}")


def test_the_audit_of_a_batch(page: Page) -> None:
    open_tab(page, said("tab.batches"))
    choose(page, said("batches.choose"), "Batch 2")
    expect(page.get_by_text("never seen before").first).to_be_visible()
    expect(bars(page, "batches.drift_alt")).to_have_count(11)
    choose(page, said("batches.choose"), "Batch 0")
    expect(page.get_by_text(said("batches.refusals"))).to_be_visible()


def choose(page: Page, label: str, option: str) -> None:
    page.get_by_role("combobox", name=label).click()
    page.get_by_role("option", name=option).click()
    settled(page)


def test_why_it_changed_and_the_report_to_take_away(page: Page) -> None:
    open_tab(page, said("tab.why"))
    expect(page.get_by_role("heading", name="Version 2 beside version 1")).to_be_visible()
    for told in explained.explanation()["paragraph"]:
        expect(page.get_by_text(told)).to_be_visible()
    expect(bars(page, "why.error_change_alt")).to_have_count(4)
    expect(bars(page, "why.gain_split_alt")).to_have_count(3)
    with page.expect_download() as started:
        page.get_by_role("button", name=said("why.report")).click()
    assert started.value.suggested_filename == "why-version-2-beside-1.html"
    report = started.value.path().read_text("utf-8")
    assert money(explained.rmse("champion", "before")) in report
    assert signed(explained.explanation()["gain_split"]["data"]["point"]) in report
    assert "<script" not in report
    assert "://" not in report
    choose(page, said("why.choose"), "Version 3")
    expect(page.get_by_text("Held back").first).to_be_visible()


def test_in_spanish_what_the_ledger_says_is_spanish_too(page: Page, shown: Shown) -> None:
    page.get_by_role("radio", name="Español").click()
    settled(page)
    for tab in ("models", "batches", "why"):
        open_tab(page, said(f"tab.{tab}", "es"))
        # The ledger's own words are there, and folded away.
        for reason in reasons_of(shown, tab):
            own = page.get_by_role("tabpanel").get_by_text(reason["sentence"])
            assert not any(one.is_visible() for one in own.all())
    for told in explained.explanation()["paragraph"]:
        expect(page.get_by_text(told)).to_have_count(0)
    expect(page.get_by_text("Por casas fuera de todo aquello con que se entrenó sube en")).to_be_visible()
    page.get_by_text(said("thing.own", "es")).click()
    expect(page.get_by_text("RMSE falls from").first).to_be_visible()


def reasons_of(shown: Shown, tab: str) -> list[dict[str, Any]]:
    """Return the reasons that a tab shows first: of the newest version, of the newest batch, of the champion."""
    if tab == "batches":
        newest = shown.api.get("/batches").json()["batches"][0]
        return [reason for step in ("validate", "promote") if newest[step] for reason in newest[step]["reasons"]]
    found: list[dict[str, Any]] = shown.api.get(f"/models/{3 if tab == 'models' else 2}").json()["reasons"]
    return found


def test_the_api_stopped_in_the_middle_and_started_again(page: Page, shown: Shown) -> None:
    page.get_by_label("Living area (sq ft)", exact=True).fill("3210")
    before = price_it(page)
    shown.api.stop()
    try:
        page.get_by_role("button", name=said("predict.button")).click()
        expect(page.get_by_text(said("trouble.down")).first).to_be_visible()
        open_tab(page, said("tab.models"))
        expect(page.get_by_text(said("trouble.away"))).to_be_visible()
        assert "Traceback" not in page.content()
        open_tab(page, said("tab.predict"))
        expect(page.get_by_label("Living area (sq ft)", exact=True)).to_have_value("3210")
    finally:
        shown.api.start()
        shown.api.wait_until(lambda: shown.api.version() == 2)
    expect(page.locator(".st-key-away")).to_have_count(0)
    settled(page)
    assert price_it(page) == before


def test_tabs_and_buttons_answer_the_keyboard(page: Page) -> None:
    page.get_by_role("tab", name=said("tab.predict"), exact=True).focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.get_by_role("tab", name=said("tab.explain"), exact=True)).to_have_attribute("aria-selected", "true")
    page.get_by_role("button", name=said("explain.example")).focus()
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("explained-price")).to_contain_text("$")


def test_the_page_asks_no_machine_but_its_own(page: Page, shown: Shown) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.reload()
    settled(page)
    for tab in TABS:
        open_tab(page, said(f"tab.{tab}"))
    assert f"{shown.frontend.url}/" in asked
    assert [url for url in asked if not url.startswith((shown.frontend.url, "data:", "blob:"))] == []


def test_nothing_is_wider_than_a_phone(browser: Browser, shown: Shown) -> None:
    with window(browser, viewport=PHONE) as page:
        open_page(page, shown.frontend.url)
        for tab in TABS:
            open_tab(page, said(f"tab.{tab}"))
            wide = page.evaluate("() => document.querySelector('[data-testid=stMain]').scrollWidth - window.innerWidth")
            assert wide <= 0, tab
