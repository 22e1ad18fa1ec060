"""Pages in a browser: they draw, their controls work, they ask for nothing, and anybody can read them."""

import functools
import shutil

import pytest
from rich.console import Console

from incentivize.experiments.reporting.scoreboard import scoreboard
from tests.helpers.claims import CLAIMS

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here; Debian's package has it")


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def paths(tiny_run, tmp_path_factory):
    """The pages that are looked at, by their names."""
    board = tmp_path_factory.mktemp("board")
    scoreboard(CLAIMS, Console(quiet=True), board)
    return {"report": tiny_run / "report.html", "scoreboard": board / "scoreboard.html"}


@pytest.fixture(scope="module")
def wrong():
    """What has gone wrong in a page, or been asked for, since the list was last empty."""
    return []


@pytest.fixture(scope="module")
def opens(browser, paths, wrong):
    """Opens a page with the network off, in a context of its own."""

    def opens(name, **settings):
        page = browser.new_context(offline=True, **settings).new_page()
        page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda request: wrong.append(request.url) if not local(request.url) else None)
        page.goto(paths[name].as_uri())
        page.wait_for_selector(".charts .main-svg")
        return page

    return opens


@pytest.fixture(scope="module")
def shared(opens):
    """A page by its name, opened once: a test leaves as they were all controls but colours, details and replays."""
    return functools.cache(opens)


@pytest.fixture
def opened(opens, shared, wrong):
    """Gives a page, one of its own where settings are given; afterwards nothing may have gone wrong in any page."""
    pages = []

    def gives(name="report", **settings):
        if settings:
            pages.append(opens(name, **settings))
            return pages[-1]
        page = shared(name)
        page.mouse.move(0, 0)
        page.emulate_media(color_scheme="light")
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = one.was ??= one.open; })")
        return page

    yield gives
    for page in pages:
        page.context.close()
    found = wrong.copy()
    wrong.clear()
    assert found == []


def from_the_start(page):
    """Sets the replays to the beginning of the first task."""
    for task in ("1", "0"):
        page.locator("select.task").select_option(task)
    return page


def local(url):
    return url.startswith(("file:", "data:", "blob:"))


def test_curves_are_drawn_and_arms_can_be_switched_off(opened):
    page = opened()
    curves = page.locator(".curves").first
    lines = curves.locator(".scatterlayer .trace")
    everything = lines.count()
    assert everything > 5
    (title,) = curves.locator("figcaption").all_inner_texts()
    assert title.startswith("errands (attributes=3 values=4): 64 tasks")
    box = page.get_by_label("blind level: best without the description")
    box.focus()
    page.keyboard.press("Space")
    assert lines.count() == everything - 1
    page.keyboard.press("Space")
    assert lines.count() == everything


def test_every_seed_is_drawn_and_says_which_it_is(opened):
    drawn = "document.querySelector('.chart').data.filter((trace) => trace.seed)"
    told = opened().evaluate(f"{drawn}.map((trace) => [trace.hovertemplate, trace.customdata])")
    seen = [(template.partition("<extra>")[2], places) for template, places in told]
    for seed in ("seed 0", "seed 1"):
        assert (f"incentivized generalist, unseen tasks, {seed}</extra>", ["1", "4", "every episode new"]) in seen


def test_the_axis_can_be_linear(opened):
    page = opened()
    curves = page.locator(".curves").first
    ticks = curves.locator(".xtick")
    before = ticks.all_text_contents()
    assert before[0] == "1"
    curves.get_by_label("linear axis").check()
    assert ticks.all_text_contents() != before
    curves.get_by_label("linear axis").uncheck()
    assert ticks.all_text_contents() == before


def test_tiles_of_the_heat_map_say_what_they_are_and_a_table_does_without_a_mouse(opened):
    page = opened()
    heat = page.locator(".curves").nth(1)
    heat.locator(".heatmaplayer image").wait_for()
    assert not heat.get_by_label("linear axis").is_visible()
    assert heat.locator("fieldset").count() == 0  # there is no line to be switched off
    plot = heat.locator(".nsewdrag.drag").first
    box = plot.bounding_box()
    assert heat.locator(".ytick text").all_text_contents() == ["0.00026 M", "0.00051 M", "0.001 M"]
    for across, pool in ((0.05, "pool 1"), (0.95, "every episode new")):  # below: the smallest budget
        plot.hover(position={"x": across * box["width"], "y": 0.85 * box["height"]})
        told = heat.locator(".hoverlayer .hovertext").text_content()
        assert told.startswith(f"{pool}256 steps")
        assert told.endswith("n = 2 seeds")
    summary = page.get_by_text("Numbers of the heat map")
    summary.focus()
    page.keyboard.press("Enter")
    cells = page.locator("details", has=summary).locator("tr")
    assert cells.first.locator("th").all_inner_texts() == [
        "family", "pool", "budget", "success", "n", "N*", "low", "high", "method"
    ]  # fmt: skip
    assert cells.count() == 1 + 3 * 3  # three pools, three budgets
    assert cells.nth(1).is_visible()
    assert "not identified: fewer than 4 pools" in cells.nth(1).inner_text()


