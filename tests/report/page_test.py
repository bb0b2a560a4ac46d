"""The page of `tracer report --html` in a real Chromium: it draws without an error, asks the network for nothing, is never
more than text to a hostile log, and works by mouse, by keyboard and for a screen reader, in both themes and on paper.

ctest gives the environment. Exit code 77 (skipped) without a browser (`make test-report` installs one) or the Python
packages. Usage beside ctest: page_test.py [TEST ...]; TRACER_TEST_SHOTS=FOLDER keeps a picture of every page."""

import json
import os
import pathlib
import re
import sys
import tempfile
import unittest

try:
    import hostile_log
    from browser import Browser
    from page_fixture import CHROMIUM, SHOTS, Page, contrast, tracer
except ImportError as missing:
    print(f"skipped: {missing}: `make test-report` installs what this needs")
    sys.exit(77)

DATA = os.environ.get("TRACER_TEST_DATA")
SECTIONS = ["headline", "curve", "flow", "map", "reasons", "labels", "regions", "suspects", "border", "slices"]
TABLES = ["targets", "flow-table", "reasons-table", "labels-table", "regions-table", "suspects-table", "border-table", "slices-table"]
MOST_BYTES = 2_000_000


class Hostile(Page):
    @classmethod
    def make(cls, folder):
        hostile_log.write_log(folder / "log.jsonl", 2400, 1.6, 1)
        tracer(folder, "fit", "log.jsonl", "--alpha", "0.9", "-o", "p", "-q")
        tracer(folder, "report", "p", "--html", "page.html", "--slice", "site", "-q")
        cls.explained = json.loads(tracer(folder, "explain", "p", "--slice", "site", "--json", "-q").stdout)

    def test_texts_are_never_markup(self):
        self.shot("hostile")
        self.assertIsNone(self.b.js("window.hacked === undefined ? null : 1"))
        self.assertEqual(self.b.js("document.querySelectorAll('script').length"), 2)
        self.assertEqual(self.b.js("document.querySelectorAll('img, iframe, object, embed, link:not([rel=icon]), style:not(head style), b, i').length"), 0)
        shown = self.b.js("document.body.innerText")
        for text in ('</script><img src=x onerror="window.hacked=1">', "\"quotes\" & 'more' <b>", "@DATA@ ${label}"):
            self.assertIn(text, shown)
        self.assertIn("<U+202E>right to left", shown)
        self.assertNotRegex(shown, "[\u202a-\u202e\u2066-\u2069\u0000]")
        self.assertLess(self.page.stat().st_size, MOST_BYTES)
        self.assertEqual(self.data()["explain"]["n"], self.explained["n"])

    def test_the_policy_of_the_page_forbids_everything_else(self):
        blocked = self.b.js("""new Promise(async done => {
          const seen = [];
          document.addEventListener("securitypolicyviolation", e => seen.push(e.effectiveDirective));
          const script = document.createElement("script");
          script.textContent = "window.injected = 1";
          document.body.append(script);
          await fetch("http://127.0.0.1:9/").catch(() => 0);
          new Image().src = "http://127.0.0.1:9/x.png";
          setTimeout(() => done([window.injected === undefined, seen]), 300);
        })""")
        self.assertTrue(blocked[0])
        self.assertEqual({d.split("-")[0] for d in blocked[1]}, {"script", "connect", "img"})
        self.b.console.clear()  # the browser reports each
        self.b.requests[:] = self.b.requests[:1]

    def test_search_finds_text_as_text(self):
        self.focus("#map-search")
        self.b.type("<img src=")
        self.b.settle()
        of = self.data()["map"]
        fields = zip(of["text"], of["id"], of["teacher"], of["surrogate"])
        found = sum("<img src=" in " ".join([text or "", of["labels"][t], of["labels"][s]]) for text, _, t, s in fields)
        self.assertGreater(found, 0)
        self.assertIn(f"{found:,} found", self.b.js("document.querySelector('#map [role=status]').textContent"))
        self.assertGreater(self.b.js("document.querySelectorAll('.hits li').length"), 0)


