"""The types of the experiments' parameters, and the check of a value against its type.

A notebook's ``parameters`` cell annotates each parameter with one of these names.  That annotation
is the only place where the valid values stand: the catalogue lists them from it, the command line
refuses bad values by it before a kernel starts, and the notebook itself checks against it.
"""

import sys
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from experiments.suite.errors import UserError, either, unsuitable

FloatFormat = Literal["float16", "bfloat16", "float32", "float64"]
NativeFormat = Literal["float32", "float64"]
Algorithm = Literal["textbook", "stable"]
ClassCount = Annotated[int, Field(ge=2, le=100_000)]
SmallClassCount = Annotated[int, Field(ge=2, le=200)]
RowCount = Annotated[int, Field(ge=1, le=1_000)]
StepCount = Annotated[int, Field(ge=2, le=200)]
Scale = Annotated[float, Field(gt=0, le=5_000, allow_inf_nan=False)]
LearningRate = Annotated[float, Field(gt=0, le=10_000, allow_inf_nan=False)]
BlockSize = Annotated[int, Field(ge=256, le=1_048_576)]
ElementCount = Annotated[int, Field(ge=1_024, le=268_435_456)]
Seconds = Annotated[float, Field(gt=0, le=600, allow_inf_nan=False)]
Switch = bool
SampleFile = Annotated[str, Field(max_length=1_000)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]


def type_named(name: str) -> object:
    """Return the parameter type that a notebook's annotation names.

    Raises
    ------
    LookupError
        If this module defines no such type: a mistake in the notebook, not of its user.
    """
    try:
        return getattr(sys.modules[__name__], name)
    except AttributeError:
        raise LookupError(f"experiments.suite.parameters defines no type {name!r}") from None


def describe(kind: object) -> str:
    """Say in words which values a type admits.

    Examples
    --------
    >>> describe(ClassCount)
    'an integer from 2 to 100000'
    >>> describe(Algorithm)
    'textbook or stable'
    """
    schema = TypeAdapter(kind).json_schema()
    if "enum" in schema:
        return either(schema["enum"])
    if words := {"boolean": "true or false", "string": "a path"}.get(schema["type"]):
        return words
    noun = {"integer": "an integer", "number": "a number"}[schema["type"]]
    if "exclusiveMinimum" in schema:
        return f"{noun} above {schema['exclusiveMinimum']:g} and up to {schema['maximum']:g}"
    return f"{noun} from {schema['minimum']} to {schema['maximum']}"


def convert(name: str, kind: object, value: object, *, parse_text: bool = True) -> object:
    """Return a value as its parameter's type wants it.

    Text, as a command line delivers it, is parsed if ``parse_text``; any other value must already
    have the type (an integer may stand for a number).

    Raises
    ------
    UserError
        If the value does not fit; the sentence says what would.

    Examples
    --------
    >>> convert("n", ClassCount, "10")
    10
    """
    try:
        strict = not (parse_text and isinstance(value, str))
        return TypeAdapter(kind).validate_python(value, strict=strict)
    except ValidationError:
        choices = TypeAdapter(kind).json_schema().get("enum", ())
        raise unsuitable(name, value, describe(kind), choices) from None


def check_ranges(values: Mapping[str, object]) -> None:
    """Refuse a range whose ends are not in order: ``scale_min`` must lie below ``scale_max``."""
    for name, low in values.items():
        other = f"{name.removesuffix('_min')}_max"
        if name.endswith("_min") and other in values and not low < values[other]:
            raise UserError(
                f"Parameter {name} is {low:g} and {other} is {values[other]:g}: "
                f"give a {name} below {other}."
            )
