"""The built book opens without a network, from disk and over HTTP, on a desk and on a phone."""

import contextlib
import re

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.site.conftest import HTML

FORWARD = "index.html"
PAGES = sorted(
    {p.relative_to(HTML).as_posix() for p in HTML.rglob("*.html") if "_static" not in p.parts}
    - {FORWARD}
)
WIDTHS = {"desktop": (1440, 900), "tablet": (768, 1024), "phone": (390, 844)}
THEMES = ("light", "dark")
LOCAL = re.compile(r"^(file://|http://127\.0\.0\.1:|data:|blob:|about:)")


def left_behind(request):
    """Say whether a request was given up because the page itself moved on (a reload, a link)."""
    return request.failure == "net::ERR_ABORTED"


@contextlib.contextmanager
def opened(browser, address, width="desktop", theme="light"):
    """Open a page in a fresh context; yield it with the list of all that went wrong."""
    size = WIDTHS[width]
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, color_scheme=theme, reduced_motion="reduce"
    )
    page, faults = context.new_page(), []
    page.on("request", lambda r: LOCAL.match(r.url) or faults.append(f"asks for {r.url}"))
    page.on("requestfailed", lambda r: left_behind(r) or faults.append(f"cannot load {r.url}"))
    page.on("response", lambda r: r.status < 400 or faults.append(f"{r.status} for {r.url}"))
    page.on("console", lambda m: m.type in ("error", "warning") and faults.append(m.text))
    page.on("pageerror", lambda e: faults.append(str(e)))
    page.goto(address)
    page.evaluate("window.MathJax?.startup?.promise")
    yield page, faults
    context.close()


CHECK = """() => {
  const faults = [];
  const root = document.documentElement;
  if (root.scrollWidth > root.clientWidth)
    faults.push(`the page is ${root.scrollWidth} px wide in a window of ${root.clientWidth}`);
  for (const image of document.querySelectorAll('.bd-article img')) {
    if (!image.complete || !image.naturalWidth) faults.push('broken image ' + image.src);
    const alt = (image.getAttribute('alt') || '').trim();
    if (alt.split(/\\s+/).length < 5) faults.push('image without alternative text ' + image.src);
  }
  for (const wrong of document.querySelectorAll('mjx-merror, .problematic'))
    faults.push('not typeset: ' + wrong.textContent);
  for (const math of document.querySelectorAll('.bd-article .math'))
    if (!math.querySelector('mjx-container') && !math.closest('mjx-container'))
      faults.push('left as TeX: ' + math.textContent.slice(0, 60));
  return faults;
}"""


def in_each_theme(page):
    """Switch an open page, as the system's own setting would, and yield the theme it shows."""
    for theme in THEMES:
        page.emulate_media(color_scheme=theme)
        page.wait_for_function("t => document.documentElement.dataset.theme === t", arg=theme)
        yield theme


@pytest.mark.parametrize("base", ["file", "http"])
@pytest.mark.parametrize("name", PAGES)
def test_page(browser, bases, base, name):
    """No request leaves, nothing fails, mathematics is set, images speak, nothing overflows."""
    with opened(browser, f"{bases[base]}/{name}") as (page, faults):
        for width, (pixels, height) in WIDTHS.items():
            page.set_viewport_size({"width": pixels, "height": height})
            for theme in in_each_theme(page):
                faults += [f"{width}, {theme}: {fault}" for fault in page.evaluate(CHECK)]
    assert faults == []


# What the theme and Sphinx themselves break, on every page or on the bibliography alone.
THEMES_OWN = {"label-content-name-mismatch", "aria-required-children"}
GRAVE = ("serious", "critical")


def grave_violations(page, rules=None):
    """Return what axe-core finds serious or critical, each rule with its first element."""
    options = {"runOnly": {"type": "rule", "values": rules}} if rules else None
    return [
        f"{found['id']}: {found['nodes'][0]['html']}"
        for found in Axe().run(page, options=options).response["violations"]
        if found["impact"] in GRAVE and found["id"] not in THEMES_OWN
    ]


@pytest.mark.parametrize("name", PAGES)
def test_page_is_accessible(browser, bases, name):
    """axe-core finds nothing serious or critical: contrast, names, roles, order of headings."""
    with opened(browser, f"{bases['file']}/{name}") as (page, _):
        # All rules in the first theme; the second changes nothing but colours.
        rules = dict(zip(THEMES, (None, ["color-contrast"]), strict=True))
        found = {theme: grave_violations(page, rules[theme]) for theme in in_each_theme(page)}
        assert found == {theme: [] for theme in THEMES}


def test_a_planted_lack_of_contrast_is_found(browser, tmp_path):
    """Light grey words on white are named."""
    text = "<!doctype html><html lang='en'><title>t</title><p style='color:#bbb'>faint</p></html>"
    (tmp_path / "page.html").write_text(text)
    with opened(browser, (tmp_path / "page.html").as_uri()) as (page, _):
        assert any("color-contrast" in found for found in grave_violations(page))


def test_the_front_door_leads_to_the_first_page(browser, bases):
    """The address that `make book` prints opens the book's first page."""
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(f"{bases['file']}/{FORWARD}")
        page.wait_for_url("**/book/index.html")


@pytest.mark.parametrize("base", ["file", "http"])
def test_search_finds_a_chapter(browser, bases, base):
    """A word of the book leads to the chapter that explains it."""
    with opened(browser, f"{bases[base]}/search.html?q=eigenvalues") as (page, faults):
        page.wait_for_selector("#search-results li a")
        links = page.eval_on_selector_all("#search-results li a", "all => all.map(a => a.href)")
    assert any("foundations/jacobian" in link for link in links)
    assert faults == []


FAULTY = {
    "asks for https://cdn.example.org": "<script src='https://cdn.example.org/x.js'></script>",
    "image without alternative text": "<img src='data:image/gif;base64,R0lGODlhAQABAAAAACw='>",
    "cannot load": "<script src='missing.js'></script>",
    "boom": "<script>throw new Error('boom')</script>",
    "px wide in a window": "<div style='width:3000px'>wide</div>",
    "left as TeX": "<span class='math'>\\(x\\)</span>",
}


@pytest.mark.parametrize("complaint", FAULTY)
def test_each_planted_fault_is_found(browser, tmp_path, complaint):
    """A page with one fault of each kind fails, and says which."""
    body = f"<!doctype html><div class='bd-article'>{FAULTY[complaint]}</div>"
    (tmp_path / "page.html").write_text(body)
    with opened(browser, (tmp_path / "page.html").as_uri()) as (page, faults):
        faults += page.evaluate(CHECK)
    assert any(complaint in fault for fault in faults), faults
