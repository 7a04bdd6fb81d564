"""The dashboard's pages on the demo, as docs/DASHBOARD.md and the README show them."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from mab_store.experiments.schemas import experiment_id_of
from tests.integration.api.servers import serving

MAB = Path(sys.executable).with_name("mab")
SHOWN = experiment_id_of("asos_329386")
HELD_BACK = experiment_id_of("asos_df31d1")
LONGEST_SECONDS = 600  # of a busy machine; what is there is seen at once
WIDE, TALL = {"width": 1280, "height": 860}, {"width": 1280, "height": 1215}


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> Iterator[str]:
    """Return the address of a dashboard on the demo's home."""
    folder = tmp_path_factory.mktemp("demo")
    home = folder / "home"
    environment = os.environ | {"MAB_HOME": str(home)}
    command = [str(MAB), "demo"]
    subprocess.run(command, env=environment, cwd=folder, check=True, timeout=LONGEST_SECONDS)
    with serving(home) as api:
        api.wait_for("/readyz")
        desk = ("-m", "mab_dashboard")
        with serving(
            folder / "desk",
            command=desk,
            port_setting="MAB_DASHBOARD_PORT",
            MAB_API_URL=api.url,
        ) as shown:
            yield shown.url


def _choose_robust(page: Page) -> None:
    page.get_by_label("Preset").click()
    page.get_by_role("option", name="robust").click()
    page.get_by_text("DEFAULT_WINDOW_DAYS 14 → 28").wait_for()


@pytest.mark.parametrize(
    ("name", "query", "size", "prepare"),
    [
        ("overview", "", WIDE, None),
        ("experiment", f"?page=experiment&experiment={SHOWN}", TALL, None),
        ("quality", f"?page=quality&experiment={HELD_BACK}", TALL, None),
        ("what-if", f"?page=what_if&experiment={SHOWN}", TALL, _choose_robust),
    ],
)
def test_a_page_of_the_demo_is_drawn_without_a_cut_word(
    browser, demo, pictures, name, query, size, prepare: Callable[[Page], None] | None
):
    context = browser.new_context(viewport=size, reduced_motion="reduce", timezone_id="UTC")
    page = context.new_page()
    page.set_default_timeout(LONGEST_SECONDS * 1000)
    page.goto(f"{demo}/{query}")
    page.locator(".mab .row:not(.head), .mab h2, .mab .verdict").first.wait_for()
    if prepare:
        prepare(page)
    page.locator("[data-testid='stApp'][data-test-script-state='notRunning']").wait_for()
    expect(page.get_by_test_id("stSkeleton")).to_have_count(0)
    for chart in page.get_by_test_id("stVegaLiteChart").all():
        chart.locator("canvas, svg.marks").first.wait_for(state="attached")  # some are folded
    page.screenshot(path=pictures / f"dashboard-{name}.png", animations="disabled")
    cut = page.locator(".mab *").evaluate_all(
        "all => all.filter(e => e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0 "
        "&& getComputedStyle(e).display !== 'inline').map(e => e.innerText)"
    )
    assert cut == []
    assert page.get_by_text("Traceback").count() == 0
    context.close()