class Ordinary(Page):
    @classmethod
    def make(cls, folder):
        hostile_log.LABELS, kept = [f"label {i}" for i in range(16)], hostile_log.LABELS
        try:
            hostile_log.write_log(folder / "log.jsonl", 4000, 1.1, 2)
        finally:
            hostile_log.LABELS = kept
        tracer(folder, "fit", "log.jsonl", "--alpha", "0.9", "-o", "p", "-q")
        tracer(folder, "report", "p", "--html", "page.html", "-q")
        cls.explained = json.loads(tracer(folder, "explain", "p", "--json", "-q").stdout)

    def test_sections_and_headline(self):
        self.assertEqual(self.b.js("[...document.querySelectorAll('main > section')].map(s => s.id)"), SECTIONS)
        share = f"{100 * self.explained['coverage']:.1f}\u00a0%"
        self.assertIn(f"handles {share} of the traffic", self.of("h1", "n.textContent"))
        self.assertEqual(self.b.js("document.querySelectorAll('h1').length"), 1)
        self.assertEqual(self.b.js("document.documentElement.lang"), "en-GB")
        circles = self.b.js("document.querySelectorAll('#curve .point').length")
        self.assertEqual(circles, sum(f["certified"] for f in self.data()["frontier"]))

    def test_the_flow_adds_up(self):
        flow = self.b.js("[...document.querySelectorAll('#flow-table tbody tr')].map(r => [...r.cells].slice(1).map(c => Number(c.textContent.replace(/,/g, ''))))")
        self.assertEqual([sum(column) for column in zip(*flow)],
                         [self.explained["n"], self.explained["n_handled"], self.explained["n"] - self.explained["n_handled"]])

    def test_tables_sort_by_keyboard(self):
        for table in TABLES:
            self.assertTrue(self.of(f"#{table} caption", "n.textContent.length > 0"), table)
            self.assertTrue(self.b.js(f"[...document.querySelectorAll('#{table} thead th')].every(h => h.scope === 'col' && h.getAttribute('aria-sort') === 'none')"), table)
        heads = self.b.js("[...document.querySelectorAll('#labels-table thead th')].map(h => h.textContent)")
        column = heads.index("Rows")
        counts = {l["label"]: l["n"] for l in self.explained["labels"]}
        for direction, reverse in (("descending", True), ("ascending", False)):
            self.focus(f"#labels-table thead th:nth-child({column + 1}) button")
            self.b.key("Enter")
            self.assertEqual(self.of(f"#labels-table thead th:nth-child({column + 1})", "n.getAttribute('aria-sort')"), direction)
            self.assertEqual([int(c) for c in self.cells("labels-table", column)], sorted(counts.values(), reverse=reverse))
        self.assertEqual(self.b.js("document.querySelectorAll('#labels-table [aria-sort]:not([aria-sort=none])').length"), 1)
        # Rows without a figure come last, both ways.
        heads = self.b.js("[...document.querySelectorAll('#targets thead th')].map(h => h.textContent)")
        for _ in range(2):
            self.focus(f"#targets thead th:nth-child({heads.index('Agreement') + 1}) button")
            self.b.key("Enter")
            figures = self.cells("targets", heads.index("Agreement"))
            self.assertEqual(figures, sorted(figures, key=lambda c: c == "–"))

    def test_tables_filter_and_show_all(self):
        rows = len(self.explained["suspects"])
        self.assertGreater(rows, 25)
        self.assertEqual(len(self.cells("suspects-table", 0)), 25)
        self.focus("#suspects-table-filter")
        self.b.type("LABEL 3")
        wanted = sum("label 3" in f"{s['teacher']}\n{s['surrogate']}\n{s['input']}" for s in self.explained["suspects"])
        self.assertGreater(wanted, 0)
        self.assertEqual(len(self.cells("suspects-table", 0)), min(wanted, 25))
        self.of("#suspects-table-filter", "(n.select(), 1)")
        self.b.type("no such text")
        self.assertEqual(self.cells("suspects-table", 0), ["No row matches."])
        self.of("#suspects-table-filter", "(n.value = '', n.dispatchEvent(new Event('input')), 1)")
        self.b.click(*self.show_more())
        self.assertEqual(len(self.cells("suspects-table", 0)), rows)

    def show_more(self):
        self.of("#suspects .more", "(n.scrollIntoView({block: 'center'}), 1)")
        return self.middle("#suspects .more")

    def test_both_themes_can_be_read(self):
        pairs = [("h1", "color"), (".about", "color"), (".tile .small", "color"), ("nav a", "color"), (".flag, #targets td", "color"), ("footer", "color")]
        for theme in ("light", "dark"):
            self.b.media(theme)
            self.b.open(self.page)
            self.assertEqual(self.b.js("document.documentElement.dataset.theme"), theme)
            self.shot(f"ordinary_{theme}")
            for selector, what in pairs:
                ground = self.of(selector, """(() => { for (let at = n; at; at = at.parentElement) {
                    const c = getComputedStyle(at).backgroundColor; if (c !== "rgba(0, 0, 0, 0)") return c; } return "rgb(255, 255, 255)"; })()""")
                colour = self.of(selector, f"getComputedStyle(n).{what}")
                self.assertGreaterEqual(contrast(colour, ground), 4.5, (theme, selector, colour, ground))
            for variable in ("--handled", "--deferred", "--bad", "--good"):
                colour = self.b.js(f"(p => {{ p.style.color = 'var({variable})'; document.body.append(p); const c = getComputedStyle(p).color; p.remove(); return c; }})(document.createElement('p'))")
                self.assertGreaterEqual(contrast(colour, self.of("section", "getComputedStyle(n).backgroundColor")), 3, (theme, variable))
        self.focus("#theme")
        self.b.key("Enter")
        self.assertEqual(self.b.js("document.documentElement.dataset.theme"), "light")
        self.assertEqual(self.of("#theme", "n.getAttribute('aria-pressed')"), "false")

    def painted(self):
        """Pixels of the map by colour: how many are bluish, how many orange."""
        self.b.settle()
        return self.b.js("""(c => { const copy = document.createElement("canvas"); copy.width = c.width, copy.height = c.height;
          const pen = copy.getContext("2d", {willReadFrequently: true}); pen.drawImage(c, 0, 0);
          const d = pen.getImageData(0, 0, c.width, c.height).data; let blue = 0, orange = 0;
          for (let i = 0; i < d.length; i += 4) if (d[i + 3] > 99) { if (d[i + 2] > d[i] + 40) ++blue; else if (d[i] > d[i + 2] + 40) ++orange; }
          return [blue, orange]; })(document.querySelector("canvas"))""")

    def test_the_map_is_painted_and_its_controls_work(self):
        self.focus("canvas")
        blue, orange = self.painted()
        self.assertGreater(blue, 500)
        self.assertGreater(orange, 100)
        self.of(".legend li:nth-child(2) button", "(n.click(), 1)")
        self.assertEqual(self.painted()[1], 0)
        self.assertEqual(self.of(".legend li:nth-child(2) button", "n.getAttribute('aria-pressed')"), "false")
        self.of(".legend li:nth-child(2) button", "(n.click(), 1)")
        self.assertEqual(self.painted(), [blue, orange])
        self.of("#map-layout", "(n.value = 'components', n.dispatchEvent(new Event('change')), 1)")
        self.assertNotEqual(self.painted(), [blue, orange])
        for way in range(self.of("#map-colour", "n.options.length")):
            self.of("#map-colour", f"(n.value = {way}, n.dispatchEvent(new Event('change')), 1)")
            self.painted()
            groups = self.b.js("[...document.querySelectorAll('.legend button')].map(b => Number(b.textContent.match(/([\\d,]+)$/)[1].replace(/,/g, '')))")
            self.assertEqual(sum(groups), len(self.data()["map"]["line"]), way)

    def test_the_map_walks_by_keyboard(self):
        self.focus("canvas")
        said = set()
        for key in ("ArrowRight", "ArrowRight", "ArrowUp", "ArrowLeft", "ArrowDown"):
            self.b.key(key)
            said.add(self.of("#map-picked", "n.textContent"))
        self.assertGreater(len(said), 3)
        self.assertTrue(all(re.match(r"Line \d+, <i>\d+</i>: ", s) for s in said), said)
        before = self.painted()
        self.b.key("+")
        self.assertNotEqual(self.painted(), before)
        self.b.key("0")
        self.b.key("Escape")
        self.assertEqual(self.of("#map-picked", "n.textContent"), "No dot is chosen.")

    def test_pointing_at_a_dot_tells_of_it(self):
        self.focus("canvas")
        of = self.data()["map"]
        x, y, w, h = self.of("canvas", "(r => [r.x, r.y, r.width, r.height])(n.getBoundingClientRect())")
        scale = min(w, h) * 0.95 / 4095
        place = lambda i: (x + w / 2 + (of["x"][i] - 4095 / 2) * scale, y + h / 2 + (of["y"][i] - 4095 / 2) * scale)
        # A dot with no other near: the one that is shown is known.
        alone = next(i for i in range(len(of["x"])) if all(j == i or (of["x"][i] - of["x"][j]) ** 2 + (of["y"][i] - of["y"][j]) ** 2 > 25 ** 2 for j in range(len(of["x"]))))
        self.b.hover(*place(alone))
        self.b.settle()
        self.assertFalse(self.of(".hover", "n.hidden"))
        self.assertTrue(self.of(".hover", "n.textContent").startswith(f"Line {of['line'][alone]}, "))
        self.b.click(*place(alone))
        self.assertTrue(self.of("#map-picked", "n.textContent").startswith(f"Line {of['line'][alone]}, "))

    def test_everything_has_a_name_for_a_screen_reader(self):
        nodes = self.b.accessibility_tree()
        roles = {"button", "searchbox", "combobox", "link", "application", "image", "img", "table", "region", "navigation", "columnheader", "rowheader"}
        found = set()
        for node in nodes:
            role = node.get("role", {}).get("value")
            if node.get("ignored") or role not in roles:
                continue
            found.add(role)
            self.assertTrue(node.get("name", {}).get("value", "").strip(), node)
        self.assertLessEqual({"button", "searchbox", "combobox", "link", "application", "table", "columnheader", "rowheader"}, found)
        # The way in: first the link that skips what is before the report.
        self.b.js("document.activeElement.blur(); 1")
        self.b.key("Tab")
        self.assertEqual(self.b.js("document.activeElement.className"), "skip")

    def test_it_fits_a_phone_and_paper(self):
        self.b.size(390, 800)
        self.b.settle()
        self.assertLessEqual(self.b.js("document.documentElement.scrollWidth"), 390)
        self.shot("ordinary_narrow")
        self.b.size(720, 1000)  # A4 between its margins
        self.b.media("light", "print")
        self.b.settle()
        self.assertLessEqual(self.b.js("document.documentElement.scrollWidth"), 720)
        self.assertEqual(self.b.js("getComputedStyle(document.querySelector('nav')).display"), "none")
        self.b.media("light")
        self.b.size(1280, 1000)
        self.b.js("window.printed = 0; window.addEventListener('beforeprint', () => { window.printed = document.querySelectorAll('#suspects-table tbody tr').length; }); 1")
        paper = self.b.pdf()
        self.assertEqual(paper[:5], b"%PDF-")
        if SHOTS:
            (pathlib.Path(SHOTS) / "ordinary.pdf").write_bytes(paper)
        self.assertEqual(self.b.js("window.printed"), len(self.explained["suspects"]))
        self.assertEqual(len(self.cells("suspects-table", 0)), 25)


