// Figures of comparisons: paired differences, methods by problems, gain against cost.

const sized = (node) => Math.max(190, (node.clientWidth || node.parentElement.clientWidth) - 32);
const openCell = (problem, method) => change({ view: `cell|${problem.place}|${method}` }, { push: true });
function pressable(attributes, action, ...children) {
  return sv("g", {
    tabindex: 0, role: "button", ...attributes, onclick: action,
    onkeydown: (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); action(); } },
  }, ...children);
}

function drawForest(c) {
  const node = $("forest");
  const found = c.rows.map((row) => c.compared(row)).filter((one) => one && isNumber(one.difference));
  if (!found.length) { fill(node); return; }
  found.sort((a, b) => b.difference - a.difference);
  const box = el("div", { class: "figure" });
  const { metric, unit } = c.problem;
  fill(node, el("h2", { id: "forest-title" }, `Paired differences from ${state.control}`),
    el("p", { class: "lede" }, `Every faint dot is one seed, both methods on the same data. The mark is the mean with its 95 % interval${c.margin ? "; inside the shaded band a difference does not matter" : ""}. Right of the line the method is better.`), box);
  const width = sized(box), narrow = width < 560;
  const label = narrow ? 0 : Math.min(230, 40 + Math.max(...found.map((one) => widthOf(one.method))));
  const textOf = (one) => `${fixed(one.difference, one.digits, true)} ${bounds(one.low, one.high, one.digits, true)}`;
  const right = narrow ? 8 : 104 + Math.max(...found.map((one) => widthOf(textOf(one), "12px Inter, system-ui, sans-serif")));
  const rowHeight = narrow ? 46 : 29;
  const top = 10, height = top + found.length * rowHeight + 40;
  const limits = found.flatMap((one) => [one.low, one.high, one.difference]).filter(isNumber);
  const seeds = found.flatMap((one) => one.differences).filter(isNumber).sort((a, b) => a - b);
  const part = (q) => seeds[Math.round(q * (seeds.length - 1))] ?? 0;
  const low = Math.min(0, -c.margin, ...limits, part(0.03)), high = Math.max(0, c.margin, ...limits, part(0.97));
  const pad = (high - low) * 0.03;
  const x = scale(low - pad, high + pad, label + 12, width - right - 12);
  const axis = ticks(low - pad, high + pad, narrow ? 4 : 7);
  const bottom = top + found.length * rowHeight + 4;
  const parts = [
    c.margin > 0 && sv("rect", { class: "band", x: x(-c.margin), width: x(c.margin) - x(-c.margin), y: top - 4, height: bottom - top + 4 }),
    axis.values.map((v) => [sv("line", { class: "grid", x1: x(v), x2: x(v), y1: top - 4, y2: bottom }), sv("text", { x: x(v), y: bottom + 15, "text-anchor": "middle" }, fixed(v, axis.digits, true))]),
    sv("line", { class: "zero", x1: x(0), x2: x(0), y1: top - 4, y2: bottom }),
    sv("text", { x: (label + width - right) / 2, y: bottom + 32, "text-anchor": "middle" }, `difference in ${[metric, unit].filter(Boolean).join(" ") || "score"}, turned so that positive is better`),
  ];
  const rows = found.map((one, i) => {
    const y = top + i * rowHeight + (narrow ? 31 : rowHeight / 2);
    const { colour } = lookOf(one.method);
    const decided = one.verdict !== "undecided";
    const dots = one.differences.map((value, k) => {
      const jitter = (((k * 7) % 11) / 10 - 0.5) * (narrow ? 12 : 13);
      const inside = Math.min(width - right - 6, Math.max(label + 6, x(value)));
      if (Math.abs(inside - x(value)) > 0.5) return sv("path", { d: inside > width / 2 ? `M${inside - 3},${y - 3}l5,3l-5,3z` : `M${inside + 3},${y - 3}l-5,3l5,3z`, fill: colour, opacity: 0.5 });
      return sv("circle", { cx: inside, cy: y + jitter, r: 2.1, fill: colour, opacity: 0.42 });
    });
    const text = textOf(one);
    return pressable({ class: "row", "aria-label": `${one.method}: ${one.verdict}, ${text} over ${one.n} pairs` }, () => openCell(c.problem, one.method),
      sv("title", null, `${one.method}: ${one.verdict}, ${text}`),
      sv("rect", { class: "hit", x: 0, width, y: top + i * rowHeight, height: rowHeight, rx: 5, style: { mixBlendMode: "normal" }, "fill-opacity": 0.6 }),
      dots,
      isNumber(one.low) && sv("line", { x1: x(one.low), x2: x(one.high), y1: y, y2: y, stroke: colour, "stroke-width": decided ? 3 : 2, "stroke-linecap": "round" }),
      symbol(one.method, x(one.difference), y, 5, { stroke: "var(--card)", "stroke-width": 1.5 }),
      narrow
        ? [symbol(one.method, 7, y - 20, 4.5), sv("text", { class: "mono ink halo", x: 18, y: y - 16 }, cut(one.method, width - 170)),
           sv("text", { class: one.verdict, x: width - 4, y: y - 16, "text-anchor": "end", style: { fill: `var(--${one.verdict})` } }, `${fixed(one.difference, one.digits, true)} ${one.verdict}`)]
        : [symbol(one.method, 9, y, 4.5), sv("text", { class: "mono ink", x: 22, y: y + 4 }, cut(one.method, label - 24)),
           sv("text", { x: width - right + 4, y: y + 4, style: { fill: `var(--${one.verdict})`, fontWeight: 600 } }, one.verdict),
           sv("text", { x: width - 2, y: y + 4, "text-anchor": "end" }, text)]);
  });
  box.append(sv("svg", { viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": `Paired differences from ${state.control}` }, parts, rows));
  add(node, [el("p", { class: "note" }, "The interval is that of one comparison by itself; the verdict holds for all comparisons with this control together, so that an interval may exclude 0, or lie within the band, beside “undecided”. Arrows at the edge are seeds beyond the axis.")]);
}

function drawHeat() {
  const node = $("heat");
  const columns = problemsShown().filter((p) => comparisonOf(p));
  if (columns.length < 2) { fill(node); return; }
  const names = METHODS.filter((name) => name !== state.control && columns.some((p) => { const row = p.byMethod.get(name); return row && passes(row); }));
  const share = (p, one) => one.difference / (Math.abs(p.byMethod.get(state.control)?.mean) || 1);
  const place = (name) => {
    const ranks = columns.map((p) => p.byMethod.get(name)).filter(Boolean);
    return ranks.reduce((sum, row) => sum + row.index, 0) / ranks.length;
  };
  names.sort((a, b) => place(a) - place(b));
  const every = columns.flatMap((p) => names.map((name) => comparisonOf(p).byMethod.get(name)).filter(Boolean).map((one) => Math.abs(share(p, one)))).filter(isNumber).sort((a, b) => a - b);
  const most = every[Math.floor(0.95 * (every.length - 1))] || 1;
  const cell = (p, name) => {
    const one = comparisonOf(p).byMethod.get(name);
    const row = p.byMethod.get(name);
    if (!one || !row || !passes(row)) return el("td", null, el("span", { class: "cell dim" }, one ? "" : "—"));
    const sign = { better: "▲", worse: "▼", equivalent: "=", undecided: "" }[one.verdict];
    const strength = Math.min(1, Math.abs(share(p, one)) / most);
    const strong = ["better", "worse"].includes(one.verdict);
    const style = strong ? { background: `color-mix(in srgb, var(--${one.verdict}) ${Math.round(16 + 74 * strength)}%, var(--card))`, color: strength > (document.documentElement.dataset.theme === "dark" ? 0.6 : 0.75) ? "var(--card)" : "var(--ink)" } : null;
    return el("td", null, el("button", {
      type: "button", class: `cell ${one.verdict}`, style, onclick: () => openCell(p, name),
      "aria-label": `${name} on ${p.place}: ${one.verdict}, ${fixed(one.difference, one.digits, true)}`,
    }, `${fixed(one.difference, one.digits, true)} ${sign}`));
  };
  fill(node, el("h2", { id: "heat-title" }, "Everywhere at once"),
    el("p", { class: "lede" }, `Mean difference from ${state.control}. Only what is decided has colour: ▲ better, ▼ worse, stronger for a larger share of ${state.control}'s score; = equivalent; hatched is undecided.`),
    el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Methods by problems, scrolls sideways" }, el("table", { class: "heat" },
      el("thead", null, el("tr", null, el("th", { class: "stick", style: { textAlign: "left" } }, "method"),
        columns.map((p) => el("th", { scope: "col" }, link(p.short, () => change({ problem: p.place })))))),
      el("tbody", null, names.map((name) => el("tr", null,
        el("th", { class: "stick", scope: "row" }, key(name), el("span", { class: "name", title: name }, name)), columns.map((p) => cell(p, name))))))));
}

function drawPareto(c) {
  const node = $("pareto");
  const training = el("div", { class: "figure" }), inference = el("div", { class: "figure" });
  fill(node, el("h2", { id: "pareto-title" }, "Is it worth its cost?"),
    el("p", { class: "lede" }, "Each step is decided, and as cheap as it can be. Below, a point is hollow only if a method that costs no more is decided better; filled points are on the front."),
    climb(c), el("div", { class: "two" }, training, inference));
  scatter(training, c, costOf(), `Against training ${COSTS[costOf()]}`, `training ${COSTS[costOf()]}`);
  training.firstChild.after(el("div", { class: "legend", role: "group", "aria-label": "Cost of training" }, Object.entries(COSTS).map(([name, word]) => el("button", {
    type: "button", "aria-pressed": String(name === costOf()), "data-cost": name,
    onclick: () => { change({ cost: name }); document.querySelector(`[data-cost="${name}"]`)?.focus(); },
  }, word)), costOf() === "train_seconds" && el("span", { class: c.rows.some((row) => row.contended) ? "warn" : "soft" }, c.rows.some((row) => row.contended) ? "The machine was busy with other work in some of these runs: do not compare their seconds." : "Seconds are as noisy as the machine was busy; FLOPs are counted.")));
  const known = c.rows.filter((row) => isNumber(row.macs));
  const costs = new Set(known.map((row) => row.macs));
  if (costs.size === 1) {
    const [row] = known;
    const all = c.rows.every((one) => one.same_as_single === true);
    fill(inference, el("h3", null, "Against inference cost"),
      el("p", { class: "big" }, `All ${plural(known.length, "method")} deploy a network of the same cost: ${si(row.parameters)} parameters and ${si(row.macs)} MACs per sample.`), all && el("p", null, "Its operators are those of the single-task network, so that inference costs nothing extra whichever method is chosen, and the comparison is about training alone."),
      el("dl", null, el("dt", null, "latency, batch 1"), el("dd", null, (() => {
        const times = known.map((one) => one.latency_ms).filter(isNumber);
        return times.length ? `${fixed(Math.min(...times), 3)} to ${fixed(Math.max(...times), 3)} ms, medians${all ? "; what they differ by is noise of the clock" : ""}` : "not measured";
      })())));
  } else scatter(inference, c, "macs", "Against inference MACs", "MACs of the deployed network");
}

// What more training buys, step by step, each step decided.
function climb(c) {
  const cost = costOf();
  const steps = ladder(c.problem, c.rows, cost);
  if (!steps.length) return null;
  const base = c.control && isNumber(c.control[cost]) ? c.control : steps[0];
  const name = (row) => [key(row.method), link(el("span", { class: "name" }, row.method), () => openCell(c.problem, row.method))];
  const near = (row) => Math.abs(row[cost] / base[cost] - 1) < 0.05;
  const price = (row) => (row === base ? null : near(row) ? ` for about the same training ${COSTS[cost]}` : ` for ${times(row[cost], base[cost])} the training ${COSTS[cost]} of ${base.method}`);
  const last = steps[steps.length - 1];
  const dearer = c.rows.filter((row) => isNumber(row[cost]) && row[cost] > last[cost] * 1.02).length;
  const gain = (row, before) => {
    const size = Math.abs(row.mean - before.mean);
    return `better by ${fixed(size, c.problem.digits)} than ${before.method}${price(row) ?? ""}${c.margin && size < c.margin ? `, which is less than the ${c.margin} that matters` : ""}`;
  };
  return el("ol", { class: "climb" }, steps.map((row, i) => el("li", null, name(row), el("span", { class: "soft" }, i ? ` is ${gain(row, steps[i - 1])}` : row !== base && near(row) ? " is among the cheapest to train" : ` is the cheapest to train${price(row) ? `,${price(row)}` : ""}`))),
    el("li", { class: "end" }, dearer ? `${plural(dearer, "method")} cost${dearer === 1 ? "s" : ""} more than ${last.method}; none is decided better than it.` : `Nothing costs more than ${last.method}.`));
}

function scatter(box, c, cost, title, words) {
  const against = c.comparison && c.control && isNumber(c.control[cost]);
  const points = c.rows.map((row) => {
    const one = c.compared(row);
    if (!isNumber(row[cost])) return null;
    if (!against) return isNumber(row.mean) ? { row, y: row.mean, low: row.low, high: row.high, x: row[cost] } : null;
    if (row === c.control) return { row, x: 1, y: 0, low: null, high: null };
    return one && isNumber(one.difference) ? { row, x: row[cost] / c.control[cost], y: one.difference, low: one.low, high: one.high } : null;
  }).filter(Boolean);
  fill(box, el("h3", null, title));
  if (!points.length) { add(box, [el("p", { class: "note" }, "Nothing was measured.")]); return; }
  const beaten = dominators(c.problem, c.rows, cost);
  const width = sized(box), height = Math.max(300, Math.min(380, width * 0.72)), [left, right, top, bottom] = [52, 16, 12, 44];
  const logs = points.map((p) => Math.log10(p.x));
  let [x0, x1] = [Math.min(...logs), Math.max(...logs)];
  const spread = Math.max(0.25, x1 - x0);
  x0 -= spread * 0.06; x1 += spread * 0.14;
  const ends = points.flatMap((p) => [p.y, p.low, p.high]).filter(isNumber);
  let [y0, y1] = [Math.min(...ends), Math.max(...ends)];
  const room = (y1 - y0 || 1) * 0.06; y0 -= room; y1 += room;
  const x = (v) => scale(x0, x1, left, width - right)(Math.log10(v));
  const flip = !against && c.problem.direction === "down";
  const y = flip ? scale(y0, y1, top, height - bottom) : scale(y0, y1, height - bottom, top);
  const ya = ticks(y0, y1, 6);
  const xa = logTicks(10 ** x0, 10 ** x1, width < 420 ? 4 : 6);
  const parts = [
    against && c.margin > 0 && sv("rect", { class: "band", x: left, width: width - right - left, y: Math.max(top, y(Math.min(y1, c.margin))), height: Math.max(0, Math.min(height - bottom, y(Math.max(y0, -c.margin))) - Math.max(top, y(Math.min(y1, c.margin)))), opacity: 0.75 }),
    ya.values.map((v) => [sv("line", { class: "grid", x1: left, x2: width - right, y1: y(v), y2: y(v) }), sv("text", { x: left - 7, y: y(v) + 4, "text-anchor": "end" }, fixed(v, ya.digits, against))]),
    xa.map((v) => [sv("line", { class: "grid", x1: x(v), x2: x(v), y1: top, y2: height - bottom }), sv("text", { x: x(v), y: height - bottom + 16, "text-anchor": "middle" }, against ? `${Number(v.toPrecision(2))} ×` : si(v))]),
    against && sv("line", { class: "zero", x1: left, x2: width - right, y1: y(0), y2: y(0) }),
    sv("text", { x: (left + width - right) / 2, y: height - 6, "text-anchor": "middle" }, against ? `${words}, relative to ${state.control}` : words),
  ];
  const placed = points.map((p) => ({ a: x(p.x) - 7, b: x(p.x) + 7, t: y(p.y) - 7, u: y(p.y) + 7 }));
  const labels = [], marks = [];
  const order = [...points].sort((a, b) => (beaten.get(a.row) ? 1 : 0) - (beaten.get(b.row) ? 1 : 0) || a.row.index - b.row.index);
  for (const p of order) {
    const by = beaten.get(p.row);
    const { colour } = lookOf(p.row.method);
    const text = p.row.method, shown = cut(text, width < 500 ? 120 : 190), w = widthOf(shown);
    marks.push(pressable({ class: "row", "aria-label": `${text}: ${by ? `beaten by ${by.method}, which costs no more` : "on the front"}` }, () => openCell(c.problem, text),
      sv("title", null, `${text}\n${against ? `${fixed(p.y, 3, true)}, ${p.x.toPrecision(3)} × the cost of ${state.control}` : fixed(p.y, 3)}\n${by ? `dominated by ${by.method}` : "on the front"}`),
      isNumber(p.low) && sv("line", { x1: x(p.x), x2: x(p.x), y1: y(p.low), y2: y(p.high), stroke: colour, "stroke-width": 1.5, opacity: by ? 0.35 : 0.7 }),
      sv("circle", { class: "hit", cx: x(p.x), cy: y(p.y), r: 12 }),
      symbol(text, x(p.x), y(p.y), 5.2, by ? { fill: "var(--card)", stroke: colour, "stroke-width": 1.6 } : { stroke: "var(--card)", "stroke-width": 1 })));
    const [px, py] = [x(p.x), y(p.y)];
    const tries = [[10, 4, 0], [-10 - w, 4, 0], [-w / 2, -11, 0], [-w / 2, 20, 0], [12, -12, 1], [12, 20, 1], [-12 - w, -12, 1], [-12 - w, 20, 1], [18, -27, 1], [18, 35, 1], [-18 - w, -27, 1], [-18 - w, 35, 1], [26, -42, 1], [26, 50, 1]];
    for (const [dx, dy, lead] of tries) {
      const one = { a: px + dx - 1, b: px + dx + w + 1, t: py + dy - 10, u: py + dy + 3 };
      const free = one.a >= left && one.b <= width - 1 && one.t >= 0 && one.u <= height - bottom && !placed.some((o) => o.a < one.b && o.b > one.a && o.t < one.u && o.u > one.t);
      if (!free) continue;
      placed.push(one);
      if (lead) labels.push(sv("line", { x1: px, y1: py, x2: dx > 0 ? px + dx - 2 : px + dx + w + 2, y2: py + dy - 4, stroke: "var(--rule)" }));
      labels.push(sv("text", { class: `mono halo ${by ? "" : "ink"}`, x: px + dx, y: py + dy, style: { pointerEvents: "none" } }, shown));
      break;
    }
  }
  box.append(sv("svg", { viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": title }, parts, labels, marks));
  const front = points.filter((p) => !beaten.get(p.row)).map((p) => p.row.method);
  add(box, [el("p", { class: "note" }, `On the front: ${front.join(", ")}.`)]);
}
function logTicks(low, high, count) {
  const found = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1) {
    for (const m of [1, 1.5, 2, 3, 5, 7]) if (m * 10 ** power >= low && m * 10 ** power <= high) found.push(m * 10 ** power);
  }
  if (found.length < 2) return ticks(low, high, 3).values.filter((v) => v > 0);
  while (found.length > count) for (let i = found.length - 2; i > 0; i -= 2) found.splice(i, 1);
  return found;
}
