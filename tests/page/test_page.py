"""The page as a visitor meets it: the whole suite with a simulated home, and a real browser in real time."""

import json
import pathlib
import re
import signal
import subprocess
import sys
import unittest

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1] / folder) for folder in ("suite", "upstream")]
from browser import Browser  # noqa: E402
from system import ROOT, Home, Workspace, wait_for  # noqa: E402
from upstream import Upstream  # noqa: E402

PICTURES = ROOT / "build" / "page"
LONG = "sensor.a_name_that_somebody_made_of_every_word_they_could_find_in_the_manual_of_the_thing"

# The least contrast between a text and what is behind it, of all texts that are seen.
CONTRAST = """
const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
const light = (colour) => numbers(colour).slice(0, 3).map((c) => c / 255)
    .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4).reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
const behind = (e) => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor; if (numbers(c)[3] !== 0) return c; } };
let least = [99, ''];
for (const e of document.querySelectorAll('body *')) {
    if (e.hidden || ![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())) continue;
    const pair = [light(getComputedStyle(e).color), light(behind(e))].sort((a, b) => b - a);
    const ratio = (pair[0] + 0.05) / (pair[1] + 0.05);
    if (ratio < least[0]) least = [ratio, e.tagName + ' ' + e.className + ' ' + e.textContent.slice(0, 40)];
}
return least;
"""

# What sticks out to the right: of the page, or of a table's frame.
STICKS_OUT = """
return [document.documentElement, ...document.querySelectorAll('.scroll, ol, .tile, .card')]
    .filter((e) => e.scrollWidth > e.clientWidth).map((e) => e.tagName + ' ' + e.className + ' ' + e.scrollWidth + '>' + e.clientWidth);
"""


