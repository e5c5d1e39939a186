"""Tie every numbered statement of the book to the tests that check it.

A test claims a statement with ``@pytest.mark.claim("label")``.  This extension prints the
claiming tests under each statement, and the whole list where a page says ``{claim-ledger}``.
Both sides are read from the sources, without importing or building anything, so that the test
of the gate can use the same two functions.
"""

import ast
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective

from tools import notebooks

TESTS = notebooks.ROOT / "tests"
STATEMENTS = ("theorem", "proposition", "lemma", "corollary", "property", "criterion")
LEDGER_PAGE = "book/ledger"
_STATEMENT = re.compile(
    r"^(?P<fence>`{3,}|:{3,})\{prf:(?P<kind>\w+)\}[ \t]*(?P<title>.*)\n"
    r"(?P<body>[\s\S]*?)^(?P=fence)",
    re.MULTILINE,
)
_LABEL = re.compile(r"^:label:[ \t]*(\S+)", re.MULTILINE)


@dataclass(frozen=True)
class Statement:
    """A theorem-like statement of the book, as its source has it."""

    label: str
    kind: str
    title: str
    page: str


@dataclass(frozen=True)
class Claim:
    """A test that says it checks a statement."""

    label: str
    test: str
    file: str
    checks: str


def statements(root: Path = notebooks.ROOT) -> list[Statement]:
    """Return the statements of all pages under ``root/book`` that need a test, in page order."""
    found = []
    for page in sorted([*root.glob("book/**/*.md"), *root.glob("book/**/*.ipynb")]):
        for match in _STATEMENT.finditer(_prose(page)):
            if match["kind"] in STATEMENTS:
                label = _LABEL.search(match["body"])
                found.append(
                    Statement(
                        label=label[1] if label else "",
                        kind=match["kind"],
                        title=match["title"].strip(),
                        page=page.relative_to(root).with_suffix("").as_posix(),
                    )
                )
    return found


def _prose(page: Path) -> str:
    if page.suffix == ".md":
        return page.read_text(encoding="utf-8")
    cells = notebooks.read(page).cells
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def claims(tests: Path = TESTS) -> list[Claim]:
    """Return every ``@pytest.mark.claim`` under a folder of tests, read from the syntax tree."""
    found = []
    for file in sorted(tests.rglob("test_*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                doc = (ast.get_docstring(node) or "").split("\n\n")[0].replace("\n", " ")
                where = file.relative_to(tests.parent).as_posix()
                found += [Claim(label, node.name, where, doc) for label in _claimed(node)]
    return found


def _claimed(test: ast.FunctionDef) -> list[str]:
    return [
        argument.value
        for call in test.decorator_list
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "pytest.mark.claim"
        for argument in call.args
        if isinstance(argument, ast.Constant)
    ]


def by_label(found: list[Claim]) -> dict[str, list[Claim]]:
    """Group claims by the statement that they check."""
    grouped = defaultdict(list)
    for claim in found:
        grouped[claim.label].append(claim)
    return grouped


# --- in the pages -----------------------------------------------------------------------------


def print_under_statements(app: Sphinx, doctree: nodes.document) -> None:
    """Append to each statement one line for each test that checks it."""
    tests = by_label(claims())
    for node in doctree.findall(lambda n: n.get("realtype") in STATEMENTS if _is_element(n) else 0):
        for claim in tests.get(node["label"], []):
            app.env.note_dependency(str(notebooks.ROOT / claim.file))
            node += _line(claim)


def _is_element(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Element)


def _line(claim: Claim) -> nodes.paragraph:
    line = nodes.paragraph(classes=["claim"])
    line += nodes.inline("", "Checked: ", classes=["claim-word"])
    line += nodes.Text(claim.checks + " ")
    line += nodes.literal("", f"{claim.file}::{claim.test}")
    return line


class Ledger(SphinxDirective):
    """The table of all statements with the tests that check each."""

    def run(self) -> list[nodes.Node]:
        """Return the table, its first column linked to the statements."""
        tests = by_label(claims())
        rows = ["```{list-table}", ":header-rows: 1", ":class: ledger", ""]
        rows += ["* - Statement", "  - What checks it"]
        for statement in statements():
            rows.append(f"* - {{prf:ref}}`{statement.label}`: {statement.title}")
            checks = [f"{c.checks} `{c.test}`" for c in tests.get(statement.label, [])]
            checks = checks or ["Nothing yet."]
            rows += [f"  - {checks[0]}", *(f"\n    {line}" for line in checks[1:])]
        return self.parse_text_to_nodes("\n".join([*rows, "```"]))


def outdated_ledger(app: Sphinx, env: BuildEnvironment, *_: object) -> list[str]:
    """Have the ledger's page read again whenever a statement or a claim changed."""
    state = (statements(), claims())
    known = getattr(env, "ledger_state", None)
    env.ledger_state = state
    return [LEDGER_PAGE] if known != state and LEDGER_PAGE in env.found_docs else []


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect the claims to the build."""
    app.add_directive("claim-ledger", Ledger)
    app.connect("doctree-read", print_under_statements)
    app.connect("env-get-outdated", outdated_ledger)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
