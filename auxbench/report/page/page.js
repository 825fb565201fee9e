// The page: conclusions, filters, costs, provenance, downloads; everything is drawn from the state.

const SECTIONS = [["board", "Board"], ["forest", "Differences"], ["heat", "Overview"], ["pareto", "Worth it?"], ["curves", "Curves"], ["predictions", "Predictions"], ["costs", "Costs"], ["methods", "Methods"], ["trust", "What was run"], ["data-section", "Data"]];

function drawLead() {
  const methods = METHODS.length;
  fill($("folder"), DATA.folder);
  fill($("kicker"), `${plural(DATA.runs, "run")} of ${plural(methods, "method")} on ${plural(PROBLEMS.length, "problem")}${state.control ? `, judged against ${state.control}` : ""}`);
  fill($("caveats"), [...caveatsOf()].slice(0, 3).map(([text, places]) => el("p", { class: "caveat" }, text, whereSaid(places, 2), " ", link("Details", () => $("trust").scrollIntoView(), `Details: ${text}`))));
  const shown = problemsShown();
  const only = shown.length === 1 && PROBLEMS.length > 1 && comparisonOf(shown[0])?.conclusion.text;
  fill($("headline"), only ? marked(`On ${shown[0].short}: ${only[0].toLowerCase()}${only.slice(1)}`)
    : state.control ? marked(DATA.headlines[state.control]) : "Nothing can be compared: no control is recorded beside other methods.");
  const current = problemShown();
  fill($("conclusions"), el("div", { class: `cards${shown.length === 1 ? " one" : ""}` }, shown.map((p) => {
    const found = comparisonOf(p)?.conclusion;
    const total = found ? Object.values(found.counts).reduce((a, b) => a + b, 0) : 0;
    const counts = found ? Object.entries(found.counts).filter(([, n]) => n) : [];
    return el("button", { type: "button", class: "card", "aria-pressed": String(p === current), "data-problem": p.place, onclick: () => {
      change({ problem: p.place });
      [...document.querySelectorAll("[data-problem]")].find((one) => one.dataset.problem === p.place)?.focus({ preventScroll: true });
    } },
    el("span", { class: "where" }, el("b", { title: p.place }, p.short)),
    found ? [el("span", { class: "says" }, marked(found.text)),
      el("span", { class: "tally", "aria-hidden": "true" }, counts.map(([verdict, n]) => el("i", { class: `bg-${verdict}`, title: `${n} ${verdict}`, style: { flex: `${n / total}` } }))),
      el("span", { class: "use", title: found.why.replaceAll("`", "") }, "Use ", el("b", null, found.use), ". ", shown.length <= 6 && marked(found.why))]
      : el("span", { class: "says" }, state.control ? `${state.control} was not run here.` : "No comparison."));
  })));
}

function field(label, name, options, { wide = false, all = null } = {}) {
  const value = name === "problem" ? problemShown().place : state[name];
  const select = el("select", { "data-field": name, onchange: (event) => { change({ [name]: event.target.value }); document.querySelector(`[data-field="${name}"]`)?.focus(); } },
    all && el("option", { value: "" }, all), options.map((one) => el("option", { value: one, selected: one === value }, one)));
  return el("label", { class: `field${wide ? " wide" : ""}${all && state[name] ? " on" : ""}` }, label, select);
}
function drawControls() {
  const distinct = (values) => [...new Set(values)].sort();
  const rows = PROBLEMS.flatMap((p) => p.rows);
  const families = distinct(rows.flatMap((row) => row.families));
  const datasets = distinct(PROBLEMS.map((p) => p.dataset)), budgets = distinct(PROBLEMS.map((p) => p.budget)), tunings = distinct(rows.map(tuningOf));
  const search = el("input", { type: "search", value: state.search, placeholder: "pcgrad cagrad", "data-field": "search", oninput: (event) => {
    const at = event.target.selectionStart;
    change({ search: event.target.value });
    const now = document.querySelector('[data-field="search"]');
    now.focus();
    now.setSelectionRange(at, at);
  } });
  const primaries = distinct(PROBLEMS.map((p) => p.primary));
  const on = state.family || state.primary || state.dataset || state.budget || state.tuning || state.search;
  fill($("controls"),
    field("Problem", "problem", problemsShown().map((p) => p.place), { wide: true }),
    DATA.controls.length > 1 && field("Against", "control", DATA.controls),
    families.length > 1 && field("Family", "family", families, { all: "all families" }),
    datasets.length > 1 && field("Data set", "dataset", datasets, { all: "all data sets" }),
    primaries.length > 1 && field("Primary", "primary", primaries, { all: "all tasks" }),
    budgets.length > 1 && field("Budget", "budget", budgets, { all: "all budgets" }),
    tunings.length > 1 && field("Tuning", "tuning", tunings, { all: "tuned or not" }),
    el("label", { class: `field${state.search ? " on" : ""}` }, "Methods with", search),
    on && el("button", { type: "button", class: "quiet", onclick: () => change({ family: "", dataset: "", primary: "", budget: "", tuning: "", search: "" }) }, "Clear filters"));
}

