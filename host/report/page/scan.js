// The page of `tracer scan --html`: what could be handled before anything is trained.
const VERDICTS = {handle: "handle: agreement is proved", defer: "defer: disagreement is proved", open: "open: neither is proved"};
const usd = v => (v < 1 ? v.toFixed(4) : v.toLocaleString("en-GB", {maximumFractionDigits: 2})) + "\u00a0USD";

function addScanSource(data, s) {
  fill(document.getElementById("source"), null, ["Scan of ", said(data.traces), " (" + rowsText(s.rows) + ", " + count(s.labels) + " labels): " + count(s.split.n_vote) +
    " rows vote, and " + count(s.split.n_certify) + " that cast no vote are answered by the vote of their 10 nearest."]);
  document.title = "TRACER scan: " + visible(data.traces);
  document.getElementById("footer").append("tracer " + data.tool + ". α: agreement asked for. δ: accepted chance that a proof is wrong. The LLM (the teacher) is whatever gave the labels of the log. " +
    "Nothing was trained: a fit usually proves more. Every figure is of the document of tracer scan --json, except the map's places.");
}

function addScanHeadline(data, s) {
  const node = el("section", {id: "headline", "aria-label": "Headline"}), share = s.handled.share;
  document.getElementById("main").append(node);
  document.getElementById("contents").append(el("li", null, el("a", {href: "#headline"}, "Headline")));
  const asked = s.frontier.find(f => f.alpha === s.alpha);
  node.append(el("div", {class: s.certified ? "verdict" : "verdict refused"}, s.certified ?
    [el("h1", null, "Without any training, " + percent(share) + " of the traffic could be handled with an agreement of at least " + target(s.alpha) + "."),
      el("p", null, "The vote of the nearest traces is proved to agree there. The chance that this is wrong is at most " + target(s.delta) + " (δ). A fit usually finds more.")] :
    [el("h1", null, "Nothing is proved at an agreement of " + target(s.alpha) + "."),
      el("p", null, asked && asked.reason ? said(asked.reason) : "A fit may still find more.")]));
  const saving = s.saving, amount = saving ? saving.a_day_usd || saving.a_million_calls_usd : null;
  node.append(el("dl", {class: "tiles"},
    tile("Could be handled", percent(share), s.certified ? "interval " + range([s.handled.lower, s.handled.upper]) + " at δ" : "no share is proved"),
    tile("Agreement of the vote", percent(s.agreement_of_all), "on all " + rowsText(s.split.n_certify) + ", whatever its score"),
    amount ? tile("Saving " + (saving.a_day_usd ? "a day" : "a million calls"), usd(amount.share), usd(amount.lower) + " to " + usd(amount.upper) + (saving.tokens_are_guessed ? "; tokens are guessed" : "")) : null,
    tile("Target α", plain(s.alpha), s.certified ? "agreement asked for: proved" : "agreement asked for: refused")),
    el("ul", {class: "notes"}, s.warnings.map(warning => el("li", {class: "warning"}, "Warning: ", said(warning)))));
}

function addCells(data, s) {
  const node = section("cells", "Cells of the input space", "Cells", s.cells.length === 0 ? "Too few rows for cells." : "Groups of similar inputs (k-means cells of the vectors), easiest first. " +
    "The interval holds for all cells together; a cell says handle or defer when its interval lies on one side of α.");
  if (s.cells.length === 0) return;
  addTable(node, {id: "cells-table", caption: count(s.cells.length) + " cells, easiest first", rows: s.cells.map((c, i) => ({...c, number: i + 1})),
    words: c => [c.verdict, ...c.labels.map(l => labelName(l.label)), c.example.input],
    columns: [{name: "Cell", header: true, value: c => c.number, show: c => "Cell " + c.number},
      {name: "Verdict", value: c => c.verdict, show: c => c.verdict === "defer" ? el("span", {class: "flag"}, c.verdict) : c.verdict},
      {name: "Rows", number: true, value: c => c.rows, show: c => [count(c.rows), bar(c.rows / s.split.n_certify)]},
      {name: "Handled", about: "rows that the certificate would handle", number: true, value: c => c.handled, show: c => count(c.handled)},
      {name: "Agreement", about: "of the vote on all rows of the cell", number: true, value: c => c.agreement, show: c => percent(c.agreement)},
      {name: "Interval", number: true, value: c => c.agreement_lower, show: c => range([c.agreement_lower, c.agreement_upper])},
      {name: "Labels", wide: true, value: c => c.labels.length > 0 ? labelName(c.labels[0].label) : null, show: c => list(c.labels.map(l => [said(labelName(l.label)), " " + count(l.rows)]))},
      {name: "Example", wide: true, value: c => c.example.line, show: c => ["line " + c.example.line + ": ", c.example.input === "" ? "(no text)" : said(c.example.input)]}]});
}

const scan = data.scan;
addTheme();
addScanSource(data, scan);
addScanHeadline(data, scan);
addCurve({frontier: scan.frontier.map(f => ({...f, coverage: f.handled.share, teacher_agreement: f.agreement, teacher_agreement_lower: f.agreement_lower, method: "vote"})),
  certificate: {alpha: scan.alpha}, policy: {simultaneous: false},
  about: "The more agreement is asked for, the less can be handled. Each point is a target with a proof of its own at δ."});
if (data.map)
  addMap({map: data.map, explain: {n: scan.split.n_certify}, surrogate: "vote", part: "cell", verdicts: scan.cells.map(c => VERDICTS[c.verdict])});
addCells(data, scan);
finishPage();
