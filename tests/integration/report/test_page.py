# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report in headless Chromium. Screenshots go to tests/output, for people to look at."""

from __future__ import annotations

import json
import pathlib
import re
import shutil
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import simulated_rollout
from ansible_collections.nettune.kernel.plugins.plugin_utils import report
from playwright.sync_api import Browser, Page, sync_playwright

OUTPUT = pathlib.Path(__file__).resolve().parents[2] / "output"
CHROMIUM = shutil.which("chromium")
# What would run, or show, if a value were taken for markup.
INJECTION = "<script>document.title='injected'</script><img src=x onerror=\"document.title='injected'\">"
WIDE = {"width": 1200, "height": 900}
PHONE = {"width": 390, "height": 844}
MANY = 1000
# For opening the page of so many hosts, alone on two cores; the tests of other files run meanwhile.
LOADED_WITHIN = 2.0

if CHROMIUM is None:
    pytest.skip("there is no chromium here", allow_module_level=True)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # Its sandbox does not work for root.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def show(browser: Browser, tmp_path: pathlib.Path) -> Iterator[Callable[..., Page]]:
    """Opens the page of a record. At the end of the test it must have complained of nothing, and asked for nothing."""
    complaints: list[str] = []
    asked: list[str] = []
    contexts = []

    def show(record: report.Record, **context: Any) -> Page:
        json_path, html_path = report.paths(str(tmp_path), record["rollout_id"])
        report.write(record, json_path, html_path)
        contexts.append(browser.new_context(**{"viewport": WIDE, **context}))
        page = contexts[-1].new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(html_path.as_uri())
        return page

    yield show
    for context in contexts:
        context.close()
    assert complaints == []
    assert [url for url in asked if not url.startswith(tmp_path.as_uri())] == []
    assert len(asked) == len(contexts)


@pytest.fixture(scope="module")
def bad() -> report.Record:
    """Two good waves, and a third one whose rejects rise."""
    hosts = [f"web{number}" for number in range(1, 13)]
    return simulated_rollout.rollout(hosts, [1, 3, 8], simulated_rollout.rising(4, 40))


def shot(page: Page, name: str) -> None:
    OUTPUT.mkdir(exist_ok=True)
    page.screenshot(path=OUTPUT / f"report-{name}.png", full_page=True)


def names(page: Page) -> list[str]:
    """Hosts that the table shows, from top to bottom."""
    return page.locator("#hosts tbody tr:visible td:first-child").all_text_contents()


def scrolls_sideways(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))


def test_what_it_shows(show: Callable[..., Page], bad: report.Record) -> None:
    page = show(bad)
    assert page.title() == "Rollout 20261121T0900Z: Rolled back"
    assert "too many timestamp rejects" in page.inner_text("header")
    # The last wave is open, and has a plot of each counter group.
    plots = page.locator("figure:visible")
    titles = plots.locator("figcaption strong").all_inner_texts()
    assert titles[0] == "Timestamp rejects"
    assert {"Queue drops", "Resets and failed opens", "Failed connects"} <= set(titles)
    for plot in plots.all():
        for style in ("wave", "controls"):
            line = plot.locator(f"svg[role=img] path.{style}").bounding_box()
            assert line is not None
            assert line["width"] > 300
    rejects = plots.first
    # The wave rises at the change, which is marked, and the time before is at the left of it.
    change = rejects.locator("path.change").bounding_box()
    wave = rejects.locator("svg[role=img] path.wave").bounding_box()
    assert change is not None
    assert wave is not None
    assert wave["height"] > 50
    assert wave["x"] + 20 < change["x"] < wave["x"] + wave["width"] / 2
    assert re.search(r"wave: \d+ in [\d,]+ opens, [\d.]+ per 1,000\ncontrols: ", rejects.inner_html())
    figures = page.locator("details[open] table").first.inner_text()
    assert "a rise, at look" in figures
    shot(page, "light")
    page.get_by_text("Wave 1", exact=True).click()
    assert plots.count() == 2 * len(titles)


