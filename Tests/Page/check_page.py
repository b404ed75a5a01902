"""Drives the page of a live farm as its users do; deploy/page-run starts the farm and this.

check_page.py BASE ADMIN-TOKEN-FILE VIEWER-TOKEN AXE EXAMPLES SHOTS
"""

import sys

from api import API, PaintingWorker
from browser import Broken, Browser
from grids import HUGE, Grids, say


class Check(Grids):
    def __init__(self, base, token, viewer, axe, examples, shots):
        self.api = API(base, token)
        self.token, self.viewer, self.examples = token, viewer, examples
        with open(axe, encoding="utf-8") as file:
            self.page = Browser(base, file.read(), shots)
        self.base = base
        self.asked = []

    # MARK: What there is to look at

    def make_huge(self):
        """A job of a hundred thousand, some of which a worker delivers, fails, and has under way."""
        job = self.api.post(
            "/v1/jobs",
            {
                "name": "night-archive",
                "requirements": {"pool": "night"},
                "chunk": {"count": 100},
                "priority": 20,
                "parameters": {
                    "prompt": ["hills in spring", "hills in summer", "hills in autumn", "hills in winter"],
                    "seed": f"1-{HUGE // 4}",
                },
            },
        )
        worker = PaintingWorker(self.api, "painter", "night")
        for _ in range(3):
            worker.deliver(worker.claim())
        worker.fail(worker.claim(), "out of paint: this one cannot be painted")
        held = worker.claim()
        worker.deliver(held, 20)
        self.api.post(
            "/v1/jobs",
            {
                "name": "<img src=x onerror=alert(1)>",
                "parameters": {"prompt": "<b>no markup</b>"},
                "requirements": {"pool": "nowhere"},
            },
        )
        self.painter, self.huge = worker, job["id"]
        say(f"a job of {HUGE} images: 320 delivered, some failed, 80 under way")

    # MARK: Signing in

    def show_sign_in(self):
        page = self.page
        page.driver.get(self.base + "/")
        page.element("input[name=token]")
        paint = page.until("the first paint", "performance.getEntriesByName('first-contentful-paint')[0]?.startTime")
        page.note("first contentful paint", paint)
        page.judge_all("sign-in")
        page.write("input[name=token]", "no-such-token")
        page.click("form.sign-in button")
        page.until(
            "a wrong token is refused", "document.querySelector('[role=alert]')?.textContent.includes('does not know')"
        )
        refused = page.errors()
        page.expect(f"the refusal alone is an error: {refused}", len(refused) == 1 and "401" in refused[0])
        page.write("input[name=token]", self.token)
        page.click("form.sign-in button")
        page.until("the fleet is shown", "document.title.startsWith('Fleet')")
        page.expect(
            "no script has the token",
            self.token not in page.run("return document.cookie + JSON.stringify(localStorage)"),
        )
        say("signed in by a token; a wrong one is refused; scripts do not see it")

    # MARK: A job through the form

    def show_submit(self):
        page = self.page
        page.go("#/submit", "Submit")
        page.write("textarea[name=prompt]", "a toy from [ref#1] beside [ref#2] on snow")
        files = page.driver.find_element("css selector", ".set input[type=file]")
        files.send_keys(f"{self.examples}/frog.png\n{self.examples}/mushroom.png")
        page.until("both references are there", "document.querySelectorAll('li.reference canvas').length == 2")
        page.write("input[name=seed]", "7-10")
        page.write("input[name=steps]", "40")
        page.write("input[name=guidance]", "2.5, 4.5")
        page.write("input[name=name]", "from-the-form")
        page.until("the plan counts eight pictures", "document.querySelector('.plan .value')?.textContent == '8'")
        plan = page.text(".plan")
        page.expect(f"the plan says what is to be sent: {plan}", "2 files" in plan and "can run it" in plan)
        page.judge_all("submit")
        page.write("input[name=size]", "100x100")
        page.until(
            "what is wrong is told before it is sent",
            "document.querySelector('.plan .problems')?.innerText.includes('parameters.size')",
        )
        page.expect(
            "a job that is none cannot be sent",
            page.run("return document.querySelector('form.submit button[type=submit]').disabled"),
        )
        page.run("document.querySelector('input[name=size]').value = ''")
        page.press("TAB")
        page.write("input[name=steps]", "40")
        page.until("the plan is there again", "document.querySelector('.plan .value')?.textContent == '8'")
        page.click("form.submit button[type=submit]", "Submit 8 pictures")
        page.until("its page is shown", "/^#\\/jobs\\/[0-9a-f-]{36}$/.test(location.hash)")
        self.job = page.run("return location.hash.split('/').pop()")
        stored = self.api.get(f"/v1/jobs/{self.job}")
        page.expect(
            f"the job is as the form said: {stored}",
            stored["name"] == "from-the-form" and sum(stored["images"].values()) == 8,
        )
        say("a job with two references and 8 pictures by the form, with its plan and its mistakes told before")

    def show_live(self):
        page = self.page
        page.until("it is live", "document.getElementById('pulse').dataset.kind == 'live'")
        page.until(
            "steps are seen as they are made",
            "[...document.querySelectorAll('.tile .word')].some(w => /^step \\d+ of 40/.test(w.textContent))",
            90,
        )
        page.shot("live")
        page.until(
            "all pictures come by themselves",
            "document.querySelectorAll('.tile[data-state=delivered] img.loaded').length == 8",
            180,
        )
        page.until(
            "the job ends by itself", "document.querySelector('.job-head .state').textContent == 'succeeded'", 20
        )
        page.expect(
            "they are small",
            page.run("return [...document.querySelectorAll('.tile img')].every(i => i.src.includes('fit='))"),
        )
        page.judge_all("job")
        say("it was watched live to its end, by events alone")

    def show_picture(self):
        page = self.page
        image = self.api.get(f"/v1/jobs/{self.job}/images?limit=1")["items"][0]
        page.click(".tile button")
        page.until("its panel says what it is", "document.querySelector('.panel .digest')")
        panel = page.until(
            "its provenance is whole",
            lambda: (
                lambda text: (
                    text
                    if image["digest"] in text and image["numeric_class"] in text and "delivered it" in text
                    else None
                )
            )(page.text(".panel")),
        )
        page.expect(f"its settings stand there: {panel}", "Seed\n7" in panel and "a toy from [ref#1]" in panel)
        page.until(
            "its two references are beside it",
            "[...document.querySelectorAll('.panel .reference img')].filter(i => i.naturalWidth > 0).length == 2",
        )
        page.until(
            "it is shown as it was delivered",
            "document.querySelector('.stage img')?.naturalWidth == %d" % image["settings"]["width"],
        )
        page.judge_all("picture")
        page.press("ARROW_RIGHT")
        page.until(
            "the next one follows by a key", "document.querySelector('.panel h2')?.textContent.startsWith('Image 1')"
        )
        page.press("ESCAPE")
        page.until(
            "it closes, and the tile has the focus",
            "!document.querySelector('dialog') && document.activeElement.closest('.tile')",
        )
        say("a picture with its references, settings, digest and attempts")

    def show_compare(self):
        page = self.page
        page.click("a.button", "Compare")
        page.until(
            "four seeds by two guidances are side by side",
            "document.querySelectorAll('table.compare img.loaded').length == 8",
        )
        heads = page.run("return [...document.querySelectorAll('table.compare thead th')].map(h => h.innerText)")
        page.expect(f"the columns are the guidances: {heads}", heads == ["2.5", "4.5"])
        rows = page.run(
            "return [...document.querySelectorAll('table.compare tbody tr')].map(r => [r.querySelector('th').innerText,"
            " ...[...r.querySelectorAll('button')].map(b => b.getAttribute('aria-label'))])"
        )
        page.expect(f"a line is one seed: {rows}", all(f"seed {row[0]}:" in cell for row in rows for cell in row[1:]))
        page.judge_all("compare")
        page.go(f"#/jobs/{self.job}", "from-the-form")
        page.click("button", "Contact sheet")
        page.until(
            "the sheet is drawn",
            "document.querySelector('dialog .dialog-head button') && !document.querySelector('dialog .dialog-head"
            " button').disabled",
        )
        colours = page.run(
            "const c = document.querySelector('canvas.sheet'); const d = c.getContext('2d').getImageData(0, 0, c.width,"
            " c.height).data;const s = new Set(); for (let i = 0; i < d.length; i += 4004) s.add(d[i] << 16 | d[i+1] <<"
            " 8 | d[i+2]); return s.size"
        )
        page.expect(f"it has pictures: {colours} colours", colours > 20)
        page.judge_all("sheet")
        page.press("ESCAPE")
        say("the same seed side by side, and a contact sheet")

    # MARK: Operations

    def show_operations(self):
        page = self.page
        page.go("#/queue", "Queue")
        page.until("the queue says why", "document.querySelector('main').innerText.includes('nowhere')")
        page.click("details.tasks summary")
        page.until("task by task", "document.querySelectorAll('details.tasks tbody tr').length > 0")
        page.judge_all("queue")
        page.go("#/jobs", "Jobs")
        page.until(
            "a name is text", "document.querySelector('main').innerText.includes('<img src=x onerror=alert(1)>')"
        )
        page.write("input[type=search]", "FROM-THE-F")
        page.until(
            "one job is found", "document.querySelectorAll('li.job').length == 1 && location.hash.includes('search')"
        )
        page.write("input[type=search]", " ")
        page.judge_all("jobs")
        page.go("#/workers", "Workers")
        page.element("li a", "painter")
        page.judge_all("workers")
        page.click("li a", "lantern")
        page.until(
            "what it did is listed",
            "document.querySelectorAll('section tbody tr .state[data-state=succeeded]').length > 0",
        )
        page.judge_all("worker")
        page.click("button", "Drain")
        page.write("dialog input[name=reason]", "a test of the page")
        page.judge_all("drain")
        page.click("dialog button", "Drain")
        state = page.until(
            "the worker drains",
            lambda: (lambda worker: worker if worker["desired_state"] == "drain" else None)(
                self.api.get("/v1/workers/lantern")
            ),
        )
        page.expect(f"the reason is kept: {state}", state["state_reason"] == "a test of the page")
        page.until("and has ended", lambda: self.api.get("/v1/workers/lantern")["state"] == "asleep", 90)
        page.go("#/", "Fleet")
        page.until(
            "the fleet says what nobody can run",
            "document.querySelector('.attention').innerText.includes('nobody can run')",
        )
        page.until("and who sleeps", "document.querySelector('.legend').innerText.includes('1 asleep')")
        page.until("and why tasks wait", "document.querySelectorAll('.bars li').length >= 2")
        page.judge_all("fleet")
        say("the queue with its reasons, a worker drained with a reason, the fleet at a glance")

    def show_keys(self):
        page = self.page
        page.run("document.activeElement.blur()")
        body = page.driver.find_element("tag name", "body")
        body.send_keys("gj")
        page.until("g j shows the jobs", "location.hash == '#/jobs' && document.activeElement.id == 'main'")
        body.send_keys("/")
        page.until("a slash finds the search", "document.activeElement.type == 'search'")
        page.press("ESCAPE")
        page.run("document.activeElement.blur()")
        body.send_keys("?")
        page.until("a question mark lists the keys", "document.querySelector('dialog.help')")
        page.judge_all("help")
        page.press("ESCAPE")
        page.driver.refresh()
        page.element("li.job")
        page.driver.find_element("tag name", "body").send_keys("\ue004")
        page.expect(
            "the first stop is the way to the content", page.run("return document.activeElement.className") == "skip"
        )
        page.press("ENTER")
        page.expect("which it leads to", page.run("return document.activeElement.id") == "main")
        page.go(f"#/jobs/{self.job}", "from-the-form")
        page.element(".tile img.loaded")
        page.run("document.querySelector('.tile button[tabindex=\"0\"]').focus()")
        page.press("END")
        page.until("End goes to the last", "document.activeElement.closest('.tile')?.ariaPosInSet == '8'")
        page.press("HOME", "ARROW_RIGHT", "ENTER")
        page.until(
            "arrows and Enter open the second", "document.querySelector('.panel h2')?.textContent.startsWith('Image 1')"
        )
        page.press("ESCAPE")
        say("all of it by the keyboard: places, search, the grid, the way past the bar")

    # MARK: Trouble

    def show_no_trouble(self):
        page = self.page
        page.expect("what axe found:\n  " + "\n  ".join(page.findings), not page.findings)
        # The browser notes refusals that the page asks for: a plan of what is no job, a preview that just became a picture.
        errors = [
            one
            for one in page.errors()
            if not ("dry_run=true" in one and "422" in one or "/preview?" in one and "404" in one)
        ]
        page.expect(f"no error in the console: {errors}", not errors)
        self.asked += page.requests()
        outside = page.outside(self.asked)
        page.expect(
            f"{len(self.asked)} requests and none to elsewhere: {outside[:5]}", len(self.asked) > 100 and not outside
        )
        say(
            f"no error in the console, {len(self.asked)} requests, none to elsewhere, axe found nothing on"
            f" {page.judged} pages"
        )

    def show_fallback(self):
        """Without the stream of events the page looks by itself."""
        page = self.page
        page.driver.execute_cdp_cmd("Network.enable", {})
        page.driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": ["*/events*"]})
        job = self.api.post(
            "/v1/jobs",
            {"name": "without-events", "parameters": {"prompt": "a toy", "seed": "1-2"}, "render": {"steps": 20}},
        )
        page.go(f"#/jobs/{job['id']}", "without-events")
        page.until("it looks every few seconds", "document.getElementById('pulse').dataset.kind == 'polling'")
        page.until("both pictures come all the same", "document.querySelectorAll('.tile img.loaded').length == 2", 60)
        page.driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": []})
        say("without events it looks every few seconds, and shows the same")

    def show_viewer(self):
        page = self.page
        page.click("#leave")
        page.write("input[name=token]", self.viewer)
        page.click("form.sign-in button")
        page.go("#/workers", "Workers")
        page.element("li a", "painter")
        seen = page.run(
            "return [...document.querySelectorAll('main button[data-verb]')].filter(b => b.offsetParent).length"
        )
        page.expect(f"who may only look has no buttons: {seen}", seen == 0)
        page.go(f"#/jobs/{self.job}")
        page.until(
            "another owner's job is not there", "document.getElementById('notice').textContent.includes('no job')"
        )
        say("a viewer sees no buttons, and nobody else's job")

    def run(self):
        self.make_huge()
        self.show_sign_in()
        for show in [
            self.show_submit,
            self.show_live,
            self.show_picture,
            self.show_compare,
            self.show_drafts,
            self.show_huge,
            self.show_operations,
            self.show_keys,
        ]:
            show()
            self.asked += self.page.requests()
        self.show_no_trouble()
        self.show_fallback()
        self.show_viewer()
        self.painter.leave()


def main():
    base, token_file, viewer, axe, examples, shots = sys.argv[1:]
    with open(token_file, encoding="utf-8") as file:
        check = Check(base, file.read().strip(), viewer, axe, examples, shots)
    try:
        check.run()
    except Broken as broken:
        for error in check.page.errors():
            print(f"console: {error}", file=sys.stderr)
        sys.exit(f"page run: {broken}")
    finally:
        check.page.driver.quit()


main()
