// Predictions that were kept: pictures of test samples beside their truth and the error.

const KEPT = DATA.predictions?.runs ?? {};

function keptOf(problem) {
  return problem.runs.filter((run) => Object.hasOwn(KEPT, run.id)).sort((a, b) => a.method - b.method || a.seed - b.seed);
}

// One sample of a strip, in which samples stand one below another.
function sample(run, place, number, label) {
  const image = el("img", { src: `data:image/png;base64,${DATA.predictions.pictures[place]}`, alt: label, title: label,
    style: { transform: `translateY(${(-100 * number) / run.samples}%)` } });
  return el("div", { class: "shot", style: { aspectRatio: `${run.width} / ${run.height}` } }, image);
}
function shots(run, task) {
  const columns = [["Picture", run.picture], ["Truth", task.truth], ["Prediction", task.prediction], ["Error", task.difference]].filter(([, place]) => isNumber(place));
  const under = (title, i) => ({ Truth: task.ranges[i], Error: task.captions[i] })[title];
  const cells = Array.from({ length: run.samples }, (_, i) => columns.map(([title, place]) => el("figure", null,
    sample(run, place, i, `${title}${title === "Picture" ? "" : ` of ${task.name}`}, test sample ${i + 1}`),
    under(title, i) && el("figcaption", null, under(title, i)))));
  return [el("div", { class: "shots", style: { gridTemplateColumns: `repeat(${columns.length}, minmax(0, ${Math.max(150, Math.min(230, run.width * 3))}px))` } },
    columns.map(([title]) => el("b", null, title)), cells),
  task.key.length > 0 && el("p", { class: "swatches" }, task.key.map(([colour, text]) => el("span", null, colour && el("i", { style: { background: colour } }), text))),
  el("p", { class: "note" }, task.network === "deployed" ? "Predicted by the deployed network. " : "Predicted by the network in training, which is not what is deployed. ",
    task.scale && `${task.scale} Numbers are means over the pixels with a label; those without are dark grey.`)];
}

function drawPredictions(c) {
  const box = $("predictions");
  const kept = keptOf(c.problem);
  if (!kept.length) { fill(box); return; }
  const run = kept.find((one) => one.id === state.pictured)
    ?? kept.find((one) => c.problem.rows[one.method].method === comparisonOf(c.problem)?.conclusion.use) ?? kept[0];
  const shown = KEPT[run.id];
  const task = shown.tasks.find((one) => one.name === state.task) ?? shown.tasks[0];
  const choose = (label, name, options, value) => el("label", { class: "field" }, label,
    el("select", { "data-field": name, onchange: (event) => { change({ [name]: event.target.value }); document.querySelector(`[data-field="${name}"]`)?.focus(); } },
      options.map(([id, text]) => el("option", { value: id, selected: id === value }, text))));
  fill(box, el("div", { class: "head" },
    el("div", null, el("h2", { id: "predictions-title" }, "Predictions"), el("p", { class: "lede" }, `The first ${plural(shown.samples, "test sample")} on ${c.problem.short}. They illustrate; what can be concluded is above.`)),
    el("div", { class: "tools" }, choose("Run", "pictured", kept.map((one) => [one.id, `${c.problem.rows[one.method].method}, seed ${one.seed}`]), run.id),
      choose("Task", "task", shown.tasks.map((one) => [one.name, one.name]), task.name))),
  shots(shown, task),
  DATA.predictions.note && el("p", { class: "note" }, DATA.predictions.note));
}
