"""The page in a browser: map, pointer, keys, clusters, a phone, the dark, and who cannot see it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine"),
]

Open = Callable[..., Any]

INKED = """() => {
  const canvas = document.getElementById("map-canvas");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const seen = new Set();
  for (let at = 0; at < data.length; at += 4) {
    if (data[at + 3] < 250) continue;
    seen.add([data[at] >> 5, data[at + 1] >> 5, data[at + 2] >> 5].join());
  }
  return seen.size;
}"""
"""How many different colours the map's canvas has."""
SCREEN = (
    "(row) => toScreen(row).concat(map.getBoundingClientRect().x, map.getBoundingClientRect().y)"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser: Any, page_file: Path) -> Iterator[Open]:
    """Opens the page from disk; complaints of the console and requests beyond the file are kept."""
    contexts, complaints = [], []

    def opened(**options: Any) -> Any:
        viewport = options.pop("viewport", {"width": 1280, "height": 900})
        context = browser.new_context(viewport=viewport, reduced_motion="reduce", **options)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: complaints.append(message.text))
        page.on(
            "request", lambda asked: complaints.append(asked.url) if _is_outside(asked.url) else 0
        )
        page.goto(page_file.as_uri())
        page.wait_for_selector("#map[data-ready]", timeout=20_000)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


def _is_outside(url: str) -> bool:
    return not url.startswith(("file:", "data:"))


def on_map(page: Any, row: int) -> tuple[float, float]:
    """Where a cover is drawn, pixels of the window."""
    x, y, left, top = page.evaluate(SCREEN, row)
    return x + left, y + top


def wait_for(page: Any, condition: str) -> None:
    """Ask until it holds: the page's policy lets no text be run, which playwright's own would."""
    for _ in range(100):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"{condition} never held")


def zoom(page: Any) -> float:
    return float(page.get_attribute("#map", "data-zoom"))


def test_the_map_is_drawn_and_a_pointer_is_told_what_it_is_over(open_page: Open) -> None:
    page = open_page()
    assert page.locator("#map-off").is_hidden()
    assert page.evaluate(INKED) > 8
    page.locator("#map").scroll_into_view_if_needed()
    page.mouse.move(*on_map(page, 7))
    assert page.locator("#map-card strong").inner_text() == "Disc number 7"
    assert "word3" in page.locator("#map-card").inner_text()
    page.mouse.move(5, 5)
    assert page.locator("#map-card").is_hidden()


def test_a_click_picks_and_shows_both_kinds_of_neighbours(open_page: Open) -> None:
    page = open_page()
    page.locator("#map").scroll_into_view_if_needed()
    page.mouse.click(*on_map(page, 8))
    assert page.locator("#picked h3").inner_text() == "Disc number 8"
    ours, imagenet = (page.locator(".near").nth(at).locator("li") for at in (0, 1))
    assert ours.first.inner_text() == "Disc number 12"
    assert imagenet.first.inner_text() == "Disc number 48"
    assert (ours.count(), imagenet.count()) == (10, 10)
    ours.first.locator("button").click()
    assert page.locator("#picked h3").inner_text() == "Disc number 12"


def test_wheel_buttons_and_drag(open_page: Open) -> None:
    page = open_page()
    page.locator("#map").scroll_into_view_if_needed()
    page.mouse.move(*on_map(page, 3))
    page.mouse.wheel(0, -300)
    wait_for(page, "view.zoom > 1.5")
    before = on_map(page, 3)
    page.mouse.down()
    page.mouse.move(before[0] + 60, before[1] + 30, steps=3)
    page.mouse.up()
    after = on_map(page, 3)
    assert (after[0] - before[0], after[1] - before[1]) == pytest.approx((60, 30), abs=1)
    assert page.locator("#picked h3").count() == 0
    closer = zoom(page)
    page.click("#zoom-in")
    assert zoom(page) > closer
    page.click("#zoom-all")
    assert zoom(page) == 1
    # Zoomed out all the way, the wheel scrolls the page.
    where = page.evaluate("scrollY")
    page.mouse.move(*on_map(page, 3))
    page.mouse.wheel(0, 200)
    wait_for(page, f"scrollY > {where}")


