// The page's data, unpacked, and what is derived from them: tiers and fronts among the rows shown.

const DATA = JSON.parse(document.getElementById("data").textContent);

function unpack({ count, columns }) {
  const keys = Object.keys(columns);
  return Array.from({ length: count }, (_, i) => {
    const row = {};
    for (const key of keys) {
      const value = columns[key];
      row[key] = Array.isArray(value) ? value[i] : value;
    }
    return row;
  });
}

const PROBLEMS = DATA.problems.map((raw, number) => {
  const rows = unpack(raw.board);
  rows.forEach((row, i) => {
    row.index = i;
    row.families = raw.families[i];
    row.parts = raw.parts[i];
    row.problemNumber = number;
  });
  const comparisons = {};
  for (const [control, found] of Object.entries(raw.comparisons)) {
    const list = unpack(found);
    const byMethod = new Map();
    list.forEach((row, i) => {
      row.differences = found.differences[i];
      row.sentence = found.sentences[i];
      row.digits = found.digits;
      byMethod.set(row.method, row);
    });
    comparisons[control] = { rows: list, byMethod, conclusion: found.conclusion };
  }
  let runs = null;
  return {
    ...raw, number, rows, comparisons,
    byMethod: new Map(rows.map((row) => [row.method, row])),
    get runs() { return (runs ??= unpack(raw.runs)); },
  };
});

const METHODS = [...new Set(PROBLEMS.flatMap((p) => p.rows.map((row) => row.method)))];

// Whether the decision rules tell two rows of a board apart; decided in Python, over all pairs.
function apart(problem, one, other) {
  const [i, j] = one.index < other.index ? [one.index, other.index] : [other.index, one.index];
  const n = problem.rows.length;
  return i !== j && problem.apart[(i * (2 * n - i - 1)) / 2 + j - i - 1] === "1";
}

// The tier of every row: the best of those left, and all that cannot be told apart from it.
function tiersOf(problem, rows) {
  const found = new Map();
  let left = [...rows].sort((a, b) => a.index - b.index);
  for (let tier = 1; left.length; tier += 1) {
    const [first] = left;
    for (const row of left) if (row === first || !apart(problem, first, row)) found.set(row, tier);
    left = left.filter((row) => !found.has(row));
  }
  return found;
}

// The row that dominates each row: decided better, and known to cost no more. None: on the front.
function dominators(problem, rows, cost) {
  const found = new Map();
  const known = rows.filter((row) => row[cost] !== null);
  for (const row of known) {
    found.set(row, known.find((other) =>
      other.index < row.index && other[cost] <= row[cost] && apart(problem, other, row)) ?? null);
  }
  return found;
}

// From the cheapest row upwards: the cheapest that is decided better than the one before, and so on.
function ladder(problem, rows, cost) {
  const known = rows.filter((row) => isNumber(row[cost])).sort((a, b) => a[cost] - b[cost] || a.index - b.index);
  const steps = known.slice(0, 1);
  while (steps.length) {
    const last = steps[steps.length - 1];
    const better = known.filter((row) => row.index < last.index && row[cost] >= last[cost] && apart(problem, row, last));
    if (!better.length) break;
    const least = better[0][cost];
    steps.push(better.filter((row) => row[cost] <= least * 1.02).sort((a, b) => a.index - b.index)[0]);
  }
  return steps;
}

function runsOf(problem, method) {
  const row = problem.byMethod.get(method);
  return row ? problem.runs.filter((run) => run.method === row.index) : [];
}

function commandOf(run) {
  if (run.command === null) return "";
  const [head, tail] = DATA.pools.commands[run.command];
  return head.startsWith("auxbench run")
    ? `${head} --seeds ${run.seed}-${run.seed}${tail}` : head + tail;
}

// Numbers as people read them.
const isNumber = (value) => typeof value === "number" && Number.isFinite(value);
function fixed(value, digits, signed = false) {
  if (!isNumber(value)) return "—";
  const text = Math.abs(value).toFixed(digits);
  if (Number(text) === 0) return text;
  return (value < 0 ? "−" : signed ? "+" : "") + text;
}
function si(value) {
  if (!isNumber(value)) return "—";
  for (const [size, prefix] of [[1e18, "E"], [1e15, "P"], [1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (Math.abs(value) >= 0.9995 * size) return `${Number((value / size).toPrecision(3))} ${prefix}`;
  }
  return String(Number(value.toPrecision(3)));
}
function times(value, base) {
  if (!isNumber(value) || !isNumber(base) || !base) return "—";
  const ratio = value / base;
  return `${ratio >= 9.95 ? ratio.toFixed(0) : ratio >= 0.095 ? ratio.toFixed(1) : ratio.toPrecision(1)} ×`;
}
const bounds = (low, high, digits, signed = false) =>
  isNumber(low) && isNumber(high) ? `[${fixed(low, digits, signed)}, ${fixed(high, digits, signed)}]` : "—";
const plural = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;

// A colour and a mark per method, the same as in figures.
const LOOKS = new Map(Object.entries(DATA.looks));
function lookOf(method) {
  const [colour, shape] = LOOKS.get(method) ?? [null, "circle"];
  return { colour: colour === null ? "var(--soft)" : `var(--c${colour})`, shape };
}
