"""The playground computes what softmax_ref.formats says, and can be used by hand and keyboard."""

import base64
import contextlib
import html
import itertools
import math
import re

import mpmath
import numpy as np
import pytest

from softmax_ref import cross_entropy, cross_entropy_gradient, softmax
from softmax_ref.formats import FORMATS
from tests.site.conftest import HTML
from tests.site.test_site import CHECK, THEMES, WIDTHS, opened

PAGE = "book/playground.html"
ALGORITHMS = ("textbook", "shifted", "log-softmax")
NARROW = [name for name in FORMATS if name != "float64"]


@pytest.fixture(scope="module")
def playground(browser, bases):
    """One open page for the tests that only ask its arithmetic."""
    with opened(browser, f"{bases['file']}/{PAGE}") as (page, faults):
        yield page
    assert faults == []


@contextlib.contextmanager
def situation(browser, bases, fragment="", width="desktop", theme="light"):
    """The page opened with a state in its address; no fault may have shown when it is left."""
    with opened(browser, f"{bases['file']}/{PAGE}{fragment}", width, theme) as (page, faults):
        yield page
    assert faults == []


# ---- rounding --------------------------------------------------------------------------------

ROUND = """([rounding, name, sent]) => {
  const { roundTo, roundByBits, FORMATS } = window.softmaxArithmetic;
  const x = new Float64Array(Uint8Array.from(atob(sent), c => c.charCodeAt(0)).buffer);
  const y = x.map(v => rounding === 'roundTo' ? roundTo(name, v) : roundByBits(FORMATS[name], v));
  return btoa(Array.from(new Uint8Array(y.buffer), b => String.fromCharCode(b)).join(''));
}"""


def rounded_by_page(page, x, name, rounding="roundTo"):
    """Send float64 bits to the page, get float64 bits back."""
    sent = base64.b64encode(np.asarray(x, dtype="<f8").tobytes()).decode()
    return np.frombuffer(base64.b64decode(page.evaluate(ROUND, [rounding, name, sent])), "<f8")


def same_bits(a, b):
    """Whether float64 arrays agree in every bit, the signs of zeros included; any nan is nan."""
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    return (a.view(np.int64) == b.view(np.int64)) | (np.isnan(a) & np.isnan(b))


@np.errstate(all="ignore")
def rounded(name, x):
    """Rounded by softmax_ref to the format, as float64."""
    return np.asarray(FORMATS[name].round(x)).astype(np.float64)


@np.errstate(invalid="ignore")  # signalling nans
def bit_patterns(rng, dtype, size):
    """Numbers of a format from random bits, all of them where there are at most 2^16."""
    bits = 8 * np.dtype(dtype).itemsize
    unsigned = np.dtype(f"u{bits // 8}")
    if bits <= 16:
        patterns = np.arange(2**bits, dtype=unsigned)
    else:
        patterns = rng.integers(0, 2**bits, size, dtype=unsigned)
    return patterns.view(dtype).astype(np.float64)


def rounding_inputs(name):
    """Float64 numbers that are hard to round to the format, and some that are not."""
    rng, f = np.random.default_rng(8), FORMATS[name]
    numbers = bit_patterns(rng, f.dtype, 20_000)
    finite = numbers[np.isfinite(numbers)]
    edges = [f.max, f.smallest_normal, f.smallest_subnormal, f.ulp(1.0), 1.0, 0.0]
    finite = np.concatenate([finite, edges, np.negative(edges)])
    above = finite + [f.ulp(v) / 2 for v in finite] if name != "float64" else finite
    middles = np.concatenate([above, -above])  # ties, the one from which numbers overflow included
    near = np.concatenate([numbers, finite, middles])
    with np.errstate(all="ignore"):  # beyond the largest number, and signalling nans
        near = np.concatenate([near, np.nextafter(near, np.inf), np.nextafter(near, -np.inf)])
    anything = bit_patterns(rng, np.float64, 20_000)
    in_range = rng.standard_normal(20_000) * 2.0 ** rng.uniform(
        math.log2(f.smallest_subnormal) - 3, min(f.max_exponent + 2, 1020), 20_000
    )
    return np.concatenate([near, anything, in_range, [math.inf, -math.inf, math.nan, -0.0, 5e-324]])


@pytest.mark.parametrize("name", FORMATS)
def test_rounding_agrees_bit_for_bit(playground, name):
    """All numbers of a small format, ties, their neighbours, subnormals, overflow, random bits."""
    x = rounding_inputs(name)
    expected = rounded(name, x)
    assert len(x) > 50_000 or name.startswith("float8")
    assert same_bits(rounded_by_page(playground, x, name), expected).all()