class MoreTracesAndLastVersion(Page):
    """The sections that a page has on demand, on a hostile log."""

    @classmethod
    def make(cls, folder):
        hostile_log.write_log(folder / "log.jsonl", 3000, 1.6, 1)
        hostile_log.write_log(folder / "earlier.jsonl", 600, 1.6, 2)
        tracer(folder, "fit", "earlier.jsonl", "--alpha", "0.9", "-o", "old", "-q")
        tracer(folder, "fit", "log.jsonl", "--alpha", "0.9", "-o", "p", "-q")
        tracer(folder, "report", "p", "--html", "page.html", "--curve", "--since", "old", "-q")
        cls.explained = json.loads(tracer(folder, "explain", "p", "--curve", "--since", "old", "--json", "-q").stdout)

    def test_the_sections_show_the_documents_figures(self):
        self.shot("growth_and_since")
        self.assertEqual(self.b.js("[...document.querySelectorAll('main > section')].map(s => s.id)"),
                         SECTIONS[:2] + ["growth", "since"] + SECTIONS[2:])
        data, growth, since = self.data()["explain"], self.explained["learning_curve"], self.explained["since"]
        self.assertEqual((data["learning_curve"], data["since"]), (growth, since))
        self.assertGreater(since["gained"], 0)
        text = self.of("#growth .about", "n.textContent")
        self.assertIn(f"{growth['more']:,} more traces like these give about {100 * growth['gain']:.1f}\u00a0% more", text)
        self.assertEqual(self.b.js("document.querySelectorAll('#growth .point').length"), len(growth["points"]) + 1)
        self.assertEqual(len(self.cells("growth-table", 0)), len(growth["labels"]))
        self.assertEqual(len(self.cells("since-labels-table", 0)), len(since["labels"]))
        self.assertEqual(len(self.cells("since-regions-table", 0)), len(since["regions"]))
        self.assertIn(f"{since['gained']:,} rows gained and {since['lost']:,} lost", self.of("#since", "n.textContent"))
        self.assertIsNone(self.b.js("window.hacked === undefined ? null : 1"))
        self.assertEqual(self.b.js("document.querySelectorAll('.left-out').length"), 0)

    def test_they_fit_a_phone_and_can_be_read_in_the_dark(self):
        self.b.size(390, 800)
        self.b.settle()
        self.assertLessEqual(self.b.js("document.documentElement.scrollWidth"), 390)
        self.b.media("dark")
        self.b.open(self.page)
        ground = self.of("#growth", "getComputedStyle(n).backgroundColor")
        for selector in ("#growth .about", "#since p", "#since-labels-table td", "#growth-table th"):
            self.assertGreaterEqual(contrast(self.of(selector, "getComputedStyle(n).color"), ground), 4.5, selector)