def test_colours_differ_by_scheme_and_lines_by_dash(show: Callable[..., Page], bad: report.Record) -> None:
    colour = "element => getComputedStyle(element).{}"
    seen = {}
    for scheme in ("light", "dark"):
        page = show(bad, color_scheme=scheme)
        line = "details[open] figure svg[role=img] path."
        seen[scheme] = [
            page.locator("body").evaluate(colour.format("backgroundColor")),
            page.locator("body").evaluate(colour.format("color")),
            page.locator(f"{line}wave").first.evaluate(colour.format("stroke")),
            page.locator(f"{line}controls").first.evaluate(colour.format("stroke")),
        ]
        dashes = [
            page.locator(f"{line}{name}").first.evaluate(colour.format("strokeDasharray"))
            for name in ("wave", "controls", "other1")
        ]
        assert len(set(dashes)) == len(dashes)
        shot(page, scheme)
    assert all(light != dark for light, dark in zip(seen["light"], seen["dark"], strict=True))
    for scheme, (back, ink, *lines) in seen.items():
        for colour_of in (ink, *lines):
            assert contrast(back, colour_of) >= (4.5 if colour_of == ink else 3), (scheme, colour_of)


def contrast(one: str, other: str) -> float:
    """The contrast ratio of WCAG 2 between two colours as a browser tells them."""

    def luminance(colour: str) -> float:
        parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_the_table_of_hosts_is_filtered_and_sorted(show: Callable[..., Page], bad: report.Record) -> None:
    page = show(bad)
    every = [f"web{number}" for number in range(1, 13)]
    assert names(page) == every
    page.fill("#filter-text", "web1")
    assert names(page) == ["web1", "web10", "web11", "web12"]
    page.select_option("#filter-outcome", "rolled_back")
    assert names(page) == ["web10", "web11", "web12"]
    assert page.inner_text("#filter-shown") == "3 of 12 hosts"
    page.fill("#filter-text", "")
    page.select_option("#filter-outcome", "")
    host, rejects = page.locator("#hosts th").nth(0), page.locator("#hosts th").nth(3)
    host.get_by_role("button").click()
    # Numbers within names count as numbers.
    assert names(page) == every
    host.get_by_role("button").click()
    assert names(page) == every[::-1]
    assert host.get_attribute("aria-sort") == "descending"
    rejects.get_by_role("button").click()
    rates = [float(text.replace(",", "")) for text in page.locator("#hosts tbody td:nth-child(4)").all_text_contents()]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] > 20
    assert host.get_attribute("aria-sort") is None


def test_a_phone(show: Callable[..., Page], bad: report.Record) -> None:
    page = show(bad, viewport=PHONE, device_scale_factor=2, is_mobile=True)
    assert not scrolls_sideways(page)
    plot = page.locator("details[open] figure").first.bounding_box()
    assert plot is not None
    assert plot["width"] > 320
    smallest = "element => element.getBoundingClientRect().height"
    assert all(
        label.evaluate(smallest) > 8 for label in page.locator("details[open] figure").first.locator("text").all()
    )
    shot(page, "phone")


def test_paper(show: Callable[..., Page], bad: report.Record) -> None:
    page = show(bad, color_scheme="dark")
    OUTPUT.mkdir(exist_ok=True)
    printed = page.pdf(path=OUTPUT / "report.pdf", format="A4")
    assert printed.startswith(b"%PDF")
    page.emulate_media(media="print")
    assert page.locator("body").evaluate("element => getComputedStyle(element).color") == "rgb(28, 33, 39)"
    assert not page.locator(".filter").is_visible()
    # Waves that are folded on the screen are not on paper.
    hidden = "element => element.checkVisibility({contentVisibilityAuto: true, visibilityProperty: true})"
    assert all(plot.evaluate(hidden) for plot in page.locator("figure").all())


def test_values_are_data(show: Callable[..., Page]) -> None:
    hosts = [f"web1{INJECTION}", "web2"]
    plan = simulated_rollout.plan(hosts, [1, 1])
    plan["settings"][0].update(why=INJECTION, proposed=INJECTION, key=INJECTION)
    plan["findings"] = [INJECTION]
    plan["rollout_id"] = "20261121T0900Z" + INJECTION
    plan["strata"][hosts[0]] = INJECTION
    judged = simulated_rollout.judged(simulated_rollout.soak(1, hosts[:1], hosts[1:], [f"client{INJECTION}"], looks=3))
    judged["reason"] = INJECTION
    judged["figures"]["excluded"] = {INJECTION: INJECTION}
    undone = {
        hosts[0]: {"failed": True, "msg": INJECTION, "drift": [{"key": INJECTION, "found": "1", "expected": "2"}]}
    }
    started = simulated_rollout.started(hosts[:1])
    started[hosts[0]]["values"][INJECTION] = {"before": INJECTION, "after": INJECTION}
    record = report.with_wave(report.begin(plan), report.wave_record(1, started, judged, {}, undone))
    page = show(record)
    assert page.title().startswith("Rollout 20261121T0900Z<script>")
    assert page.locator("img").count() == 0
    assert page.locator("script").count() == 1
    assert page.inner_text("#hosts tbody tr:first-child td:first-child") == hosts[0]
    page.fill("#filter-text", "<img")
    assert names(page) == hosts[:1]