@pytest.mark.parametrize("name", NARROW)
def test_rounding_by_bits_agrees_bit_for_bit(playground, name):
    """The page's own rounding serves browsers without Math.f16round; it rounds all five formats."""
    x = rounding_inputs(name)
    expected = rounded(name, x)
    assert same_bits(rounded_by_page(playground, x, name, "roundByBits"), expected).all()


def test_facts_of_the_formats_agree(playground):
    """Precision, limits and infinity are those of softmax_ref.formats."""
    facts = playground.evaluate("window.softmaxArithmetic.FORMATS")
    assert facts == {
        name: {
            "precision": f.precision,
            "minExponent": f.min_exponent,
            "max": f.max,
            "hasInfinity": f.has_infinity,
        }
        for name, f in FORMATS.items()
    }


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("operation", [np.add, np.subtract, np.multiply, np.divide])
def test_float64_and_one_rounding_is_the_hardware_operation(playground, dtype, operation):
    """The page's claim about + − × ÷, on 20,000 pairs with subnormal and overflowing results."""
    rng = np.random.default_rng(3)
    scale = np.finfo(dtype).maxexp
    a, b = (rng.standard_normal((2, 20_000)) * 2.0 ** rng.uniform(-scale, scale, (2, 20_000))) // 1
    with np.errstate(all="ignore"):
        a, b = a.astype(dtype), (b.astype(dtype) * np.exp2(rng.integers(-scale, 4))).astype(dtype)
        native = operation(a, b)
        in_float64 = operation(a.astype(np.float64), b.astype(np.float64))
    assert same_bits(
        rounded_by_page(playground, in_float64, np.dtype(dtype).name), native.astype(np.float64)
    ).all()


# ---- whole computations ----------------------------------------------------------------------

COMPUTE = """states => states.map(state => {
  const { steps, gradient, jacobian } = window.softmaxArithmetic.compute(state);
  const values = numbers => numbers.map(v => v.value);
  return {
    ...Object.fromEntries(steps.map(({ key, numbers }) => [key, values(numbers)])),
    gradient: values(gradient),
    jacobian: jacobian.map(values),
  };
})"""


def states(name, algorithm, count=60):
    """Random situations of every size, and the ones at the edges."""
    rng = np.random.default_rng(17)
    edges = [
        ([1000, 2000, 3000], 1), ([11, 11], 1), ([-1000, -1000, -1000], 1), ([0, -120], 1),
        ([20, 0], 1), ([2, 1, 0.1], 0.01), ([2, 1, 0.1], 100), ([-0.0, 0.0], 1),
        ([1e300, -1e300], 1e-10), ([88.7228, 0], 1), ([-104, -103, -87], 1), ([6, 7, 448], 1),
        ([0, 0, 0, 0, 0, 0], 1e30), ([710, 709.7, -745.2, -746], 1),
    ]  # fmt: skip
    for _ in range(count):
        x = rng.standard_normal(rng.integers(2, 7)) * 10.0 ** rng.integers(-1, 4)
        edges.append((x.tolist(), float(10 ** rng.uniform(-2, 2))))
    return [
        {"x": x, "T": T, "target": i % len(x), "format": name, "algorithm": algorithm}
        for i, (x, T) in enumerate(edges)
    ]


@np.errstate(all="ignore")
def recomputed(key, state, n):
    """One step as softmax_ref.formats does it, from the page's own numbers `n` before it.

    Returns the unrounded value and whether it is an exp or a log.
    """
    log_softmax, target = state["algorithm"] == "log-softmax", state["target"]
    n = {k: np.array(v, dtype=np.float64) for k, v in n.items()}
    match key:
        case "x" | "T":
            return np.atleast_1d(np.array(state[key], dtype=np.float64)), False
        case "z":
            return n["x"] / n["T"], False
        case "m":
            return np.max(n["z"], keepdims=True), False
        case "d":
            return n["z"] - n["m"], False
        case "e":
            return np.exp(n["z" if state["algorithm"] == "textbook" else "d"]), True
        case "s":  # each partial sum from the rounded one before it
            return np.concatenate([n["e"][:1], n["s"][:-1] + n["e"][1:]]), False
        case "L":
            return np.log(n["s"][-1:]), True
        case "l":
            return n["d"] - n["L"], False
        case "p":
            return (np.exp(n["l"]), True) if log_softmax else (n["e"] / n["s"][-1], False)
        case "loss":
            if log_softmax:
                return -n["l"][[target]], False
            return -np.log(n["p"][[target]]), True
        case "gradient":
            return n["p"] - (np.arange(len(n["p"])) == target), False
    raise AssertionError(f"the page has a step {key!r} that is not recomputed here")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("name", FORMATS)
