// The playground's arithmetic: the numbers of six formats, and softmax in each of them.
//
// Every operation is done in float64 and rounded to the format once, to nearest, ties to even.
// For + − × ÷ that is the correctly rounded result, because float64 has more than twice the bits
// of every narrower format. exp and log are float64's own, rounded once.
"use strict";

window.softmaxArithmetic = (() => {
  const FORMATS = {
    float64: { precision: 53, minExponent: -1022, max: Number.MAX_VALUE, hasInfinity: true },
    float32: { precision: 24, minExponent: -126, max: (2 - 2 ** -23) * 2 ** 127, hasInfinity: true },
    float16: { precision: 11, minExponent: -14, max: 65504, hasInfinity: true },
    bfloat16: { precision: 8, minExponent: -126, max: (2 - 2 ** -7) * 2 ** 127, hasInfinity: true },
    float8_e4m3fn: { precision: 4, minExponent: -6, max: 448, hasInfinity: false },
    float8_e5m2: { precision: 3, minExponent: -14, max: 57344, hasInfinity: true },
  };

  const ALGORITHMS = ["textbook", "shifted", "log-softmax"];

  const view = new DataView(new ArrayBuffer(8));

  // The e of x = ±1.f · 2^e, read from the bits; −1023 for zero and float64's subnormal numbers.
  function exponentOf(x) {
    view.setFloat64(0, x);
    return ((view.getUint32(0) >>> 20) & 0x7ff) - 1023;
  }

  // Rounds a float64 to a format of at most 24 bits.
  function roundByBits(format, x) {
    if (Number.isNaN(x)) return NaN;
    const negative = x < 0 || Object.is(x, -0);
    let y = Math.abs(x);
    if (y !== Infinity) {
      const unit = 2 ** (Math.max(exponentOf(y), format.minExponent) - format.precision + 1);
      // y / unit is exact and below 2^24. Above 2^52 there is no room for a fraction: the addition
      // rounds to an integer, to even on ties, and is the only rounding here.
      y = (y / unit + 2 ** 52 - 2 ** 52) * unit;
    }
    if (y > format.max) y = format.hasInfinity ? Infinity : NaN;
    return negative ? -y : y;
  }

  // Rounds a float64 to the format of that name.
  function roundTo(name, x) {
    if (name === "float64") return x;
    if (name === "float32") return Math.fround(x);
    if (name === "float16" && Math.f16round) return Math.f16round(x);
    return roundByBits(FORMATS[name], x);
  }

  // The operations of a format. A number is { value, kind, why }: `kind` is "overflow",
  // "underflow", "subnormal", "nan", "inf", "zero" (an exact 0 from dividing by inf) or "", and
  // `why` says in a few words where it came from.
  function arithmeticOf(name) {
    const { minExponent } = FORMATS[name];

    // Rounds `exact`. `from` are the numbers it was computed from. `why` names a reason for nan or
    // inf. `isZero` says that a 0 is the exact result.
    function number(exact, from, why = "", isZero = true) {
      const value = roundTo(name, exact);
      const mark = (kind, text) => ({ value, kind, why: text });
      if (Number.isNaN(value)) {
        if (from.some((a) => Number.isNaN(a.value))) return mark("nan", "from nan");
        return why ? mark("nan", why) : mark("overflow", "overflow");
      }
      if (Math.abs(value) === Infinity) {
        if (why) return mark("inf", why);
        const infinite = from.some((a) => Math.abs(a.value) === Infinity);
        return infinite ? mark("inf", "from inf") : mark("overflow", "overflow");
      }
      if (value === 0) {
        if (why) return mark("zero", why);
        return isZero ? mark("", "") : mark("underflow", "underflow");
      }
      return Math.abs(value) < 2 ** minExponent ? mark("subnormal", "subnormal") : mark("", "");
    }

    return {
      number: (x) => number(x, [], "", x === 0),
      subtract(a, b) {
        const lost = Math.abs(a.value) === Infinity && a.value === b.value;
        return number(a.value - b.value, [a, b], lost ? "inf − inf" : "");
      },
      add: (a, b) => number(a.value + b.value, [a, b]),
      multiply: (a, b) =>
        number(a.value * b.value, [a, b], "", a.value === 0 || b.value === 0),
      divide(a, b) {
        let why = "";
        if (b.value === 0) why = a.value === 0 ? "0/0" : "divided by 0";
        if (Math.abs(b.value) === Infinity)
          why = Math.abs(a.value) === Infinity ? "inf/inf" : "divided by inf";
        return number(a.value / b.value, [a, b], why, a.value === 0);
      },
      exp: (a) => number(Math.exp(a.value), [a], "", a.value === -Infinity),
      log: (a) => number(Math.log(a.value), [a], a.value === 0 ? "log of 0" : ""),
      negate: (a) => ({ ...a, value: -a.value }),
      max: (all) => number(Math.max(...all.map((a) => a.value)), all),
    };
  }

  // Softmax of x / T with every intermediate number. `target` counts from 0.
  function compute({ x, T, target, format, algorithm }) {
    const a = arithmeticOf(format);
    const steps = [];
    const step = (key, numbers) => {
      steps.push({ key, numbers });
      return numbers;
    };

    const logits = step("x", x.map(a.number));
    const [temperature] = step("T", [a.number(T)]);
    const z = step("z", logits.map((v) => a.divide(v, temperature)));
    let exponents = z;
    if (algorithm !== "textbook") {
      const [m] = step("m", [a.max(z)]);
      exponents = step("d", z.map((v) => a.subtract(v, m)));
    }
    const e = step("e", exponents.map(a.exp));
    const sums = [];
    e.forEach((v, i) => sums.push(i ? a.add(sums[i - 1], v) : v));
    step("s", sums);
    const sum = sums[sums.length - 1];

    let p, loss;
    if (algorithm === "log-softmax") {
      const [logSum] = step("L", [a.log(sum)]);
      const l = step("l", exponents.map((v) => a.subtract(v, logSum)));
      p = step("p", l.map(a.exp));
      loss = a.negate(l[target]);
    } else {
      p = step("p", e.map((v) => a.divide(v, sum)));
      loss = a.negate(a.log(p[target]));
    }
    step("loss", [loss]);

    const [zero, one] = [a.number(0), a.number(1)];
    const gradient = p.map((v, i) => a.subtract(v, i === target ? one : zero));
    const jacobian = p.map((pi, i) =>
      p.map((pj, j) => a.multiply(pi, a.subtract(i === j ? one : zero, pj)))
    );
    return { steps, p, loss, gradient, jacobian };
  }

  // What to compare with: float64, shifted before the division by T, the maximum left out of the
  // sum in the loss, and 1 − pᵢ taken as the sum of the other probabilities.
  function reference({ x, T, target }) {
    const largest = x.indexOf(Math.max(...x));
    const d = x.map((v) => (v - x[largest]) / T);
    const e = d.map(Math.exp);
    const others = e.reduce((sum, v, i) => (i === largest ? sum : sum + v), 0);
    const p = e.map((v) => v / (1 + others));
    const rest = p.map((_, i) => p.reduce((sum, v, j) => (j === i ? sum : sum + v), 0));
    const gradient = p.map((v, i) => (i === target ? -rest[i] : v));
    const jacobian = p.map((pi, i) => p.map((pj, j) => (i === j ? pi * rest[i] : -pi * pj)));
    return { p, gradient, jacobian, loss: Math.log1p(others) - d[target] };
  }

  // `value` in decimal: whole numbers in full, others with the fewest digits that tell them from
  // their neighbours in the format, or rounded to `digits`.
  function decimal(value, name = "float64", digits = 0) {
    if (Number.isNaN(value)) return "nan";
    if (Math.abs(value) === Infinity) return value > 0 ? "inf" : "−inf";
    if (value === 0) return "0";
    const size = Math.abs(value);
    let k = digits || 1;
    if (!digits) while (k < 17 && roundTo(name, Number(value.toPrecision(k))) !== value) k += 1;
    let text = value.toExponential(k - 1).replace(/\.?0+e/, "e");
    if (Number.isInteger(value) && size < 1e7) text = String(value);
    else if (size >= (digits ? 1e-2 : 1e-4) && size < 1e7)
      text = String(Number(value.toPrecision(k)));
    return text.replace("e+", "e").replaceAll("-", "−");
  }

  return { FORMATS, ALGORITHMS, roundByBits, roundTo, compute, reference, decimal };
})();
