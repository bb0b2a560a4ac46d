// What a reader in a hurry needs: the verdict, four figures, and what they mean.
function tile(name, big, small) {
  return el("div", {class: "tile"}, el("dt", null, name),
    el("dd", null, el("div", {class: "big"}, big), el("div", {class: "small"}, small)));
}

function verdictNodes(data) {
  const c = data.certificate, e = data.explain, fresh = e.rows.kind === "given";
  if (!c.certified)
    return [el("h1", null, "Refused: no agreement of " + target(c.alpha) + " could be proved, so every input still goes to the LLM."),
      el("p", null, "A refusal is an answer too. Nothing is handled at this target, and nothing changes for your traffic.")];
  const thousand = Math.round(1000 * c.coverage);
  return [el("h1", null, "The classifier handles " + percent(c.coverage) + " of the traffic, and is proved to agree with the LLM there at least " +
      target(c.alpha) + " of the time."),
    el("p", null, "Of every 1,000 inputs like those of the log, about " + count(thousand) + " need no LLM call; the other " +
      count(1000 - thousand) + " are deferred to it. The chance that a certificate like this one is false, with an agreement " +
      "below " + target(c.alpha) + " (α), is at most " + target(c.delta) + " (δ)."),
    fresh ? el("p", null, "On the rows given here it handles " + percent(e.coverage) + " and agrees " + percent(e.teacher_agreement) +
      " of the time.") : null];
}

function tileNodes(data) {
  const c = data.certificate, e = data.explain, fresh = e.rows.kind === "given";
  const interval = c.coverage_interval_95;
  const on = fresh ? "on the " + rowsText(e.n) + " given" : "on " + rowsText(e.n) + " it never learned from";
  const share = fresh ? e.coverage : c.coverage;
  const agreement = fresh ? e.teacher_agreement : c.teacher_agreement;
  const lower = fresh ? e.teacher_agreement_lower : c.teacher_agreement_lower;
  return el("dl", {class: "tiles"},
    tile("Handled without the LLM", percent(c.certified ? share : 0), !c.certified ? "all rows are deferred" :
      on + (!fresh && interval ? "; 95\u00a0% interval " + range(interval) : "")),
    tile("Agreement with the LLM", percent(c.certified ? agreement : null), !c.certified ? "nothing is handled, so there is none" :
      "of " + count(e.n_handled) + " handled rows; bound " + percentDown(lower) + (fresh ? " if rows are independent" : " at δ")),
    tile("Target α", plain(c.alpha), c.certified ? "agreement asked for: certified" : "agreement asked for: refused"),
    tile("Risk δ", plain(c.delta), "accepted chance of a false certificate"));
}

function refusalNotes(data) {
  const c = data.certificate, estimate = c.estimate || {}, notes = [];
  if (c.reason) notes.push(["Why: ", said(c.reason), "."]);
  const others = data.frontier.filter(f => f.certified);
  if (others.length > 0)
    notes.push("Certified at other targets of the same fit: " + others.map(f => "α " + plain(f.alpha) + " handles " + percent(f.coverage)).join(", ") + ".");
  else notes.push("None of the " + count(data.frontier.length) + " targets that were tried could be certified.");
  if (isNumber(estimate.best_alpha))
    notes.push("By estimate, the best target in reach is α " + plain(estimate.best_alpha) + ": ask for it in a fit of fresh traces, or plan more than one look.");
  else notes.push("By estimate, no target of 0.5 or more is in reach with these traces and vectors.");
  if (isNumber(estimate.traces_missing) && estimate.traces_missing > 0)
    notes.push("About " + count(estimate.traces_missing) + " more traces would do at today's agreement.");
  else if (!isNumber(estimate.traces_missing))
    notes.push("More traces alone would not get there: at today's agreement the labels are not told apart well enough. The reasons below say where.");
  return notes;
}

function addHeadline(data) {
  const c = data.certificate, e = data.explain;
  const node = el("section", {id: "headline", "aria-label": "Headline"});
  document.getElementById("main").append(node);
  document.getElementById("contents").append(el("li", null, el("a", {href: "#headline"}, "Headline")));
  node.append(el("div", {class: c.certified ? "verdict" : "verdict refused"}, verdictNodes(data)), tileNodes(data));
  const notes = c.certified ? [] : refusalNotes(data);
  const main = e.reasons.filter(r => r.n > 0).sort((a, b) => b.n - a.n).slice(0, 3);
  if (main.length > 0)
    notes.push("Mainly deferred because: " + main.map(r => r.text + " (" + percent(r.share) + " of " + rowsText(e.n - e.n_handled) + ")").join("; ") + ".");
  if (c.certified && data.policy.alpha_of_fit !== c.alpha && !data.policy.simultaneous)
    notes.push("This α is not the one the fit was asked for (" + plain(data.policy.alpha_of_fit) + "): its certificate holds alone, not for a target picked after seeing the curve.");
  if (c.unit !== "rows") notes.push("The proof takes " + visible(c.unit) + " of related rows as its unit, not single rows.");
  node.append(el("ul", {class: "notes"}, notes.map(note => el("li", null, note)),
    data.warnings.map(warning => el("li", {class: "warning"}, "Warning: ", said(warning)))));
}