@np.errstate(all="ignore")
def test_every_step_agrees_with_python(playground, name, algorithm):
    """Each intermediate number is recomputed from the ones before it, and agrees bit for bit.

    exp and log are the exception. The browser's and NumPy's are each within 1 ulp of the exact
    value in float64, so in float64 they may differ by 2 ulp, and that is the tolerance. In the
    narrower formats they must agree bit for bit: the test makes sure that a change by 2^−50 in
    either direction would not change the rounding, which holds for every input here.
    """
    given = states(name, algorithm)
    for state, numbers in zip(given, playground.evaluate(COMPUTE, given), strict=True):
        p = np.array(numbers["p"], dtype=np.float64)
        delta = np.eye(len(p))
        jacobian = rounded(name, p[:, None] * rounded(name, delta - p[None, :]))
        assert same_bits(numbers.pop("jacobian"), jacobian).all(), state
        for key, shown in numbers.items():
            exact, transcendental = recomputed(key, state, numbers)
            expected = rounded(name, exact)
            if transcendental and name == "float64":
                ulp = np.spacing(np.abs(np.where(np.isfinite(expected), expected, 1)))
                close = np.abs(np.array(shown) - expected) <= 2 * ulp
                assert (close | same_bits(shown, expected)).all(), (state, key)
                continue
            if transcendental:
                down, up = rounded(name, exact * (1 - 2**-50)), rounded(name, exact * (1 + 2**-50))
                assert same_bits(down, up).all(), f"too near to a tie to be compared: {state} {key}"
            assert same_bits(shown, expected).all(), (state, key, shown, expected)


def test_reference_agrees_with_the_package(playground):
    """The numbers to compare with are softmax_ref's, to 16 units in the last place.

    Both take exp of the same differences, each within 1 ulp, add at most six of them and divide.
    """
    given = states("float64", "shifted")
    code = "states => states.map(window.softmaxArithmetic.reference)"
    for state, exact in zip(given, playground.evaluate(code, given), strict=True):
        x = np.array(state["x"])
        with np.errstate(over="ignore"):
            d, target = (x - x.max()) / state["T"], np.array(state["target"])
        close = {"rtol": 16 * 2**-52, "atol": 2 * 5e-324}  # the least subnormal apart
        np.testing.assert_allclose(exact["p"], softmax(d), **close)
        np.testing.assert_allclose(exact["loss"], cross_entropy(d, target), **close)
        np.testing.assert_allclose(exact["gradient"], cross_entropy_gradient(d, target), **close)


def test_reference_has_twelve_digits(playground):
    """The page promises 12 correct digits down to 1e-300; mpmath knows them all.

    The exponent d, at most 745 in size where exp(d) is not 0, is rounded twice, which costs
    2·745 units roundoff, 1.7e-13; the rest is a handful of roundings.
    """
    given = states("float64", "shifted")
    code = "states => states.map(window.softmaxArithmetic.reference)"
    for state, shown in zip(given, playground.evaluate(code, given), strict=True):
        with mpmath.workdps(60):
            e = [mpmath.exp(mpmath.mpf(x) / mpmath.mpf(state["T"])) for x in state["x"]]
            p = [v / mpmath.fsum(e) for v in e]
            rest = mpmath.fsum(v for i, v in enumerate(p) if i != state["target"])
            gradient = [-rest if i == state["target"] else v for i, v in enumerate(p)]
            loss = -mpmath.log1p(-rest) if rest < 0.5 else -mpmath.log(p[state["target"]])
            others = [mpmath.fsum(v for v in p[:i] + p[i + 1 :]) for i in range(len(p))]
            n = range(len(p))
            jacobian = [p[i] * others[i] if i == j else -p[i] * p[j] for i in n for j in n]
            entries = [entry for row in shown["jacobian"] for entry in row]
            page = [*shown["p"], *shown["gradient"], *entries, shown["loss"]]
            for a, b in zip(page, [*p, *gradient, *jacobian, loss], strict=True):
                assert abs(a - b) <= 1e-12 * abs(b) or abs(b) < 1e-300, (state, a, b)


