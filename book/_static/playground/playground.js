// The playground page: its controls, its results, and its state in the address.
"use strict";

window.softmaxPlayground = (() => {
  const { FORMATS, ALGORITHMS, compute, reference, decimal } = window.softmaxArithmetic;

  const MIN_CLASSES = 2;
  const MAX_CLASSES = 6;
  const SPANS = [10, 100, 1000, 10000];
  const SETTLE_MS = 400;
  const DEFAULT = { x: [2, 1, 0.1], T: 1, target: 0, format: "float32", algorithm: "textbook" };
  const ALGORITHM_NAMES = {
    textbook: "textbook",
    shifted: "shifted by the maximum",
    "log-softmax": "log-softmax, then exp",
  };
  const KEYS = ["x", "T", "target", "format", "algorithm"];

  // What a step computes, in symbols and in words; symbol of its numbers.
  const STEPS = {
    x: { symbol: "x", formula: "x", words: "the logits, rounded" },
    T: { symbol: "T", formula: "T", words: "the temperature, rounded" },
    z: { symbol: "z", formula: "z = x / T", words: "" },
    m: { symbol: "m", formula: "m = max z", words: "" },
    d: { symbol: "d", formula: "d = z − m", words: "never above 0" },
    e: { symbol: "e", formula: "e = exp z", words: "the exponentials" },
    s: { symbol: "s", formula: "s", words: "running sum; the last is S" },
    L: { symbol: "log S", formula: "log S", words: "" },
    l: { symbol: "ℓ", formula: "ℓ = d − log S", words: "the log-probabilities" },
    p: { symbol: "p", formula: "p = e / S", words: "the probabilities" },
    loss: { symbol: "loss", formula: "loss = −log pₜ", words: "t is the target" },
  };
  const SCALARS = ["T", "m", "L", "loss"];
  const VARIANTS = {
    shifted: { e: "e = exp d" },
    "log-softmax": { e: "e = exp d", p: "p = exp ℓ", loss: "loss = −ℓₜ" },
  };

  // ---- state and address -------------------------------------------------------------------

  const numeral = (word) => (word.trim() === "" ? NaN : Number(word));

  // Reads "x=1,2&T=1&target=1&format=float32&algorithm=textbook". What is left out takes its
  // default; what is wrong takes its default, too, and adds a sentence to `complaints`.
  function parse(text) {
    const given = new URLSearchParams(text.replaceAll("+", "%2B"));
    const state = { ...DEFAULT };
    const complaints = [];
    const take = (key, value, good, rule) => {
      if (!given.has(key)) return;
      if (good(value)) state[key] = value;
      else {
        const used = key === "target" ? DEFAULT.target + 1 : DEFAULT[key];
        complaints.push(
          `The address says ${key}=${given.get(key)}, but ${rule}; ${key}=${used} is used instead.`
        );
      }
    };

    for (const key of new Set(given.keys()))
      if (!KEYS.includes(key))
        complaints.push(`The address says ${key}, which means nothing here and is left out.`);
    take(
      "x",
      given.get("x")?.split(",").map(numeral),
      (x) => x.length >= MIN_CLASSES && x.length <= MAX_CLASSES && x.every(Number.isFinite),
      `x takes ${MIN_CLASSES} to ${MAX_CLASSES} finite numbers with commas between them`
    );
    take(
      "T",
      numeral(given.get("T") ?? ""),
      (T) => Number.isFinite(T) && T > 0,
      "the temperature is a finite number above 0"
    );
    take(
      "target",
      numeral(given.get("target") ?? "") - 1,
      (t) => Number.isInteger(t) && t >= 0 && t < state.x.length,
      `the target is a class from 1 to ${state.x.length}`
    );
    const choices = { format: Object.keys(FORMATS), algorithm: ALGORITHMS };
    for (const [key, valid] of Object.entries(choices))
      take(key, given.get(key), (v) => valid.includes(v), `${key} is one of ${valid.join(", ")}`);
    return { state, complaints };
  }

  function address({ x, T, target, format, algorithm }) {
    return `#x=${x.join(",")}&T=${T}&target=${target + 1}&format=${format}&algorithm=${algorithm}`;
  }

  // An ordinary fragment, such as a heading's, is not a state.
  const isState = (fragment) => fragment.includes("=");

  // ---- pieces of the page ------------------------------------------------------------------

  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes))
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  const indexed = (symbol, i) => make("span", {}, symbol, make("sub", {}, String(i + 1)));
  const tag = (kind, text) => make("span", { class: `pg-tag pg-${kind}` }, text);

  // A number and, where there is something to say about it, a tag that says it.
  function shown(number, format, digits = 0) {
    const [mantissa, exponent] = decimal(number.value, format, digits).split("e");
    const value = make("span", {
      class: "pg-value",
      "data-value": Object.is(number.value, -0) ? "-0" : String(number.value),
      title: decimal(number.value),
    });
    value.append(mantissa);
    if (exponent !== undefined) value.append(make("wbr"), `e${exponent}`);
    if (!number.kind) return [value];
    // Where digits are rationed the cell is narrow, and the word may need to break.
    const why = digits ? number.why.replace(/^(over|under|sub)/, "$1\u00ad") : number.why;
    return [value, " ", tag(number.kind, why)];
  }

  // A number that came out as 0 although it is not has lost all its digits without underflowing.
  function beside(number, exact) {
    const lost = number.value === 0 && exact !== 0 && !number.kind;
    return lost ? { ...number, kind: "lost", why: "lost" } : number;
  }

  function bar(value, exact, from, to) {
    const at = (v) => (100 * (Math.min(Math.max(v, from), to) - from)) / (to - from);
    const track = make("span", { class: "pg-track", "aria-hidden": "true" });
    if (Number.isFinite(value)) {
      const [start, end] = [at(Math.min(value, 0)), at(Math.max(value, 0))];
      const sign = value < 0 ? "pg-negative" : "pg-positive";
      track.append(
        make("span", {
          class: `pg-fill ${sign}`, style: `left:${start}%;width:${end - start}%`,
        })
      );
    } else track.classList.add("pg-none");
    if (from < 0) track.append(make("span", { class: "pg-origin", style: `left:${at(0)}%` }));
    track.append(make("span", { class: "pg-exact", style: `left:${at(exact)}%` }));
    return track;
  }

  function facts(name) {
    const { precision, minExponent, max, hasInfinity } = FORMATS[name];
    const short = (v) => decimal(v, "float64", 3);
    return (
      `${name}: ${precision} significant bits; largest number ${short(max)}; ` +
      `below ${short(2 ** minExponent)} numbers are subnormal, ` +
      `the smallest is ${short(2 ** (minExponent - precision + 1))}.` +
      (hasInfinity ? "" : " It has no infinity: overflow gives nan.")
    );
  }

  function summary(state, result, exact) {
    const numbers = [...new Set(result.steps.flatMap((step) => step.numbers))];
    const count = (kind) => numbers.filter((v) => v.kind === kind).length;
    const found = ["overflow", "nan", "underflow", "subnormal"]
      .filter(count)
      .map((kind) => `${kind} ${count(kind)}×`);
    const short = (v) => decimal(v, "float64", 4);
    return (
      `${state.format}, ${ALGORITHM_NAMES[state.algorithm]}: ` +
      `${found.join(", ") || "every number in range"}. ` +
      `Loss ${short(result.loss.value)}; reference ${short(exact.loss)}.`
    );
  }

  // ---- controls ----------------------------------------------------------------------------

  // A slider and a box for one number. `toValue` and `toSlider` translate between the slider's
  // position and the number.
  function dial(label, { min, max, step, toValue, toSlider, valid, get, set }) {
    const slider = make("input", {
      type: "range", min, max, step, "aria-label": `${label}, slider`,
      oninput: () => set(toValue(Number(slider.value))),
    });
    const box = make("input", {
      type: "number", step: "any", inputmode: "decimal", "aria-label": label,
      oninput: () => valid(box.valueAsNumber) && set(box.valueAsNumber),
      onchange: () => put(get()), // a box left with nonsense in it goes back to the last number
    });
    function put(value) {
      if (document.activeElement !== slider || toValue(Number(slider.value)) !== value)
        slider.value = toSlider(value);
      slider.setAttribute("aria-valuetext", String(value));
      if (box.valueAsNumber !== value) box.value = value;
    }
    return { slider, box, put };
  }

  function select(label, choices, onpick) {
    const id = `pg-${label.toLowerCase().replaceAll(" ", "-")}`;
    const box = make("select", { id, onchange: () => onpick(box.value) });
    for (const [value, text] of choices) box.append(make("option", { value }, text));
    return { box, field: make("div", { class: "pg-field" }, make("label", { for: id }, label), box) };
  }

  function button(label, onclick) {
    return make("button", { type: "button", onclick }, label);
  }

  function start(root, situations) {
    let state = DEFAULT;
    let span = SPANS[0];
    let rows = [];
    let settling = 0;

    // ---- what the reader changes ----

    function change(changes) {
      state = { ...state, ...changes };
      note.replaceChildren();
      draw();
      clearTimeout(settling);
      settling = setTimeout(() => {
        history.replaceState(null, "", address(state));
        announce();
      }, SETTLE_MS);
    }

    function removeClass(i) {
      if (state.x.length === MIN_CLASSES) return;
      const x = state.x.filter((_, j) => j !== i);
      const target = state.target - (i < state.target || state.target === x.length ? 1 : 0);
      change({ x, target });
      rows[Math.min(i, x.length - 1)].remove.focus();
    }

    function addClass() {
      if (state.x.length < MAX_CLASSES) change({ x: [...state.x, 0] });
    }

    function reset() {
      span = SPANS[0];
      change(DEFAULT);
    }

    const format = select(
      "Format", Object.keys(FORMATS).map((f) => [f, f]), (chosen) => change({ format: chosen })
    );
    const algorithm = select(
      "Algorithm", Object.entries(ALGORITHM_NAMES), (chosen) => change({ algorithm: chosen })
    );
    const reach = select("Sliders reach", SPANS.map((s) => [s, `±${s}`]), (chosen) => {
      span = Number(chosen);
      draw();
    });
    const temperature = dial("Temperature T", {
      min: -2, max: 2, step: 0.01,
      toValue: (position) => Number((10 ** position).toPrecision(3)),
      toSlider: (T) => Math.log10(T),
      valid: (T) => Number.isFinite(T) && T > 0,
      get: () => state.T,
      set: (T) => change({ T }),
    });

    function classRow(i) {
      const logit = dial(`Logit of class ${i + 1}`, {
        min: -span, max: span, step: span / 1000,
        toValue: (position) => position,
        toSlider: (x) => x,
        valid: Number.isFinite,
        get: () => state.x[i],
        set: (value) => change({ x: state.x.map((x, j) => (j === i ? value : x)) }),
      });
      const target = make("input", {
        type: "radio", name: "pg-target", "aria-label": `Class ${i + 1} is the target`,
        onchange: () => change({ target: i }),
      });
      const remove = button("×", () => removeClass(i));
      remove.setAttribute("aria-label", `Remove class ${i + 1}`);
      const row = make(
        "div", { class: "pg-row" }, indexed("x", i), logit.slider, logit.box,
        make("span", { class: "pg-radio" }, target), remove
      );
      return { row, logit, target, remove };
    }

    // ---- the parts that change ----

    const note = make("div", { class: "pg-note", role: "status" });
    const formatFacts = make("p", { class: "pg-small" });
    const classes = make("div", { role: "group", "aria-label": "Logits and target" });
    const add = button("Add a class", addClass);
    const status = make("p", { class: "pg-summary", role: "status" });
    const probabilities = make("div", { class: "pg-bars" });
    const gradients = make("div", { class: "pg-bars" });
    const sum = make("p", { class: "pg-small" });
    const loss = make("p", { class: "pg-loss" });
    const steps = make("ol", { class: "pg-steps" });
    const jacobian = make("table", { class: "pg-jacobian" });

    function drawControls() {
      const n = state.x.length;
      const needed = SPANS.find((s) => state.x.every((x) => Math.abs(x) <= s)) ?? SPANS.at(-1);
      span = Math.max(span, needed);
      if (rows.length !== n) {
        rows = state.x.map((_, i) => classRow(i));
        classes.replaceChildren(...rows.map(({ row }) => row));
      }
      rows.forEach(({ logit, target, remove }, i) => {
        Object.assign(logit.slider, { min: -span, max: span, step: span / 1000 });
        logit.put(state.x[i]);
        target.checked = i === state.target;
        remove.setAttribute("aria-disabled", n === MIN_CLASSES);
      });
      add.setAttribute("aria-disabled", n === MAX_CLASSES);
      temperature.put(state.T);
      format.box.value = state.format;
      algorithm.box.value = state.algorithm;
      reach.box.value = span;
      formatFacts.textContent = facts(state.format);
    }

    function barRow(symbol, i, number, exact, from) {
      const name = make("span", { class: "pg-name" }, indexed(symbol, i));
      if (i === state.target) name.append(" ", tag("target", "target"));
      return make(
        "div", { class: "pg-bar" },
        name,
        make("span", { class: "pg-number" }, ...shown(beside(number, exact), state.format)),
        make("span", { class: "pg-small" }, `reference ${decimal(exact)}`),
        bar(number.value, exact, from, 1)
      );
    }

    function drawResults(result, exact) {
      probabilities.replaceChildren(
        ...result.p.map((v, i) => barRow("p", i, v, exact.p[i], 0))
      );
      gradients.replaceChildren(
        ...result.gradient.map((v, i) => barRow("g", i, v, exact.gradient[i], -1))
      );
      const total = result.p.reduce((s, v) => s + v.value, 0);
      sum.textContent = `Their sum, taken in float64: ${decimal(total)}.`;
      loss.replaceChildren(
        "Loss ", make("strong", {}, ...shown(beside(result.loss, exact.loss), state.format)),
        make("div", { class: "pg-small" }, `reference ${decimal(exact.loss)}`)
      );
    }

    function drawSteps(result) {
      const variant = VARIANTS[state.algorithm] ?? {};
      steps.replaceChildren(
        ...result.steps.map(({ key, numbers }) => {
          const { symbol, formula, words } = STEPS[key];
          const values = numbers.map((number, i) => {
            const name = SCALARS.includes(key) ? make("span", {}, symbol) : indexed(symbol, i);
            name.className = "pg-symbol";
            return make("li", {}, name, " ", ...shown(number, state.format));
          });
          const longest = Math.max(...values.map((li) => li.textContent.length));
          return make(
            "li", { "data-step": key, style: `--own-cell:${longest + 1}ch` },
            make("div", { class: "pg-formula" },
              make("strong", {}, variant[key] ?? formula), " ",
              make("span", { class: "pg-small" }, words)),
            make("ul", {}, ...values)
          );
        })
      );
    }

    function drawJacobian(result, exact) {
      const n = state.x.length;
      const head = (scope, i) => make("th", { scope }, String(i + 1));
      const cell = (number, i, j) => {
        const weight = Math.min(1, Math.abs(number.value) * 4) || 0; // no entry exceeds 1/4
        const sign = number.value < 0 ? "pg-negative" : "pg-positive";
        return make(
          "td", { class: sign, style: `--weight:${(40 * weight).toFixed(1)}%` },
          ...shown(beside(number, exact.jacobian[i][j]), state.format, 2)
        );
      };
      jacobian.replaceChildren(
        make("caption", {}, "Row i, column j: how pᵢ answers to zⱼ. ",
          "The deeper the colour, the larger the entry; blue is positive, orange negative."),
        make("thead", {}, make("tr", {}, make("td", {}, "i \\ j"),
          ...state.x.map((_, j) => head("col", j)))),
        make("tbody", {}, ...result.jacobian.map((row, i) =>
          make("tr", {}, head("row", i), ...row.map((number, j) => cell(number, i, j)))))
      );
      jacobian.style.setProperty("--classes", n);
    }

    let message = "";
    function announce() {
      if (status.textContent !== message) status.textContent = message;
    }

    function draw() {
      const result = compute(state);
      const exact = reference(state);
      root.dataset.format = state.format;
      drawControls();
      drawResults(result, exact);
      drawSteps(result);
      drawJacobian(result, exact);
      message = summary(state, result, exact);
    }

    // ---- the address ----

    // Takes the state from the fragment. Says what was wrong with it; or, where it is one of the
    // page's situations, what to look at.
    function load(fragment) {
      const { state: found, complaints } = parse(fragment.slice(1));
      clearTimeout(settling);
      state = found;
      span = SPANS[0];
      draw();
      announce();
      const link = links.find((a) => address(parse(a.hash.slice(1)).state) === address(state));
      if (complaints.length)
        note.replaceChildren(...complaints.map((text) => make("p", {}, text)));
      else note.replaceChildren(...(link ? link.closest("li").cloneNode(true).childNodes : []));
    }

    function follow() {
      if (!isState(location.hash)) return;
      load(location.hash);
      root.scrollIntoView();
    }

    const links = [...situations.querySelectorAll("a[data-short]")];

    root.replaceChildren(
      make("div", { class: "pg-shortcuts" }, "Try: ", ...links.flatMap((a) => [
        make("a", { href: a.getAttribute("href") }, a.dataset.short), " ",
      ])),
      note,
      make("div", { class: "pg-controls", role: "group", "aria-label": "What is computed" },
        make("div", { class: "pg-fields" }, format.field, algorithm.field),
        formatFacts,
        make("div", { class: "pg-row pg-heads", "aria-hidden": "true" },
          make("span"), make("span", {}, "logits"), make("span"), make("span", {}, "target")),
        classes,
        make("div", { class: "pg-row pg-temperature" },
          make("span", {}, "T"), temperature.slider, temperature.box),
        make("div", { class: "pg-buttons" }, add, button("Start again", reset), reach.field)),
      status,
      make("div", { class: "pg-results" },
        make("section", {}, make("h2", {}, "Probabilities p"), probabilities, sum),
        make("section", {}, make("h2", {}, "Loss, and its gradient g = p − y"), loss, gradients)),
      make("p", { class: "pg-small" },
        "Bar: as computed. Upright line: the reference, float64 and shifted."),
      make("section", {}, make("h2", {}, "Step by step"), steps),
      make("section", {}, make("h2", {}, "Jacobian diag(p) − ppᵀ"), jacobian)
    );
    load("");
    follow();
    addEventListener("hashchange", follow);
    for (const a of links) a.addEventListener("click", follow); // also where nothing changes
  }

  return { parse, address, start };
})();

window.softmaxPlayground.start(
  document.getElementById("softmax-playground"),
  document.getElementById("situations-to-try")
);