def test_verdicts_have_their_controls_beside_them(opened):
    verdicts = opened().locator("h2:has-text('Verdicts') + .scroll tr")
    assert "controls" in verdicts.first.locator("th").all_inner_texts()
    assert verdicts.count() == 1 + 5
    for text in verdicts.all_inner_texts()[1:]:
        assert "shuffled: 0." in text
        assert "blind: 0." in text


def test_verdicts_have_what_every_arm_consumed_beside_them(opened):
    lines = opened().locator("p:has-text('What the agents of each arm consumed') + .scroll tr")
    heads, *rest = [[cell.inner_text() for cell in line.locator("th, td").all()] for line in lines.all()]
    arms = {line[1]: dict(zip(heads, line, strict=True)) for line in rest}
    assert list(arms) == ["blind", "generalist", "control", "taught", "specialist", "met"]
    assert (arms["generalist"]["agents"], arms["generalist"]["steps"], arms["generalist"]["expert labels"]) == (
        "6",
        "1.0 k",
        "0",
    )
    assert arms["taught"]["expert labels"] == "1.0 k"


def test_replays_step_through_time_by_keyboard(opened):
    page = from_the_start(opened())
    captions = page.locator(".stage .caption")
    assert captions.all_inner_texts() == ["10 steps to go"] * 4
    page.get_by_label("One step forward").focus()
    page.keyboard.press("Enter")
    assert all(text.startswith("step 1 of 10: ") for text in captions.all_inner_texts())
    picture = page.locator(".stage pre").first
    assert picture.get_attribute("aria-label").startswith("generalist, 4 training tasks: step 1 of 10: ")
    assert picture.inner_text().startswith("┌")
    moment = page.get_by_label("Moment")
    moment.focus()
    page.keyboard.press("End")
    assert captions.last.inner_text().endswith("- won")
    told = page.locator(".told").inner_text()
    page.locator("select.task").select_option("1")
    assert page.locator(".told").inner_text() != told
    assert captions.all_inner_texts() == ["10 steps to go"] * 4


def test_replays_play_and_pause(opened):
    page = from_the_start(opened())
    page.get_by_role("button", name="Play").click()
    page.wait_for_timeout(900)
    page.get_by_role("button", name="Pause").click()
    stood = page.get_by_label("Moment").input_value()
    assert int(stood) > 0
    page.wait_for_timeout(900)
    assert page.get_by_label("Moment").input_value() == stood


def test_the_scoreboard_says_what_a_row_claims_and_verdicts_can_be_switched_off(opened):
    page = opened("scoreboard")
    errands = page.locator(".chart").first
    assert errands.locator(".ytick text").all_text_contents() == ["1", "2"]
    points = errands.locator(".scatterlayer .point")
    assert points.count() == 1
    points.first.hover(force=True)
    told = errands.locator(".hoverlayer .hovertext").text_content()
    assert told == "task-count: skill appears (quick)supported: +0.50 [+0.40, +0.60], n = 5"
    assert page.locator("tr").nth(1).locator("td").first.inner_text() == "1"
    page.get_by_label("supported").uncheck()
    assert points.count() == 0
    page.get_by_label("supported").check()
    assert points.count() == 1


@pytest.mark.parametrize("name", ["report", "scoreboard"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_anybody_can_read_it(opened, scheme, name):
    page = opened(name)
    page.emulate_media(color_scheme=scheme)
    assert page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches") == (scheme == "dark")
    assert grave(page) == []


def grave(page):
    """What axe-core finds serious in a page, with all its details open."""
    from axe_playwright_python.sync_playwright import Axe

    for details in page.locator("details").all():
        details.evaluate("one => { one.open = true; }")
    found = Axe().run(page).response["violations"]
    return [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")]


@pytest.mark.parametrize("name", ["report", "scoreboard"])
def test_it_fits_a_phone(opened, name):
    page = opened(name, viewport={"width": 360, "height": 740}, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert grave(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 360  # with all details open, too