# ---- the address -----------------------------------------------------------------------------

PARSE = "text => window.softmaxPlayground.parse(text)"


def test_states_survive_the_address(playground):
    """A state written into an address and read back is the same, to the last bit."""
    given = [
        state
        for name, algorithm in itertools.product(FORMATS, ALGORITHMS)
        for state in states(name, algorithm, count=10)
    ]
    code = """states => states.map(state =>
      window.softmaxPlayground.parse(window.softmaxPlayground.address(state).slice(1)))"""
    for state, read in zip(given, playground.evaluate(code, given), strict=True):
        assert read == {"state": state, "complaints": []}


def test_what_is_left_out_takes_its_default(playground):
    """An address may hold only what matters to it."""
    default = {
        "x": [2, 1, 0.1], "T": 1, "target": 0, "format": "float32", "algorithm": "textbook"
    }  # fmt: skip
    assert playground.evaluate(PARSE, "") == {"state": default, "complaints": []}
    read = playground.evaluate(PARSE, "x=1e+3,-2.5&algorithm=shifted")
    assert read["state"] == {**default, "x": [1000, -2.5], "algorithm": "shifted"}


BAD = {
    "x=1": "x takes 2 to 6 finite numbers with commas between them; x=2,1,0.1 is used",
    "x=1,2,3,4,5,6,7": "x takes 2 to 6 finite numbers",
    "x=1,two": "The address says x=1,two, but",
    "x=1,,2": "x takes 2 to 6 finite numbers",
    "x=1,1e999": "x takes 2 to 6 finite numbers",
    "T=0": "the temperature is a finite number above 0; T=1 is used instead.",
    "T=-1": "the temperature is a finite number above 0",
    "T=": "the temperature is a finite number above 0",
    "target=4": "the target is a class from 1 to 3; target=1 is used instead.",
    "target=1.5": "the target is a class from 1 to 3",
    "x=1,2&target=3": "the target is a class from 1 to 2",
    "format=float61": "The address says format=float61, but format is one of float64, float32,",
    "algorithm=magic": "algorithm is one of textbook, shifted, log-softmax; algorithm=textbook",
    "logits=1,2": "The address says logits, which means nothing here and is left out.",
    "x=<b>1</b>": "The address says x=<b>1</b>, but",
}


@pytest.mark.parametrize("fragment", BAD)
def test_a_bad_address_falls_back_and_says_so(browser, bases, fragment):
    """The page works, and one sentence says what was wrong and what is used instead."""
    with situation(browser, bases, f"#{fragment}") as page:
        assert BAD[fragment] in page.inner_text(".pg-note")
        assert page.locator(".pg-note b").count() == 0
        assert page.locator(".pg-bars").first.locator(".pg-bar").count() >= 2


def test_the_address_follows_the_reader_and_back(browser, bases):
    """Changes are written into the address; a reload shows them again; Back undoes a link."""
    with situation(browser, bases) as page:
        page.get_by_label("Format").select_option("bfloat16")
        page.get_by_label("Logit of class 2", exact=True).fill("-7.25")
        wanted = "#x=2,-7.25,0.1&T=1&target=1&format=bfloat16&algorithm=textbook"
        page.wait_for_function("wanted => location.hash === wanted", arg=wanted)
        page.reload()
        assert page.get_by_label("Format").input_value() == "bfloat16"
        assert page.get_by_label("Logit of class 2", exact=True).input_value() == "-7.25"
        page.locator(".pg-shortcuts a", has_text="hot").click()
        assert page.get_by_label("Temperature T", exact=True).input_value() == "100"
        page.go_back()
        assert page.get_by_label("Logit of class 2", exact=True).input_value() == "-7.25"


LINK = re.compile(r'href="[./]*playground\.html(#[^"]+)"')
SHOWS = """([label, value]) => [...document.querySelectorAll('input[type=number]')].some(
  input => input.ariaLabel === label && Number(input.value) === value)"""


def links_of_the_chapters():
    """Return each chapter's links to a situation, as (page, fragment)."""
    pages = sorted((HTML / "book").rglob("*.html"))
    found = [
        (page.stem, html.unescape(f)) for page in pages for f in LINK.findall(page.read_text())
    ]
    return [link for link in found if link[0] != "playground"]


