// The board of a problem: sorted, filtered, with tiers formed again among the rows shown.

const COLUMNS = [
  { key: "tier", title: "tier", n: true, fixed: true, value: (row, c) => c.tiers.get(row),
    draw: (row, c) => el("span", { class: "tier" }, c.tiers.get(row)), sort: (row, c) => c.tiers.get(row) * 1e6 + row.index,
    help: "Methods of a tier cannot be told apart from its first" },
  { key: "method", title: "method", fixed: true, stick: true, value: (row) => row.method,
    draw: (row, c) => [key(row.method), el("button", {
      type: "button", class: "link name", title: row.method, onclick: () => change({ view: `cell|${c.problem.place}|${row.method}` }, { push: true }),
    }, row.method)] },
  { key: "tuning", title: "tuning", off: innerWidth < 700, value: (row) => row.tuning,
    draw: (row) => el("span", { class: "soft" }, row.tuning), when: (c) => new Set(c.problem.rows.map((row) => row.tuning)).size > 1 },
  { key: "mean", title: (c) => [c.problem.metric || "score", c.problem.unit, c.problem.direction === "up" ? "↑" : "↓"].filter(Boolean).join("\u00a0"), help: (c) => `Mean over seeds, ${c.problem.direction === "up" ? "higher" : "lower"} is better`,
    n: true, value: (row) => row.mean, draw: (row, c) => fixed(row.mean, c.problem.digits) },
  { key: "interval", title: "95 % interval", off: innerWidth < 700, value: (row) => row.low, draw: (row, c) => el("span", { class: "soft" }, bounds(row.low, row.high, c.problem.digits)) },
  { key: "gain", title: (c) => `gain over ${state.control}`, value: (row, c) => c.compared(row)?.difference, draw: gainCell,
    when: (c) => c.comparison, help: "Mean paired difference with its 95 % interval; positive is better" },
  { key: "verdict", title: "verdict", value: (row, c) => ["better", "equivalent", "undecided", "worse"].indexOf(c.compared(row)?.verdict),
    draw: (row, c) => { const found = c.compared(row); return found ? chip(found.verdict) : el("span", { class: "dim" }, row.method === state.control ? "control" : "—"); },
    when: (c) => c.comparison },
  { key: "rank", title: "rank", value: (row) => row.rank_low, draw: (row) => bounds(row.rank_low, row.rank_high, 0), help: "95 % interval, among all recorded methods" },
  { key: "seeds", title: "seeds", n: true, value: (row) => row.seeds },
  { key: "failed", title: "failed", n: true, when: (c) => c.problem.rows.some((row) => row.failed), value: (row) => row.failed, draw: (row) => row.failed
    ? link(String(row.failed), () => $("trust").scrollIntoView(), `${row.failed} failed, ${row.failures}; see the reasons`) : el("span", { class: "dim" }, "0") },
  { key: "flops", title: "training FLOPs", n: true, value: (row) => row.train_flops, draw: ratio("train_flops") },
  { key: "seconds", title: "training time", n: true, value: (row) => row.train_seconds, draw: ratio("train_seconds"), help: "Without evaluation, on one class of hardware" },
  { key: "macs", title: "inference MACs", n: true, value: (row) => row.macs, draw: ratio("macs") },
  { key: "entry", title: "entry", off: true, value: (row) => row.entry, draw: (row) => el("code", null, row.entry) },
  { key: "imputed", title: "mean, failed as worst", off: true, n: true, value: (row) => row.imputed, draw: (row, c) => fixed(row.imputed, c.problem.digits) },
  { key: "forward", title: "forward", off: true, n: true, value: (row) => row.forward },
  { key: "backward", title: "backward", off: true, n: true, value: (row) => row.backward },
  { key: "partial", title: "partial backward", off: true, n: true, value: (row) => row.partial },
  { key: "jvp", title: "forward-mode", off: true, n: true, value: (row) => row.jvp },
  { key: "tuning_flops", title: "tuning FLOPs", off: true, n: true, value: (row) => row.tuning_flops, draw: (row) => si(row.tuning_flops) },
  { key: "parameters", title: "deployed parameters", off: true, n: true, value: (row) => row.parameters, draw: (row) => si(row.parameters) },
  { key: "latency", title: "latency ms", off: true, n: true, value: (row) => row.latency_ms, draw: (row) => fixed(row.latency_ms, row.latency_ms < 1 ? 3 : 1) },
  { key: "stale", title: "stale runs", off: true, n: true, value: (row) => row.stale },
];

