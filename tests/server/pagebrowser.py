"""A headless Chromium, and a server on a port of its own, for the tests of the page."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--force-color-profile=srgb",
)
# Seconds; a machine that does other things as well is slow.
PATIENCE = 90.0


def programs() -> tuple[str, str] | None:
    """Chromium and its driver, None where one is not installed."""
    found = shutil.which("chromium"), shutil.which("chromedriver")
    return (found[0], found[1]) if found[0] and found[1] else None


def start(profile: Path) -> Any:
    """A browser with a fresh profile."""
    from selenium import webdriver

    there = programs()
    assert there is not None
    options = webdriver.ChromeOptions()
    options.binary_location = there[0]
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(there[1]))


class Serving:
    """An application on a free port of this machine, in a thread."""

    def __init__(self, app: Any) -> None:
        import uvicorn

        self.server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", ws="none"))
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        until(lambda: self.server.started)
        port = self.server.servers[0].sockets[0].getsockname()[1]
        self.address = f"http://127.0.0.1:{port}/"

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(PATIENCE)


def until(wanted: Callable[[], Any], what: str = "") -> Any:
    """The first answer that is true."""
    end = time.monotonic() + PATIENCE
    while True:
        found = wanted()
        if found:
            return found
        assert time.monotonic() < end, what or "it never happens"
        time.sleep(0.02)


class Browser:
    """The page in a browser.

    Args:
        driver: the browser.
        address: of the page.
    """

    def __init__(self, driver: Any, address: str) -> None:
        self.driver, self.address = driver, address

    def look(self, width: int = 1200, height: int = 800, dark: bool = False) -> None:
        """Size and colours."""
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600},
        )
        value = "dark" if dark else "light"
        self.driver.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": value}]}
        )

    def open(self, state: str = "") -> None:
        """Load the page anew at a state (what stands behind the address)."""
        self.driver.get("about:blank")
        self.driver.get(self.address + state)
        self.until("return document.documentElement.dataset.ready")

    def js(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def until(self, script: str, *arguments: Any) -> Any:
        return until(lambda: self.js(script, *arguments), script)

    def all(self, selector: str) -> list[Any]:
        return list(self.driver.find_elements("css selector", selector))

    def one(self, selector: str) -> Any:
        return self.driver.find_element("css selector", selector)

    def text(self, selector: str) -> str:
        return str(self.js("return document.querySelector(arguments[0]).textContent", selector))

    def texts(self, selector: str) -> list[str]:
        script = "return [...document.querySelectorAll(arguments[0])].map((each) => each.textContent)"
        return list(self.js(script, selector))

    def keys(self, *keys: str) -> None:
        """Press keys, wherever the focus is."""
        from selenium.webdriver import ActionChains

        chain = ActionChains(self.driver)
        for key in keys:
            chain.send_keys(key)
        chain.perform()

    @property
    def state(self) -> str:
        return str(self.js("return location.hash"))

    def complaints(self) -> list[str]:
        """What the console says since the last call."""
        return [entry["message"] for entry in self.driver.get_log("browser")]


# The contrast of all text that is seen: [ratio, needed, text, element], the worst first. Backgrounds are followed to
# the first one that is opaque, and mixed on the way.
CONTRAST = """
const parse = (text) => {
  const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number);
  return [r, g, b, a];
};
const mix = (over, under) => [0, 1, 2].map((i) => over[i] * over[3] + under[i] * (1 - over[3])).concat(1);
const linear = (each) => (each <= .04045 ? each / 12.92 : ((each + .055) / 1.055) ** 2.4);
const light = ([r, g, b]) => .2126 * linear(r / 255) + .7152 * linear(g / 255) + .0722 * linear(b / 255);
const found = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement, text = walker.currentNode.textContent.trim();
  if (!text || !element.checkVisibility({ visibilityProperty: true })) continue;
  if (element.closest(".unseen, option, datalist, noscript, script")) continue;
  const layers = [];
  for (let at = element; at; at = at.parentElement) layers.push(parse(getComputedStyle(at).backgroundColor));
  layers.push(matchMedia("(prefers-color-scheme: dark)").matches ? [18, 18, 18, 1] : [255, 255, 255, 1]);
  const opaque = layers.findIndex((each) => each[3] === 1);
  const back = layers.slice(0, opaque).reverse().reduce((under, over) => mix(over, under), layers[opaque]);
  const style = getComputedStyle(element), front = mix(parse(style.color), back);
  const [a, b] = [light(front), light(back)].sort((x, y) => y - x);
  const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
  found.push([(a + .05) / (b + .05), large ? 3 : 4.5, text.slice(0, 40), element.outerHTML.slice(0, 120)]);
}
return found.sort((x, y) => x[0] / x[1] - y[0] / y[1]);
"""
