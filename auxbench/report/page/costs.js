// What a method costs: in training beside the plain sum, and in inference, with the proof of equality.

const TRAINED = [
  ["train_flops", "FLOPs", si], ["train_seconds", "seconds", (value) => fixed(value, 1)],
  ["training_parameters", "parameters", si], ["peak_memory_bytes", "GPU memory", (value) => (isNumber(value) ? `${si(value)}B` : "—")],
];
const LATENCIES = [["", "batch 1"], ["_8", "batch 8"], ["_32", "batch 32"]];

function drawCosts(c) {
  const base = c.problem.byMethod.get("hps") ?? c.control ?? null;
  const versus = base && `× ${base.method}`;
  const has = (key) => c.rows.some((row) => isNumber(row[key]));
  const kinds = ["forward", "backward", "partial", "jvp"].filter((kind) => kind.endsWith("ward") || c.rows.some((row) => row[kind]));
  const trained = TRAINED.filter(([key]) => key.startsWith("train_") || has(key));
  const batches = LATENCIES.filter(([size]) => size === "" || has(`latency${size}_ms`));
  const spread = has("latency_p95_ms");

  const cell = (...content) => el("td", { class: "n" }, content);
  const beside = (row, key) => base && el("td", { class: "n soft" }, times(row[key], base[key]));
  const busy = (row) => row.contended ? el("span", { class: "warn", title: `The machine was busy with other work in ${plural(row.contended, "run")}` }, "busy ") : null;
  const ms = (value) => fixed(value, value < 1 ? 3 : 1);
  const name = (row) => el("th", { class: "stick", scope: "row" }, key(row.method), el("span", { class: "name", title: row.method }, row.method));
  const table = (label, titles, cells) => el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `${label}, scrolls sideways` }, el("table", null,
    el("thead", null, el("tr", null, titles.filter(Boolean).map(([title, n = true]) => el("th", { class: n ? "n" : title === "method" ? "stick" : null, scope: "col" }, title)))),
    el("tbody", null, c.rows.map((row) => el("tr", null, name(row), cells(row))))));

  fill($("costs"), el("h2", { id: "costs-title" }, "What does a method cost?"),
    el("p", { class: "lede" }, `On ${c.problem.short}: means per run that gave a score.${base ? ` × is beside ${base.method === "hps" ? "the plain sum, hps" : base.method}.` : ""} Passes and FLOPs are counted and exact; seconds are not.`),
    el("h3", null, "Training"),
    table("Training costs", [["method", false], ...kinds.map((kind) => [{ partial: "partial backward", jvp: "forward-mode" }[kind] ?? kind]), ...trained.flatMap(([, title]) => [[title], versus && [versus]]), ["CPU s"], ["FLOPs of tuning"]],
      (row) => [kinds.map((kind) => cell(isNumber(row[kind]) ? row[kind].toLocaleString("en") : "—")),
        trained.map(([key, , write]) => [cell(key === "train_seconds" && busy(row), write(row[key])), beside(row, key)]),
        cell(fixed(row.cpu_seconds, 1)), cell(si(row.tuning_flops))]),
    el("h3", null, "Inference, of the deployed network"),
    table("Inference costs", [["method", false], ["parameters"], versus && [versus], ["MACs"], versus && [versus], ...batches.map(([, title]) => [`${title}, ms${spread ? ": p50 / p95" : ""}`]), ["beside the single-task network", false]],
      (row) => [cell(si(row.parameters)), beside(row, "parameters"), cell(si(row.macs)), beside(row, "macs"),
        batches.map(([size]) => cell(ms(row[`latency${size}_ms`]), spread && ` / ${ms(row[`latency${size}_p95_ms`])}`)),
        el("td", null, sameness(c.problem, row))]),
    el("p", { class: "note" }, `Latency is of a whole batch: the median of the runs' ${spread ? "medians and 95th percentiles" : "medians"}, on one class of machine.${has("latency_p95_ms") ? " The same graph: what torch.export makes of both networks has the same nodes with the same arguments and wiring, and parameters and buffers of the same shapes." : ""}`));
}

function sameness(problem, row) {
  if (row.same_as_single === false) return el("details", null, el("summary", { class: "warn" }, "another graph"), problem.differs[row.index] || "Its record does not say where it differs.");
  if (row.same_as_single !== true) return el("span", { class: "dim" }, "not compared");
  return el("span", { class: "good" }, row.compared === "exported graphs" ? "the same graph" : "the same operators");
}
