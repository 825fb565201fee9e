// Elements. Texts of records only ever become text nodes.

const SVG = "http://www.w3.org/2000/svg";

// Characters that turn or hide text are written out.
const visible = (text) => text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g,
  (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
function add(node, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : document.createTextNode(visible(String(child))));
  }
  return node;
}
function set(node, attributes) {
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "style") Object.assign(node.style, value);
    else node.setAttribute(key, value === true ? "" : String(value));
  }
  return node;
}
const el = (tag, attributes, ...children) => add(set(document.createElement(tag), attributes), children);
const sv = (tag, attributes, ...children) => add(set(document.createElementNS(SVG, tag), attributes), children);
const $ = (id) => document.getElementById(id);
function fill(node, ...children) {
  node.replaceChildren();
  return add(node, children);
}

// Text in which names between backticks become code.
const marked = (text) => text.split("`").map((part, i) => (i % 2 ? el("code", null, part) : part));
const chip = (verdict) => el("span", { class: `chip ${verdict}` }, verdict);
const link = (text, action, label) =>
  el("button", { type: "button", class: "link", onclick: action, "aria-label": label }, text);
const announce = (text) => { $("live").textContent = text; };

// The symbol of a method at a place of a figure.
function symbol(method, x, y, r, attributes) {
  const { colour, shape } = lookOf(method);
  const common = { fill: colour, ...attributes };
  const path = (...points) => sv("path", { d: `M${points.map(([a, b]) => `${x + a * r},${y + b * r}`).join("L")}Z`, ...common });
  if (shape === "circle") return sv("circle", { cx: x, cy: y, r, ...common });
  if (shape === "square") return path([-0.9, -0.9], [0.9, -0.9], [0.9, 0.9], [-0.9, 0.9]);
  if (shape === "diamond") return path([0, -1.25], [1.25, 0], [0, 1.25], [-1.25, 0]);
  if (shape === "up") return path([0, -1.15], [1.15, 0.9], [-1.15, 0.9]);
  if (shape === "down") return path([0, 1.15], [1.15, -0.9], [-1.15, -0.9]);
  const a = 0.42, b = 1.15;
  return path([-a, -b], [a, -b], [a, -a], [b, -a], [b, a], [a, a], [a, b], [-a, b], [-a, a], [-b, a], [-b, -a], [-a, -a]);
}
const key = (method) =>
  sv("svg", { class: "key", viewBox: "-7 -7 14 14", "aria-hidden": "true" }, symbol(method, 0, 0, 5));

function saved(name, type, text) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const anchor = el("a", { href: url, download: name });
  document.body.append(anchor);
  anchor.click();
  anchor.remove();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}
// CSV that no spreadsheet takes for a formula.
function csv(rows, keys) {
  const cell = (value) => {
    if (value === null || value === undefined) return "";
    let text = Array.isArray(value) ? value.join(" ") : String(value);
    if (typeof value === "string" && /^[=@+\-\t\r]/.test(text) && !/^[+-]+\d/.test(text)) text = `'${text}`;
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [keys.join(","), ...rows.map((row) => keys.map((k) => cell(row[k])).join(","))].join("\n") + "\n";
}
function copying(text, label = "Copy") {
  const button = el("button", { type: "button", class: "quiet" }, label);
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      const range = document.createRange();
      const shown = button.closest("[data-copy]")?.querySelector("pre");
      if (shown) {
        range.selectNodeContents(shown);
        getSelection().removeAllRanges();
        getSelection().addRange(range);
        button.textContent = document.execCommand("copy") ? "Copied" : "Selected";
      }
    }
    announce(button.textContent);
    setTimeout(() => { button.textContent = label; }, 1500);
  });
  return button;
}
const copyable = (title, text) => el("div", { "data-copy": true },
  el("div", { class: "copied" }, el("h3", null, title), copying(text)), el("pre", null, text));

// Axes.
function ticks(low, high, count) {
  const span = high - low || 1;
  const rough = span / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const off = (m) => Math.abs(Math.log((m * power) / rough));
  const step = [1, 2, 5, 10].reduce((a, b) => (off(b) < off(a) ? b : a)) * power;
  const found = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k += 1) found.push(k * step);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  return { values: found, digits: Math.min(8, digits) };
}
const scale = (low, high, from, to) => (value) => from + ((value - low) / (high - low || 1)) * (to - from);
// A name that fits a width; what is cut is in its title.
function cut(text, room) {
  if (widthOf(text) <= room) return text;
  let short = text;
  while (short.length > 1 && widthOf(`${short}…`) > room) short = short.slice(0, -1);
  return `${short}…`;
}
let measurer = null;
function widthOf(text, font = "11.5px ui-monospace, Menlo, Consolas, monospace") {
  measurer ??= document.createElement("canvas").getContext("2d");
  measurer.font = font;
  return measurer.measureText(text).width * 1.04;
}
