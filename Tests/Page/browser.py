"""A headless Chromium on the page: what it does, what it finds wrong, how long things take."""

import json
import time
from urllib.parse import urlsplit

from selenium import webdriver
from selenium.common.exceptions import ElementClickInterceptedException, StaleElementReferenceException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.keys import Keys

# WCAG 2.2 to the level AA, and what axe holds to be good practice.
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


class Broken(Exception):
    """Something that the page has to do and does not."""


class Browser:
    def __init__(self, base, axe, shots):
        self.base = base
        self.axe = axe
        self.shots = shots
        self.judged = 0
        self.findings = []
        options = Options()
        options.binary_location = "/usr/bin/chromium"
        for argument in [
            "--headless=new",
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--hide-scrollbars",
            "--window-size=1360,900",
            "--disable-background-networking",
            "--disable-component-update",
        ]:
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
        self.driver.set_script_timeout(120)
        self.size(1360, 900)

    def size(self, width, height, is_phone=False):
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {
                "width": width,
                "height": height,
                "deviceScaleFactor": 1,
                "mobile": is_phone,
            },
        )

    # MARK: Looking

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def until(self, what, look, seconds=30):
        """Waits until `look`, a script or a function, is true, and returns that."""
        limit = time.monotonic() + seconds
        seen = None
        while time.monotonic() < limit:
            seen = look() if callable(look) else self.run("return " + look)
            if seen:
                return seen
            time.sleep(0.05)
        self.shot("broken")
        raise Broken(
            f"{what}: not within {seconds} s; last seen: {seen!r}; "
            f"at {self.run('return location.hash')}; notice: {self.notice()!r}"
        )

    def expect(self, what, truth):
        if not truth:
            self.shot("broken")
            raise Broken(f"not so: {what}")

    def notice(self):
        return self.run("const n = document.getElementById('notice'); return n.hidden ? '' : n.textContent")

    def text(self, selector="main"):
        return self.run("return document.querySelector(arguments[0])?.innerText ?? ''", selector)

    def count(self, selector):
        return self.run("return document.querySelectorAll(arguments[0]).length", selector)

    # MARK: Doing

    def go(self, address, title=None):
        self.run("location.hash = arguments[0]", address)
        if title:
            self.until(f"{address} has the title {title}", f"document.title.includes({json.dumps(title)})")

    def element(self, selector, text=None):
        """The first element of a selector that is to be seen, and has a text."""
        script = """return [...document.querySelectorAll(arguments[0])].find(
            one => one.checkVisibility() && (arguments[1] === null || one.innerText.includes(arguments[1])))"""
        return self.until(f"there is {selector} {text or ''}", lambda: self.run(script, selector, text))

    def click(self, selector, text=None):
        """Clicks as a mouse does, once the view has come to rest."""
        for attempt in range(6):
            try:
                one = self.element(selector, text)
                self.run("arguments[0].scrollIntoView({block: 'center'})", one)
                return one.click()
            except (StaleElementReferenceException, ElementClickInterceptedException):
                if attempt == 5:
                    raise
                time.sleep(0.3)

    def write(self, selector, text):
        one = self.element(selector)
        one.clear()
        one.send_keys(text)

    def press(self, *keys):
        for key in keys:
            self.driver.switch_to.active_element.send_keys(getattr(Keys, key, key))

    def theme(self, name):
        self.run(
            "document.documentElement.dataset.theme = arguments[0]; dispatchEvent(new Event('dreamfarm-theme'))", name
        )

    # MARK: Judging

    def judge(self, name):
        """Runs axe on the page as it stands."""
        self.run(self.axe)
        found = self.driver.execute_async_script(
            "const done = arguments[1]; axe.run(document, {runOnly: arguments[0]}).then("
            "result => done(result.violations), error => done([{id: String(error), nodes: []}]))",
            RULES,
        )
        self.judged += 1
        for one in found:
            nodes = "; ".join(
                f"{node['html'][:160]} {' '.join(node.get('failureSummary', '').split())[:200]}"
                for node in one["nodes"][:3]
            )
            self.findings.append(f"axe on {name}: {one['id']}: {one.get('help', '')}: {nodes}")

    def judge_all(self, name):
        """The view by night, by day, and on a phone, with a picture of each."""
        for theme in ["dark", "light"]:
            self.theme(theme)
            time.sleep(0.5)
            self.judge(f"{name}, {theme}")
            self.shot(f"{name}-{theme}")
        self.size(390, 844, True)
        self.theme("dark")
        time.sleep(0.7)
        self.judge(f"{name}, phone")
        wide = self.run("return document.documentElement.scrollWidth - innerWidth")
        self.expect(f"{name} is no wider than a phone, by {wide}", wide <= 0)
        self.shot(f"{name}-phone")
        self.size(1360, 900)
        time.sleep(0.4)

    def shot(self, name):
        self.driver.save_screenshot(f"{self.shots}/{name}.png")

    def timed(self, what, act, look, seconds=60):
        """Notes how long something takes in the page, from the act to what it is looked for by."""
        # The page's policy lets nothing be made a script of text, so that both stand in this one.
        script = f"""
            const done = arguments[0]; const start = performance.now();
            {{ {act} }}
            (function again() {{
                if ({look}) requestAnimationFrame(() => setTimeout(() => done(performance.now() - start)));
                else if (performance.now() - start > {seconds * 1000}) done(null);
                else setTimeout(again, 4);
            }})();"""
        took = self.driver.execute_async_script(script)
        if took is None:
            self.shot("broken")
            raise Broken(f"{what}: not within {seconds} s")
        self.note(what, took)
        return took

    def note(self, what, took):
        print(f"        {took:7.0f} ms  {what}", flush=True)

    # MARK: What was logged

    def errors(self):
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]

    def requests(self):
        """The addresses that the page asked for."""
        found = []
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                found.append(message["params"]["request"]["url"])
        return found

    def outside(self, addresses):
        mine = urlsplit(self.base).netloc
        return [
            address
            for address in addresses
            if urlsplit(address).netloc != mine
            and not address.startswith(("data:", f"blob:{self.base}", "about:", "chrome:", "devtools:"))
        ]
