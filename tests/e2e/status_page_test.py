"""The status page in Chromium, while real jobs run on real daemons.

One cluster, in the order of a day: nobody works, a job runs, one fails, two
wait, the coordinator is killed. LONGSPAN_SCREENSHOTS=FOLDER also takes the
pictures of docs/status-page.
"""

import json
import os
import pathlib
import signal
import unittest
import urllib.error
import urllib.parse
import urllib.request

import browser
import e2e

HOSTILE = "<img src=x onerror=window.hacked=1>"
SCREENSHOTS = os.environ.get("LONGSPAN_SCREENSHOTS")

# 256 tokens over two ranks; a validation now and then.
RUNNING = e2e.train_job(
    ranks=2, steps=50000, length=256, batch=4,
    more=f"""  validation: {{uri: "{e2e.CORPUS}", begin: 345741, end: 349837}}
  validation_interval: 40
  checkpoint: {{interval: 100}}
""").replace("name: e2e", "name: story")
# Of a curve's newest point, read off the labels of its axis, from what the page
# says it is.
DISTANCE_OF_AXIS = """(() => {
  const figure = document.querySelector('[data-chart="rate"]');
  const number = (text) =>
      parseFloat(text) * ({k: 1e3, M: 1e6}[text.at(-1)] ?? 1);
  const labels = [...figure.querySelectorAll('.tick[text-anchor="end"]')].map(
      (tick) => [tick.getAttribute('y') - 4, number(tick.textContent)]);
  const [[y0, value0], [y1, value1]] = [labels[0], labels.at(-1)];
  const y = [...figure.querySelectorAll('.line')].at(-1).getAttribute('d')
      .split(',').at(-1);
  const drawn = value0 + (y - y0) / (y1 - y0) * (value1 - value0);
  const said = number(figure.querySelector('.readout').textContent
      .match(/: ([\\d.]+[kM]?)/)[1]);
  return Math.abs(drawn / said - 1);
})()"""
PRIVATE = """name: answer
resources: {ranks: 2}
generate:
  model: {uri: "models://none"}
  text: "a private prompt"
  max_new_tokens: 4
"""


class StatusPageTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = e2e.cluster(workers=2)
        cls.url = cls.cluster.metrics[0].removesuffix("metrics")
        cls.browser = browser.Browser()

    @classmethod
    def tearDownClass(cls):
        cls.browser.close()
        cls.cluster.stop()

    # ---- helpers

    def row(self, job, more=""):
        return f'#job-list [data-job="{job}"] {more}'

    def show_list(self):
        self.browser.open(self.url)
        self.browser.await_element("#job-list table")

    def show_job(self, job):
        self.show_list()
        self.browser.click(self.row(job, "a"))
        self.browser.await_element("#job .heading")

    def picture(self, name):
        if SCREENSHOTS:
            folder = pathlib.Path(SCREENSHOTS)
            folder.mkdir(parents=True, exist_ok=True)
            self.browser.screenshot(folder / f"{name}.png")

    def check_fits(self):
        width, room = self.browser.js(
            "[document.documentElement.scrollWidth, innerWidth]")
        self.assertLessEqual(width, room, self.browser.js("location.hash"))

    def check_clean(self):
        """Nothing that the console shows in red; nothing injected ran."""
        self.assertEqual(self.browser.problems, [])
        self.assertIsNone(self.browser.js("window.hacked"))

    # ---- the day

    def test_the_page_through_a_day(self):
        self.nobody_works()
        running = self.submit_everything()
        self.programs_may_read(running)
        self.list_says_why(running)
        self.job_is_followed(running)
        self.failure_is_explained()
        self.names_cannot_do_anything()
        self.pages_are_turned()
        self.phones_and_darkness(running)
        self.check_clean()
        self.coordinator_dies(running)

    def nobody_works(self):
        page = self.browser
        page.open(self.url)
        page.await_element("#job-list .empty")
        self.assertIn("longspan submit job.yaml", page.text("#job-list"))
        page.await_element('[data-worker="worker-1"]')
        self.assertRegex(page.text('[data-worker="worker-0"]'),
                         r"(?s)ready.*(just now|\d s ago).*free")
        self.assertIn("live", page.text("#link"))

    def submit_everything(self):
        failing = e2e.train_job(ranks=1, steps=5).replace(
            e2e.CORPUS, f"corpus://{HOSTILE}.txt").replace(
                "name: e2e", "name: typo\nmax_failures: 1")
        type(self).failed = self.cluster.submit(failing)
        self.cluster.command("watch", self.failed, check=False)
        running = self.cluster.submit(RUNNING)
        type(self).waiting = self.cluster.submit(PRIVATE)
        type(self).wide = self.cluster.submit(
            RUNNING.replace("ranks: 2", "ranks: 4").replace("story", "wide"))
        return running

    def programs_may_read(self, running):
        """And nothing else; and no prompt."""
        for path in ("", "status/v1/jobs", "metrics"):
            request = urllib.request.Request(self.url + path, data=b"{}")
            with self.assertRaises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(request, timeout=10)
            self.assertEqual(refused.exception.code, 405)
        for job in running, self.waiting:
            name = urllib.parse.quote(job, safe="")
            for question in ("summary", "jobs", "workers",
                             f"job?name={name}", f"plan?name={name}"):
                answer = e2e.read(self.url + "status/v1/" + question)
                self.assertIn("now", json.loads(answer))
                self.assertNotIn("private", answer)

    def list_says_why(self, running):
        page = self.browser
        page.await_js(f"""document.querySelector('{self.row(running)}')
            ?.innerText.includes('running') ?? false""")
        page.await_element(self.row(self.wide, ".note.pending"))
        page.await_element(self.row(running, ".bar"))
        self.assertIn("needs 2 cpu slots; 0 of 2 are free",
                      page.text(self.row(self.waiting, ".note")))
        self.assertIn("needs 4 cpu slots",
                      page.text(self.row(self.wide, ".note")))
        self.assertIn(f"{HOSTILE}.txt",
                      page.text(self.row(self.failed, ".note.failed")))
        self.assertIn("2", page.text(".tile.pending b"))
        self.assertIn("rank 1", page.text("#worker-list"))
        # The busy job is first, though it is not the newest.
        self.assertEqual(page.js("document.querySelector('#job-list tbody tr')"
                                 ".dataset.job"), running)

    def job_is_followed(self, running):
        page = self.browser
        self.show_job(running)
        page.await_element('[data-chart="loss"] .line')
        page.await_element('[data-chart="rate"] .line')
        page.await_element('[data-chart="loss"] .mark')
        page.await_js("document.querySelector('[data-progress]').innerText"
                      ".includes(' left')")
        newest = """Number(document.querySelector('[data-chart="loss"] '
            + '.readout').innerText.match(/step ([\\d,]+)/)[1]
            .replaceAll(',', ''))"""
        before = page.js(newest)
        page.await_js(f"{newest} > {before}")  # the curve is alive
        self.assertLess(page.js(DISTANCE_OF_AXIS), 0.05)
        ranks = page.text("table.ranks")
        for words in ("0 to 128", "128 to 256", "worker-0, slot 0", "MiB",
                      "worker-1, slot 0"):
            self.assertIn(words, ranks)
        self.assertIn("A step takes", page.text("[data-step-times]"))
        self.assertIn("attempt", page.text("#job").lower())
        self.point_into_the_curve()
        if SCREENSHOTS:
            page.await_js(f"{newest} > 150", 240)
        self.picture("job")

    def point_into_the_curve(self):
        page = self.browser
        x, y = page.js("""(() => {
            const box = document.querySelector('[data-chart="loss"] svg')
                .getBoundingClientRect();
            return [box.x + 60, box.y + 80];
        })()""")
        page.point_at(x, y)
        page.await_js("""Number(document.querySelector(
            '[data-chart="loss"] .readout').innerText.match(/step ([\\d,]+)/)
            [1].replaceAll(',', '')) < 20 || undefined""")
        page.point_at(1, 1)

    def failure_is_explained(self):
        page = self.browser
        page.click(".back")
        page.await_element("#filters button")
        page.click('[data-focus="filter Failed"]')
        page.await_js("document.querySelectorAll('#job-list tbody tr')"
                      ".length === 1")
        page.click(self.row(self.failed, "a"))
        page.await_element("[data-error]")
        self.assertIn(f"{HOSTILE}.txt", page.text("[data-error]"))
        self.assertIn("longspan logs", page.text("[data-error]"))
        page.open(self.url + "#job=tenants/default/jobs/none")
        page.await_js("document.body.innerText.includes('there is no job')")
        # Said in red by the console too, and rightly.
        page.open("about:blank")
        page.await_js("location.href === 'about:blank'")
        page.problems.clear()

    def names_cannot_do_anything(self):
        """Job names are checked on the way in; the page must not rely on it."""
        page = self.browser
        self.show_list()
        page.js("""(() => {
            const ask = window.fetch;
            window.fetch = async (...question) => {
                const answer = await ask(...question);
                const text = (await answer.text()).replaceAll(
                    '"title":"story"', '"title":"' + %s + '"');
                return new Response(text, {status: answer.status});
            };
        })()""" % json.dumps(HOSTILE))
        page.await_js("document.body.innerText.includes(%s)" %
                      json.dumps(HOSTILE))
        self.assertFalse(page.js("Boolean(document.querySelector('img'))"))
        page.click("#job-list tbody tr a")
        page.await_element("#job .heading")
        self.assertIn(HOSTILE, page.text("#job h2"))
        self.assertFalse(page.js("Boolean(document.querySelector('img'))"))

    def pages_are_turned(self):
        page = self.browser
        page.open("about:blank")
        self.show_list()
        page.js("""(() => {
            const ask = window.fetch;
            window.fetch = (url, ...more) => ask(
                url.replace('/jobs?', '/jobs?page_size=2&'), ...more);
        })()""")
        page.await_element('[data-focus="jobs on"]')
        first = page.js("document.querySelector('#job-list tr[data-job]')"
                        ".dataset.job")
        page.click('[data-focus="jobs on"]')
        page.await_js("document.querySelector('#job-list .pager').innerText"
                      ".includes('page 2')")
        self.assertNotEqual(first, page.js(
            "document.querySelector('#job-list tr[data-job]').dataset.job"))
        page.click('[data-focus="jobs back"]')
        page.await_element(self.row(first))

    def phones_and_darkness(self, running):
        page = self.browser
        page.open("about:blank")
        self.show_list()
        self.check_fits()
        self.picture("jobs")
        light = page.js("getComputedStyle(document.body).backgroundColor")
        page.prefer("dark")
        dark = page.js("getComputedStyle(document.body).backgroundColor")
        self.assertNotEqual(light, dark)
        self.show_job(running)
        page.await_element("table.ranks")
        self.picture("dark")
        page.prefer("light")
        page.resize(360, 740)
        page.await_js("document.querySelector('.chart').clientWidth < 360")
        self.check_fits()
        self.picture("phone-job")
        self.show_list()
        self.check_fits()
        self.picture("phone")
        page.resize(1200, 900)

    def coordinator_dies(self, running):
        page = self.browser
        self.show_job(running)
        page.await_js("document.querySelector('#link').innerText === 'live'")
        pid = self.cluster.pids_of("longspan-coordinator")[0]
        # Stopped first, so that what is to be seen cannot be missed.
        e2e.pause(self.cluster.process.pid)
        os.kill(pid, signal.SIGKILL)
        try:
            page.await_element("#lost")
            self.assertIn("does not answer", page.text("#lost"))
            self.assertIn("connection lost", page.text("#link"))
            self.picture("lost")
        finally:
            os.kill(self.cluster.process.pid, signal.SIGCONT)
        page.await_js("document.querySelector('#link').innerText === 'live'")
        self.assertFalse(page.js(
            "document.querySelector('#lost').checkVisibility()"))
        self.assertIn("running", page.text("#job h2"))


if __name__ == "__main__":
    e2e.main()
