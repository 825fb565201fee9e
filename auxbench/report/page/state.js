// The state of the view, which is kept in the URL, so that a view can be sent.

const DEFAULTS = {
  problem: "", control: DATA.controls[0] ?? "", family: "", dataset: "", primary: "", budget: "", tuning: "", search: "",
  sort: "tier", down: "", show: "", hide: "", lines: "", traced: "", cost: "train_flops", pictured: "", task: "", view: "", theme: "",
};
const state = { ...DEFAULTS };

function readState() {
  const words = new URLSearchParams(location.hash.replace(/^#/, ""));
  for (const name of Object.keys(DEFAULTS)) state[name] = words.get(name) ?? DEFAULTS[name];
  if (state.control && !DATA.controls.includes(state.control)) state.control = DEFAULTS.control;
}
function hashOf() {
  const words = new URLSearchParams();
  for (const [name, value] of Object.entries(state)) if (value !== DEFAULTS[name]) words.set(name, value);
  return `#${words}`;
}
function change(values, { push = false } = {}) {
  Object.assign(state, values);
  const hash = hashOf();
  if (hash !== location.hash) {
    const address = hash === "#" ? location.pathname + location.search : hash;
    if (push) history.pushState({ inside: true }, "", address);
    else history.replaceState(history.state, "", address);
  }
  draw(Object.keys(values));
}
// What is open beside the page is drawn alone, so that the page keeps its place and focus.
function draw(changed) {
  if (changed.every((name) => name === "view")) drawDrill();
  else render();
}
function follow() {
  const before = { ...state };
  readState();
  const changed = Object.keys(DEFAULTS).filter((name) => state[name] !== before[name]);
  if (changed.length) draw(changed);
}

const tuningOf = (row) => (row.tuning.startsWith("tuned (") ? "tuned" : row.tuning);
const problemsShown = () => PROBLEMS.filter((p) =>
  (!state.dataset || p.dataset === state.dataset) && (!state.primary || p.primary === state.primary) && (!state.budget || p.budget === state.budget));
function problemShown() {
  const shown = problemsShown();
  return shown.find((p) => p.place === state.problem) ?? shown[0] ?? PROBLEMS[0];
}
function passes(row) {
  return (!state.family || row.families.includes(state.family))
    && (!state.tuning || tuningOf(row) === state.tuning)
    && (!state.search || state.search.toLowerCase().split(/[\s,]+/).filter(Boolean).some((word) => row.entry.toLowerCase().includes(word) || row.method.toLowerCase().includes(word)));
}
const isFiltered = () => Boolean(state.family || state.tuning || state.search);
// The control stays, since the others are seen against it.
const rowsShown = (problem) => problem.rows.filter((row) => passes(row) || (isFiltered() && row.method === state.control));
const comparisonOf = (problem) => problem.comparisons[state.control] ?? null;
// The cost of training that figures show.
const COSTS = { train_flops: "FLOPs", train_seconds: "seconds" };
const costOf = () => (Object.hasOwn(COSTS, state.cost) ? state.cost : DEFAULTS.cost);
const listOf = (text) => text.split("|").filter(Boolean);
