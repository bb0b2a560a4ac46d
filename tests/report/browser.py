"""A real Chromium, driven by Playwright. Every request that a page makes, every message on its console and every error of
its scripts is kept."""

import os
import pathlib
import shutil

from playwright.sync_api import sync_playwright


def find():
    """The browser's path; None where there is none. TRACER_TEST_CHROMIUM names one."""
    named = os.environ.get("TRACER_TEST_CHROMIUM")
    return named or next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Browser:
    def __init__(self, path, timeout=60):
        self.requests, self.console, self.errors = [], [], []
        self.playwright = sync_playwright().start()
        self.process = self.playwright.chromium.launch(executable_path=path, chromium_sandbox=False)
        self.page = self.process.new_page(viewport={"width": 1280, "height": 900})
        self.page.set_default_timeout(1000 * timeout)
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.console.append(message.text))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))

    def close(self):
        self.process.close()
        self.playwright.stop()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def open(self, path, ready="document.documentElement.dataset.ready === 'yes'"):
        self.requests.clear(), self.console.clear(), self.errors.clear()
        self.page.goto(pathlib.Path(path).resolve().as_uri())
        try:
            self.page.wait_for_function(ready)
        except Exception as error:
            raise RuntimeError(f"{path}: not ready; {self.errors} {self.console}") from error
        self.settle()

    def settle(self):
        """Two frames: layout, observers and drawing are done."""
        self.js("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))")

    def js(self, expression):
        return self.page.evaluate(expression)

    def key(self, key):
        self.page.keyboard.press(key)

    def type(self, text):
        self.page.keyboard.insert_text(text)

    def hover(self, x, y):
        self.page.mouse.move(x, y)

    def click(self, x, y):
        self.page.mouse.click(x, y)

    def accessibility_tree(self):
        """The nodes that assistive technology is given."""
        return self.page.context.new_cdp_session(self.page).send("Accessibility.getFullAXTree")["nodes"]

    def screenshot(self, path, whole=False):
        self.page.screenshot(path=path, full_page=whole)

    def pdf(self):
        return self.page.pdf(print_background=True)

    def media(self, scheme, kind="screen"):
        self.page.emulate_media(color_scheme=scheme, media=kind)

    def size(self, width, height):
        self.page.set_viewport_size({"width": width, "height": height})
