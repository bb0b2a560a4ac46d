// Building blocks. Text from the data reaches the page through textContent alone, so that it is never markup.
const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat()) {
    if (child === null || child === undefined) continue;
    node.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return node;
}
const el = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

// Characters that are not seen, or turn the writing around, are named.
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;
function visible(text) {
  return String(text).replace(/[\t\n\r]+/g, " ").replace(UNSEEN, c =>
    "<U+" + c.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0") + ">");
}
// Text of the data, in its own direction; names with underscores may break after one.
const said = text => el("bdi", {dir: "auto"}, visible(text).split(/(?<=[_/])/).flatMap((part, i) => i > 0 ? [el("wbr"), part] : [part]));
const labelName = label => label === null || label === undefined ? "(a label the policy does not know)" : visible(label);

const isNumber = v => typeof v === "number" && isFinite(v);
const percent = (v, digits = 1) => isNumber(v) ? (100 * v).toFixed(digits) + "\u00a0%" : "–";
// Rounded so that a bound never looks better than it is.
const percentDown = v => isNumber(v) ? (Math.floor(1000 * v + 1e-9) / 10).toFixed(1) + "\u00a0%" : "–";
// A target, which is a round number: 95 %.
const target = v => plain(100 * v) + "\u00a0%";
const count = v => isNumber(v) ? v.toLocaleString("en-GB") : "–";
const plain = v => isNumber(v) ? String(Number(v.toPrecision(4))) : "–";
const rowsText = n => count(n) + (n === 1 ? " row" : " rows");
const sum = (all, f) => all.reduce((total, one) => total + f(one), 0);

const range = pair => percent(pair[0]).replace("\u00a0%", "") + (pair[0] < 0 || pair[1] < 0 ? " to " : "–") + percent(pair[1]);

// link: what the table of contents calls it.
function section(id, title, link, about) {
  const node = el("section", {id, "aria-labelledby": id + "-title"},
    el("h2", {id: id + "-title"}, title), about ? el("p", {class: "about"}, about) : null);
  document.getElementById("main").append(node);
  document.getElementById("contents").append(el("li", null, el("a", {href: "#" + id}, link)));
  return node;
}