function ratio(name) {
  return (row, c) => {
    const base = c.control?.[name];
    if (!isNumber(row[name])) return "—";
    if (!isNumber(base)) return si(row[name]);
    const busy = name === "train_seconds" && [row, c.control].filter((one) => one.contended);
    if (busy?.length) {
      return el("span", { class: "dim", title: `The machine was busy with other work in runs of ${busy.map((one) => one.method).join(" and ")}: do not compare these seconds` }, `${times(row[name], base)} (busy)`);
    }
    return el("span", { title: `${si(row[name])}, ${state.control} ${si(base)}` }, times(row[name], base));
  };
}

function gainCell(row, c) {
  const found = c.compared(row);
  if (!found || !isNumber(found.difference)) return el("span", { class: "dim" }, "—");
  const [w, h, x] = [80, 16, c.gains];
  const strong = found.verdict === "undecided" ? 0.6 : 1;
  const colour = `var(--${found.verdict})`;
  const glyph = sv("svg", { width: w, height: h, viewBox: `0 0 ${w} ${h}`, "aria-hidden": "true" },
    c.margin > 0 && sv("rect", { class: "band", x: x(-c.margin), width: x(c.margin) - x(-c.margin), y: 0, height: h }),
    sv("line", { class: "axis", x1: x(0), x2: x(0), y1: 0, y2: h }),
    isNumber(found.low) && sv("line", { x1: x(found.low), x2: x(found.high), y1: h / 2, y2: h / 2, stroke: colour, "stroke-width": 2.4, opacity: strong }),
    sv("circle", { cx: x(found.difference), cy: h / 2, r: 3.4, fill: colour, opacity: strong }));
  return el("span", { class: "gain" }, glyph, el("b", { class: found.verdict }, fixed(found.difference, found.digits, true)),
    el("span", { class: "soft" }, bounds(found.low, found.high, found.digits, true)));
}

function contextOf(problem) {
  const rows = rowsShown(problem);
  const comparison = comparisonOf(problem);
  const compared = (row) => comparison?.byMethod.get(row.method) ?? null;
  const found = rows.map(compared).filter(Boolean);
  const margin = found.find((one) => isNumber(one.margin))?.margin ?? 0;
  const ends = found.flatMap((one) => [one.low, one.high, one.difference]).filter(isNumber);
  const low = Math.min(0, -margin, ...ends), high = Math.max(0, margin, ...ends);
  return {
    problem, rows, comparison, compared, margin, tiers: tiersOf(problem, rows),
    control: problem.byMethod.get(state.control), gains: scale(low, high, 5, 75),
  };
}
const isShown = (column, c) => column.fixed || (!(column.when && !column.when(c))
  && (column.off ? listOf(state.show).includes(column.key) : !listOf(state.hide).includes(column.key)));

function sorted(c) {
  const column = COLUMNS.find((one) => one.key === state.sort) ?? COLUMNS[0];
  const value = column.sort ?? column.value;
  const sign = state.down ? -1 : 1;
  return [...c.rows].sort((a, b) => {
    const [one, other] = [value(a, c), value(b, c)];
    const missing = (one === null || one === undefined) - (other === null || other === undefined);
    if (missing) return missing;
    const order = typeof one === "string" ? one.localeCompare(other) : one - other;
    return sign * order || a.index - b.index;
  });
}

