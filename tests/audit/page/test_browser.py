"""The page in a real browser: it sorts, searches, opens classes, draws maps where they lie, and is accessible."""

import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import axe_playwright_python
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from pipeline.audit.page.audit_page import write_audit_page

from .runs import BOX, CLASSES, HOSTILE, SIDE, audited, write_scores

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
Open = Callable[..., Page]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    audit, source = audited(tmp_path_factory.mktemp("inside"))
    write_scores(source.run, random=None)
    return write_audit_page(audit, source).as_uri()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """Opens an address; fails at the end if the page logged an error, requested anything, or showed a dialog."""
    messages: list[str] = []
    contexts = []

    def opened(address: str, **options: Any) -> Page:
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: messages.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: messages.append(str(error)))
        page.on("dialog", lambda dialog: (messages.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: _local(request.url) or messages.append(request.url))
        page.goto(address)
        page.wait_for_selector("html[data-ready]")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not messages


def _local(url: str) -> bool:
    return url.startswith(("file:", "data:"))


def names(page: Page) -> list[str]:
    return page.locator("#classes tbody th").all_inner_texts()


def test_a_head_sorts_by_mouse_and_keyboard(open_page: Open, address: str) -> None:
    page = open_page(address)
    assert names(page) == ["jay", "tabby", CLASSES[1]]  # by shortcut score
    head = page.locator("#classes").get_by_role("columnheader", name="Accuracy")
    head.get_by_role("button").click()
    expect(head).to_have_attribute("aria-sort", "descending")
    assert names(page)[-1] == "tabby"  # the only class with a wrong prediction
    page.keyboard.press("Enter")
    expect(head).to_have_attribute("aria-sort", "ascending")
    assert names(page)[0] == "tabby"
    page.locator("#classes").get_by_role("columnheader", name="Class").get_by_role("button").press("Space")
    assert names(page) == [CLASSES[1], "jay", "tabby"]


def test_search_and_choice_narrow_the_table(open_page: Open, address: str) -> None:
    page = open_page(address)
    page.get_by_label("Search").fill("HUSKY")
    assert names(page) == [CLASSES[1]]
    expect(page.get_by_role("status")).to_have_text("1 of 3 classes")
    page.get_by_label("Search").fill("")
    page.get_by_label("Show").select_option("confirmed shortcuts")
    assert names(page) == ["jay"]


def test_a_class_opens_and_closes_by_keyboard(open_page: Open, address: str) -> None:
    page = open_page(address)
    page.get_by_role("link", name="jay").first.press("Enter")
    expect(page).to_have_url(re.compile("#class-2$"))
    expect(page.get_by_role("heading", name="jay", level=2)).to_be_focused()
    expect(page.locator("#overview")).to_be_hidden()
    for words in ("Intervention", "2 clusters", "Embedding", "Outliers", "An intervention confirms it"):
        expect(page.locator("#detail")).to_contain_text(words)
    assert page.locator(".scatter path").count() == 5
    page.keyboard.press("Escape")
    expect(page.locator("#overview")).to_be_visible()
    expect(page.locator("#classes tbody a", has_text="jay")).to_be_focused()


def test_a_link_to_a_class_opens_it(open_page: Open, address: str) -> None:
    page = open_page(f"{address}#class-1")
    expect(page.get_by_role("heading", level=2).first).to_have_text(CLASSES[1])
    page.get_by_role("link", name="← tabby").click()
    expect(page.get_by_role("heading", level=2).first).to_have_text("tabby")
    expect(page.locator("#detail")).to_contain_text(HOSTILE.decode())


def test_lists_and_scores_are_shown_and_open(open_page: Open, address: str) -> None:
    page = open_page(address)
    page.locator("#doubts summary").click()
    expect(page.locator("#doubts tbody tr")).to_have_count(1)
    expect(page.locator("#health")).to_contain_text("so <b>many</b> steps")
    expect(page.locator("#health")).to_contain_text("undefined")
    expect(page.locator("#confusions")).to_contain_text("tabby taken for jay")
    expect(page.locator("#alike canvas.map")).to_have_count(2)


def test_another_run_stands_beside(open_page: Open, address: str) -> None:
    page = open_page(address)
    beside = page.locator("#comparison")
    expect(beside).to_contain_text("saliency on drawn, /runs/other: 15 images in both")
    expect(beside.locator("tbody tr")).to_have_count(2)
    expect(beside.locator("tbody tr").first).to_contain_text("appeared")
    beside.locator("tbody a", has_text="jay").click()
    expect(page.locator("#detail .evidence")).to_contain_text("agreement")
    page.keyboard.press("Escape")
    page.get_by_role("link", name="tabby").first.click()
    expect(page.locator("#detail .evidence")).not_to_contain_text("agreement")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("place", ["", "#class-2"])
def test_axe_finds_nothing(open_page: Open, address: str, scheme: str, place: str) -> None:
    page = open_page(address + place, color_scheme=scheme, bypass_csp=True)  # axe is no script of the page
    page.evaluate(AXE)
    found = page.evaluate("axe.run()")["violations"]
    assert [(one["id"], [node["html"][:120] for node in one["nodes"]]) for one in found] == []


def test_a_map_is_drawn_where_it_lies(open_page: Open, address: str) -> None:
    page = open_page(f"{address}#class-2")
    assert "at the bottom on the right" in (page.locator("#detail canvas.map").first.get_attribute("aria-label") or "")
    darkness = 255 - screenshot(page, "#detail .framed >> nth=0").mean(2)
    half = len(darkness) // 2
    quarters = [darkness[rows, columns].mean() for rows in parts(half) for columns in parts(half)]
    assert quarters[3] > 150 and max(quarters[:3]) < 30
    frame = page.locator("#detail .box .over").first
    assert [float(frame.get_attribute(side) or "nan") for side in ("y", "x", "height", "width")] == [
        *BOX[:2],
        SIDE / 2,
        SIDE / 2,
    ]


def parts(half: int) -> list[slice]:
    """Both halves of a side, without what the frame covers."""
    return [slice(4, half - 6), slice(half + 6, 2 * half - 4)]


def screenshot(page: Page, selector: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(page.locator(selector).screenshot())).convert("RGB"), float)


