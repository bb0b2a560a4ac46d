"""What the tests of the report's page share: the binary, and one page in one browser for all tests of a class."""

import json
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

import browser

CHROMIUM = browser.find()
SHOTS = os.environ.get("TRACER_TEST_SHOTS")


def tracer(folder, *arguments, code=0):
    ran = subprocess.run([os.environ["TRACER_TEST_BINARY"], *map(str, arguments)], cwd=folder, capture_output=True, text=True)
    if ran.returncode != code:
        raise AssertionError(f"tracer {arguments}: exit code {ran.returncode}: {ran.stderr}")
    return ran


def luminance(colour):
    channels = [int(v) / 255 for v in re.findall(r"\d+", colour)[:3]]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a, b):
    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


class Page(unittest.TestCase):
    """One page for all tests of a class: of self.make(folder), which gives the explain document beside it."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.root = pathlib.Path(cls.folder.name)
        cls.make(cls.root)
        cls.page = cls.root / "page.html"
        cls.browser = browser.Browser(CHROMIUM)

    @classmethod
    def tearDownClass(cls):
        cls.browser.close()
        cls.folder.cleanup()

    def setUp(self):
        self.b = self.browser
        self.b.size(1280, 1000)
        self.b.media("light")
        self.b.open(self.page)
        self.b.js("document.documentElement.style.scrollBehavior = 'auto'; 1")

    def tearDown(self):
        self.assertEqual(self.b.errors, [])
        self.assertEqual(self.b.console, [])
        self.assertEqual([url for url in self.b.requests if not url.startswith("data:")], [self.page.as_uri()])

    def of(self, selector, expression):
        return self.b.js(f"(n => {expression})(document.querySelector({json.dumps(selector)}))")

    def focus(self, selector):
        self.of(selector, "(n.scrollIntoView({block: 'center'}), n.focus(), 1)")
        self.b.settle()

    def middle(self, selector):
        return self.of(selector, "(r => [r.x + r.width / 2, r.y + r.height / 2])(n.getBoundingClientRect())")

    def data(self):
        return json.loads(self.of("#data", "n.textContent"))

    def cells(self, table, column):
        return self.b.js(f"[...document.querySelectorAll('#{table} tbody tr')].map(r => r.cells[{column}] ? r.cells[{column}].textContent : '')")

    def shot(self, name):
        if SHOTS:
            pathlib.Path(SHOTS).mkdir(parents=True, exist_ok=True)
            self.b.screenshot(pathlib.Path(SHOTS) / f"{name}.png", whole=True)
