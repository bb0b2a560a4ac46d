// Coverage against alpha: what each target would cost.
function addCurve(data) {
  const node = section("curve", "Coverage against α", "Curve",
    data.about || "The more agreement is asked for, the less can be handled. Each point is a target of the fit with a certificate of its own" +
    (data.policy.simultaneous ? "; all of them hold together." : "; choosing one after seeing them all needs a fit with --simultaneous."));
  const targets = data.frontier, chosen = data.certificate.alpha;
  const width = 860, height = 300, left = 58, right = 24, top = 34, bottom = 46;
  const low = Math.min(...targets.map(t => t.alpha)), high = Math.max(...targets.map(t => t.alpha));
  const pad = Math.max((high - low) * 0.05, 0.005);
  const x = a => left + (width - left - right) * (a - low + pad) / (high - low + 2 * pad);
  const y = c => top + (height - top - bottom) * (1 - c);
  const drawing = svg("svg", {class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-labelledby": "curve-name curve-text"},
    svg("title", {id: "curve-name"}, "Coverage against alpha"),
    svg("desc", {id: "curve-text"}, targets.map(t => "alpha " + plain(t.alpha) + ": " +
      (t.certified ? percent(t.coverage) + " handled" : "refused") + (t.alpha === chosen ? " (the current choice)" : "")).join("; ")));
  for (const c of [0, .25, .5, .75, 1])
    drawing.append(svg("line", {class: c === 0 ? "axis" : "grid", x1: left, x2: width - right, y1: y(c), y2: y(c)}),
      svg("text", {class: "soft", x: left - 8, y: y(c) + 4, "text-anchor": "end"}, (100 * c) + " %"));
  let last = -99;
  for (const t of targets) {
    if (x(t.alpha) - last < 34 && t.alpha !== chosen) continue;
    last = x(t.alpha);
    drawing.append(svg("text", {class: "soft", x: last, y: height - bottom + 18, "text-anchor": "middle"}, plain(t.alpha)));
  }
  drawing.append(svg("text", {class: "soft", x: (left + width - right) / 2, y: height - 8, "text-anchor": "middle"}, "α: agreement with the LLM asked for"));
  const certified = targets.filter(t => t.certified);
  if (certified.length > 1)
    drawing.append(svg("polyline", {class: "curve", points: certified.map(t => x(t.alpha) + "," + y(t.coverage)).join(" ")}));
  for (const t of targets) {
    const at = x(t.alpha), up = y(t.certified ? t.coverage : 0);
    if (t.certified) drawing.append(svg("circle", {class: "point", cx: at, cy: up, r: 5}, svg("title", null, plain(t.alpha) + ": " + percent(t.coverage))));
    else drawing.append(svg("path", {class: "cross", d: `M${at - 6} ${up - 6}l12 12m0 -12l-12 12`}, svg("title", null, plain(t.alpha) + ": refused")));
    if (t.alpha === chosen) {
      const text = t.certified ? percent(t.coverage) + " handled at α " + plain(t.alpha) : "refused at α " + plain(t.alpha);
      // The curve falls: above to the right and below to the left of a point it leaves room.
      const late = at > width * .6, below = late && t.certified;
      drawing.append(svg("circle", {class: "ring", cx: at, cy: up, r: 10}),
        svg("text", {x: at + (late ? -14 : 14), y: below ? up + 26 : up - 16, "text-anchor": late ? "end" : "start", "font-weight": 700}, text));
    }
  }
  node.append(drawing);
  addTable(node, {
    id: "targets", caption: "Targets: circles are certified, crosses are refused, the ring is the current choice",
    rows: targets,
    columns: [
      {name: "α", number: true, value: t => t.alpha, show: t => plain(t.alpha) + (t.alpha === chosen ? " (current)" : "")},
      {name: "Certified", value: t => t.certified ? "yes" : "refused", show: t => t.certified ? "yes" : el("span", {class: "flag"}, "refused")},
      {name: "Coverage", number: true, value: t => t.coverage, show: t => percent(t.certified ? t.coverage : 0)},
      {name: "Agreement", number: true, value: t => t.teacher_agreement, show: t => percent(t.teacher_agreement)},
      {name: "At least", number: true, value: t => t.teacher_agreement_lower, show: t => percentDown(t.teacher_agreement_lower)},
      {name: "Method", value: t => t.method, show: t => said(t.method)},
      {name: "Why refused", wide: true, value: t => t.reason || null, show: t => t.reason ? said(t.reason) : null},
    ]});
}
