// What more traces would give, where the explanation was asked for a learning curve.
const gainText = g => isNumber(g.gain) ? "about " + percent(g.gain) + " more (" + range([g.gain_low, g.gain_high]) + ")" : null;

function addGrowth(data) {
  const g = data.explain.learning_curve;
  if (!g) return;
  const node = section("growth", "What more traces would give", "More traces", "Coverage of the same rows by fits of parts of the log (" + count(g.fits) +
    "), and by the policy itself. " + (isNumber(g.gain) ? count(g.more) + " more traces like these give " + gainText(g) + " coverage; with ever more, coverage levels off at about " + percent(g.plateau) + (isNumber(g.plateau_low) ? " (" + range([g.plateau_low, g.plateau_high]) + ")" : "") + "." :
      "What more traces would give cannot be told: " + visible(g.reason) + "."));
  const width = 860, height = 280, left = 58, right = 120, top = 24, bottom = 46;
  const last = g.points[g.points.length - 1], end = isNumber(g.gain) ? g.traces + g.more : g.traces;
  const first = g.points[0].traces, shown = g.points.filter(p => isNumber(p.coverage));
  const span = Math.log(end / first) || 1;
  const x = n => left + (width - left - right) * Math.log(n / first) / span, y = c => top + (height - top - bottom) * (1 - c);
  const drawing = svg("svg", {class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-labelledby": "growth-name growth-text"},
    svg("title", {id: "growth-name"}, "Coverage against the number of traces"),
    svg("desc", {id: "growth-text"}, shown.map(p => count(p.traces) + " traces: " + percent(p.coverage)).join("; ") +
      (isNumber(g.gain) ? "; " + count(end) + " traces: " + percent(last.coverage + g.gain) + " by the curve" : "")));
  for (const c of [0, .25, .5, .75, 1])
    drawing.append(svg("line", {class: c === 0 ? "axis" : "grid", x1: left, x2: width - right, y1: y(c), y2: y(c)}),
      svg("text", {class: "soft", x: left - 8, y: y(c) + 4, "text-anchor": "end"}, (100 * c) + " %"));
  drawing.append(svg("text", {class: "soft", x: (left + width - right) / 2, y: height - 8, "text-anchor": "middle"}, "traces (each step to the right multiplies them)"),
    svg("polyline", {class: "curve", points: shown.map(p => x(p.traces) + "," + y(p.coverage)).join(" ")}));
  for (const p of shown)
    drawing.append(svg("text", {class: "soft", x: x(p.traces), y: height - bottom + 18, "text-anchor": "middle"}, count(p.traces)),
      svg("circle", {class: "point", cx: x(p.traces), cy: y(p.coverage), r: 5}, svg("title", null, count(p.traces) + " traces: " + percent(p.coverage))));
  drawing.append(svg("circle", {class: "ring", cx: x(last.traces), cy: y(last.coverage), r: 10}));
  if (isNumber(g.gain)) {
    const low = y(Math.min(last.coverage + g.gain_low, 1)), high = y(Math.min(last.coverage + g.gain_high, 1)), at = y(Math.min(last.coverage + g.gain, 1));
    drawing.append(svg("line", {class: "forecast", x1: x(last.traces), y1: y(last.coverage), x2: x(end), y2: at}),
      svg("line", {class: "interval", x1: x(end), x2: x(end), y1: low, y2: high}),
      svg("circle", {class: "point", cx: x(end), cy: at, r: 4}),
      svg("text", {class: "soft", x: x(end), y: height - bottom + 18, "text-anchor": "middle"}, count(end)),
      svg("text", {x: x(end) + 12, y: at + 18, "font-weight": 700}, percent(Math.min(last.coverage + g.gain, 1))));
  }
  node.append(drawing);
  const at = i => ({name: count(g.points[i].traces), number: true, about: "coverage of the label's rows by fits of " + percent(g.points[i].traces / g.traces) + " of the log",
    value: l => l.points[i].coverage, show: l => percent(l.points[i].coverage)});
  addTable(node, {id: "growth-table", caption: "Coverage by label and traces of the whole log, and what more traces of the label give in a log that grows alike", rows: g.labels.slice().sort((a, b) => (b.gain_low > 0) - (a.gain_low > 0) || (b.gain || 0) - (a.gain || 0)),
    words: l => [labelName(l.label)],
    columns: [{...label("Label", "label"), header: true}, {name: "Its traces", number: true, value: l => l.traces, show: l => count(l.traces)},
      {name: "Rows", about: "that it is looked at on", number: true, value: l => l.n, show: l => count(l.n)},
      ...g.points.map((_, i) => at(i)),
      {name: "More", about: "traces of it to come", number: true, value: l => l.more, show: l => count(l.more)},
      {name: "Give about", number: true, value: l => l.gain, show: l => percent(l.gain)},
      {name: "90 % interval", value: l => isNumber(l.gain) ? l.gain_low : null, show: l => isNumber(l.gain) ? range([l.gain_low, l.gain_high]) : visible(l.reason)}]});
  addLeftOut(node, data, "learning_curve", "labels");
}
