// Drill-down: from a cell to its seeds, from a seed to its record, from a method to its page.

function drawDrill() {
  const dialog = $("drill");
  if (!state.view) {
    if (dialog.open) dialog.close();
    return;
  }
  const [kind, ...words] = state.view.split("|");
  const content = kind === "cell" ? cellView(words[0], words.slice(1).join("|")) : kind === "run" ? runView(words.join("|")) : kind === "method" ? partView(words.join("|")) : null;
  if (!content) { change({ view: "" }); return; }
  const [title, ...rest] = content;
  fill(dialog, el("div", { class: "head" }, el("h2", { id: "drill-title", tabindex: -1 }, title),
    el("div", { class: "tools" },
      history.state?.inside && el("button", { type: "button", class: "quiet", onclick: () => history.back() }, "Back"),
      el("button", { type: "button", class: "quiet", onclick: () => change({ view: "" }) }, "Close"))), rest);
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
  $("drill-title").focus({ preventScroll: true });
}

const go = (view) => change({ view }, { push: true });

function cellView(place, method) {
  const problem = PROBLEMS.find((p) => p.place === place);
  const row = problem?.byMethod.get(method);
  if (!row) return null;
  const one = comparisonOf(problem)?.byMethod.get(method);
  const runs = runsOf(problem, method);
  const bySeed = new Map(runsOf(problem, state.control).map((run) => [run.seed, run]));
  const sign = problem.direction === "up" ? 1 : -1;
  const gains = new Map(runs.map((run) => {
    const other = bySeed.get(run.seed);
    return [run, other && isNumber(other.value) && isNumber(run.value) ? sign * (run.value - other.value) : null];
  }));
  const known = [...gains.values()].filter(isNumber);
  const reach = Math.max(1e-12, ...known.map(Math.abs));
  const digits = Math.max(problem.digits, one?.digits ?? 0);
  const x = scale(-reach, reach, 5, 85);
  const glyph = (value) => isNumber(value) && sv("svg", { width: 90, height: 14, viewBox: "0 0 90 14", "aria-hidden": "true" },
    sv("line", { class: "axis", x1: 45, x2: 45, y1: 0, y2: 14 }),
    sv("rect", { x: Math.min(45, x(value)), width: Math.abs(x(value) - 45), y: 4, height: 6, fill: value >= 0 ? "var(--better)" : "var(--worse)", opacity: 0.75 }));
  const paired = one && method !== state.control;
  return [
    [key(method), el("span", { class: "name" }, method)],
    el("p", { class: "lede" }, problem.name),
    one && el("p", null, chip(one.verdict), " ", one.sentence),
    el("dl", null,
      el("dt", null, "score"), el("dd", null, `${fixed(row.mean, problem.digits)} ${bounds(row.low, row.high, problem.digits)} ${problem.metric} ${problem.unit}`),
      el("dt", null, "tier, rank"), el("dd", null, `tier ${row.tier}, rank ${bounds(row.rank_low, row.rank_high, 0)} of ${problem.rows.length}`),
      el("dt", null, "entry"), el("dd", null, el("code", null, row.entry), ` ${row.tuning}`),
      el("dt", null, "made of"), el("dd", null, row.parts.map((part, i) => [i ? " + " : "", link(part, () => go(`method|${part}`))])),
      el("dt", null, "training"), el("dd", null, `${si(row.train_flops)} FLOPs, ${[["forward", row.forward], ["backward", row.backward], ["partial", row.partial], ["jvp", row.jvp]].filter(([, v]) => v).map(([k, v]) => `${v} ${k}`).join(", ")} passes, ${fixed(row.train_seconds, 1)} s`),
      el("dt", null, "deployed"), el("dd", null, `${si(row.parameters)} parameters, ${si(row.macs)} MACs; ${row.same_as_single === true ? `the ${row.compared === "exported graphs" ? "graph" : "operators"} of the single-task network` : row.same_as_single === false ? `not the single-task network: ${problem.differs[row.index] || "the graph differs"}` : "not compared with the single-task network"}`)),
    el("h3", null, plural(runs.length, "run")),
    el("div", { class: "scroll" }, el("table", null, el("thead", null, el("tr", null, el("th", { class: "n" }, "seed"), el("th", null, "run"), el("th", { class: "n" }, "score"), paired && el("th", { class: "n" }, `against ${state.control}`), paired && el("th", null, ""), el("th", null, "status"))),
      el("tbody", null, runs.map((run) => el("tr", null,
        el("td", { class: "n" }, run.seed),
        el("td", null, link(run.id, () => go(`run|${run.id}`), `Run ${run.id}, seed ${run.seed}`)),
        el("td", { class: "n" }, fixed(run.value, digits)),
        paired && el("td", { class: "n" }, fixed(gains.get(run), digits, true)),
        paired && el("td", null, glyph(gains.get(run))),
        el("td", null, wordOf(run.status) === "done" ? el("span", { class: "soft" }, "done") : el("span", { class: "warn" }, wordOf(run.status)))))))),
    runs.some((run) => wordOf(run.status) !== "done") && el("p", { class: "note" }, "A run without a score counts as the worst score on the problem."),
  ];
}
const wordOf = (place) => DATA.pools.words[place];

