"""The command line: check, report, failures."""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, NoReturn

from ..formats import FORMATS
from . import text
from .calling import ARRAYS, find
from .checker import check
from .failures import FAILURES, Verdict, live_failures
from .libraries import LIBRARIES, TABLE_FORMATS, Row, report
from .truth import OPERATIONS

PROGRAM = "python -m softmax_ref.conformance"
FALLS_SHORT = 1
BAD_USAGE = 2
#: Of the table of libraries; the last four are thresholds.
_HEADS = (
    "library",
    "operation",
    "format",
    "worst ulp",
    "correctly rounded",
    "edges",
    "last c at [c, c]",
    "last gap",
    "last margin",
    "most entries",
)


class _Parser(argparse.ArgumentParser):
    """Answers a mistake in one sentence, without the usage."""

    def error(self, message: str) -> NoReturn:
        sentence = message[0].upper() + message[1:].rstrip(".")
        print(f"{sentence}: see `{self.prog} --help`.", file=sys.stderr)
        raise SystemExit(BAD_USAGE)


def _one_of(choices: Iterable[str], what: str) -> Any:
    """A type for argparse: a name, or a sentence with all names and the nearest."""
    names = list(choices)

    def parse(given: str) -> str:
        if given in names:
            return given
        near = difflib.get_close_matches(given, names, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise argparse.ArgumentTypeError(
            f"unknown {what} {given!r}, choose one of {', '.join(names)}{hint}"
        )

    return parse


def _ulp(given: str) -> float:
    try:
        value = float(given)
    except ValueError:
        value = -1.0
    if not value >= 0:
        raise argparse.ArgumentTypeError(f"give a number of at least 0, not {given!r}")
    return value


def _seed(given: str) -> int:
    if not given.isdecimal():
        raise argparse.ArgumentTypeError(f"give an integer of at least 0, not {given!r}")
    return int(given)


def _parser() -> _Parser:
    parser = _Parser(
        prog=PROGRAM,
        description="Hold softmax, log_softmax and logsumexp against correctly rounded results.",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    one = _command(commands, "check", "check a function that can be imported", check_function)
    one.add_argument("target", metavar="MODULE:FUNCTION", help="such as scipy.special:softmax")
    one.add_argument(
        "--op", type=_one_of(OPERATIONS, "operation"), default="softmax", help="what it computes"
    )
    one.add_argument(
        "--dtype", type=_one_of(FORMATS, "format"), default="float64", help="in which format"
    )
    one.add_argument("--max-ulp", type=_ulp, help="the largest error allowed in the families")
    one.add_argument(
        "--array",
        type=_one_of(ARRAYS, "kind of array"),
        help="numpy or torch; found out by trying if it is left away",
    )
    table = _command(
        commands, "report", "make the table of the installed libraries", report_libraries
    )
    table.add_argument(
        "--library",
        type=_one_of(LIBRARIES, "library"),
        action="append",
        help="only this one; repeat for more",
    )
    table.add_argument(
        "--op",
        type=_one_of(OPERATIONS, "operation"),
        action="append",
        help="only this one; repeat for more",
    )
    table.add_argument(
        "--dtype",
        type=_one_of(FORMATS, "format"),
        action="append",
        help="only this one; repeat for more",
    )
    for command in (one, table):
        command.add_argument("--seed", type=_seed, default=0, help="decides the inputs")
    known = sorted({failure.library for failure in FAILURES})
    failures = _command(
        commands, "failures", "reproduce the recorded failures of libraries", show_failures
    )
    failures.add_argument(
        "--library", type=_one_of(known, "library"), help="only those of one package"
    )
    return parser


def _command(commands: Any, name: str, purpose: str, run: Any) -> Any:
    command = commands.add_parser(name, help=purpose, description=purpose, allow_abbrev=False)
    command.add_argument("--json", action="store_true", help="print JSON, for a program")
    command.set_defaults(run=run)
    return command


def check_function(given: argparse.Namespace) -> int:
    """Print the report on one function."""
    found = check(
        find(given.target),
        given.op,
        given.dtype,
        max_ulp=given.max_ulp,
        array=given.array,
        seed=given.seed,
    )
    found = replace(found, function=given.target)
    print(_json(found.as_json()) if given.json else found)
    return 0 if found.ok else FALLS_SHORT


def report_libraries(given: argparse.Namespace) -> int:
    """Print the table of the libraries."""
    rows = report(
        given.library, given.op or OPERATIONS, given.dtype or TABLE_FORMATS, seed=given.seed
    )
    print(_json([row.as_json() for row in rows]) if given.json else "\n".join(_table(rows)))
    return 0


def _table(rows: Sequence[Row]) -> list[str]:
    lines = text.table(_HEADS, [_cells(row) for row in rows if row.status == "measured"])
    for row in rows:
        if row.found is None:
            lines.append(f"{row.library}: not installed")
        elif row.found.not_offered:
            lines.append(f"{row.library} {row.op} {row.dtype}: not offered")
    return [
        *lines,
        "The last four columns are the last values that work; - where no limit was found.",
    ]


def _cells(row: Row) -> tuple[str, ...]:
    found = row.found
    assert found is not None
    right = len(found.edges) - len(found.edges_wrong)
    limits = found.thresholds
    return (
        f"{row.library} {row.version}",
        row.op,
        row.dtype,
        text.ulp(found.worst),
        text.share(found.correctly_rounded),
        f"{right}/{len(found.edges)}",
        *(
            "-" if limit is None else text.threshold(limit, row.dtype)
            for limit in (limits.logit, limits.gap, limits.margin)
        ),
        "-" if limits.entries is None else f"{limits.entries:g}",
    )


def show_failures(given: argparse.Namespace) -> int:
    """Print what became of the recorded failures; status 1 if the record has to be changed."""
    verdicts = live_failures(given.library)
    if given.json:
        print(_json([_plain(one) for one in verdicts]))
    else:
        for one in verdicts:
            print(f"{one}\n    {one.failure.statement} Seen in {one.failure.seen_in}.")
            if one.news:
                print(f"    {one.news}")
    return FALLS_SHORT if any(one.news for one in verdicts) else 0


def _plain(one: Verdict) -> dict[str, str]:
    known = one.failure
    return {
        "id": known.id,
        "library": known.library,
        "seen_in": known.seen_in,
        "mended_in": known.mended_in,
        "statement": known.statement,
        "version": one.version,
        "verdict": one.verdict,
        "news": one.news,
    }


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit status.

    Status 0: done, and nothing falls short.  1: an edge is wrong, or an error above --max-ulp.
    2: bad usage, told in one sentence.
    """
    try:
        given = _parser().parse_args(arguments)
        status: int = given.run(given)
    except SystemExit as stop:  # how argparse ends
        return int(stop.code or 0)
    except (ValueError, TypeError) as error:
        print(str(error)[0].upper() + str(error)[1:], file=sys.stderr)
        return BAD_USAGE
    return status