def test_chapters_link_to_situations_that_exist(browser, bases):
    """Each link from a chapter sets the controls as it says, and the page has nothing to object."""
    links = links_of_the_chapters()
    assert {"overflow", "underflow", "stable", "jacobian"} <= {page for page, _ in links}
    with opened(browser, f"{bases['file']}/{PAGE}") as (page, faults):
        for chapter, fragment in links:
            page.evaluate("fragment => { location.hash = fragment; }", fragment)
            logits = re.search(r"x=([^&]+)", fragment)[1].split(",")
            for i, logit in enumerate(logits, start=1):
                page.wait_for_function(SHOWS, arg=[f"Logit of class {i}", float(logit)])
            assert "The address says" not in page.inner_text(".pg-note"), (chapter, fragment)
            assert f"format={page.get_by_label('Format').input_value()}&" in fragment
    assert faults == []


def test_an_ordinary_fragment_is_not_a_state(browser, bases):
    """The link to a heading of the page leaves the reader's numbers alone."""
    with situation(browser, bases) as page:
        page.get_by_label("Logit of class 1", exact=True).fill("5")
        page.evaluate("location.hash = '#what-is-computed'")
        page.wait_for_timeout(100)
        assert page.get_by_label("Logit of class 1", exact=True).input_value() == "5"
        page.reload()
        assert page.get_by_label("Logit of class 1", exact=True).input_value() == "2"
        assert page.inner_text(".pg-note") == ""


def test_a_link_leads_up_to_the_controls_each_time(browser, bases):
    """Followed a second time, it sets what was changed since and scrolls up again."""
    with situation(browser, bases) as page:
        link, _ = situation_link(page, "hot")
        for _ in range(2):
            link.click()
            page.wait_for_function("scrollY < 300")
            assert page.get_by_label("Temperature T", exact=True).input_value() == "100"


# ---- what is shown ---------------------------------------------------------------------------


def step(page, key):
    """Text of the numbers of a step."""
    return [" ".join(t.split()) for t in page.locator(f"[data-step={key}] ul li").all_inner_texts()]


def number(text):
    """The number that the page shows with a typographic minus sign."""
    return float(text.replace("−", "-"))


def bars(page, which):
    """The displayed numbers of the probabilities (0) or the gradient (1), with their tags."""
    texts = page.locator(".pg-bars").nth(which).locator(".pg-number").all_inner_texts()
    return [" ".join(t.split()) for t in texts]


def situation_link(page, short):
    """The prose's link with that short name, and the sentences beside it."""
    link = page.locator(f"#situations-to-try a[data-short='{short}']")
    return link, " ".join(link.locator("xpath=ancestor::li").inner_text().split())


def follow(page, short):
    """Click a link of the prose; the hint above the controls must repeat its sentences."""
    link, prose = situation_link(page, short)
    link.click()
    page.wait_for_function("document.querySelector('.pg-note').textContent !== ''")
    assert " ".join(page.inner_text(".pg-note").split()) == prose
    return prose


def test_situation_overflow(browser, bases):
    """Every exponential overflows, inf/inf; the shifted algorithm gives 0, 0, 1."""
    with situation(browser, bases) as page:
        assert "0, 0 and 1" in follow(page, "overflow")
        assert step(page, "e") == [f"e{i} inf overflow" for i in "123"]
        assert step(page, "p") == [f"p{i} nan inf/inf" for i in "123"]
        page.get_by_label("Algorithm").select_option("shifted")
        assert [v.split()[0] for v in bars(page, 0)] == ["0", "0", "1"]


def test_situation_sum_overflows(browser, bases):
    """The terms fit, the sum does not, and each probability is a finite number over inf."""
    with situation(browser, bases) as page:
        assert "59,874" in follow(page, "the sum overflows")
        assert round(math.exp(11)) == 59_874
        assert step(page, "e") == ["e1 59872", "e2 59872"]
        assert step(page, "s") == ["s1 59872", "s2 inf overflow"]
        assert step(page, "p") == ["p1 0 divided by inf", "p2 0 divided by inf"]


def test_situation_all_underflow(browser, bases):
    """0/0 in float64, where the reference is 1/3."""
    with situation(browser, bases) as page:
        follow(page, "all underflow")
        assert step(page, "e") == [f"e{i} 0 underflow" for i in "123"]
        assert step(page, "p") == [f"p{i} nan 0/0" for i in "123"]
        assert (
            page.locator(".pg-bars").first.inner_text().count("reference 0.3333333333333333") == 3
        )