function drawBoard(problem) {
  const c = contextOf(problem);
  const columns = COLUMNS.filter((column) => isShown(column, c));
  const byTier = state.sort === "tier";
  const titleOf = (column) => (typeof column.title === "function" ? column.title(c) : column.title);
  let tier = null;
  const body = sorted(c).map((row) => {
    const now = c.tiers.get(row);
    const first = byTier && now !== tier;
    tier = now;
    return el("tr", { class: first ? "first" : byTier ? "again" : null }, columns.map((column) => {
      const drawn = column.draw ? column.draw(row, c) : isNumber(column.value(row, c)) ? column.value(row, c).toLocaleString("en") : "—";
      return el(column.key === "method" ? "th" : "td", { class: [column.n && "n", column.stick && "stick"].filter(Boolean).join(" "), scope: column.key === "method" && "row" }, drawn);
    }));
  });
  const head = el("tr", null, columns.map((column) => {
    const on = state.sort === column.key;
    return el("th", { class: [column.n && "n", column.stick && "stick"].filter(Boolean).join(" "), scope: "col", title: typeof column.help === "function" ? column.help(c) : column.help, "aria-sort": on ? (state.down ? "descending" : "ascending") : "none" },
      el("button", { type: "button", "data-sort": column.key, onclick: () => {
        change({ sort: column.key, down: on && !state.down ? "1" : "" });
        document.querySelector(`[data-sort="${column.key}"]`)?.focus();
      } }, titleOf(column)));
  }));
  const menu = el("details", { class: "menu", id: "columns" }, el("summary", { class: "quiet" }, "Columns"),
    el("div", null, COLUMNS.filter((column) => !column.fixed && !(column.when && !column.when(c))).map((column) =>
      el("label", null, el("input", { type: "checkbox", "data-column": column.key, checked: isShown(column, c), onchange: (event) => {
        const name = column.off ? "show" : "hide";
        const list = listOf(state[name]).filter((one) => one !== column.key);
        if (event.target.checked === Boolean(column.off)) list.push(column.key);
        change({ [name]: list.join("|") });
        $("columns").open = true;
        document.querySelector(`[data-column="${column.key}"]`)?.focus();
      } }), " ", titleOf(column)))));
  const n = problem.rows.length;
  fill($("board"),
    el("div", { class: "head" }, el("div", null, el("h2", { id: "board-title" }, problem.short), problem.name !== problem.short && el("p", { class: "lede" }, problem.name)),
      el("div", { class: "tools" }, menu,
        el("button", { type: "button", class: "quiet", onclick: () => saved("board.csv", "text/csv", boardCsv(sorted(c))) }, "CSV"))),
    el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Board, scrolls sideways" },
      el("table", null, el("caption", { class: "unseen" }, `Methods on ${problem.name}`), el("thead", null, head), el("tbody", null, body))),
    el("p", { class: "note" }, isFiltered()
      ? `${c.rows.length} of ${n} methods are shown (the control always is). Their tiers, and the fronts below, are formed again among them, from verdicts on pairs that were decided once, with all pairs of the ${n} recorded methods as one family. Scores, ranks, gains and verdicts do not change with a filter.`
      : `${sameTuning(problem)}A tier has its best method and all that the decision rules do not tell apart from it. ${c.margin ? "The shaded band is the margin within which methods are equivalent; tiers tell smaller differences apart, too. " : ""}Times are those of ${problem.rows[0].hardware ?? "unknown hardware"}; × is relative to ${state.control || "nothing"}.`),
    alone(c) > 0 && el("p", { class: "note" }, `${alone(c)} undecided with an interval of the gain without 0: the interval is that of one comparison by itself, the verdict holds for all comparisons with ${state.control} together (Holm).`),
    odd(c) > 0 && el("p", { class: "note" }, `Tier and rank seem to disagree for ${plural(odd(c), "method")}: a rank is that of one method by itself, a tier has to hold for all pairs together (Holm) and, where runs collapse, survive one more.`));
  announce(`${plural(c.rows.length, "method")} in ${plural(new Set(c.tiers.values()).size, "tier")}`);
  return c;
}
// How many are undecided although their own interval excludes 0.
function alone(c) {
  return c.rows.map((row) => c.compared(row)).filter((one) => one?.verdict === "undecided" && (one.low > 0 || one.high < 0)).length;
}
// How many have ranks apart from those of the first of their tier.
function odd(c) {
  const first = new Map();
  for (const row of c.rows) if (!first.has(c.tiers.get(row))) first.set(c.tiers.get(row), row);
  return c.rows.filter((row) => row.rank_low > first.get(c.tiers.get(row)).rank_high).length;
}
// What goes without a column: a tuning that all entries share, and failures if there are none.
function sameTuning(problem) {
  const tunings = new Set(problem.rows.map((row) => row.tuning));
  const failed = problem.rows.some((row) => row.failed);
  const tuning = tunings.size > 1 ? "" : `every entry is ${[...tunings][0] === "default" ? "the default, nothing was tuned" : [...tunings][0]}`;
  const parts = [tuning, failed ? "" : "no run failed"].filter(Boolean).join(", and ");
  return parts ? `${parts[0].toUpperCase()}${parts.slice(1)}. ` : "";
}
const HELPERS = ["index", "families", "parts", "problemNumber"];
function boardCsv(rows) {
  return csv(rows, Object.keys(rows[0] ?? {}).filter((name) => !HELPERS.includes(name)));
}
