// Figures over time: learning curves with bands, link strengths, task weights.

function plot(box, series, { height = 300, title, unit = "", low = null, high = null, labels = true } = {}) {
  const width = sized(box);
  const every = series.flatMap((s) => [...s.values, ...(s.low ?? []), ...(s.high ?? [])]).filter(isNumber).sort((a, b) => a - b);
  const steps = series.flatMap((s) => s.steps);
  if (!every.length || !steps.length) return;
  const y0 = low ?? every[0], y1 = high ?? every[every.length - 1];
  const names = labels && width >= 480 ? Math.min(220, Math.max(...series.map((s) => widthOf(s.label)))) + 22 : 8;
  const ya = ticks(y0, y1 === y0 ? y0 + 1 : y1, height < 200 ? 3 : 5);
  const left = 14 + Math.max(...ya.values.map((v) => widthOf(fixed(v, ya.digits)))), top = 8, bottom = 38;
  const x = scale(Math.min(...steps), Math.max(...steps), left, width - names);
  const y = scale(y0, y1 === y0 ? y0 + 1 : y1, height - bottom, top);
  const xa = ticks(Math.min(...steps), Math.max(...steps), width < 300 ? 3 : 6);
  const pathOf = (values, s) => values.map((v, i) => (isNumber(v) ? [s.steps[i], v] : null)).filter(Boolean).map(([a, b], i) => `${i ? "L" : "M"}${x(a).toFixed(1)},${y(b).toFixed(1)}`).join("");
  const parts = [
    ya.values.map((v) => [sv("line", { class: "grid", x1: left, x2: width - names, y1: y(v), y2: y(v) }), sv("text", { x: left - 6, y: y(v) + 4, "text-anchor": "end" }, fixed(v, ya.digits))]),
    xa.values.map((v) => sv("text", { x: x(v), y: height - bottom + 16, "text-anchor": "middle" }, v.toLocaleString("en"))),
    sv("text", { x: (left + width - names) / 2, y: height - 5, "text-anchor": "middle" }, `training step${unit}`),
    series.filter((s) => s.low?.every(isNumber)).map((s) => sv("path", { d: `${pathOf(s.high, s)}${pathOf([...s.low].reverse(), { steps: [...s.steps].reverse() }).replace("M", "L")}Z`, fill: s.colour, opacity: 0.13 })),
    series.map((s) => [sv("path", { d: pathOf(s.values, s), fill: "none", stroke: s.colour, "stroke-width": s.thin ? 1.2 : 2, "stroke-dasharray": s.dash, "stroke-linejoin": "round", opacity: s.opacity ?? 1 }),
      s.method && s.values.map((v, i) => isNumber(v) && symbol(s.method, x(s.steps[i]), y(v), 3.2))]),
  ];
  if (names > 8) {
    const ends = series.map((s) => ({ s, at: y([...s.values].reverse().find(isNumber) ?? y0) })).sort((a, b) => a.at - b.at);
    for (let i = 1; i < ends.length; i += 1) ends[i].at = Math.max(ends[i].at, ends[i - 1].at + 13);
    const over = ends.length ? ends[ends.length - 1].at - (height - bottom + 4) : 0;
    if (over > 0) { ends[ends.length - 1].at -= over; for (let i = ends.length - 2; i >= 0; i -= 1) ends[i].at = Math.min(ends[i].at, ends[i + 1].at - 13); }
    parts.push(ends.map(({ s, at }) => [s.method ? symbol(s.method, width - names + 11, at, 4) : sv("circle", { cx: width - names + 11, cy: at, r: 3.5, fill: s.colour }), sv("text", { class: "mono ink", x: width - names + 20, y: at + 4 }, cut(s.label, 220))]));
  }
  box.append(sv("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": title }, parts));
}

function linesShown(problem, rows) {
  const chosen = listOf(state.lines).filter((name) => rows.some((row) => row.method === name));
  if (chosen.length) return chosen;
  const best = comparisonOf(problem)?.conclusion.use;
  return [...new Set([...rows.slice(0, 3).map((row) => row.method), best, state.control])].filter((name) => rows.some((row) => row.method === name));
}

