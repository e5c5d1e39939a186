"""The error of every public function is within the bound that its docstring states."""

import pytest

import softmax_ref as sr
from softmax_ref import streaming

from .bounds import CASES, NAMES, SIZES, ratios, stated

FUNCTIONS = {name: getattr(sr, name) for name in sr.__all__} | {
    name: getattr(streaming, name) for name in ("softmax_in_chunks", "cross_entropy_in_chunks")
}
#: They compute no number from logits, or a random one.
WITHOUT = {"get_num_threads", "set_num_threads", "gumbel_max", "gumbel_softmax"}


def test_every_function_states_a_bound_for_every_format():
    assert FUNCTIONS.keys() - WITHOUT == CASES.keys()
    for name in CASES:
        assert stated(FUNCTIONS[name]).keys() == set(NAMES), name


@pytest.mark.parametrize("kind", ["numpy", "torch"])
@pytest.mark.parametrize("name", CASES)
def test_the_error_is_within_the_stated_bound(name, kind):
    for number, format_name in enumerate(NAMES):
        seed = 2 * number + (kind == "torch")
        for ratio, draw in ratios(name, FUNCTIONS[name], format_name, kind, seed, SIZES[name]):
            where = f"{format_name}, {draw.family}, n = {draw.x.size}"
            assert ratio <= 1, f"{where}: {ratio:.3g} times the bound"
