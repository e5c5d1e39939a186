"""Show on a page what a sweep concluded on the machine that builds the book.

``{sweep-conclusions} quick`` lists the runs that the sweep asks for, each folded under a line
that counts its verdicts.  A run that has not been made yet is named as such, never left out.
"""

import json
from collections import Counter
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective

from experiments.suite import catalogue, conclusions, provenance, sweep
from tools import notebooks

RUNS = notebooks.ROOT / "runs"
PAGE = "book/rerun"


def runs(name: str) -> list[tuple[str, Path]]:
    """Return a title and a folder for each run that a sweep asks for, made or not."""
    return [
        (_title(experiment, given), _folder(experiment, given))
        for experiment, given in sweep.read(name)
    ]


def _title(experiment: catalogue.Experiment, given: dict[str, object]) -> str:
    return f"{experiment.title}: " + ", ".join(f"{key} = {value}" for key, value in given.items())


def _folder(experiment: catalogue.Experiment, given: dict[str, object]) -> Path:
    settings = experiment.settings(given)
    return RUNS / provenance.run_name(provenance.determinants(experiment, settings))


class SweepConclusions(SphinxDirective):
    """The verdicts of each run of a sweep."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return one folded table for each run."""
        blocks = [_block(title, folder) for title, folder in runs(self.arguments[0])]
        return self.parse_text_to_nodes("\n\n".join(blocks))


def _block(title: str, folder: Path) -> str:
    if not folder.is_dir():
        return f"**{title}**: not run on this machine yet; `make book` runs it."
    found = conclusions.read(folder)
    counts = Counter(item.verdict for item in found)
    verdicts = ", ".join(f"{verdict} {count}" for verdict, count in counts.items())
    rows = "".join(f"| {i.statement} | {i.verdict} | {i.evidence} |\n" for i in found)
    return (
        f"````{{dropdown}} {title} ({verdicts})\n{_where(folder)}\n\n"
        f"| Statement | Verdict | Evidence |\n|---|---|---|\n{rows}````"
    )


def _where(folder: Path) -> str:
    record = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
    machine, versions = record["machine"], record["versions"]
    return (
        f"Run on {record['started'][:10]} in {record['seconds']:.0f} s "
        f"on {machine['cpu']} ({machine['cores']} cores), "
        f"NumPy {versions['numpy']}, Python {versions['python']}."
    )


def outdated_page(app: Sphinx, env: BuildEnvironment, *_: object) -> list[str]:
    """Have the page read again when a run that it shows was made, or is another one."""
    state = [(title, folder.name, folder.is_dir()) for title, folder in runs("quick")]
    known = getattr(env, "sweep_state", None)
    env.sweep_state = state
    return [PAGE] if known != state and PAGE in env.found_docs else []


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect the directive to the build."""
    app.add_directive("sweep-conclusions", SweepConclusions)
    app.connect("env-get-outdated", outdated_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