function drawCurves(c) {
  const node = $("curves");
  const rows = c.rows.filter((row) => c.problem.lines[row.index].steps);
  if (!rows.length) { fill(node); return; }
  const shown = linesShown(c.problem, rows);
  const box = el("div", { class: "figure" });
  fill(node, el("h2", { id: "curves-title" }, "Learning curves"),
    el("p", { class: "lede" }, `Validation ${c.problem.metric} of the deployed network, mean over seeds with a 95 % interval. The board's scores are from the test split, read once at the end.`),
    el("div", { class: "legend", role: "group", "aria-label": "Curves shown" }, rows.map((row) => el("button", {
      type: "button", "aria-pressed": String(shown.includes(row.method)), "data-line": row.method,
      onclick: () => {
        const next = shown.includes(row.method) ? shown.filter((name) => name !== row.method) : [...shown, row.method];
        change({ lines: next.join("|") });
        [...document.querySelectorAll("[data-line]")].find((one) => one.dataset.line === row.method)?.focus();
      },
    }, key(row.method), row.method))), box);
  plot(box, rows.filter((row) => shown.includes(row.method)).map((row) => {
    const lines = c.problem.lines[row.index];
    return { method: row.method, label: row.method, colour: lookOf(row.method).colour, steps: lines.steps, values: lines.m, low: lines.l, high: lines.h };
  }), { height: 340, title: "Learning curves" });
}

const TASKS = ["var(--c0)", "var(--c1)", "var(--c2)", "var(--c3)", "var(--c6)", "var(--c7)", "var(--c4)", "var(--c5)"];
const varies = (weights) => weights && Object.values(weights).some(Array.isArray);

function drawTraces(c) {
  const node = $("traces");
  const all = c.rows.filter((row) => { const l = c.problem.lines[row.index]; return l.links || varies(l.weights); });
  if (!all.length) { fill(node); return; }
  const row = all.find((one) => one.method === state.traced) ?? all.find((one) => c.problem.lines[one.index].links) ?? all[0];
  const { steps, links, weights, n } = c.problem.lines[row.index];
  const panels = el("div", { class: "many" });
  fill(node, el("h2", { id: "traces-title" }, "Inside a method"),
    el("div", { class: "legend", role: "group", "aria-label": "Method" }, all.map((one) => el("button", {
      type: "button", "aria-pressed": String(one === row), "data-traced": one.method,
      onclick: () => { change({ traced: one.method }); [...document.querySelectorAll("[data-traced]")].find((b) => b.dataset.traced === one.method)?.focus(); },
    }, key(one.method), one.method))),
    links && el("p", { class: "lede" }, `Strength of the links between branches, mean over ${plural(n, "seed")}. Solid: from the auxiliary into the primary, one line per block. These must close, since deployment drops them. Dashed: from the primary into the auxiliary.`),
    links && panels);
  if (links) {
    const tasks = [...new Set(Object.keys(links).map((name) => name.split("/").slice(1).join("/")))];
    const top = Math.max(0.01, ...Object.values(links).flat(2).filter(isNumber));
    const boxes = tasks.map((task) => el("div", { class: "figure" }, el("h3", null, task)));
    panels.append(...boxes); // all of them first, since they share the width
    for (const [at, task] of tasks.entries()) {
      const series = Object.entries(links).filter(([name]) => name.split("/").slice(1).join("/") === task).flatMap(([name, blocks]) => blocks.map((values, i) => ({
        label: "", steps, values, colour: name.startsWith("a2p") ? "var(--better)" : "var(--worse)", dash: name.startsWith("a2p") ? null : "4 3",
        thin: !name.startsWith("a2p"), opacity: name.startsWith("a2p") ? 1 - 0.25 * Math.min(2, i) : 0.55,
      })));
      plot(boxes[at], series, { height: 150, title: `Links with ${task} of ${row.method}`, low: 0, high: top, labels: false });
    }
  }
  if (!weights) return;
  if (!varies(weights)) { add(node, [el("p", { class: "note" }, `Its task weights never change: ${Object.entries(weights).map(([name, v]) => `${name} ${v}`).join(", ")}.`)]); return; }
  const box = el("div", { class: "figure", style: { marginTop: ".9rem" } }, el("h3", null, "Weight of each task's loss"));
  node.append(box);
  const series = Object.entries(weights).map(([name, v], i) => ({ label: name, steps, values: Array.isArray(v) ? v : steps.map(() => v), colour: TASKS[i % TASKS.length], dash: i >= TASKS.length ? "4 3" : null }));
  plot(box, series, { height: 280, title: `Task weights of ${row.method}`, low: Math.min(0, ...series.flatMap((s) => s.values).filter(isNumber)) });
  if (box.clientWidth < 520) box.append(el("p", { class: "note" }, series.map((s) => [el("span", { style: { color: s.colour } }, "● "), `${s.label}  `])));
}