class ManyLabels(Page):
    """Thousands of labels: the page keeps the most important, says so, and its sums still hold."""

    @classmethod
    def make(cls, folder):
        labels = ["label <b>" + "é" * 60 + f" {i}" for i in range(2000)]
        hostile_log.write_many(folder / "log.jsonl", labels, 6000, 7)
        hostile_log.write_many(folder / "fresh.jsonl", labels, 10000, 8)
        tracer(folder, "fit", "log.jsonl", "--alpha", "0.5", "--sweep", "0.5", "-o", "p", "-q")
        tracer(folder, "report", "p", "--traces", "fresh.jsonl", "--html", "page.html", "-q")
        cls.explained = json.loads(tracer(folder, "explain", "p", "--traces", "fresh.jsonl", "--json", "-q").stdout)

    def test_the_page_stays_small_and_says_what_it_leaves_out(self):
        self.shot("many_labels")
        self.assertLess(self.page.stat().st_size, MOST_BYTES)
        data = self.data()
        left = data["left_out"]["labels"]
        self.assertEqual(len(data["explain"]["labels"]) + left["entries"], len(self.explained["labels"]))
        self.assertGreater(left["entries"], 1000)
        said = self.of("#labels .left-out", "n.textContent")
        self.assertIn(f"{left['entries']:,} further labels are in the document of tracer explain --json", said)
        flow = self.b.js("[...document.querySelectorAll('#flow-table tbody tr')].map(r => [...r.cells].slice(1).map(c => Number(c.textContent.replace(/,/g, ''))))")
        self.assertEqual([sum(column) for column in zip(*flow)],
                         [self.explained["n"], self.explained["n_handled"], self.explained["n"] - self.explained["n_handled"]])


