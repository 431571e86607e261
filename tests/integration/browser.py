# SPDX-License-Identifier: Apache-2.0
"""A headless Chromium, for the dashboard."""

import json
import shutil
import tempfile

import pytest

from peers import eventually
from programs import find

FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage")

# Text that is seen, its colour, and what is behind it.
CONTRAST = """
const channels = (text) => text.match(/[\\d.]+/g).map(Number);
const light = ([r, g, b]) => [r, g, b].map((c) => c / 255).map((c) => c <= 0.04045 ? c / 12.92
  : ((c + 0.055) / 1.055) ** 2.4).reduce((sum, c, n) => sum + c * [0.2126, 0.7152, 0.0722][n], 0);
const behind = (element) => {
  for (; element; element = element.parentElement) {
    const color = channels(getComputedStyle(element).backgroundColor);
    if (color.length === 3 || color[3] > 0) return color;
  }
  return [255, 255, 255];
};
const poor = [];
for (const element of document.querySelectorAll("body *")) {
  const own = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
  if (!own || !element.checkVisibility() || element.closest("script, noscript, .hidden, .skip")) continue;
  const [a, b] = [light(channels(getComputedStyle(element).color)), light(behind(element))].sort((x, y) => y - x);
  if ((a + 0.05) / (b + 0.05) < 4.5) poor.push([element.className || element.tagName, element.textContent]);
}
return poor;
"""


class Browser:
    def __init__(self):
        webdriver = pytest.importorskip("selenium.webdriver")
        options = webdriver.ChromeOptions()
        options.binary_location = find("chromium")
        self.folder = tempfile.mkdtemp(prefix="weir-browser-")
        for flag in (*FLAGS, f"--user-data-dir={self.folder}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        service = webdriver.ChromeService if hasattr(webdriver, "ChromeService") else webdriver.chrome.service.Service
        self.driver = webdriver.Chrome(service=service(find("chromedriver")), options=options)
        self.show()

    def quit(self):
        self.driver.quit()
        shutil.rmtree(self.folder, ignore_errors=True)

    def show(self, width=1600, height=1000, scheme="light"):
        """Sets the window's size and what the person prefers."""
        command = self.driver.execute_cdp_cmd
        command("Emulation.setDeviceMetricsOverride",
                {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False})
        wishes = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}
        command("Emulation.setEmulatedMedia",
                {"features": [{"name": name, "value": value} for name, value in wishes.items()]})

    def open(self, address):
        self.forget()
        self.driver.get(f"http://{address}/")

    def run(self, script):
        return self.driver.execute_script(script)

    def text(self, selector):
        """What stands there as text; empty without such an element."""
        return self.run(f"return document.querySelector({json.dumps(selector)})?.textContent ?? ''")

    def wait(self, selector, *words):
        """Waits until all these words stand there."""
        eventually(lambda: all(word in self.text(selector) for word in words),
                   what=lambda: f"{selector}: no {words} in {self.text(selector)!r}; {self.console()}", step=0.05)

    def wait_live(self):
        self.wait("#link", "Live")

    def forget(self):
        self.driver.get_log("browser")
        self.driver.get_log("performance")

    def console(self):
        """What the console has said since the last time."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self):
        """The addresses that were asked for since the last time."""
        messages = (json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance"))
        return [message["params"]["request"]["url"] for message in messages
                if message["method"] == "Network.requestWillBeSent"]

    def poor_contrast(self):
        """Texts with less contrast than 4.5 to 1."""
        return self.run(CONTRAST)