def test_situation_loss_underflows(browser, bases):
    """The loss is inf where it should be 120, which log-softmax gives."""
    with situation(browser, bases) as page:
        follow(page, "the loss underflows")
        assert page.inner_text(".pg-loss").split("\n") == ["Loss inf log of 0", "reference 120"]
        page.get_by_label("Algorithm").select_option("log-softmax")
        assert page.inner_text(".pg-loss").startswith("Loss 120")


def test_situation_saturation(browser, bases):
    """Loss and the target's gradient are 0 in all three algorithms; the other gradient is right."""
    with situation(browser, bases) as page:
        assert "about −2·10⁻⁹" in follow(page, "saturation")
        for algorithm in ALGORITHMS:
            page.get_by_label("Algorithm").select_option(algorithm)
            target, other = bars(page, 1)
            assert bars(page, 0)[0] == "1"
            assert target == "0 lost"
            assert number(other) == pytest.approx(2.061e-9, rel=1e-3)
            assert page.inner_text(".pg-loss").startswith("Loss 0 lost")
            assert page.locator(".pg-jacobian td:has(.pg-lost)").count() == 1
            assert "reference −2.061153" in page.locator(".pg-bars").nth(1).inner_text()


def test_situation_cold(browser, bases):
    """The largest takes all, one probability is subnormal, one underflows; textbook overflows."""
    with situation(browser, bases) as page:
        follow(page, "cold")
        first, second, third = step(page, "e")
        assert first == "e1 1"
        assert second.endswith("subnormal")
        assert third == "e3 0 underflow"
        assert [v.split()[0] for v in bars(page, 0)][::2] == ["1", "0"]
        page.get_by_label("Algorithm").select_option("textbook")
        assert "e1 inf overflow" in step(page, "e")


def test_situation_hot(browser, bases):
    """All near 1/3; the Jacobian near 2/9 and −1/9; equal in float8_e5m2."""
    with situation(browser, bases) as page:
        follow(page, "hot")
        np.testing.assert_allclose([number(v) for v in bars(page, 0)], 1 / 3, atol=0.01)
        code = "all => all.map(cell => Number(cell.dataset.value))"
        entries = page.eval_on_selector_all(".pg-jacobian tbody .pg-value", code)
        wanted = np.where(np.eye(3, dtype=bool), 2 / 9, -1 / 9)
        np.testing.assert_allclose(np.reshape(entries, (3, 3)), wanted, atol=0.01)
        page.get_by_label("Format").select_option("float8_e5m2")
        assert len(set(bars(page, 0))) == 1


def test_every_situation_is_tested(browser, bases):
    """No link of the prose is left without a test above, and each is offered above the controls."""
    with situation(browser, bases) as page:
        names = page.eval_on_selector_all(
            "#situations-to-try a[data-short]", "all => all.map(a => a.dataset.short)"
        )
        assert page.locator(".pg-shortcuts a").all_inner_texts() == names
        assert page.locator("#situations-to-try li").count() == len(names)
    tests = {name.removeprefix("test_situation_") for name in globals()}
    assert {name.removeprefix("the ").replace(" ", "_") for name in names} <= tests


def test_a_format_without_infinity_says_so(browser, bases):
    """In float8_e4m3fn overflow is nan, and is called overflow where it happens."""
    with situation(browser, bases, "#x=7,6&format=float8_e4m3fn") as page:
        assert "It has no infinity: overflow gives nan." in page.inner_text(".pg-controls")
        assert step(page, "e")[0] == "e1 nan overflow"
        assert step(page, "p")[1] == "p2 nan from nan"
        assert "overflow 1×" in page.inner_text(".pg-summary")


def test_each_way_to_nan_and_inf_is_named(browser, bases):
    """inf − inf, division by a temperature that underflowed, and by one that overflowed."""
    with situation(browser, bases, "#x=2e3,1e3&T=0.01&format=float16&algorithm=shifted") as page:
        assert step(page, "z") == ["z1 inf overflow", "z2 inf overflow"]
        assert step(page, "d") == ["d1 nan inf − inf", "d2 nan inf − inf"]
    with situation(browser, bases, "#x=2,0&T=1e-9&format=float16") as page:
        assert step(page, "T") == ["T 0 underflow"]
        assert step(page, "z") == ["z1 inf divided by 0", "z2 nan 0/0"]
    with situation(browser, bases, "#x=2,0&T=1e6&format=float16") as page:
        assert step(page, "T") == ["T inf overflow"]
        assert step(page, "z")[0] == "z1 0 divided by inf"