class Scan(Page):
    @classmethod
    def make(cls, folder):
        hostile_log.write_log(folder / "log.jsonl", 4000, 1.3, 4)
        tracer(folder, "scan", "log.jsonl", "--alpha", "0.9", "--html", "page.html", "--price-in", "1", "-q")
        cls.scanned = json.loads(tracer(folder, "scan", "log.jsonl", "--alpha", "0.9", "--price-in", "1", "--json", "-q").stdout)

    def test_the_page_shows_the_scan_and_texts_are_never_markup(self):
        for theme in ("light", "dark"):
            self.b.media(theme)
            self.b.open(self.page)
            self.shot(f"scan_{theme}")
        self.assertEqual(self.b.js("[...document.querySelectorAll('main > section')].map(s => s.id)"), ["headline", "curve", "map", "cells"])
        self.assertEqual(self.data()["scan"]["cells"][0]["rows"], self.scanned["cells"][0]["rows"])
        self.assertIn(f"{100 * self.scanned['handled']['share']:.1f}\u00a0% of the traffic could be handled", self.of("h1", "n.textContent"))
        self.assertEqual(len(self.cells("cells-table", 0)), len(self.scanned["cells"]))
        self.assertIsNone(self.b.js("window.hacked === undefined ? null : 1"))
        self.assertEqual(self.b.js("document.querySelectorAll('script').length"), 2)
        self.assertEqual(self.b.js("document.querySelectorAll('img, iframe, object, embed, b, i').length"), 0)
        self.assertIn('</script><img src=x onerror="window.hacked=1">', self.b.js("document.body.innerText"))
        self.assertLess(self.page.stat().st_size, MOST_BYTES)

    def test_the_map_is_of_the_cells(self):
        self.assertEqual(self.of("#map-colour", "n.options[0].textContent"), "Cell")
        groups = self.b.js("[...document.querySelectorAll('.legend button')].map(b => Number(b.textContent.match(/([\\d,]+)$/)[1].replace(/,/g, '')))")
        self.assertEqual(sorted(groups), sorted(c["rows"] for c in self.scanned["cells"]))
        for way in range(self.of("#map-colour", "n.options.length")):
            self.of("#map-colour", f"(n.value = {way}, n.dispatchEvent(new Event('change')), 1)")
            groups = self.b.js("[...document.querySelectorAll('.legend button')].map(b => Number(b.textContent.match(/([\\d,]+)$/)[1].replace(/,/g, '')))")
            self.assertEqual(sum(groups), self.scanned["split"]["n_certify"], way)
        self.focus("canvas")
        self.b.key("ArrowRight")
        self.assertRegex(self.of("#map-picked", "n.textContent"), "vote")
        self.b.size(390, 800)
        self.b.settle()
        self.assertLessEqual(self.b.js("document.documentElement.scrollWidth"), 390)