function drawMethods() {
  const names = Object.keys(DATA.parts);
  fill($("methods"), el("h2", { id: "methods-title" }, "Methods"), el("p", { class: "lede" }, "The rule of each part in a sentence; its page has passes, options, known flaws and BibTeX."),
    el("div", { class: "index" }, names.map((name) => el("div", null, link(el("span", { class: "name" }, name), () => go(`method|${name}`)), el("p", null, marked(DATA.parts[name].summary))))));
}

// The settings of entries that name none of their own.
function training(problem) {
  const told = new Map(problem.training);
  return told.size > 0 && `${[...told].map(([name, value]) => (typeof value === "number" ? `${name.replace("_", " ")} ${value}` : value)).join(", ")}, unless an entry names its own`;
}
function ran(problem) {
  const seeds = problem.seeds.every((seed, i) => seed === problem.seeds[0] + i) && problem.seeds.length > 2
    ? `${problem.seeds[0]} to ${problem.seeds[problem.seeds.length - 1]}` : problem.seeds.join(", ");
  const facts = [
    ["data set", [el("code", null, problem.dataset), problem.about && [": ", marked(problem.about)], problem.drawn ? " Every seed has its own draw of the data." : " All seeds have the same data."]],
    ["primary", problem.primary], ["auxiliaries", problem.auxiliaries.replaceAll(",", ", ") || "none"],
    ["backbone", problem.name.split("; ")[1] ?? problem.backbone],
    ["budget", `${problem.budget}: ${problem.recipe.map(([name, value]) => `${name.replace("_", " ")} ${value}`).join(", ") || "its steps are not recorded"}; protocol ${problem.protocol}`],
    ["training", training(problem)],
    ["score", `${[problem.metric, problem.unit].filter(Boolean).join(" in ")} of the deployed network on the test split, ${problem.direction === "up" ? "higher" : "lower"} is better`],
    ["methods", `${problem.rows.length}, seeds ${seeds}: ${plural(problem.runs.length, "run")}`],
  ];
  return [el("dl", null, facts.filter(([, value]) => value).map(([name, value]) => [el("dt", null, name), el("dd", null, value)])),
    problem.commands.length > 0 && copyable(problem.commands.length > 1 ? `Repeat it, by ${problem.commands.length} commands` : "Repeat it", problem.commands.join("\n"))];
}
// What is mixed or stale, with the problems that it concerns.
function caveatsOf() {
  const found = new Map();
  for (const p of PROBLEMS) for (const text of p.provenance) found.set(text, [...(found.get(text) ?? []), p.place]);
  return found;
}
function whereSaid(places, most = Infinity) {
  if (PROBLEMS.length === 1) return "";
  const named = places.length === PROBLEMS.length ? "all problems" : places.length > most ? plural(places.length, "problem") : places.join("; ");
  return el("span", { class: "soft" }, ` (${named})`);
}
function drawTrust(c) {
  const failed = PROBLEMS.flatMap((p) => p.runs.filter((run) => !isNumber(run.value)).map((run) => [p, run]));
  const merged = caveatsOf();
  const origins = Object.entries(c.problem.origins);
  fill($("trust"), el("h2", { id: "trust-title" }, "What was run, and what it rests on"),
    el("h3", null, `Run on ${c.problem.short}`), ran(c.problem),
    el("div", { class: "columns" },
      el("div", null, el("h3", null, "Mixed or stale"),
        merged.size ? el("ul", null, [...merged].map(([text, places]) => el("li", null, text, whereSaid(places))))
          : el("p", { class: "good" }, "Nothing: all runs have the same code, data and versions, and match the code that is installed here."),
        el("h3", null, failed.length ? plural(failed.length, "run") + " without a score" : "Failures"),
        failed.length ? el("ul", null, failed.slice(0, 200).map(([p, run]) => el("li", null, link(`${p.rows[run.method].method}, seed ${run.seed}`, () => go(`run|${run.id}`)), ` on ${p.place}: ${wordOf(run.status)}${wordOf(run.reason) ? `, ${wordOf(run.reason)}` : ""}`)), failed.length > 200 && el("li", null, `and ${failed.length - 200} more`))
          : el("p", { class: "good" }, "None: every run gave a score.")),
      el("div", null, el("h3", null, `Where the runs on ${c.problem.short} come from`),
        el("dl", null, origins.map(([title, list]) => [el("dt", null, title), el("dd", null, list.length ? null : "not recorded", list.map(([value, n]) => el("div", null, el("code", null, title === "commit" ? value.slice(0, 10) : value), el("span", { class: "soft" }, ` ${plural(n, "run")}`))))])))),
    el("h3", null, "How it was decided"),
    (DATA.notes[state.control] ?? [DATA.calibration]).map((text) => el("p", { class: "note" }, text)),
    el("details", null, el("summary", { class: "note" }, "Notes on the board"), c.problem.notes.map((text) => el("p", { class: "note" }, text))));
}