def test_displayed_digits_name_the_number(playground):
    """What is displayed rounds to the number itself, in every format."""
    rng = np.random.default_rng(5)
    for name, f in FORMATS.items():
        numbers = bit_patterns(rng, f.dtype, 2000)
        numbers = rng.choice(numbers[np.isfinite(numbers)], 2000)
        code = "([x, name]) => x.map(v => window.softmaxArithmetic.decimal(v, name))"
        texts = playground.evaluate(code, [numbers.tolist(), name])
        read = rounded(name, np.array([number(t) for t in texts]))
        assert (read == numbers).all()


# ---- by hand, by keyboard, by ear, on a phone ------------------------------------------------


def test_everything_works_from_the_keyboard(browser, bases):
    """Tab reaches every control, shows where it is, and keys alone change each of them."""
    with situation(browser, bases) as page:
        page.get_by_label("Format").focus()
        reached = []
        for _ in range(15):
            reached.append(
                page.evaluate("""() => {
              const on = document.activeElement;
              return [on.getAttribute('aria-label') ?? on.labels?.[0]?.textContent
                      ?? on.textContent, getComputedStyle(on).outlineStyle];
            }""")
            )
            page.keyboard.press("Tab")
        rows = [
            label.format(i)
            for i in (1, 2, 3)
            for label in ("Logit of class {}, slider", "Logit of class {}", "Remove class {}")
        ]
        rows.insert(2, "Class 1 is the target")  # a group of radio buttons is one stop
        assert [name for name, _ in reached] == [
            "Format", "Algorithm", *rows, "Temperature T, slider", "Temperature T", "Add a class",
        ]  # fmt: skip
        assert {outline for _, outline in reached} == {"solid"}

        def press(label, *keys):
            page.get_by_label(label, exact=True).focus()
            for key in keys:
                page.keyboard.press(key)

        press("Format", "ArrowDown")
        press("Algorithm", "ArrowDown", "ArrowDown")
        press("Logit of class 1, slider", "ArrowRight", "ArrowRight")
        press("Logit of class 2", "Control+A", "3", ".", "5")
        press("Class 1 is the target", "ArrowDown")
        press("Temperature T, slider", "ArrowLeft")
        page.get_by_role("button", name="Add a class").press("Enter")
        press("Remove class 3", " ")
        wanted = "#x=2.02,3.5,0&T=0.977&target=2&format=float16&algorithm=log-softmax"
        page.wait_for_function("wanted => location.hash === wanted", arg=wanted)
        assert page.evaluate("document.activeElement.ariaLabel") == "Remove class 3"


def test_classes_from_two_to_six(browser, bases):
    """Buttons stop at both ends, and the target stays the same class while others go."""
    with situation(browser, bases, "#x=1,2,3&target=3") as page:
        add = page.get_by_role("button", name="Add a class")
        for _ in range(5):
            add.click(force=True)
        assert page.locator(".pg-bars").first.locator(".pg-bar").count() == 6
        assert add.get_attribute("aria-disabled") == "true"
        page.get_by_label("Remove class 1", exact=True).click()
        assert page.get_by_label("Class 2 is the target").is_checked()
        for _ in range(5):
            page.get_by_label("Remove class 2", exact=True).click(force=True)
        assert page.locator(".pg-bars").first.locator(".pg-bar").count() == 2
        assert page.get_by_label("Remove class 1", exact=True).get_attribute("aria-disabled")
        assert page.locator("input[type=radio]:checked").count() == 1


def test_a_box_left_with_nonsense_goes_back(browser, bases):
    """An empty box or a temperature of 0 changes nothing and does not stay."""
    with situation(browser, bases) as page:
        for label, nonsense, stays in (("Logit of class 1", "", "2"), ("Temperature T", "0", "1")):
            box = page.get_by_label(label, exact=True)
            box.fill(nonsense)
            box.blur()
            assert box.input_value() == stays
        assert step(page, "z") == ["z1 2", "z2 1", "z3 0.1"]


def test_sliders_reach_what_the_boxes_hold(browser, bases):
    """A number typed beyond the sliders widens them; typing goes on in the same box."""
    with situation(browser, bases) as page:
        page.get_by_label("Logit of class 1", exact=True).focus()
        page.keyboard.press("Control+A")
        page.keyboard.type("-1250.5")
        slider = page.get_by_label("Logit of class 1, slider")
        assert slider.get_attribute("min") == "-10000"
        assert step(page, "x")[0] == "x1 −1250.5"
        page.get_by_label("Sliders reach").select_option("10")
        assert page.get_by_label("Logit of class 1", exact=True).input_value() == "-1250.5"


