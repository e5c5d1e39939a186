'''Checkers for the book's code exercises: ``check("lse-stream", my_function)``.

A chapter adds an exercise in its own module here, ``softmax_ref/exercises/<chapter>.py``:

1. Write the official solution as a plain function: the chapter may show it by literalinclude.
2. Call it by the label of the exercise without ``ex-``: ``ex-lse-stream`` is ``lse-stream``.
3. List inputs from small to large, as tuples of arguments. The first that fails is shown to the
   reader, so begin with numbers that one can work out by hand, and end with a batch.
4. Give the truth from another source than the solution. It runs in 60-digit decimal arithmetic;
   :mod:`softmax_ref.exercises._truth` has softmax and log-sum-exp.
5. State the tolerance in units u and say why: above honest rounding, below every mistake.
6. List at least four wrong answers, each with a hint in one or two short sentences.
7. Import the module below. The tests find the exercise by themselves: the solution passes, and
   each wrong answer fails and gets its own hint. Add a second source of the truth in the tests.

::

    from decimal import Decimal

    import numpy as np

    from ._checker import Exercise, Wrong, register


    def third(x):
        """Return x / 3."""
        return x / 3


    register(
        Exercise(
            name="chapter-third",
            task="Return a third of x.",
            solution=third,
            inputs=[(np.array([1.0]),), (np.array([1.0, -3.0]),)],
            truth=lambda x: [Decimal(float(v)) / 3 for v in x],
            oracle="60-digit decimal arithmetic",
            relative=4,
            because="x / 3 rounds once, x * (1 / 3) twice.",
            wrong=[Wrong("floor", lambda x: x // 3, "// rounds down. Divide with /.")],
        )
    )

In the chapter: ``from softmax_ref.exercises import check``, and ``check("chapter-third", third)``
as the last line of a cell.
'''

from . import (  # noqa: F401  (each registers its exercises)
    correct_rounding,
    cross_entropy,
    formats,
    from_max_to_softmax,
    gradient,
    jacobian,
    log_softmax,
    log_sum_exp,
    overflow,
    properties,
    sigmoids,
    stable,
    underflow,
)
from ._checker import REGISTRY, Exercise, Outcome, Result, Wrong, check, get, register

__all__ = ["Exercise", "Outcome", "Result", "Wrong", "check", "get", "names", "register"]


def names() -> list[str]:
    """The names of all exercises, chapter by chapter.

    Examples
    --------
    >>> "lse-stream" in names()
    True
    """
    return list(REGISTRY)
