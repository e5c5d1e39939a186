"""The catalogue and the types of parameters."""

from ast import literal_eval
from typing import get_args

import pytest
from papermill import inspect_notebook

from experiments.suite import catalogue, parameters, sweep
from experiments.suite.errors import UserError
from softmax_ref.formats import FORMATS
from tests.experiments.tiny import write_notebook


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return write_notebook(tmp_path_factory.mktemp("notebooks") / "tiny.ipynb")


def test_every_experiment_asks_a_question_and_explains_its_parameters():
    experiments = catalogue.experiments()
    assert "overflow" in experiments
    for experiment in experiments.values():
        assert experiment.question.endswith("?")
        assert all(parameter.help for parameter in experiment.parameters)


def test_papermill_reads_the_same_parameters():
    for experiment in catalogue.experiments().values():
        read = [(p.name, p.default, p.help) for p in experiment.parameters]
        found = inspect_notebook(str(experiment.path)).values()
        assert read == [(p["name"], literal_eval(p["default"]), p["help"]) for p in found]


def test_every_default_is_valid():
    for experiment in catalogue.experiments().values():
        defaults = {parameter.name: parameter.default for parameter in experiment.parameters}
        assert experiment.settings(defaults) == defaults


def test_a_notebook_is_read_from_its_cells(tiny):
    assert (tiny.title, tiny.question) == ("Counting", "How many classes are there?")
    assert [p.name for p in tiny.parameters] == ["n", "dtype", "scale_min", "scale_max"]
    assert tiny.parameters[0].choices == "an integer from 2 to 100000"
    assert tiny.parameters[1].choices == "float16, bfloat16, float32 or float64"


def test_text_from_the_command_line_takes_the_parameters_type(tiny):
    settings = tiny.settings({"n": "7", "scale_max": "3"})
    assert settings == {"n": 7, "dtype": "float32", "scale_min": 1.0, "scale_max": 3.0}


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"n": 7.5}, "Parameter n cannot be 7.5: give an integer from 2 to 100000."),
        ({"n": True}, "Parameter n cannot be True: give an integer from 2 to 100000."),
        ({"n": [3]}, "Parameter n cannot be [3]: give an integer from 2 to 100000."),
        (
            {"dtype": 16},
            "Parameter dtype cannot be 16: give float16, bfloat16, float32 or float64.",
        ),
        (
            {"scale_min": 3},
            "Parameter scale_min is 3 and scale_max is 2: give a scale_min below scale_max.",
        ),
    ],
)
def test_values_from_a_sweep_must_have_the_type(tiny, given, sentence):
    with pytest.raises(UserError) as caught:
        tiny.settings(given)
    assert str(caught.value) == sentence


def test_an_annotation_that_names_no_type_is_an_error_of_the_notebook():
    with pytest.raises(LookupError, match="defines no type 'ClassCuont'"):
        parameters.type_named("ClassCuont")


def test_formats_on_offer_exist():
    assert set(get_args(parameters.FloatFormat)) <= set(FORMATS)


def test_the_quick_sweep_is_valid_and_covers_every_format():
    runs = sweep.read("quick")
    formats = {given.get("dtype") for experiment, given in runs if experiment.name == "overflow"}
    assert formats == set(get_args(parameters.FloatFormat))


def test_a_grid_is_the_product_of_its_lists():
    entry = sweep.Entry(experiment="x", parameters={"a": 0}, grid={"b": [1, 2], "c": [3, 4]})
    points = [(p["a"], p["b"], p["c"]) for p in entry.points()]
    assert points == [(0, 1, 3), (0, 1, 4), (0, 2, 3), (0, 2, 4)]


def test_experiments_that_take_times_are_known():
    timed = {name for name, found in catalogue.experiments().items() if found.timed}
    assert timed == {"passes", "device_timings"}
