"""Chromium without a window, driven over its DevTools protocol.

    with Browser() as browser:
        browser.open("http://127.0.0.1:7601/")
        browser.await_js("document.title")
        browser.click("a")

The protocol goes over two pipes that the browser inherits: no port, no driver,
no package beside Debian's chromium. Clicks are those of a mouse.
"""

import base64
import fcntl
import json
import os
import pathlib
import select
import shutil
import subprocess
import tempfile
import time

FLAGS = ("--headless=new", "--remote-debugging-pipe", "--no-first-run",
         "--no-sandbox",  # tests may run as root, and open this machine only
         "--disable-dev-shm-usage", "--disable-gpu", "--disable-extensions",
         "--disable-background-networking", "--disable-sync",
         "--hide-scrollbars")


class BrowserError(RuntimeError):
    """What the browser answered instead of a result."""


def program():
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if shutil.which(name):
            return shutil.which(name)
    raise BrowserError("chromium is missing: run deploy/install-deps --tests")


def high_pipe():
    """A pipe whose numbers do not collide with those the browser expects."""
    ends = os.pipe()
    high = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in ends]
    for end in ends:
        os.close(end)
    return high


class Browser:
    def __init__(self, width=1200, height=900):
        self.profile = tempfile.mkdtemp(prefix="longspan-browser-")
        theirs_in, self.to_browser = high_pipe()
        self.from_browser, theirs_out = high_pipe()
        self.process = subprocess.Popen(
            ["bash", "-c", f'exec "$0" "$@" 3<&{theirs_in} 4>&{theirs_out}',
             program(), *FLAGS, f"--user-data-dir={self.profile}",
             "about:blank"],
            pass_fds=(theirs_in, theirs_out), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(theirs_in)
        os.close(theirs_out)
        self.unread = b""
        self.sent = 0
        self.session = None
        self.problems = []  # what the console would show in red
        target = self.call("Target.createTarget", url="about:blank")
        self.session = self.call("Target.attachToTarget", flatten=True,
                                 **target)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(domain + ".enable")
        self.resize(width, height)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.to_browser)
        os.close(self.from_browser)
        shutil.rmtree(self.profile, ignore_errors=True)

    # ---- the protocol

    def call(self, method, seconds=30, **parameters):
        self.sent += 1
        message = {"id": self.sent, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to_browser, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + seconds
        while True:
            answer = self.read(end)
            if answer.get("id") == self.sent:
                if "error" in answer:
                    raise BrowserError(f"{method}: {answer['error']}")
                return answer["result"]
            self.note(answer)

    def read(self, end):
        while b"\0" not in self.unread:
            left = max(0.0, end - time.monotonic())
            if not select.select([self.from_browser], [], [], left)[0]:
                raise BrowserError("the browser does not answer")
            received = os.read(self.from_browser, 1 << 20)
            if not received:
                raise BrowserError("the browser ended")
            self.unread += received
        message, self.unread = self.unread.split(b"\0", 1)
        return json.loads(message)

    def note(self, event):
        parameters = event.get("params", {})
        if event.get("method") == "Runtime.exceptionThrown":
            details = parameters["exceptionDetails"]
            self.problems.append(details.get("exception", {}).get(
                "description", details["text"]))
        if event.get("method") == "Log.entryAdded":
            entry = parameters["entry"]
            if entry["level"] == "error":
                self.problems.append(f"{entry['text']} {entry.get('url')}")

    # ---- what a person does

    def open(self, url):
        self.call("Page.navigate", url=url)

    def js(self, expression):
        """The value of an expression, or of its promise."""
        answer = self.call("Runtime.evaluate", expression=expression,
                           returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise BrowserError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def await_js(self, expression, seconds=30):
        """Polls until the expression's value is true, and returns it."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            value = self.js(expression)
            if value:
                return value
            time.sleep(0.05)
        raise TimeoutError(f"{expression}: not within {seconds} s; the page "
                           f"says:\n{self.js('document.body.innerText')}")

    def await_element(self, selector, seconds=30):
        """Until one is there that can be seen."""
        self.await_js(f"document.querySelector({json.dumps(selector)})"
                      "?.checkVisibility() ?? false", seconds)

    def text(self, selector="body"):
        return self.js(f"document.querySelector({json.dumps(selector)})"
                       "?.innerText ?? ''")

    def click(self, selector):
        """A mouse on the middle of the first element that is so chosen."""
        x, y = self.await_js(f"""(() => {{
            const found = document.querySelector({json.dumps(selector)});
            if (!found) return null;
            found.scrollIntoView({{block: 'center'}});
            const box = found.getClientRects()[0];
            return [box.x + box.width / 2, box.y + box.height / 2];
        }})()""")
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y,
                      button="none" if kind == "mouseMoved" else "left",
                      clickCount=1)

    def point_at(self, x, y):
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def resize(self, width, height):
        self.call("Emulation.setDeviceMetricsOverride", width=width,
                  height=height, deviceScaleFactor=1, mobile=width < 600)

    def prefer(self, scheme):
        """"light" or "dark", as the system would say."""
        self.call("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": scheme}])

    def screenshot(self, path):
        """The whole page, however long."""
        picture = self.call("Page.captureScreenshot", format="png",
                            captureBeyondViewport=True)
        pathlib.Path(path).write_bytes(base64.b64decode(picture["data"]))
