"""The page in a real browser: what it shows, how it is used, and that no text of a document does anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import numpy as np
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
pytest.importorskip("selenium", reason="selenium is not installed (make setup installs it)")

import pagebrowser as browsing

from vicinal import Index, SentenceTransformer

pytestmark = pytest.mark.skipif(
    browsing.programs() is None,
    reason="no chromium and chromedriver (apt-get install chromium chromium-driver)",
)

KEY = "sesame-42"
LONG_WORD = "Donaudampfschiff" * 300
EVIL = 'A marmot says <script>window.pwned = 1</script> and <img src=x onerror="window.pwned = 1"> loudly.'
FAR = (
    "Filler about nothing in particular. " * 250
    + "Here the wombat digs its burrow. "
    + "And so on and on. " * 60
)
DOCUMENTS: dict[str, tuple[str, dict[str, Any]]] = {
    **{
        f"weather-{i}": (
            f"{a} and {b} fell on the valley, report {i}",
            {"topic": "weather", "year": 2000 + i % 3, "title": f"Report {i}"},
        )
        for i, (a, b) in enumerate(
            zip(
                ["snow", "rain", "hail", "sleet"] * 5,
                ["storm", "wind", "cloud", "fog", "frost"] * 4,
                strict=True,
            )
        )
    },
    **{
        f"kitchen-{i}": (
            f"{a} with {b} for the pot, recipe {i}",
            {"topic": "kitchen", "year": 2000 + i % 3, "tags": ["food", a]},
        )
        for i, (a, b) in enumerate(
            zip(
                ["bread", "soup", "rice", "fish"] * 5,
                ["salt", "pepper", "garlic", "lemon", "butter"] * 4,
                strict=True,
            )
        )
    },
    "<b>evil</b>": (EVIL, {"<i>field</i>": "<u>value</u>", "title": "<img src=x onerror=window.pwned=1>"}),
    "turned": ("The axolotl \u202egnp.exe\u2066 regrows \u0007 its limbs.", {"topic": "odd\u202e"}),
    "hebrew": ("שלום עולם, a quokka smiles.", {"topic": "odd"}),
    "long-word": (f"A narwhal met {LONG_WORD} once.", {"topic": "odd", LONG_WORD: LONG_WORD}),
    "long-text": (FAR, {"topic": "odd"}),
    "emoji": ("😀😀 The capybara 😀 bathes.", {"topic": "odd"}),
    "empty": ("", {"topic": "odd"}),
}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    with Index(folder / "notes.db", chunk_tokens=120, chunk_overlap=0) as index:
        index.add(
            [text for text, _ in DOCUMENTS.values()],
            list(DOCUMENTS),
            [each for _, each in DOCUMENTS.values()],
        )
    with Index(folder / "other.db") as index:
        index.add(["a lonely walrus"], ["w"])
    return folder / "notes.db"


@pytest.fixture(scope="module")
def address(serve: Callable[..., Any], path: Path, scorer_folder: Path) -> Iterator[str]:
    app = serve(indexes=(str(path), str(path.with_name("other.db"))), rerankers=(str(scorer_folder),)).app
    serving = browsing.Serving(app)
    yield serving.address
    serving.stop()


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    started = browsing.start(tmp_path_factory.mktemp("profile"))
    yield started
    started.quit()


@pytest.fixture
def page(driver: Any, address: str) -> Iterator[Any]:
    """The page in a browser of middle size; at the end, the console must be silent."""
    found = browsing.Browser(driver, address)
    found.look()
    found.complaints()
    yield found
    assert found.complaints() == []  # errors, and what the policy refused
    assert found.js("return window.pwned") is None


def searched(page: Any, query: str, more: str = "") -> list[str]:
    """The ids of the results."""
    page.open(f"#/search?q={query}{more}")
    page.until("return document.querySelector('#summary').textContent")
    return list(page.js("return [...document.querySelectorAll('.hit')].map((hit) => hit.dataset.id)"))


def settled(page: Any, script: str) -> None:
    page.until(f"return document.querySelector('#search').getAttribute('aria-busy') !== 'true' && ({script})")


# -- searching ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["hybrid", "dense", "lexical"])
def test_results_are_those_of_the_index(page: Any, path: Path, mode: Any) -> None:
    ids = searched(page, "snow+storm", f"&mode={mode}")
    with Index(path, read_only=True) as index:
        hits = index.search("snow storm", 10, mode=mode)
    assert ids == [hit.id for hit in hits]
    assert page.text("#summary").startswith(f"{len(hits)} results · ")
    names = {"dense": "Meaning", "lexical": "Words"}
    for place, hit in enumerate(hits, start=1):
        rows = page.texts(f".hit:nth-child({place}) .bars .row-of")
        found = {name: ranked for name, ranked in hit.retrievers.items() if ranked is not None}
        assert rows == [
            f"{names[name]}{ranked.score:.3f}#{ranked.rank}".replace("-", "−")
            for name, ranked in found.items()
        ]
        assert page.texts(f".hit:nth-child({place}) .passage mark") == [
            hit.passage.text[a - hit.passage.start : b - hit.passage.start] for a, b in hit.passage.matches
        ]


def test_typing_searches_and_enter_makes_a_state_to_come_back_to(page: Any) -> None:
    page.open()
    page.keys("/")
    assert page.js("return document.activeElement.id") == "query"
    page.keys("snow")
    page.until(
        "return document.querySelectorAll('.hit').length > 0 && document.querySelector('#query').value === 'snow'"
    )
    assert parse_qs(page.state.partition("?")[2])["q"] == ["snow"]
    page.open("#/search?q=soup")
    page.until("return document.querySelector('.hit')")
    page.one("#modes input[value=lexical]").click()
    settled(page, "location.hash.includes('lexical')")
    page.driver.back()
    settled(page, "document.querySelector('#modes input[value=hybrid]').checked")
    assert page.js("return document.querySelector('#query').value") == "soup"
    page.driver.forward()
    settled(page, "document.querySelector('#modes input[value=lexical]').checked")


def test_another_view_and_back_keeps_what_was_asked(page: Any) -> None:
    ids = searched(page, "snow", "&mode=lexical")
    page.one("nav a[data-view=compare]").click()
    assert page.one("#compare").is_displayed() and not page.one("#search").is_displayed()
    assert page.js("return document.title") == "Compare · Vicinal"
    page.one("nav a[data-view=search]").click()
    settled(page, "document.querySelector('.hit')")
    assert page.js("return [...document.querySelectorAll('.hit')].map((hit) => hit.dataset.id)") == ids
    assert "q=snow" in page.state and "mode=lexical" in page.state
    page.driver.back()
    page.until("return !document.querySelector('#compare').hidden")


def test_a_hit_tells_why_it_was_found(page: Any, path: Path) -> None:
    searched(page, "soup+with+pepper")
    with Index(path, read_only=True) as index:
        hit = index.search("soup with pepper", 10, mode="hybrid")[0]
    page.one(".hit .open").click()
    why = page.text(".hit .why")
    assert "1st by meaning" in why and f"{hit.score:.3f}" in why and "Fused" in why
    assert {"soup", "pepper"} <= {text.split(" ")[0] for text in page.texts(".hit .words li")}
    assert page.text(".hit .whole-text") == hit.text
    assert "topic" in page.texts(".hit .facts dt") and "kitchen" in page.texts(".hit .facts dd")


def test_the_best_passage_of_a_long_text_is_shown_and_marked_in_the_whole(page: Any) -> None:
    ids = searched(page, "wombat+burrow", "&mode=lexical")
    assert ids[0] == "long-text" and page.texts(".hit .passage mark")[:2] == ["wombat", "burrow"]
    assert len(page.text(".hit .passage")) < 500
    page.one(".hit .open").click()
    assert page.text(".hit .whole-text") == FAR
    best = page.text(".hit .whole-text .best")
    assert "wombat" in best and len(best) < len(FAR) / 2
    assert page.texts(".hit .whole-text mark")[:2] == ["wombat", "burrow"]


def test_the_reranker_orders_and_says_so(page: Any) -> None:
    searched(page, "soup")
    page.one("#rerank-option").click()
    settled(page, "document.querySelector('#summary').textContent.includes('passages read by')")
    assert "rerank=" in page.state
    scores = page.js(
        "return [...document.querySelectorAll('.hit .bars')]"
        ".map((bars) => bars.lastChild.textContent.match(/Reranker(.*)#/)[1])"
    )
    values = [float(score.replace("−", "-")) for score in scores]
    assert len(values) == 10 and values == sorted(values, reverse=True)


def test_mode_best_tells_what_the_reranker_did(page: Any) -> None:
    ids = searched(page, "soup", "&mode=best")
    assert len(ids) == 10 and "passages read by scorer" in page.text("#summary")
    page.one(".hit .open").click()
    rows = page.texts(".hit .why tbody th")
    assert rows[-2:] == ["Reranker", "Blended"] and "The reranker read it" in page.text(".hit .why")


def test_filters_are_chips_that_come_from_the_results_and_from_the_form(page: Any, path: Path) -> None:
    searched(page, "rain+soup")
    facet = next(each for each in page.all(".facets button") if each.text.startswith("weather"))
    facet.click()
    settled(page, "document.querySelector('.chip')")
    assert page.texts(".chip bdi") == ["topic = weather"]
    shown = page.js("return [...document.querySelectorAll('.hit')].map((hit) => hit.dataset.id)")
    assert shown and all(id.startswith("weather") for id in shown)
    # A number stays one: the year is compared as a number.
    page.one("#add-filter").click()
    page.one("#filter-field").send_keys("year")
    page.js("document.querySelector('#filter-op').value = '>='")
    page.one("#filter-value").send_keys("2002\n")
    settled(page, "document.querySelectorAll('.chip').length === 2")
    shown = page.js("return [...document.querySelectorAll('.hit')].map((hit) => hit.dataset.id)")
    with Index(path, read_only=True) as index:
        hits = index.search("rain soup", filter={"topic": "weather", "year": {"$gte": 2002}}, mode="hybrid")
    assert shown == [hit.id for hit in hits]
    # The state can be shared.
    state = page.state
    page.open(state)
    settled(page, "document.querySelectorAll('.hit').length > 0")
    assert page.texts(".chip bdi") == ["topic = weather", "year ≥ 2002"]
    for _ in range(2):
        page.one(".chip").click()
        settled(page, "true")
    assert not page.all(".chip")


def test_a_tag_of_a_hit_filters_lists_too(page: Any) -> None:
    searched(page, "rice+pot")
    next(each for each in page.all(".hit .tag") if each.get_attribute("textContent") == "tagsrice").click()
    settled(page, "document.querySelector('.chip')")
    assert page.texts(".chip bdi") == ["tags = rice"]
    ids = page.js("return [...document.querySelectorAll('.hit')].map((hit) => hit.dataset.id)")
    assert sorted(ids) == ["kitchen-10", "kitchen-14", "kitchen-18", "kitchen-2", "kitchen-6"]


def test_the_keyboard_goes_through_the_results(page: Any) -> None:
    from selenium.webdriver import Keys

    ids = searched(page, "snow")
    page.one("#query").click()
    at = "return document.activeElement.closest('.hit')?.dataset.id"
    page.keys(Keys.ARROW_DOWN)
    assert page.js(at) == ids[0]
    page.keys(Keys.ARROW_DOWN)
    assert page.js(at) == ids[1]
    page.keys(Keys.ENTER)
    assert page.js("return document.activeElement.getAttribute('aria-expanded')") == "true"
    assert page.one(".hit:nth-child(2) .details").is_displayed()
    page.keys(Keys.ESCAPE)
    assert not page.one(".hit:nth-child(2) .details").is_displayed() and page.js(at) == ids[1]
    page.keys(Keys.ARROW_UP, Keys.ARROW_UP)
    assert page.js("return document.activeElement.id") == "query"
    page.keys(Keys.ARROW_DOWN, Keys.ESCAPE)
    assert page.js("return document.activeElement.id") == "query"


def test_nothing_found_and_nothing_asked_are_said_plainly(page: Any) -> None:
    page.open()
    assert "Search notes" in page.text("#search-empty") and "47" in page.text("#search-empty")
    searched(page, "zzzzqqq", "&mode=lexical")
    assert "No document holds a word of the query" in page.text("#search-empty")
    searched(page, "snow", '&f=["topic","%3D","nothing"]')
    assert "Remove a filter" in page.text("#search-empty")


def test_another_index_is_chosen_and_one_that_is_not_there_is_named(page: Any) -> None:
    searched(page, "walrus")
    page.js(
        "const s = document.querySelector('#index'); s.value = 'other'; s.dispatchEvent(new Event('change'))"
    )
    settled(page, "document.querySelector('.hit')?.dataset.id === 'w'")
    assert "index=other" in page.state
    page.open("#/search?index=gone&q=walrus")
    assert "no index “gone”" in page.text("#notice")


def test_an_error_of_the_server_is_shown_in_its_words(page: Any) -> None:
    page.open("#/search?q=snow&k=10")
    page.until("return document.querySelector('.hit')")
    page.js(
        "const body = JSON.stringify({error: {message: 'the kettle is busy'}});"
        "window.fetch = async () => new Response(body, {status: 429})"
    )
    page.one("#search-form button[type=submit]").click()
    settled(page, "document.querySelector('#summary.bad')")
    assert page.text("#summary") == "the kettle is busy"


# -- texts do nothing --------------------------------------------------------------------------------


@pytest.mark.parametrize("query", ["marmot", "axolotl", "quokka", "narwhal", "wombat", "capybara"])
def test_texts_are_shown_as_they_are_and_do_nothing(page: Any, query: str) -> None:
    page.look(360, 740)
    ids = searched(page, query, "&mode=lexical&k=50")
    assert page.texts(".hit:first-child .passage mark") == [query]
    page.one(".hit .open").click()
    shown = page.text(".hit .whole-text")
    text = DOCUMENTS[ids[0]][0]
    if query == "axolotl":  # what turns letters round is seen, not obeyed
        assert shown == "The axolotl \\u202egnp.exe\\u2066 regrows \\u0007 its limbs."
    else:
        assert shown == text
    assert not page.all("#hits script, #hits img, #hits i i, #hits u, #hits h2 b")
    assert page.js("return document.documentElement.scrollWidth") <= 360
    assert page.js("return window.pwned") is None


def test_an_empty_document_is_named(page: Any) -> None:
    searched(page, "anything", "&mode=dense&k=50")
    passage = "return document.querySelector('.hit[data-id=empty] .passage').textContent"
    assert page.js(passage) == "This document has no text."


# -- comparing ---------------------------------------------------------------------------------------


SENTENCES = ["A cat sleeps.", "A kitten naps.", "Interest rates rise."]


def test_sentences_are_compared_by_the_cosines_of_their_vectors(page: Any) -> None:
    page.open("#/compare")
    page.one("#sentences").send_keys("\n".join(SENTENCES))
    page.one("#compare-form button[type=submit]").click()
    page.until("return document.querySelectorAll('.heat tbody td').length === 9")
    vectors = SentenceTransformer("vicinal-mini").encode(SENTENCES).astype(np.float64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    shown = [
        label.partition(":")[0]
        for label in page.js(
            "return [...document.querySelectorAll('.heat tbody td')].map((each) => each.ariaLabel)"
        )
    ]
    assert np.allclose([float(each) for each in shown], (vectors @ vectors.T).ravel(), atol=2e-3)
    assert page.texts(".heat tbody th bdi") == SENTENCES
    assert (
        page.text(".heat caption")
        and len(page.all(".heat th[scope=col]")) == len(page.all(".heat th[scope=row]")) == 3
    )
    # The nearest pair is shown first; the keyboard goes to others.
    best = max([(0, 1), (0, 2), (1, 2)], key=lambda pair: vectors[pair[0]] @ vectors[pair[1]])
    assert page.texts("#pair p") == [SENTENCES[best[0]], SENTENCES[best[1]]]
    from selenium.webdriver import Keys

    page.js("document.querySelector('.heat tbody tr:nth-child(1) td').focus()")
    page.keys(Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.ARROW_RIGHT)
    assert page.texts("#pair p") == [SENTENCES[2], SENTENCES[1]]
    state = page.state
    page.open(state)
    page.until("return document.querySelectorAll('.heat tbody td').length === 9")
    assert page.js("return document.querySelector('#sentences').value").split("\n") == SENTENCES


def test_more_than_fifty_sentences_are_cut_and_that_is_said(page: Any) -> None:
    page.open("#/compare")
    page.js(
        "document.querySelector('#sentences').value = [...Array(60).keys()].map((i) => `<b>${i}</b>`).join('\\n')"
    )
    page.js("document.querySelector('#sentences').dispatchEvent(new Event('input'))")
    assert page.text("#sentence-count") == "60 sentences; the first 50 are compared"
    page.one("#compare-form button[type=submit]").click()
    page.until("return document.querySelectorAll('.heat tbody td').length === 2500")
    assert not page.all(".heat b")


# -- the map -----------------------------------------------------------------------------------------


def mapped(page: Any, more: str = "") -> None:
    page.open(f"#/map{more}")
    page.until("return Number(document.querySelector('#plot').dataset.drawn) > 0")


def place(page: Any, id: str) -> tuple[float, float]:
    """Where a document is on the screen, seen from the middle of the canvas."""
    x, y, width, height = page.js(
        "const plot = document.querySelector('#plot').plot, row = plot.data.ids.indexOf(arguments[0]);"
        "return [...plot.place(row), plot.width, plot.height]",
        id,
    )
    return x - width / 2, y - height / 2


def test_all_documents_are_drawn_and_groups_are_named(page: Any) -> None:
    mapped(page)
    assert page.js("return document.querySelector('#plot').dataset.drawn") == "47"
    painted = page.js(
        "const c = document.querySelector('#plot');"
        "const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        "let n = 0; for (let i = 3; i < d.length; i += 4) if (d[i]) n++; return n"
    )
    assert painted > 500
    assert page.text("#map-summary").startswith("47 documents in ")
    assert page.all("#groups button") and "47 documents" in page.one("#plot").get_attribute("aria-label")


def test_pointing_at_a_point_shows_its_text_and_a_click_selects_it(page: Any) -> None:
    from selenium.webdriver import ActionChains

    mapped(page)
    x, y = place(page, "kitchen-3")
    ActionChains(page.driver).move_to_element_with_offset(page.one("#plot"), round(x), round(y)).perform()
    page.until("return !document.querySelector('#tip').hidden")
    shown = page.js("return document.querySelector('#tip .where bdi').textContent")
    assert DOCUMENTS[shown][0][:100] in page.text("#tip")
    ActionChains(page.driver).click().perform()
    page.until("return !document.querySelector('#selected').hidden")
    assert page.text("#selected-title") == "Selected: 1 text" and page.text("#selected-list b") == shown


def test_a_box_and_a_lasso_select_what_they_enclose(page: Any) -> None:
    from selenium.webdriver import ActionChains

    mapped(page)
    wide, high = page.js(
        "const p = document.querySelector('#plot').plot; return [p.width / 2 - 5, p.height / 2 - 5]"
    )
    canvas = page.one("#plot")
    for tool in ("box", "lasso"):
        page.js("document.querySelector(`#tools input[value=${arguments[0]}]`).click()", tool)
        chain = (
            ActionChains(page.driver, duration=20)
            .move_to_element_with_offset(canvas, -round(wide), -round(high))
            .click_and_hold()
        )
        corners = [(wide, -high), (wide, high), (-wide, high)] if tool == "lasso" else [(wide, high)]
        at = (-round(wide), -round(high))
        for x, y in corners:
            chain.move_by_offset(round(x) - at[0], round(y) - at[1])
            at = (round(x), round(y))
        chain.release().perform()
        page.until("return document.querySelector('#selected-title').textContent === 'Selected: 47 texts'")
        page.one("#clear").click()
        assert not page.one("#selected").is_displayed()


def test_a_search_lights_up_its_hits_on_the_map(page: Any) -> None:
    mapped(page)
    page.one("#light").send_keys("soup\n")
    page.until("return document.querySelector('#plot').plot.lit")
    lit = page.js(
        "const p = document.querySelector('#plot').plot; return p.lit.map((row) => p.data.ids[row])"
    )
    assert lit[0].startswith("kitchen") and "q=soup" in page.state
    assert "best hits for “soup”" in page.text("#map-summary") and page.text("#selected-list b") == lit[0]
    page.one("#plot").send_keys("n")
    assert page.js("return document.querySelector('#tip .where bdi').textContent") == lit[0]
    assert page.text("#plot-now").startswith(lit[0])
    page.one("#plot").send_keys("n")
    assert page.text("#plot-now").startswith(lit[1])


def test_a_map_that_failed_says_why_and_can_be_tried_again(page: Any) -> None:
    page.open("#/compare")
    page.js(
        "const real = window.fetch;"
        "const failed = JSON.stringify({state: 'failed', done: 0, message: 'the disk is full', current: true});"
        "window.fetch = async (path, options) => {"
        "  window.asked = path;"
        "  return path.startsWith('page/map?') && !path.includes('fresh') ? new Response(failed) : real(path, options);"
        "}"
    )
    page.one("nav a[data-view=map]").click()
    page.until("return document.querySelector('#waiting').textContent.includes('the disk is full')")
    page.js("window.fetch = async (path) => { window.asked = path; throw new TypeError('gone') }")
    page.one("#waiting button").click()
    page.until("return document.querySelector('#waiting').textContent.includes('does not answer')")
    assert "fresh=true" in page.js("return window.asked")


def test_a_map_of_an_earlier_state_says_so_and_is_drawn_again(page: Any) -> None:
    page.open("#/compare")
    page.js(
        "const real = window.fetch; window.asked = [];"
        "window.fetch = async (path, options) => {"
        "  window.asked.push(path);"
        "  const answer = await real(path, options);"
        "  if (!path.startsWith('page/map?') || path.includes('fresh')) return answer;"
        "  const current = window.asked.some((each) => each.includes('fresh'));"
        "  return new Response(JSON.stringify({...await answer.json(), current}));"
        "}"
    )
    page.one("nav a[data-view=map]").click()
    page.until("return document.querySelector('#map-summary button')")
    assert "has changed since" in page.text("#map-summary")
    page.one("#map-summary button").click()
    page.until("return window.asked.some((path) => path.includes('fresh=true'))")
    page.until(
        "return Number(document.querySelector('#plot').dataset.drawn) && !document.querySelector('#map-summary button')"
    )


def test_a_map_of_one_document_is_a_point(page: Any) -> None:
    mapped(page, "?index=other")
    assert page.js("return document.querySelector('#plot').dataset.drawn") == "1"
    assert page.text("#map-summary").startswith("1 document in ")
    x, y = place(page, "w")
    assert abs(x) < 1 and abs(y) < 1


def test_the_map_zooms_moves_and_shows_a_group(page: Any) -> None:
    from selenium.webdriver import ActionChains, Keys

    mapped(page)
    scale = "return document.querySelector('#plot').plot.scale"
    page.one("#zoom-in").click()
    assert page.js(scale) == pytest.approx(1.6)
    page.one("#plot").send_keys("0")
    assert page.js(scale) == 1
    left = "return document.querySelector('#plot').plot.left"
    page.one("#plot").send_keys(Keys.ARROW_RIGHT)
    assert page.js(left) > page.js("return document.querySelector('#plot').plot.middle[0]")
    before = page.js(left)
    ActionChains(page.driver, duration=20).drag_and_drop_by_offset(page.one("#plot"), 120, 0).perform()
    assert page.js(left) < before
    page.js(
        "const turned = new WheelEvent('wheel', {deltaY: -400, cancelable: true, bubbles: true});"
        "document.querySelector('#plot').dispatchEvent(turned)"
    )
    assert page.js(scale) > 1
    page.one("#groups button").click()
    size = int(page.text("#groups button .size"))
    assert page.text("#selected-title") == f"Selected: {size} texts"
    assert page.one("#groups button").get_attribute("aria-pressed") == "true"


# -- for everybody -----------------------------------------------------------------------------------


STATES = {
    "search": "#/search?q=snow+soup&k=10",
    "filtered": '#/search?q=snow&f=["topic","%3D","weather"]',
    "start": "#/search",
    "compare": "#/compare?s=A+cat&s=A+kitten&s=Rates+rise&s=Snow+falls",
    "map": "#/map?q=soup",
}


def shown(page: Any, name: str) -> None:
    page.open(STATES[name])
    ready = {
        "search": "return document.querySelector('.hit')",
        "filtered": "return document.querySelector('.hit')",
        "start": "return document.querySelector('#search-empty dl')",
        "compare": "return document.querySelector('.heat td')",
        "map": "return document.querySelector('#plot').plot.lit",
    }
    page.until(ready[name])
    if name == "search":
        page.js("document.querySelector('.hit .open').click(); document.querySelector('#add-filter').click()")


@pytest.mark.parametrize("name", STATES)
def test_text_can_be_read_and_everything_has_a_name(page: Any, name: str) -> None:
    shown(page, name)
    for dark in (False, True):
        page.look(dark=dark)
        worst = page.js(browsing.CONTRAST)
        assert len(worst) > 10 and worst[0][0] >= worst[0][1], worst[:3]
    tree = page.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    roles = {
        "button",
        "link",
        "textbox",
        "searchbox",
        "combobox",
        "checkbox",
        "radio",
        "ComboBoxSelect",
        "listbox",
        "switch",
        "application",
        "progressbar",
        "region",
    }
    named = 0
    for node in tree:
        if not node["ignored"] and node["role"]["value"] in roles:
            assert node.get("name", {}).get("value", "").strip(), node
            named += 1
    assert named > 8
    assert page.js(
        "const ids = [...document.querySelectorAll('[id]')].map((e) => e.id); return ids.length === new Set(ids).size"
    )
    assert page.js("return document.documentElement.lang") == "en" and page.js("return document.title")
    origins = page.js(
        "return performance.getEntriesByType('resource').map((each) => new URL(each.name).origin)"
    )
    assert set(origins) == {page.address.rstrip("/")}


@pytest.mark.parametrize("name", STATES)
def test_a_phone_needs_no_scrolling_sideways(page: Any, name: str) -> None:
    page.look(360, 740)
    shown(page, name)
    assert page.js("return [document.documentElement.scrollWidth, innerWidth]") == [360, 360]


def test_dark_and_light_differ_and_the_canvas_follows(page: Any) -> None:
    mapped(page)
    page.until("return document.querySelector('#plot').plot.text === '#1b2026'")
    light = page.js("return getComputedStyle(document.body).backgroundColor")
    page.look(dark=True)
    page.until("return document.querySelector('#plot').plot.text === '#e9ecef'")
    assert page.js("return getComputedStyle(document.body).backgroundColor") != light


def test_where_the_focus_is_can_be_seen(page: Any) -> None:
    from selenium.webdriver import Keys

    searched(page, "snow")
    page.js("document.querySelector('#main').focus()")
    for _ in range(8):
        page.keys(Keys.TAB)
        seen = page.js(
            "const e = document.activeElement, s = getComputedStyle(e);"
            "const n = e.nextElementSibling && getComputedStyle(e.nextElementSibling);"
            "const own = s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2 && s.opacity !== '0';"
            "return [e.outerHTML.slice(0, 80), own || (n && n.outlineStyle !== 'none')]"
        )
        assert seen[1], seen[0]


# -- with a key --------------------------------------------------------------------------------------


def test_the_key_is_asked_for_and_kept_for_the_tab_only(
    driver: Any, serve: Callable[..., Any], path: Path
) -> None:
    serving = browsing.Serving(serve(indexes=(str(path),), api_keys=(KEY,)).app)
    try:
        page = browsing.Browser(driver, serving.address)
        page.look()
        page.driver.get(serving.address + "#/search?q=snow")
        page.until("return document.querySelector('#key-dialog').open")
        assert page.js("return document.activeElement.id") == "key"
        page.one("#key").send_keys("wrong\n")
        page.until(
            "return document.querySelector('#key-message').textContent === 'That was not the right key.'"
        )
        page.one("#key").send_keys(KEY + "\n")
        page.until("return document.querySelector('.hit')")
        assert page.js("return [Object.values(sessionStorage), localStorage.length, document.cookie]") == [
            [KEY],
            0,
            "",
        ]
        assert KEY not in page.js("return location.href") and KEY not in page.js(
            "return document.documentElement.outerHTML"
        )
        page.open("#/compare?s=a&s=b")
        page.until("return document.querySelector('.heat td')")
        others = [each for each in page.complaints() if "401" not in each]
        assert others == []
    finally:
        serving.stop()
