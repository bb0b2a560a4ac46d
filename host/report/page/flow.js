// Where the rows go: label, decision, reason. Heights are rows; every figure is a sum over the explanation's labels.
const FLOW_LABELS = 12;

// left: labels that the page leaves out, as one; or nothing.
function flowOf(e, left) {
  const of = l => {
    const deferred = sum(Object.values(l.deferred), n => n);
    return {name: labelName(l.label), n: l.n, deferred, handled: l.n - deferred};
  };
  const known = e.labels.filter(l => l.n > 0).map(of).sort((a, b) => b.n - a.n);
  const others = left ? [{n: left.n, handled: left.n - left.deferred, deferred: left.deferred}] : [], all = known.concat(others);
  const unknown = {n: e.n - sum(all, l => l.n), handled: e.n_handled - sum(all, l => l.handled)};
  unknown.deferred = unknown.n - unknown.handled;
  const rest = known.slice(FLOW_LABELS).concat(others), more = known.length - FLOW_LABELS + (left ? left.entries : 0);
  const labels = known.slice(0, FLOW_LABELS);
  if (rest.length > 0)
    labels.push({name: count(more) + (more === 1 ? " other label" : " other labels"), n: sum(rest, l => l.n),
      handled: sum(rest, l => l.handled), deferred: sum(rest, l => l.deferred)});
  if (unknown.n > 0) labels.push({name: "labels the policy does not know", ...unknown});
  const ends = [];
  if (e.n_handled > 0) ends.push({name: "agrees with the LLM", n: e.n_agree, from: "handled", style: "flow-handled"},
    {name: "disagrees", n: e.n_handled - e.n_agree, from: "handled", style: "flow-bad"});
  for (const r of e.reasons.filter(r => r.n > 0).sort((a, b) => b.n - a.n))
    ends.push({name: r.text, n: r.n, from: "deferred", style: "flow-deferred"});
  return {labels, ends: ends.filter(end => end.n > 0)};
}

function addFlow(data) {
  const e = data.explain, {labels, ends} = flowOf(e, data.left_out.labels);
  const node = section("flow", "Where the rows go", "Flow", "From the LLM's label, through the decision, to what came of it. Heights are numbers of rows.");
  const width = 960, gap = 7, least = 1.5, room = 400, boxes = 14;
  const decisions = [{name: "handled", n: e.n_handled, style: "flow-handled"}, {name: "deferred", n: e.n - e.n_handled, style: "flow-deferred"}].filter(d => d.n > 0);
  const scale = room / Math.max(e.n, 1), high = n => Math.max(n * scale, least);
  // Text needs its line, however thin the box.
  const place = (column, x) => {
    let y = 26;
    for (const box of column) {
      box.x = x, box.y = y, box.h = high(box.n), box.out = y, box.in = y;
      y += Math.max(box.h + gap, 17);
    }
    return y;
  };
  const columns = [[labels, 250], [decisions, 470], [ends, 640]];
  const bottom = Math.max(...columns.map(([column, x]) => place(column, x)));
  const total = e.n;
  const drawing = svg("svg", {class: "chart", viewBox: `0 0 ${width} ${bottom + 6}`, role: "img", "aria-labelledby": "flow-name flow-text"},
    svg("title", {id: "flow-name"}, "Flow of rows from label to decision to reason"),
    svg("desc", {id: "flow-text"}, decisions.concat(ends).map(box => box.name + ": " + rowsText(box.n)).join("; ") + ". The table below has the figures."));
  const ribbon = (from, to, n, style, text) => {
    if (n <= 0) return;
    const h = Math.max(n * scale, .6), a = from.x + boxes, b = to.x, middle = (a + b) / 2;
    const y1 = from.out, y2 = to.in;
    from.out += n * scale, to.in += n * scale;
    drawing.append(svg("path", {class: "ribbon " + style,
      d: `M${a} ${y1}C${middle} ${y1} ${middle} ${y2} ${b} ${y2}V${y2 + h}C${middle} ${y2 + h} ${middle} ${y1 + h} ${a} ${y1 + h}Z`},
      svg("title", null, text + ": " + rowsText(n))));
  };
  for (const decision of decisions)
    for (const label of labels) ribbon(label, decision, label[decision.name], decision.style, label.name + " → " + decision.name);
  for (const end of ends) ribbon(decisions.find(d => d.name === end.from), end, end.n, end.style, end.from + " → " + end.name);
  const short = (text, most) => [...text].length > most ? [...text].slice(0, most - 1).join("") + "…" : text;
  const box = (b, style, side, text) => drawing.append(
    svg("rect", {class: style, x: b.x, y: b.y, width: boxes, height: b.h}, svg("title", null, b.name + ": " + rowsText(b.n))),
    svg("text", {x: side < 0 ? b.x - 6 : b.x + boxes + 6, y: b.y + Math.min(b.h / 2, 200) + 4, "text-anchor": side < 0 ? "end" : "start"}, text));
  for (const [x, text, anchor] of [[264, "LLM's label", "end"], [470, "decision", "start"], [640, "outcome or reason", "start"]])
    drawing.append(svg("text", {class: "soft", x, y: 14, "text-anchor": anchor}, text));
  for (const label of labels) box(label, "flow-label", -1, short(label.name, 27) + " " + count(label.n));
  for (const d of decisions) box(d, d.style, 1, d.name + " " + percent(d.n / total));
  for (const end of ends) box(end, end.style, 1, short(end.name, 31) + " " + count(end.n));
  node.append(drawing);
  const details = el("details", {class: "alternative"}, el("summary", null, "The same as a table"));
  node.append(details);
  addTable(details, {
    id: "flow-table", caption: "Rows by label and decision", rows: labels,
    columns: [{name: "LLM's label", header: true, value: l => l.name, show: l => said(l.name)},
      {name: "Rows", number: true, value: l => l.n, show: l => count(l.n)},
      {name: "Handled", number: true, value: l => l.handled, show: l => count(l.handled)},
      {name: "Deferred", number: true, value: l => l.deferred, show: l => count(l.deferred)}]});
}