def test_the_browser_would_load_nothing(browser: Browser, bad: report.Record) -> None:
    page = browser.new_page()
    page.set_content(report.html(bad))
    blocked = page.evaluate(
        """() => new Promise((resolve) => {
            document.addEventListener("securitypolicyviolation", (event) => resolve(event.effectiveDirective));
            const image = document.createElement("img");
            image.src = "data:image/gif;base64,R0lGODlhAQABAAAAACw=";
            document.body.append(image);
            setTimeout(() => resolve("nothing"), 2000);
        })"""
    )
    page.close()
    assert blocked == "img-src"


def test_a_rollout_whose_controller_died(show: Callable[..., Page]) -> None:
    hosts = [f"web{number}" for number in range(1, 5)]
    plan = simulated_rollout.plan(hosts, [1, 3])
    judged = simulated_rollout.judged(simulated_rollout.soak(1, hosts[:1], hosts[1:], looks=3))
    for late in (False, True):
        started = simulated_rollout.started(hosts[:1])
        started[hosts[0]]["trial"]["deadline_epoch"] = time.time() + (-60 if late else 60)
        wave = report.wave_record(1, started, judged, {}, None, running=True)
        page = show(report.with_wave(report.begin(plan), wave))
        assert page.inner_text("header .pill") == ("Interrupted" if late else "Running")
        said = page.inner_text(".notice")
        assert said.startswith("Interrupted in wave 1" if late else "The rollout was running in wave 1")


def test_a_plan_before_any_host_is_touched(show: Callable[..., Page]) -> None:
    page = show(report.begin(simulated_rollout.plan(["web1", "web2"], [1, 1])))
    assert page.inner_text("header .pill") == "Planned"
    assert set(page.locator("#hosts .pill").all_inner_texts()) == {"not started"}
    shot(page, "planned")


def test_a_rollout_that_was_refused(show: Callable[..., Page]) -> None:
    fits = {"verdict": "accepted", "facts": {"kernel": {"release": "6.1.0-42-amd64"}}, "findings": [], "plan": []}
    finding = {
        "rule": "timewait.behind_nat",
        "severity": "error",
        "keys": ["net.ipv4.tcp_timestamps"],
        "message": "Clients share an address.",
    }
    reviews = {
        "web1": {**fits, "plan": [{"key": "net.ipv4.tcp_timestamps", "now": "0", "proposed": "1", "why": ""}]},
        "web2": {**fits, "verdict": "rejected", "findings": [finding]},
        "web3": {"unreachable": True, "msg": "No route to host"},
    }
    why = ["web2: error timewait.behind_nat: Clients share an address.", "web3: cannot be reached: No route to host"]
    record = report.refused(None, {"rollout_id": "20261121T0900Z"}, why, reviews)
    assert record is not None
    for name, context in {"refused": {"color_scheme": "dark"}, "refused-phone": {"viewport": PHONE}}.items():
        page = show(record, **context)
        assert page.title() == "Rollout 20261121T0900Z: Refused"
        assert page.inner_text("header .lead") == "No host was touched. 2 of 3 hosts in the way."
        assert page.locator("main h2").all_inner_texts() == ["Why it was refused", "Hosts", "Proposed"]
        assert page.locator("main > .findings").first.inner_text().splitlines() == why
        assert page.locator("figure").count() == 0
        assert names(page) == ["web1", "web2", "web3"]
        page.select_option("#filter-outcome", "in_the_way")
        assert names(page) == ["web2", "web3"]
        assert "No route to host" in page.inner_text("#hosts")
        assert not scrolls_sideways(page)
        shot(page, name)


def test_a_thousand_hosts(show: Callable[..., Page], tmp_path: pathlib.Path) -> None:
    hosts = [f"web{number:04}.example.net" for number in range(1, MANY + 1)]
    record = simulated_rollout.rollout(hosts, [10, 100, MANY - 110], simulated_rollout.rising(4, 40), looks=12)
    page = show(record)
    # Until everything is drawn and the script has run.
    spent = page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd") / 1000
    assert len(names(page)) == MANY
    page.fill("#filter-text", "web0999")
    assert names(page) == ["web0999.example.net"]
    assert spent < LOADED_WITHIN, f"{spent:.2f} s"
    stored = json.loads(report.paths(str(tmp_path), record["rollout_id"])[0].read_text())
    assert len(stored["waves"][2]["observations"]["hosts"]) == MANY - 110