class Refused(Page):
    @classmethod
    def make(cls, folder):
        hostile_log.write_log(folder / "log.jsonl", 1600, 4, 3)
        tracer(folder, "fit", "log.jsonl", "--alpha", "0.99", "-o", "p", "-q", code=3)
        tracer(folder, "report", "p", "--html", "page.html", "-q")

    def test_a_refusal_is_said_in_words(self):
        self.shot("refused")
        text = self.of("#headline", "n.textContent")
        for part in ("Refused: no agreement of 99\u00a0% could be proved, so every input still goes to the LLM", "0.0\u00a0%", "By estimate"):
            self.assertIn(part, text)
        self.assertGreater(self.b.js("document.querySelectorAll('#curve .cross').length"), 0)
        self.assertEqual(self.cells("border-table", 0), ["None."])


@unittest.skipUnless(DATA, "no TRACER_TEST_DATA")
class RealData(unittest.TestCase):
    def test_pages_of_real_logs(self):
        with tempfile.TemporaryDirectory() as folder, Browser(CHROMIUM) as b:
            for name, alpha, code in (("banking77", 0.95, 0), ("clinc150", 0.95, 0), ("snli", 0.95, 3), ("clinc_domains_llm", 0.8, 0)):
                with self.subTest(name):
                    log = pathlib.Path(DATA) / f"{name}_train.jsonl"
                    tracer(folder, "fit", log, "--alpha", alpha, "-o", name, "-q", code=code)
                    page = pathlib.Path(folder) / f"{name}.html"
                    tracer(folder, "report", name, "--html", page, "-q")
                    explained = json.loads(tracer(folder, "explain", name, "--json", "-q").stdout)
                    b.size(1280, 1000)
                    b.open(page)
                    self.assertEqual((b.errors, b.console, b.requests), ([], [], [page.as_uri(), "data:,"][:len(b.requests)]))
                    self.assertLess(page.stat().st_size, MOST_BYTES)
                    data = json.loads(b.js("document.getElementById('data').textContent"))
                    self.assertEqual(data["explain"], explained)
                    self.assertEqual(b.js("document.querySelectorAll('main > section').length"), len(SECTIONS))
                    self.assertEqual("Refused" in b.js("document.querySelector('h1').textContent"), code == 3)
                    if SHOTS:
                        b.screenshot(pathlib.Path(SHOTS) / f"{name}.png", whole=True)


if __name__ == "__main__":
    if CHROMIUM is None:
        print("skipped: no chromium here: `make test-report` installs it and runs this")
        sys.exit(77)
    unittest.main(verbosity=2)
