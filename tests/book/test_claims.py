"""The gate between the book's statements and the tests that claim them, in both directions."""

import pytest

from book._ext.claims import Statement, by_label, claims, statements


def unclaimed(book, tests):
    """Return the labels of statements without a test."""
    return sorted({s.label for s in book} - set(by_label(tests)))


def unknown(book, tests):
    """Return the labels that tests claim and no statement carries."""
    return sorted(set(by_label(tests)) - {s.label for s in book})


def test_every_statement_has_a_test():
    """Each theorem-like statement is claimed by at least one test."""
    assert unclaimed(statements(), claims()) == []


def test_every_claim_names_a_statement():
    """No test claims a label that the book does not have."""
    assert unknown(statements(), claims()) == []


def test_there_are_statements():
    """The two tests above must not pass by finding nothing."""
    assert statements()


def test_every_statement_has_a_label_and_a_title():
    """The ledger needs both."""
    assert [s for s in statements() if not (s.label and s.title)] == []


def test_every_claim_says_what_is_checked():
    """The line under the statement is the first sentence of the test's docstring."""
    assert [c.test for c in claims() if not c.checks] == []


PAGE = """# Page

```{prf:theorem} Sum
:label: thm-sum

The entries sum to 1.
```

:::{prf:definition} Not a statement
:label: def-x
:::
"""
TEST = """
import pytest

@pytest.mark.claim("LABEL")
def test_sum():
    \"\"\"The entries sum to 1 in exact arithmetic.\"\"\"
"""


@pytest.fixture
def small_book(tmp_path):
    """A book of one theorem, and a function that writes the test which claims a label."""
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "page.md").write_text(PAGE)
    (tmp_path / "tests").mkdir()

    def claim(label):
        (tmp_path / "tests" / "test_page.py").write_text(TEST.replace("LABEL", label))
        return statements(tmp_path), claims(tmp_path / "tests")

    return claim


def test_statement_and_claim_are_read(small_book):
    """Kind, title, page and the docstring's first sentence come from the sources."""
    book, tests = small_book("thm-sum")
    assert book == [Statement("thm-sum", "theorem", "Sum", "book/page")]
    assert [t.checks for t in tests] == ["The entries sum to 1 in exact arithmetic."]
    assert unclaimed(book, tests) == unknown(book, tests) == []


def test_a_theorem_without_a_test_is_found(small_book):
    """Planted fault: the only test claims another label."""
    book, tests = small_book("thm-other")
    assert unclaimed(book, tests) == ["thm-sum"]


def test_a_test_that_claims_no_theorem_is_found(small_book):
    """Planted fault: the claimed label stands nowhere in the book."""
    book, tests = small_book("thm-other")
    assert unknown(book, tests) == ["thm-other"]
