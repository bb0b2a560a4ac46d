// Tables that are sorted by their headers and filtered by a word. A column: {name, value(row)}, and as needed number,
// show(row) -> text, node or list of both, wide, header (the row's header cell), about (what the name means).
const SHOWN_AT_FIRST = 25;

function compare(a, b) {
  const missing = v => v === null || v === undefined || Number.isNaN(v);
  if (missing(a) || missing(b)) return 0;
  return typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
}

function sorted(rows, column, direction) {
  const value = row => {
    const v = column.value(row);
    return v === undefined || Number.isNaN(v) ? null : v;
  };
  // Rows without a value come last, whichever way.
  return rows.map((row, i) => ({row, i, v: value(row)})).sort((a, b) =>
    (a.v === null) - (b.v === null) || direction * compare(a.v, b.v) || a.i - b.i).map(e => e.row);
}

// words(row): the texts that the filter looks in; without them there is no filter.
function addTable(parent, {id, caption, columns, rows, words}) {
  let order = rows, sortedBy = -1, direction = 1, all = false, wanted = "";
  const body = el("tbody"), status = el("span", {role: "status", class: "about"});
  const more = el("button", {type: "button", class: "more", onclick: () => { all = true; draw(); }});
  const heads = columns.map((column, i) => el("th", {scope: "col", "aria-sort": "none", class: column.number ? "number" : null},
    el("button", {type: "button", title: column.about, onclick: () => sortBy(i)}, column.name)));
  const filter = el("input", {type: "search", id: id + "-filter", autocomplete: "off",
    oninput: event => { wanted = event.target.value.trim().toLowerCase(); draw(); }});

  function cell(column, row) {
    const shown = column.show ? column.show(row) : column.value(row);
    const content = shown === null || shown === undefined ? "–" : shown;
    if (column.header) return el("th", {scope: "row", class: column.wide ? "wide" : null}, content);
    return el("td", {class: column.number ? "number" : column.wide ? "wide" : null}, content);
  }
  function draw(printing) {
    const kept = wanted === "" ? order : order.filter(row => words(row).join("\n").toLowerCase().includes(wanted));
    const shown = all || printing ? kept : kept.slice(0, SHOWN_AT_FIRST);
    body.replaceChildren(...shown.map(row => el("tr", null, columns.map(column => cell(column, row)))));
    if (kept.length === 0)
      body.append(el("tr", null, el("td", {colspan: columns.length}, rows.length === 0 ? "None." : "No row matches.")));
    status.textContent = "Showing " + count(shown.length) + " of " + count(rows.length);
    more.hidden = shown.length === kept.length;
    more.textContent = "Show all " + count(kept.length);
  }
  function sortBy(i) {
    // Figures are looked at from the largest first.
    direction = sortedBy === i ? -direction : columns[i].number ? -1 : 1;
    sortedBy = i;
    order = sorted(rows, columns[i], direction);
    heads.forEach((head, j) =>
      head.setAttribute("aria-sort", j !== i ? "none" : direction > 0 ? "ascending" : "descending"));
    draw();
  }
  parent.append(
    words ? el("div", {class: "tools"}, el("label", {for: id + "-filter"}, "Filter", filter), status) : "",
    el("div", {class: "scroll", tabindex: "0", role: "region", "aria-label": caption},
      el("table", {id}, el("caption", null, caption), el("thead", null, el("tr", null, heads)), body)),
    more);
  window.addEventListener("beforeprint", () => draw(true));
  window.addEventListener("afterprint", () => draw());
  draw();
}

// Entries that a small page leaves out, in words.
function addLeftOut(parent, data, table, what) {
  const left = data.left_out[table];
  if (left) parent.append(el("p", {class: "about left-out"}, "This page keeps the most important; " + count(left.entries) + " further " + what + " are in the document of ", el("code", null, "tracer explain --json"), "."));
}
const bar = share => {
  const inner = el("span");
  inner.style.width = (100 * Math.min(Math.max(share, 0), 1)) + "%";
  return el("span", {class: "bar", "aria-hidden": "true"}, inner);
};
const list = items => items.length === 0 ? null : el("ul", null, items.map(item => el("li", null, item)));