function runView(id) {
  for (const problem of PROBLEMS) {
    const run = problem.runs.find((one) => one.id === id);
    if (run) return runContent(problem, run);
  }
  return null;
}
function runContent(problem, run) {
  const row = problem.rows[run.method];
  const software = run.software === null ? null : DATA.pools.software[run.software];
  const steps = run.steps === null ? [] : DATA.pools.steps[run.steps];
  const [step, withAuxiliaries, deployed, dropped] = run.selected;
  const stale = wordOf(run.stale);
  const facts = [
    ["method", link(row.method, () => go(`cell|${problem.place}|${row.method}`))], ["entry", el("code", null, row.entry)],
    ["problem", problem.name], ["seed", run.seed],
    ["status", wordOf(run.status)], ["reason", wordOf(run.reason)],
    [`test ${problem.metric}`, isNumber(run.value) ? `${run.value} ${problem.unit}` : "no score"],
    ["selected step", isNumber(step) && `${step}, the best on validation: ${fixed(deployed, 4)} deployed, ${fixed(withAuxiliaries, 4)} with the auxiliary branches`],
    ["strongest link dropped", isNumber(dropped) && fixed(dropped, 4)],
    ["training", isNumber(run.seconds) && `${run.seconds} s`],
    ["auxbench", software?.[0]], ["packages", software?.[1]], ["machine", software?.[2]],
    ["stale", stale && el("span", { class: "warn" }, stale)],
  ].filter(([, value]) => value || value === 0);
  const box = el("div", { class: "figure" }, el("h3", null, `Validation ${problem.metric}`));
  if (run.curve.some(isNumber)) {
    queueMicrotask(() => plot(box, [{ method: row.method, label: "", colour: lookOf(row.method).colour, steps, values: run.curve }], { height: 190, labels: false, title: "Validation curve of the run" }));
  }
  return [`Run ${run.id}`,
    el("dl", null, facts.map(([name, value]) => [el("dt", null, name), el("dd", null, value)])),
    run.curve.some(isNumber) && box,
    Object.hasOwn(KEPT, run.id) && KEPT[run.id].tasks.map((task) => [el("h3", null, `Predictions of ${task.name}`), shots(KEPT[run.id], task)]),
    copyable("Repeat it", commandOf(run)),
    copyable("Everything that is recorded", `auxbench show ${run.id}${DATA.folder ? ` --results ${DATA.folder}` : ""}`)];
}

function safeLink(url, text) {
  return /^https?:\/\//i.test(url) ? el("a", { href: url, rel: "noopener noreferrer", target: "_blank" }, text) : text;
}
const yes = (flag) => (flag === true ? "yes" : flag === false ? "no" : "depends on its partner");
function partView(name) {
  const part = Object.hasOwn(DATA.parts, name) ? DATA.parts[name] : null;
  if (!part) return null;
  const passes = part.passes && Object.entries(part.passes).filter(([, values]) => values.some((v) => v));
  const used = PROBLEMS.flatMap((p) => p.rows.filter((row) => row.parts.includes(name)).map((row) => [p, row]));
  return [el("span", { class: "name" }, name),
    el("p", { class: "lede" }, marked(part.summary)),
    (part.description ?? []).map((text) => (text.startsWith("    ") || text.includes("\n") ? el("pre", null, text) : el("p", null, marked(text)))),
    part.flaws && [el("h3", null, "Known flaws"), el("p", null, marked(part.flaws[0].toUpperCase() + part.flaws.slice(1)))],
    part.family && el("dl", null,
      el("dt", null, "family"), el("dd", null, part.family),
      el("dt", null, "needs"), el("dd", null, part.needs.join(", ") || "nothing besides a batch and its labels"),
      el("dt", null, "treats the primary differently"), el("dd", null, yes(part.primary_differs)),
      el("dt", null, "deploys the single-task network"), el("dd", null, yes(part.deploys_single))),
    passes?.length > 0 && [el("h3", null, "Passes of a training step"), el("div", { class: "scroll" }, el("table", null,
      el("thead", null, el("tr", null, el("th", { class: "n" }, "tasks"), passes.map(([kind]) => el("th", { class: "n" }, kind)))),
      el("tbody", null, part.tasks.map((tasks, i) => el("tr", null, el("td", { class: "n" }, tasks), passes.map(([, values]) => el("td", { class: "n" }, values[i]))))))),
      el("p", { class: "note" }, DATA.legend)],
    part.options?.length > 0 && [el("h3", null, "Options"), el("div", { class: "scroll" }, el("table", null,
      el("thead", null, el("tr", null, ["option", "default", "range", "effect"].map((title) => el("th", null, title)))),
      el("tbody", null, part.options.map(([option, value, range, help]) => el("tr", null, el("td", null, el("code", null, option)), el("td", null, value ?? "—"), el("td", null, range ?? "—"), el("td", { style: { whiteSpace: "normal", minWidth: "14rem" } }, help ?? ""))))))],
    el("h3", null, "On this page"),
    el("ul", { class: "plain" }, used.map(([p, row]) => {
      const one = comparisonOf(p)?.byMethod.get(row.method);
      return el("li", null, link(`${row.method} on ${p.place}`, () => go(`cell|${p.place}|${row.method}`)), " ", one && chip(one.verdict));
    })),
    (part.papers ?? []).length > 0 && el("h3", null, "Source"),
    (part.papers ?? []).map((paper) => [el("p", null, paper.full, " ", paper.url && safeLink(paper.url, paper.url)), copyable("BibTeX", paper.bibtex)]),
  ];
}
