// What was gained and lost since an earlier policy, where there is one to compare with.
function addSince(data) {
  const s = data.explain.since;
  if (!s) return;
  const names = all => all.length === 0 ? "none" : all.map((l, i) => [i > 0 ? ", " : "", said(labelName(l))]).flat();
  const whys = all => list(all.slice(0, 3).map(w => w.text + " " + count(w.n)));
  const node = section("since", "Since the last version", "Last version", "Both policies on the same " + rowsText(s.n) + (s.rows_left_out > 0 ? "; " + rowsText(s.rows_left_out) + " that one of them learned from left out" : "") +
    ". Gained: handled now and deferred before, with the reason before. Lost: the other way round, with the reason now. A flagged entry moved by more than chance; all flags hold together at 5 %.");
  node.append(el("p", null, "Earlier policy: ", said(s.folder), " (α " + plain(s.alpha) + (s.certified ? ")" : ", refused)") + ". Coverage " + percent(s.coverage.before) + " → " + percent(s.coverage.now) +
    ", agreement " + percent(s.teacher_agreement.before) + " → " + percent(s.teacher_agreement.now) + "; " + rowsText(s.gained) + " gained and " + count(s.lost) + " lost."),
    el("p", null, "Labels that only this policy can answer: ", names(s.labels_gained), ". Only the earlier one: ", names(s.labels_lost), "."));
  const columns = first => [first,
    {name: "Rows", number: true, value: r => r.n, show: r => count(r.n)},
    {name: "Before", number: true, about: "coverage", value: r => r.coverage.before, show: r => percent(r.coverage.before)},
    {name: "Now", number: true, about: "coverage", value: r => r.coverage.now, show: r => r.flag ? el("span", {class: "flag"}, percent(r.coverage.now), " differs") : percent(r.coverage.now)},
    {name: "Gained", number: true, value: r => r.gained, show: r => count(r.gained)},
    {name: "Were", wide: true, about: "reasons to defer, before", value: r => r.gained_why.length, show: r => whys(r.gained_why)},
    {name: "Lost", number: true, value: r => r.lost, show: r => count(r.lost)},
    {name: "Are now", wide: true, about: "reasons to defer, now", value: r => r.lost_why.length, show: r => whys(r.lost_why)},
    {name: "p", about: "McNemar's exact test, corrected (Holm)", number: true, value: r => r.p, show: r => r.p < .001 ? "< 0.001" : String(Number(r.p.toPrecision(2)))}];
  addTable(node, {id: "since-labels-table", caption: count(s.labels.length) + (s.labels.length === 1 ? " label" : " labels") + " with a row gained or lost, the most moved first", rows: s.labels, words: r => [labelName(r.label)],
    columns: columns({...label("Label", "label"), header: true})});
  addLeftOut(node, data, "since", "labels");
  addTable(node, {id: "since-regions-table", caption: count(s.regions.length) + (s.regions.length === 1 ? " region" : " regions") + " with a row gained or lost, the most moved first", rows: s.regions, words: r => r.labels.map(l => labelName(l.label)),
    columns: columns({name: "Region", header: true, value: r => r.region, show: r => ["Region " + (r.region + 1) + ": ", names(r.labels.map(l => l.label))]})});
}
