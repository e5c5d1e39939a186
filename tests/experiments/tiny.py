"""A notebook that takes a second, to try the machinery on."""

from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from experiments.suite import catalogue

PARAMETERS = """\
n: ClassCount = 3  # number of classes
dtype: FloatFormat = "float32"  # number format
scale_min: Scale = 1.0  # the smallest scale
scale_max: Scale = 2.0  # the largest scale"""

CHECK = """\
check_parameters(globals())
import pandas as pd
keep_measurements(pd.DataFrame({"n": [n], "twice": [2 * n]}))"""

CONCLUDE = """\
conclusions = Conclusions()
conclusions.add("small", "There are at most five classes.", n <= 5, f"there are {n}")
conclusions"""

IMPORTS = """\
from experiments.suite.notebook import Conclusions, check_parameters, keep_measurements
from experiments.suite.parameters import ClassCount, FloatFormat, Scale"""


def write_notebook(path: Path, measure: str = "pass") -> catalogue.Experiment:
    """Write a notebook that runs `measure` between its measurements and its conclusions."""
    cells = [
        new_markdown_cell("# Counting\n\nHow many classes are there?\nNot many."),
        new_code_cell(IMPORTS),
        new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}),
        new_code_cell(CHECK),
        new_code_cell(measure),
        new_code_cell(CONCLUDE),
    ]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook = new_notebook(cells=cells, metadata={"kernelspec": kernel})
    nbformat.write(notebook, path)
    return catalogue.read(path)
