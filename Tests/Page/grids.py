"""What the page's test does with a job's grid: drafts, and a hundred thousand pictures."""

import time

HUGE = 100_000
started = time.monotonic()


def say(text):
    print(f"{time.monotonic() - started:4.0f} s  {text}", flush=True)


class Grids:
    """Scenes of a check that has an API and a page."""

    # MARK: Drafts

    def show_drafts(self):
        page = self.page
        job = self.api.post(
            "/v1/jobs",
            {
                "name": "sketches",
                "parameters": {"prompt": "a forest", "seed": "1-6"},
                "render": {"steps": 12},
                "draft": {"steps": 4},
            },
        )
        page.go(f"#/jobs/{job['id']}", "sketches")
        page.until(
            "six drafts are shown", "document.querySelectorAll('.tile[data-state=drafted] img.loaded').length == 6", 90
        )
        page.until(
            "they wait to be decided",
            "(b => b.checkVisibility() && b.innerText.includes('6 drafts to decide'))(document.querySelector('.drafts'))",
        )
        page.until("the job waits for it", "document.querySelector('.job-head .state').textContent == 'drafted'")
        page.run("document.querySelector('.tile button[tabindex=\"0\"]').focus()")
        page.press("m", "ARROW_RIGHT", "m")
        page.until("two are marked by a key", "document.querySelector('.drafts').innerText.includes('2 marked')")
        page.judge_all("drafts")
        page.click(".drafts button", "Keep 2 drafts")
        page.until(
            "those two are finished",
            "[...document.querySelectorAll('.tile[data-state=delivered]')].filter(t =>"
            " t.querySelector('img.loaded')).map(t => t.ariaPosInSet).join() == '1,2'",
            90,
        )
        page.click(".tile[data-state=drafted] button")
        page.until("a draft is shown large", "document.querySelector('.panel')?.innerText.includes('after step 4')")
        page.judge_all("draft")
        page.click(".panel button", "Keep the draft")
        page.press("ESCAPE")
        page.until(
            "a third is finished", "document.querySelectorAll('.tile[data-state=delivered] img.loaded').length == 3", 90
        )
        page.click(".drafts button", "Drop all that wait")
        page.click("dialog button", "Drop")
        page.until("the job is over", "document.querySelector('.job-head .state').textContent == 'succeeded'")
        images = self.api.get(f"/v1/jobs/{job['id']}")["images"]
        page.expect(f"three are dropped: {images}", images["delivered"] == 3 and images["cancelled"] == 3)
        say("drafts looked at, kept by key, by bar and one by one, and dropped")

    # MARK: A hundred thousand

    def show_huge(self):
        page = self.page
        page.go("#/jobs", "Jobs")
        page.element("a.whole", "night-archive")
        loaded = "document.querySelectorAll('.tile img.loaded').length >= 12 && document.querySelector('.found')"
        page.timed(f"open a job of {HUGE}, first pictures", f"location.hash = '#/jobs/{self.huge}'", loaded)
        page.expect("all are counted", "100,000 pictures" in page.text(".found"))
        tiles = page.count(".tile")
        page.expect(f"those in sight alone are elements: {tiles}", tiles < 200)
        page.judge_all("huge")
        page.timed(
            "scroll to its middle, tiles with their settings",
            "scrollTo(0, document.documentElement.scrollHeight / 2)",
            "(document.querySelectorAll('.tile').length > 10 && [...document.querySelectorAll('.tile"
            " .caption')].every(c => c.textContent.includes('seed')))",
        )
        first = page.run(
            "return Math.min(...[...document.querySelectorAll('.tile .caption')].map(c =>"
            " Number(c.textContent.match(/#(\\d+)/)[1])))"
        )
        page.expect(f"it is the middle that is shown: {first}", 49_000 < first < 51_000)
        worst = page.driver.execute_async_script("""
            const done = arguments[0]; let last = performance.now(); let worst = 0; let frames = 0; scrollTo(0, 0);
            (function frame(now) {
                if (frames > 3) worst = Math.max(worst, now - last);
                last = now; frames += 1; scrollBy(0, 400);
                frames < 120 ? requestAnimationFrame(frame) : done(worst);
            })(performance.now());""")
        page.note("longest frame while scrolling 48,000 pixels", worst)
        page.run("scrollTo(0, 0)")
        page.timed(
            "filter by state",
            "document.querySelector('.chip[data-value=f]').click()",
            "document.querySelector('.found').textContent.includes(' of 100,000')",
        )
        failed = self.api.get(f"/v1/jobs/{self.huge}")["images"]["failed"]
        page.expect(f"as many as failed: {failed}", page.text(".found").startswith(f"{failed} of"))
        page.until(
            "why one failed is told", "document.querySelector('.tile .word').textContent.includes('out of paint')"
        )
        page.run("document.querySelector('.chip[data-value=\"\"]').click()")
        page.timed(
            "filter by words",
            "const i = document.querySelector('.filters input[type=search]'); i.value = 'winter'; i.dispatchEvent(new"
            " Event('input'))",
            "document.querySelector('.found').textContent.startsWith('25,000 of')",
        )
        page.timed(
            "filter by seeds",
            "const i = document.querySelector('.filters input.short'); i.value = '5-8'; i.dispatchEvent(new"
            " Event('input'))",
            "document.querySelector('.found').textContent.startsWith('4 of')",
        )
        page.until(
            "the tiles are those",
            "document.querySelectorAll('.tile').length == 4 && [...document.querySelectorAll('.tile .caption')].map(c"
            " => c.textContent.match(/seed (\\d+)/)?.[1]).join() == '5,6,7,8'",
        )
        sums = page.run("return performance.getEntriesByName('dreamfarm-filter').map(m => m.duration)")
        page.note(f"longest look through {HUGE} images", max(sums))
        page.go(f"#/jobs/{self.huge}/compare", "night-archive")
        page.until("its prompts are compared", "document.querySelectorAll('table.compare img.loaded').length >= 4")
        say(f"a job of {HUGE} images opened, scrolled, filtered by state, words and seeds")