class Page(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.place = cls.enterClassContext(Workspace())
        cls.home = cls.place.home(truth=False)
        internet = Upstream().start()
        cls.addClassCleanup(internet.stop)
        outside = {f"{source}_{key}": value for source, provider in (("WEATHER", "open-meteo"), ("CARBON", "uk"), ("ELECTRICITY", "tibber"))
                   for key, value in (("PROVIDER", provider), ("URL", internet.url(provider)))}
        cls.system = cls.place.system(home_port=cls.home.port, ELECTRICITY_TOKEN="t0ken", **outside).start()
        cls.home.control("abort")  # makes a gap
        cls.system.wait_live()
        cls.browser = Browser()
        cls.addClassCleanup(cls.browser.stop)

    def setUp(self):
        self.expected_complaints = ()
        self.browser.screen(1300, 900)
        self.browser.open(f"http://127.0.0.1:{self.system.port}/")
        self.wait_text("#verdict", "healthy", 20)

    def tearDown(self):
        """Nothing in the console, but for requests that failed because the test made them fail."""
        unexpected = [line for line in self.browser.complaints() if line[0] not in self.expected_complaints]
        self.assertEqual(unexpected, [])

    def text(self, selector):
        return self.browser.run("return document.querySelector(arguments[0])?.innerText ?? null", selector)

    def rows(self, selector):
        """The texts of a table's cells."""
        return self.browser.run("return [...document.querySelectorAll(arguments[0] + ' tr')].map((tr) => [...tr.cells].map((td) => td.innerText))",
                                selector)

    def lines(self):
        """Of the live events, newest first, without the time."""
        return self.browser.run("return [...document.querySelectorAll('#events li span')].map((e) => e.textContent)")

    def wait_text(self, selector, pattern, seconds=10):
        """Wait until the whole text fits the pattern."""
        seen = None

        def fits():
            nonlocal seen
            seen = self.text(selector)
            return seen is not None and re.fullmatch(pattern, seen, re.S)
        try:
            return wait_for(fits, seconds, selector)
        except AssertionError:
            raise AssertionError(f"{selector} is {seen!r} and stays so, and not {pattern!r}") from None

    def wait_line(self, line, seconds=10):
        wait_for(lambda: line in self.lines(), seconds, f"the line {line!r} among the live events")

    def open_house(self):
        """The home is there again, unless it is."""
        if self.home.process.child.poll() is not None:
            Page.home = Home(self.place.path, port=self.home.port, truth=False)
            self.place.things.append(Page.home)

    def supervise(self, option, name):
        subprocess.run(["s6-svc", option, str(self.system.service(name))], check=True)

    def test_the_first_look(self):
        self.wait_text("#home", "live")
        self.wait_text("#home-note", r"version 2026\.2\.3, for \d+ (s|min)")
        self.wait_text("#rate", r"[\d,]+")
        self.wait_text("#stored", r"[\d,]+")
        self.wait_text("#stored-note", r"[\d.]+ MB on disk, 99 in 100 within \d+ ms")
        self.wait_text("#live", "live")
        self.assertFalse(self.browser.run("return document.getElementById('notice').checkVisibility()"))

        def actors_are_well():
            names = []
            for name, status, cpu, memory, heard in self.rows("#actors"):
                if name.startswith("import"):
                    continue  # of another test: it runs once
                names.append(name.split("\n")[0])
                self.assertEqual(status, "healthy", name)
                self.assertRegex(cpu, r"^[\d.]+ %$", name)
                self.assertRegex(memory, r"^[\d.]+ MB$", name)
                self.assertRegex(heard, r"^\d s ago$", name)
            self.assertEqual(names, ["broker", "carbon", "electricity", "enrich 1", "enrich 2", "gateway", "ingest", "monitor", "query", "registry", "sink", "weather"])
            return True
        wait_for(actors_are_well, 20, "every actor to be told as healthy")
        rate = int(self.text("#rate").replace(",", ""))
        self.assertTrue(60 < rate < 6000, rate)

    def test_live_events_appear_and_go_on(self):
        self.wait_text("#live", "live")
        for state in ("41.5", "42.5"):
            self.home.control(f'set sensor.page_live {state} {{"unit_of_measurement":"kWh"}}')
            self.wait_line(f"sensor.page_live → {state} kWh")
        self.home.control("fire a_type_that_nobody_has_seen {}")
        self.wait_line("a_type_that_nobody_has_seen")
        wait_for(lambda: ["sensor.page_live", "42.5 kWh", "–"] in [row[:3] for row in self.rows("#states")], 10, "the state in the table")

    def test_pause_holds_the_list_and_counts(self):
        wait_for(self.lines, 10, "live events")
        self.browser.click("#pause")
        before = self.lines()
        self.home.control("set sensor.page_paused 1")
        self.wait_text("#pause", r"Resume \([1-9]\d*\)")
        wait_for(lambda: any(row[0] == "sensor.page_paused" for row in self.rows("#states")), 10, "states to go on")
        self.assertEqual(self.lines(), before)
        self.browser.click("#pause")
        self.assertEqual(self.text("#pause"), "Pause")
        self.home.control("set sensor.page_paused 2")
        self.wait_line("sensor.page_paused → 2")
        self.assertNotIn("sensor.page_paused → 1", self.lines())
        self.assertEqual(len([line for line in self.lines() if re.fullmatch(r"[\d,]+ events? came while paused\.", line)]), 1)

    def test_the_search_finds_entities_names_states_and_areas(self):
        self.home.control('set sensor.page_search 17 {"friendly_name":"Umbrella stand"}')
        wait_for(lambda: len(self.rows("#states")) > 10, 10, "the states")
        for wanted in ("KITCHEN", "umbrella", "page_search"):
            self.browser.clear("#search")
            self.browser.type("#search", wanted)
            self.wait_text("#states-note", r"[\d,]+ of [\d,]+ entit(y|ies)")
            rows = wait_for(lambda: self.rows("#states"), 10, "rows")
            for row in rows:
                self.assertIn(wanted.lower(), " ".join(row).lower())
        self.assertEqual(len(rows), 1)
        # A row that stays keeps its element, so that what is selected in it stays selected.
        self.browser.run("window.kept = document.querySelector('#states tr')")
        self.home.control('set sensor.page_search 18 {"friendly_name":"Umbrella stand"}')
        wait_for(lambda: self.rows("#states")[0][1] == "18", 10, "the new state")
        self.assertTrue(self.browser.run("return window.kept === document.querySelector('#states tr')"))
        self.browser.type("#search", "zzz")
        self.wait_text("#states", r"Nothing fits\.")
        self.browser.clear("#search")
        wait_for(lambda: len(self.rows("#states")) > 10, 10, "all states again")

    def test_what_the_house_says_is_text_and_no_markup(self):
        self.wait_text("#live", "live")
        markup = "<img src=x onerror=alert(1)>"
        self.home.control(f'set sensor.page_markup "{markup}" {{"friendly_name":"<b onclick=alert(2)>bold</b>"}}')
        self.home.control("fire <i>type</i> {}")
        self.wait_line(f"sensor.page_markup → {markup}")
        self.wait_line("<i>type</i>")
        wait_for(lambda: ["sensor.page_markup\n<b onclick=alert(2)>bold</b>", markup, "–"] in [row[:3] for row in self.rows("#states")],
                 10, "the markup in the table")
        self.assertEqual(self.browser.run("return document.querySelectorAll('main :is(img, i, script, td b)').length"), 0)

    def test_a_removed_entity_leaves_the_states(self):
        self.home.control("set sensor.page_removed 1")
        wait_for(lambda: any(row[0] == "sensor.page_removed" for row in self.rows("#states")), 10, "the entity")
        self.home.control("remove sensor.page_removed")
        self.wait_line("sensor.page_removed → removed")
        wait_for(lambda: not any(row[0] == "sensor.page_removed" for row in self.rows("#states")), 10, "its removal")

    def test_a_flood_of_events_does_not_freeze_the_page(self):
        self.wait_text("#live", "live")
        self.addCleanup(self.home.control, "rate 12")
        self.home.control("rate 1000")
        wait_for(lambda: len(self.lines()) == 100, 20, "a full list")
        self.browser.click("#pause")
        self.wait_text("#pause", r"Resume \([\d,]{4,}\)", 20)
        before = self.lines()
        self.browser.click("#pause")
        wait_for(lambda: self.lines() != before, 10, "the list to go on")
        self.assertEqual(len(self.lines()), 100)

    def test_what_goes_on_outside_is_shown(self):
        wait_for(lambda: {row["source"]: row["status"] for row in self.system.api.get("/api/v1/sources")["sources"]} ==
                 {"weather": "ok", "carbon": "ok", "electricity": "ok", "airquality": "off", "calendar": "off", "smartmeter": "off"}, 20, "the sources to be ok")
        self.browser.open(f"http://127.0.0.1:{self.system.port}/")
        rows = wait_for(lambda: len(found := self.rows("#outside")) == 6 and found, 10, "the sources")
        self.assertEqual([row[0] for row in rows], ["carbon", "electricity", "weather", "airquality", "calendar", "smartmeter"])
        for row, said in zip(rows, (r"\d+ g/kWh, \w+.*\nCarbon .*", r"0\.2853 EUR/kWh, \d+\. of \d+ today\nPrices by Tibber \(tibber\.com\)",
                                    r"6\.4 °C, rain, wind 4\.6 m/s\nWeather data by Open-Meteo\.com \(open-meteo\.com\), CC BY 4\.0", "–")):
            self.assertRegex(row[1], f"^{said}$")
        self.assertEqual([row[2].strip() for row in rows[:3]], ["ok"] * 3)
        self.assertIn("AIRQUALITY_PROVIDER", rows[3][2])
        captions = self.browser.run("return [...document.querySelectorAll('#curves figcaption')].map((e) => e.innerText)")
        self.assertRegex(captions[0], r"^Carbon of the grid, .*: \d+ g/kWh to \d+ g/kWh")
        self.assertRegex(captions[1], r"^Price, .*: -?[\d.]+ EUR/kWh to [\d.]+ EUR/kWh · cheapest 2 h: \d\d:\d\d( \+1)? to \d\d:\d\d( \+1)?, [\d.]+ EUR/kWh$")
        self.browser.run("document.querySelector('#sources').scrollIntoView()")
        self.browser.picture(PICTURES / "outside.png")
        self.assertEqual(self.browser.run(STICKS_OUT), [])

    def test_gaps_are_listed(self):
        self.wait_text("#gap-count", r"[1-9]\d*")
        self.wait_text("#gap-note", r"recording since .*20\d\d.*")
        rows = self.rows("#gaps")
        self.assertEqual([row[1] for row in rows if row[2] == "recording began"], ["–"])
        start, lasted, cause, became = next(row for row in rows if row[2] != "recording began")
        self.assertRegex(start, r"20\d\d.*\nto .*\d\d:\d\d:\d\d$")
        self.assertRegex(lasted, r"^\d+ s$")
        self.assertEqual(cause, "connection lost")
        self.assertEqual([row[3] for row in rows if row[3].startswith("filling") and "lost" in row[3]], [])  # not yet
        wait_for(lambda: any(row[3].startswith("filled") for row in self.rows("#gaps")), 20, "the gap to be filled")
        became = next(row[3] for row in self.rows("#gaps") if row[3].startswith("filled"))
        self.assertRegex(became, r"^filled\n(\d+ states? back; lost: their contexts, other events|lost: other events)$")
        self.assertEqual(len(rows), int(self.text("#gap-count")) + 1)

    def test_rules_are_tried_and_put_in_force(self):
        self.wait_text("#filters", r"Everything is kept\.")
        self.home.control("set sensor.page_unwanted 1")
        self.wait_line("sensor.page_unwanted → 1")
        self.browser.click("summary")
        self.browser.type("#filters-text", "[{")
        self.browser.click("#filters-preview")
        self.wait_text("#filters-said", "This is no JSON: .*")
        self.browser.clear("#filters-text")
        self.browser.type("#filters-text", '[{"action":"exclude","entity_id":"sensor.page_unwanted","note":"<b>why</b>"}]')
        self.browser.click("#filters-preview")
        self.wait_text("#filters-said", r"Of [\d,]+ events? stored since .*, [1-9]\d* would not be there and 0 would have been taken back: .*sensor\.page_unwanted.*")
        self.browser.click("#filters-save")
        self.addCleanup(self.system.api.request, "PUT", "/api/v1/filters", '{"rules":[]}', {"Content-Type": "application/json"})
        self.wait_text("#filters-said", r"1 rule in force from now on\.")
        self.wait_text("#filters", r"exclude\s+sensor\.page_unwanted\s+entity id · <b>why</b>\s+0\s+0")
        self.home.control("set sensor.page_unwanted 2")
        self.wait_text("#filters", r"exclude\s+sensor\.page_unwanted\s+entity id · <b>why</b>\s+1\s+0")
        self.browser.picture(PICTURES / "filters.png")
        self.assertEqual(self.browser.run(STICKS_OUT), [])
        stored = self.system.api.get("/api/v1/states", entity_id="sensor.page_unwanted")["states"]
        self.assertEqual([row["state"] for row in stored], ["1"])
        self.browser.clear("#filters-text")
        self.browser.click("#filters-save")
        self.wait_text("#filters-said", r"Everything is kept from now on\.")
        self.wait_text("#filters", r"Everything is kept\.")

    def test_what_was_refused_is_shown_replayed_and_deleted(self):
        self.wait_text("#quarantine", r"Nothing has been refused\.")
        self.home.control("bad-json")
        rows = wait_for(lambda: [row for row in self.rows("#quarantine") if len(row) == 4], 10, "a refused frame")
        self.assertRegex(rows[0][0], r"20\d\d.*\ningest$")
        self.assertRegex(rows[0][2], r"^[\d,]+ bytes?$")
        self.browser.picture(PICTURES / "quarantine.png")
        self.assertEqual(self.browser.run(STICKS_OUT), [])
        self.browser.click("#quarantine-replay")
        self.wait_text("#quarantine-said", rf"{len(rows)} replayed, 0 taken, {len(rows)} refused again\.")
        for left in range(len(rows), 0, -1):
            wait_for(lambda: len([row for row in self.rows("#quarantine") if len(row) == 4]) == left, 10, f"{left} rows")
            for text in ("Delete", "For ever?"):
                self.wait_text("#quarantine tr button:last-child", text.replace("?", r"\?"))
                self.browser.click("#quarantine tr button:last-child")
        self.wait_text("#quarantine", r"Nothing has been refused\.")

    def test_home_assistant_going_away_is_shown(self):
        self.home.stop()
        self.addCleanup(self.open_house)
        self.wait_text("#home", "waiting|connecting")
        self.wait_text("#verdict", "degraded")
        self.wait_text("#home-note", "Unable to connect")
        self.wait_text("#notice", "Home Assistant: .*Unable to connect")
        self.wait_text("#gap-note", "1 still open", 20)
        self.assertEqual(self.rows("#gaps")[0][2:], ["connection lost", "open"])
        self.browser.picture(PICTURES / "home-away.png")
        self.open_house()
        self.wait_text("#home", "live", 20)
        self.wait_text("#verdict", "healthy")

    def test_a_killed_gateway_is_told_and_come_back_to(self):
        self.expected_complaints = ("network",)
        wait_for(self.lines, 10, "live events")
        self.addCleanup(self.supervise, "-u", "gateway")
        self.supervise("-O", "gateway")  # s6 is not to restart it, so that the visitor has time to look
        self.system.signal("gateway", signal.SIGKILL)
        self.wait_text("#notice", r"The gateway does not answer\. What you see is of .*\.")
        self.wait_text("#verdict", "no answer")
        self.wait_text("#live", "connecting")
        self.assertLess(self.browser.run("return Number(getComputedStyle(document.querySelector('main')).opacity)"), 0.7)
        self.browser.picture(PICTURES / "gateway-away.png")
        self.home.control("set sensor.page_meanwhile 1")
        self.supervise("-u", "gateway")
        self.wait_text("#verdict", "healthy", 20)
        self.wait_text("#live", "live")
        self.wait_line("sensor.page_meanwhile → 1")
        self.wait_text("#stored", r"[\d,]+")
        self.assertFalse(self.browser.run("return document.getElementById('notice').checkVisibility()"))
        self.home.control("set sensor.page_meanwhile 2")
        self.wait_line("sensor.page_meanwhile → 2")

    def test_a_process_that_is_away_is_named_and_its_figures_are_dashes(self):
        self.expected_complaints = ("network",)
        self.wait_text("#stored", r"[\d,]+")
        self.addCleanup(self.supervise, "-u", "query-1")
        self.supervise("-d", "query-1")
        self.wait_text("#notice", r"query: .*")
        self.wait_text("#verdict", "unhealthy")
        self.wait_text("#stored", "–", 30)
        self.supervise("-u", "query-1")
        self.wait_text("#verdict", "healthy", 20)
        self.wait_text("#stored", r"[\d,]+", 30)

    def test_an_alert_is_shown_taken_note_of_and_over(self):
        def rule(**body):
            status, _, text = self.system.api.request("PUT", "/api/v1/alerts/rules/disk_full", json.dumps(body), {"Content-Type": "application/json"})
            self.assertEqual(status, 200, text)
        self.addCleanup(rule, enabled=True, threshold=5)
        self.wait_text("#alerts .sum", r"[\d,]+ received = [\d,]+ stored.*")
        rule(threshold=101)
        self.wait_text("#alerts .list", r".*critical\s+[\d.]+ % \(\d+ MiB\) are free where the data are kept\s+disk full · since .*", 20)
        self.browser.picture(PICTURES / "alerts.png")
        self.browser.run("[...document.querySelectorAll('#alerts li')].find((li) => li.innerText.includes('disk full')).querySelector('button').click()")
        self.wait_text("#alerts .list", r".*disk full · since [^\n]* · noted by page\s+Resolve.*", 20)
        rule(enabled=False)
        wait_for(lambda: "disk full" not in self.text("#alerts .list"), 20, "the alert to be over")

    def test_it_fits_a_phone_and_a_desk_and_can_be_read_by_day_and_night(self):
        self.home.control(f'set {LONG} "{"long" * 20}" {{"friendly_name":"{"Wort" * 30}"}}')
        self.wait_line(f"{LONG} → {'long' * 20}")
        self.wait_text("#gap-count", r"[1-9]\d*")
        wait_for(lambda: any(row[0].startswith(LONG) for row in self.rows("#states")), 10, "the long name in the table")
        self.wait_text("#rate", r"[\d,]+")
        self.browser.click("#pause")
        for width, height, dark in ((1300, 900, False), (1300, 900, True), (390, 844, False), (390, 844, True), (800, 900, False)):
            with self.subTest(width=width, dark=dark):
                self.browser.screen(width, height, dark)
                self.assertEqual(self.browser.run("return innerWidth"), width)
                self.browser.picture(PICTURES / f"{width}-{'dark' if dark else 'light'}.png")
                self.assertEqual(self.browser.run(STICKS_OUT), [])
                ratio, where = self.browser.run(CONTRAST)
                self.assertGreaterEqual(ratio, 4.5, where)
        self.assertEqual(self.browser.run("return matchMedia('(prefers-color-scheme: dark)').matches"), False)

    def test_a_recorder_is_imported_from_the_page(self):
        import recorder
        base = recorder.unpack("2025.4.4", self.place.path)
        self.wait_text("#import .state", "none")
        self.browser.run("document.querySelector('#import .path').value = arguments[0]; document.querySelector('#import form').requestSubmit()",
                         "/no/such/file.db")
        self.wait_text("#import .error", "path: there is no such file")
        self.expected_complaints = ("network",)
        self.browser.run("document.querySelector('#import .path').value = arguments[0]; document.querySelector('#import form').requestSubmit()",
                         str(base))
        self.wait_text("#import .state", "done", 30)
        self.wait_text("#import .text", r".*recorder-2025.4.4.db: done: 611 states, 953 events, 0 statistics in .* s", 10)
        self.assertEqual(self.text("#import .error"), "")
        self.assertEqual(self.browser.run(STICKS_OUT), [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