function drawData(c) {
  const file = (label, name, type, make) => el("button", { type: "button", class: "quiet", "data-file": name, onclick: () => saved(name, type, make()) }, label);
  const compared = () => PROBLEMS.flatMap((p) => comparisonOf(p)?.rows ?? []);
  const runs = () => PROBLEMS.flatMap((p) => p.runs.map((run) => ({
    id: run.id, problem: p.name, method: p.rows[run.method].method, entry: p.rows[run.method].entry, seed: run.seed, status: wordOf(run.status), reason: wordOf(run.reason),
    metric: p.metric, unit: p.unit, direction: p.direction, value: run.value, train_seconds: run.seconds, stale: wordOf(run.stale), command: commandOf(run),
  })));
  const boards = () => PROBLEMS.flatMap((p) => p.rows);
  const plain = (rows, ...less) => rows.map((row) => Object.fromEntries(Object.entries(row).filter(([name]) => ![...HELPERS, ...less].includes(name))));
  const keysOf = (rows) => Object.keys(rows[0] ?? {});
  const table = (make) => () => { const rows = make(); return csv(rows, keysOf(rows)); };
  const json = (make) => () => JSON.stringify(make(), null, 1);
  const sources = [
    ["Boards", "boards", () => plain(boards())], [`Comparisons with ${state.control || "a control"}`, "comparisons", () => plain(compared(), "sentence")], ["Runs, with the command that repeats each", "runs", runs],
  ];
  fill($("data-section"), el("h2", { id: "data-title" }, "Take it with you"),
    el("p", { class: "lede" }, "Boards and comparisons are the numbers of auxbench leaderboard and auxbench compare, unrounded. The address of this page keeps problem, filters, order, columns and what is open: send it, and the view is the same."),
    el("ul", { class: "plain" }, sources.map(([title, name, make]) => el("li", { style: { display: "flex", gap: ".5rem", padding: ".25rem 0", alignItems: "center", flexWrap: "wrap" } },
      file("CSV", `${name}.csv`, "text/csv", table(make)), file("JSON", `${name}.json`, "application/json", json(make)), el("span", null, title))),
      el("li", { style: { display: "flex", gap: ".5rem", padding: ".25rem 0", alignItems: "center" } }, file("JSON", "report.json", "application/json", () => $("data").textContent), el("span", null, "All data of this page, with curves, links and weights"))),
    el("p", { class: "note" }, `Made by auxbench ${DATA.version}: auxbench report${DATA.folder ? ` --results ${DATA.folder}` : ""}. This file holds everything and asks no network for anything.`));
}

function drawTheme() {
  const dark = state.theme ? state.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  fill($("theme"), dark ? "Light" : "Dark");
  $("theme").onclick = () => change({ theme: dark ? "light" : "dark" });
}

function render() {
  drawTheme();
  drawLead();
  drawControls();
  const c = drawBoard(problemShown());
  drawForest(c);
  drawHeat();
  drawPareto(c);
  drawCurves(c);
  drawTraces(c);
  drawPredictions(c);
  drawCosts(c);
  drawMethods();
  drawTrust(c);
  drawData(c);
  fill($("nav"), SECTIONS.filter(([id]) => $(id).childElementCount).map(([id, title]) => el("a", { href: `#${id}`, onclick: (event) => { event.preventDefault(); $(id).scrollIntoView(); } }, title)));
  drawDrill();
}

document.querySelector("[data-skip]").addEventListener("click", (event) => { event.preventDefault(); $("board").focus(); });
$("drill").addEventListener("cancel", (event) => { event.preventDefault(); change({ view: "" }); });
$("drill").addEventListener("click", (event) => { if (event.target === $("drill")) change({ view: "" }); });
window.addEventListener("hashchange", follow);
window.addEventListener("popstate", follow);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawTheme());
document.addEventListener("click", (event) => {
  const menu = $("columns");
  if (menu?.open && !menu.contains(event.target) && document.contains(event.target)) menu.open = false;
});
let width = innerWidth;
window.addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; render(); } });
performance.mark("begin");
readState();
render();
performance.mark("end");
document.documentElement.dataset.ready = "yes";
