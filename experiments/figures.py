"""The look of every figure in the project: one style, and one colour for each role.

A colour means the same thing in every chapter.  Colour never stands alone: `LINE_STYLES` and
`MARKERS` repeat the distinction for readers who print in grey.
"""

from pathlib import Path

STYLE_FILE = Path(__file__).with_name("figures.mplstyle")

# Okabe & Ito's palette, by role.
TEXTBOOK = "#D55E00"  # the formula as printed in books
STABLE = "#0072B2"  # the formula done right
PREDICTED = "#4D4D4D"  # what theory says before anything is measured
EXACT = "#009E73"  # a correctly rounded or high-precision value
LIBRARY = "#CC79A7"  # somebody else's implementation
HIGHLIGHT = "#E69F00"  # what the reader should look at
NEUTRAL = "#999999"  # context: grids, guides, everything else

LINE_STYLES = {
    TEXTBOOK: "-",
    STABLE: "-",
    PREDICTED: "--",
    EXACT: ":",
    LIBRARY: "-.",
    HIGHLIGHT: "-",
    NEUTRAL: "-",
}
MARKERS = {TEXTBOOK: "X", STABLE: "o", EXACT: "D", LIBRARY: "s", HIGHLIGHT: "^", NEUTRAL: "."}

FORMAT_COLOURS = {
    "float64": "#0072B2",
    "float32": "#009E73",
    "float16": "#D55E00",
    "bfloat16": "#CC79A7",
    "float8_e4m3fn": "#E69F00",
    "float8_e5m2": "#56B4E9",
}
FORMAT_MARKERS = {
    "float64": "o",
    "float32": "s",
    "float16": "X",
    "bfloat16": "D",
    "float8_e4m3fn": "^",
    "float8_e5m2": "v",
}


def use_style() -> None:
    """Set the project's matplotlib style for all figures drawn afterwards in this process.

    A notebook with a figure calls it in its first code cell.

    Examples
    --------
    >>> import matplotlib
    >>> use_style()
    >>> matplotlib.rcParams["savefig.transparent"]
    False
    """
    from matplotlib import pyplot

    pyplot.style.use(STYLE_FILE)
