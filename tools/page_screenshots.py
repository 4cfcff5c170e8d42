"""Photographs the server's page for the documentation: ``python tools/page_screenshots.py`` writes docs/pictures/*.png.

Serves the demo's index (``make demo``) with a reranker, and drives a headless Chromium (Debian's packages chromium and
chromium-driver, and selenium).

    python tools/page_screenshots.py [--reranker FOLDER] [--index DB] [--out FOLDER]
"""

from __future__ import annotations

import argparse
import base64
import io
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "server"))

from browser import Browser, start, until  # noqa: E402

QUERY = "how do I pause the program for some seconds"
SENTENCES = (
    "How do I reset my password?",
    "I forgot my login and need a new one.",
    "Where can I change my username?",
    "The parcel arrived two days late.",
    "My delivery has been delayed.",
    "When will my order get here?",
    "Is breakfast included in the price?",
    "Do you serve food in the morning?",
)
# Larger ones are not worth their place in a repository.
MOST_BYTES = 300_000


def served(index: Path, rerankers: list[str]) -> tuple[subprocess.Popen[str], str]:
    """A server of its own, and its address once it is ready."""
    command = [sys.executable, "-m", "vicinal", "serve", "--index", str(index), "--port", "0"]
    for reranker in rerankers:
        command += ["--reranker", reranker]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    address = ""
    assert process.stderr is not None
    for line in process.stderr:
        found = re.search(r"http://[^\s;]+", line)
        address = found[0].rstrip("/") + "/" if found and not address else address
        if line.strip().endswith("ready"):
            return process, address
    raise SystemExit("the server did not start")


def photograph(page: Browser, path: Path) -> None:
    """What the page shows, as a small PNG."""
    from PIL import Image

    page.js("document.activeElement.blur()")
    time.sleep(0.5)
    shot = page.driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})
    picture = Image.open(io.BytesIO(base64.b64decode(shot["data"]))).convert("RGB")
    picture.save(path, optimize=True)
    size = path.stat().st_size
    print(f"{path.name}: {size / 1000:.0f} kB")
    assert size < MOST_BYTES, path


def take(page: Browser, out: Path) -> None:
    """All pictures."""
    query = urllib.request.quote(QUERY)
    sentences = "&".join(f"s={urllib.request.quote(each)}" for each in SENTENCES)

    def found() -> None:
        page.until("return document.querySelector('.hit')")

    def opened() -> None:
        found()
        page.js("document.querySelectorAll('.hit .open')[2].click()")

    def compared() -> None:
        page.until("return document.querySelector('.heat td')")

    def lit() -> None:
        page.until("return document.querySelector('#plot').plot.lit")

    def drawn() -> None:
        page.until("return Number(document.querySelector('#plot').dataset.drawn)")

    def grouped() -> None:
        drawn()
        page.js(
            "const buttons = [...document.querySelectorAll('#groups button')];"
            "buttons.find((each) => each.textContent.includes('asyncio')).click()"
        )

    pictures: list[tuple[str, str, Callable[[], Any], dict[str, Any]]] = [
        ("page-search.png", f"#/search?q={query}", opened, {"height": 900}),
        ("page-search-dark.png", f"#/search?q={query}", opened, {"height": 900, "dark": True}),
        ("page-compare.png", f"#/compare?{sentences}", compared, {"height": 900}),
        ("page-map.png", "#/map", drawn, {}),
        ("page-map-search.png", "#/map?q=dates%20and%20times", lit, {"dark": True}),
        ("page-map-group.png", "#/map", grouped, {}),
        ("page-phone.png", f"#/search?q={query}", found, {"width": 360, "height": 720}),
    ]
    for name, state, ready, look in pictures:
        page.look(**{"width": 1280, "height": 800, **look})
        page.open(state)
        ready()
        photograph(page, out / name)


def main() -> None:
    """Serve, photograph, end."""
    parser = argparse.ArgumentParser(description="Photograph the server's page for docs/server-page.md.")
    parser.add_argument("--index", type=Path, default=ROOT / ".demo" / "stdlib.db")
    parser.add_argument("--reranker", action="append", default=[], help="a cross-encoder to serve as well")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "pictures")
    asked = parser.parse_args()
    asked.out.mkdir(exist_ok=True)
    process, address = served(asked.index, asked.reranker)
    try:
        with tempfile.TemporaryDirectory() as profile:
            driver = start(Path(profile))
            try:
                until(lambda: urllib.request.urlopen(address + "health").status == 200)
                take(Browser(driver, address), asked.out)
            finally:
                driver.quit()
    finally:
        process.terminate()
        process.wait(60)


if __name__ == "__main__":
    main()
