"""Run an experiment's code in this process, with other settings or a planted fault."""

import matplotlib.pyplot as plt
import nbformat

from experiments.suite import catalogue


def run(monkeypatch, name, *faults, **settings):
    """Run a notebook's code; return its verdicts by id, and all its names.

    A fault is a pair of texts: what is to be replaced in the code, and by what.  It must occur.
    """
    monkeypatch.setattr(plt, "show", plt.close)
    namespace = {"__name__": "__main__", "__annotations__": {}}
    planted = set()
    for cell in nbformat.read(catalogue.FOLDER / f"{name}.ipynb", as_version=4).cells:
        if cell.cell_type == "code":
            source = cell.source
            for old, new in faults:
                planted |= {old} if old in source else set()
                source = source.replace(old, new)
            exec(source, namespace)
        if "parameters" in cell.metadata.get("tags", []):
            namespace.update(settings)
    assert planted == {old for old, _ in faults}
    return {item.id: item.verdict for item in namespace["conclusions"]}, namespace


def failing(verdicts):
    """Return the ids of the conclusions that fail."""
    return {id for id, verdict in verdicts.items() if verdict == "fails"}
