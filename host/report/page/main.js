// The page of `tracer report --html`.
function addSource() {
  const {policy, explain: e} = data, certify = e.rows.kind === "certify";
  const figures = certify ? ["Figures from the " + rowsText(e.n) + " set aside to certify on: none was learned from."] :
    ["Figures from " + rowsText(e.n) + " of ", said(e.rows.path), "; " + count(e.rows.as_learned) + " of them have the vector of a trace that was learned from."];
  fill(document.getElementById("source"), null, ["Policy ", said(policy.folder), ", fitted on ", said(policy.traces.path),
    " (" + rowsText(policy.traces.rows) + ", " + count(policy.labels) + " labels). ", ...figures]);
  document.title = "TRACER report: " + visible(policy.folder);
  document.getElementById("footer").append("tracer " + data.tool + "; policy " + e.policy + ". α: agreement asked for. δ: accepted chance of a false certificate. " +
    "The LLM (the teacher) is whatever gave the labels of the log; the classifier (the surrogate) is what TRACER learned. " +
    "Every figure is of the file that tracer explain writes, except the certificates' and the map's places.");
}

const whys = new Map(data.explain.reasons.map(r => [r.reason, r.text]));
addTheme();
addSource();
addHeadline(data);
addCurve(data);
addGrowth(data);
addSince(data);
addFlow(data);
addMap(data);
addReasons(data);
addLabels(data);
addRegions(data);
addSuspects(data);
addBoundary(data, why => whys.get(why) || why);
addSlices(data);
finishPage();