def test_results_are_announced_once_the_reader_pauses(browser, bases):
    """A drag of fifty positions makes one announcement, not fifty."""
    with situation(browser, bases) as page:
        changes = page.evaluate("""async () => {
          const status = document.querySelector('.pg-summary');
          let changes = 0;
          new MutationObserver(() => changes++).observe(status, { childList: true });
          const slider = document.querySelector('.pg-row input[type=range]');
          for (let i = 0; i < 50; i++) {
            slider.value = i / 10;
            slider.dispatchEvent(new Event('input'));
            await new Promise(requestAnimationFrame);
          }
          await new Promise(done => setTimeout(done, 1000));
          return changes;
        }""")
        assert changes == 1
        assert page.locator(".pg-summary").get_attribute("role") == "status"


def test_without_javascript_a_sentence_says_so(browser, bases):
    """The prose can be read, and the place of the playground is not left empty."""
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(f"{bases['file']}/{PAGE}")
        assert "needs JavaScript" in page.inner_text("#softmax-playground")


CROWDED = "#x=-9.87654321,-1.23456789,7.7,3.3333,5,-0.001&T=0.37&format=float64&algorithm={}"
INSIDE = """() => {
  const room = document.getElementById('softmax-playground').getBoundingClientRect();
  return [...document.querySelectorAll('#softmax-playground *')].filter(e => {
    const box = e.getBoundingClientRect();
    return box.width && (box.right > room.right + 1.5 || box.left < room.left - 1.5);
  }).map(e => e.outerHTML.slice(0, 120));
}"""


@pytest.mark.parametrize(
    "fragment",
    [CROWDED.format(a) for a in ALGORITHMS]
    + ["#x=1e4,2,3,4,5,6", "#x=0,-5,-6,-7,-8,-9&format=float16&algorithm=shifted"],
)
@pytest.mark.parametrize("width", WIDTHS)
def test_the_longest_numbers_fit(browser, bases, width, fragment):
    """Six classes in float64 neither widen the page nor stand out of their place."""
    with situation(browser, bases, fragment, width) as page:
        assert page.evaluate(CHECK) == []
        assert page.evaluate(INSIDE) == []


CONTRAST = """() => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgba = colour => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const luminance = ([r, g, b]) => {
    const linear = [r, g, b].map(v => v / 255)
      .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const behind = element => {
    for (let e = element; e; e = e.parentElement) {
      const colour = rgba(getComputedStyle(e).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return [255, 255, 255, 255];
  };
  const found = [];
  const walker = document.createTreeWalker(
    document.getElementById('softmax-playground'), NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim()) continue;
    const [a, b] = [rgba(getComputedStyle(element).color), behind(element)].map(luminance);
    found.push([(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), element.outerHTML]);
  }
  return found;
}"""


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize(
    "fragment",
    [
        "#x=1000,2000,3000&format=float32",
        "#x=0,-120&target=2&algorithm=shifted",
        "#x=2,1,0.1&T=0.01&format=float16&algorithm=shifted",
        "#x=20,0&target=1&algorithm=log-softmax",
        "#x=0,0&format=bfloat16",
        "#x=1,1,1,1,1,1&format=bfloat61",
    ],
)
def test_text_can_be_read_in_both_themes(browser, bases, theme, fragment):
    """Every piece of text has a contrast of at least 4.5 to what is behind it, tags included."""
    with situation(browser, bases, fragment, theme=theme) as page:
        found = page.evaluate(CONTRAST)
    assert len(found) > 50
    assert [pair for pair in found if pair[0] < 4.5] == []


def test_the_hint_greets_who_comes_by_a_link(browser, bases):
    """A chapter's link to a situation of the page shows what to look at, at once and in view."""
    with situation(browser, bases, "#x=11,11&format=float16&algorithm=textbook") as page:
        _, prose = situation_link(page, "the sum overflows")
        assert " ".join(page.inner_text(".pg-note").split()) == prose
        assert page.evaluate("""() => {
          const box = document.querySelector('.pg-note').getBoundingClientRect();
          return box.top >= 0 && box.bottom <= innerHeight;
        }""")
        page.get_by_label("Temperature T", exact=True).fill("2")
        assert page.inner_text(".pg-note") == ""
