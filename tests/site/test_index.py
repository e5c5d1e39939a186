"""The index of terms and the files of the notebooks can be reached in the built book."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.site.conftest import HTML
from tests.site.test_site import opened


def on_phone(browser, bases, name):
    """Open a page from disk, as narrow as a phone."""
    return opened(browser, f"{bases['file']}/{name}", width="phone")


def test_the_contents_lead_to_the_index(browser, bases):
    """From any page the contents have the index, and a term there leads to its place."""
    with opened(browser, f"{bases['file']}/book/notation.html") as (page, faults):
        page.get_by_role("link", name="Index", exact=True).first.click()
        page.wait_for_url("**/genindex.html")
        page.get_by_role("link", name="gradual underflow").first.click()
        page.wait_for_url("**/*.html#*")
        place = urlsplit(page.url).fragment
        assert page.locator(f"[id='{place}']").count() == 1
    assert faults == []


def test_every_term_of_the_index_leads_somewhere(browser, bases):
    """No entry of the index points to a page or a place that does not exist."""
    with on_phone(browser, bases, "genindex.html") as (page, _):
        links = page.eval_on_selector_all(".indextable a", "all => all.map(a => a.href)")
    places = {(unquote(urlsplit(link).path), urlsplit(link).fragment) for link in links}
    assert len(places) > 100
    text = {path: Path(path).read_text(encoding="utf-8") for path, _ in places}
    assert [place for place in places if f'id="{place[1]}"' not in text[place[0]]] == []


def test_the_columns_of_the_index_use_the_phone(browser, bases):
    """A column is nearly as wide as the page: a third of it would break every term."""
    with on_phone(browser, bases, "genindex.html") as (page, _):
        widths = page.eval_on_selector_all(".indextable td", "all => all.map(c => c.clientWidth)")
    assert min(widths) > 300


@pytest.mark.parametrize("name", ["book/foundations/jacobian", "experiments/overflow"])
def test_a_notebook_is_beside_its_page(browser, bases, name):
    """The link at the foot of the page downloads the notebook, from disk."""
    with on_phone(browser, bases, f"{name}.html") as (page, _):
        (link,) = page.eval_on_selector_all("p.rerun a[download]", "all => all.map(a => a.href)")
    file = unquote(urlsplit(link).path)
    assert file.startswith(str(HTML))
    assert '"nbformat": 4' in Path(file).read_text(encoding="utf-8")