def test_photograph_map_and_overlay_are_the_thirds_of_a_strip(open_page: Open, address: str) -> None:
    page = open_page(f"{address}#class-2")
    photograph, heat = (screenshot(page, f"#detail .montage .part-{part} >> nth=0") for part in (0, 1))
    assert np.ptp(photograph[4:-4, 4:-4], axis=(0, 1)).max() < 12 and abs(photograph[20, 20, 1] - 120) < 12
    red, blue = heat[-12:-6, -12:-6].mean((0, 1)), heat[-12:-6, 6:12].mean((0, 1))
    assert red[0] > red[2] + 40 and blue.min() > 235  # for the class in its corner, nothing elsewhere


def test_pictures_lie_beside_a_large_page(open_page: Open, tmp_path: Path) -> None:
    audit, source = audited(tmp_path)
    page = open_page(write_audit_page(audit, source, max_embedded=3).as_uri() + "#class-2")
    image = page.locator("#detail .montage img").first
    image.scroll_into_view_if_needed()
    expect(image).to_have_js_property("complete", True)
    assert image.evaluate("image => image.naturalWidth") == 3 * SIDE
    assert len(list((source.run / "audit" / "pictures").rglob("*.jpg"))) == 15
    write_audit_page(audit, source)
    assert not list((source.run / "audit" / "pictures").rglob("*.jpg"))


def test_it_fits_a_phone_and_prints(open_page: Open, address: str) -> None:
    for place in ("", "#class-2"):
        page = open_page(address + place, viewport={"width": 390, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.emulate_media(media="print")
        expect(page.locator("canvas.map:visible").first).to_be_visible()
    expect(page.locator(".steps")).to_be_hidden()