def test_by_keys_alone(open_page: Open) -> None:
    page = open_page()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.focus("#map")
    page.keyboard.press("ArrowRight")
    said = page.locator("#map-says").inner_text()
    assert said.startswith("Disc number")
    page.keyboard.press("ArrowDown")
    assert page.locator("#map-says").inner_text() != said
    for _ in range(3):
        page.keyboard.press("+")
    assert zoom(page) > 3
    page.keyboard.press("Enter")
    title = page.locator("#picked h3").inner_text()
    assert title == page.locator("#map-card strong").inner_text()
    assert page.locator(".near li").count() == 20
    page.keyboard.press("0")
    assert zoom(page) == 1
    # What was picked follows the map in the order of the keys.
    for _ in range(4):
        page.keyboard.press("Tab")
    assert page.evaluate("document.getElementById('picked').contains(document.activeElement)")
    page.keyboard.press("Enter")  # its cluster
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    # From neighbour to neighbour: the focus stays where the new one is told.
    assert page.evaluate("document.activeElement.tagName") == "H3"
    page.focus("#map-search")
    page.keyboard.type("P042")
    assert page.locator("#map-found li").all_inner_texts() == ["Disc number 42"]
    page.locator("#map-search").fill("")
    assert page.locator("#map-found").is_hidden()
    page.keyboard.type("number 77")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.locator("#picked h3").inner_text() == "Disc number 77"


def test_a_cluster_is_opened_and_shown_on_the_map(open_page: Open) -> None:
    page = open_page()
    card = page.locator("article.card", has_text="Cluster 2,")
    assert card.get_by_text("50").is_hidden()
    card.locator("summary").click()
    assert "50\u00a0%" in card.inner_text()
    card.get_by_role("button", name="Show on the map").click()
    assert page.input_value("#map-cluster") == "2"
    assert page.evaluate("document.activeElement.id") == "map"
    assert page.evaluate("shown.cluster") == 2
    assert zoom(page) > 1
    page.mouse.move(*on_map(page, 6))
    assert page.locator("#map-card strong").inner_text() == "Disc number 6"
    page.select_option("#map-cluster", "")
    assert page.evaluate("shown.cluster") == -1


def test_covers_are_large_enough_to_be_seen(open_page: Open) -> None:
    page = open_page()
    widths = page.evaluate(
        "[...document.querySelectorAll('.strip .cover')].filter(x => x.checkVisibility())"
        ".map(x => x.getBoundingClientRect().width)"
    )
    assert len(widths) >= 60
    assert min(widths) >= 40


def test_on_a_phone(open_page: Open) -> None:
    page = open_page(viewport={"width": 390, "height": 844}, has_touch=True, device_scale_factor=2)
    for summary in page.locator("summary").all():
        if summary.is_visible():
            summary.click()
    width = page.evaluate(
        "Math.max(document.documentElement.scrollWidth, document.body.scrollWidth)"
    )
    assert width == 390
    page.locator("#map").scroll_into_view_if_needed()
    page.touchscreen.tap(*on_map(page, 11))
    assert page.locator("#picked h3").inner_text() == "Disc number 11"
    small = page.evaluate(
        "[...document.querySelectorAll('.zoom button, .map-bar input, .map-bar select')]"
        ".filter((each) => each.getBoundingClientRect().height < 44).length"
    )
    assert small == 0


def test_two_fingers(open_page: Open) -> None:
    page = open_page(viewport={"width": 390, "height": 844}, has_touch=True)
    page.locator("#map").scroll_into_view_if_needed()
    x, y = on_map(page, 0)
    session = page.context.new_cdp_session(page)

    def touch(kind: str, *apart: float) -> None:
        points = [{"x": x + d * s, "y": y, "id": s} for d in apart for s in (-1, 1)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", 10)
    for apart in (15, 20, 30):
        touch("touchMove", apart)
    touch("touchEnd")
    wait_for(page, "view.zoom > 2")
    assert page.locator("#picked h3").count() == 0


def test_in_the_dark(open_page: Open) -> None:
    light, dark = open_page(color_scheme="light"), open_page(color_scheme="dark")
    grounds = [
        page.evaluate("getComputedStyle(document.body).backgroundColor") for page in (light, dark)
    ]
    brightness = [sum(int(part) for part in g[4:-1].split(",")) for g in grounds]
    assert brightness[0] > 700
    assert brightness[1] < 120


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(open_page: Open, scheme: str) -> None:
    page = open_page(color_scheme=scheme)
    page.evaluate("pick(8)")
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true })")
    found = axe.Axe().run(page).response["violations"]
    serious = {
        violation["id"]: [node["html"][:160] for node in violation["nodes"][:3]]
        for violation in found
        if violation["impact"] in {"serious", "critical"}
    }
    assert serious == {}


def test_without_scripts(browser: Any, page_file: Path) -> None:
    """All but the map is there, and says so."""
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(page_file.as_uri())
    assert page.get_by_text("scripts are switched off here").is_visible()
    assert page.locator("#map-tool").is_hidden()
    assert page.locator("#wrong svg.cover").first.is_visible()
    assert page.locator("[data-cluster]").first.is_hidden()
    context.close()
