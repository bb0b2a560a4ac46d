// The tables of the explanation, section by section.
const answeredColumns = of => [
  {name: "Agreement", number: true, value: r => of(r).teacher_agreement, show: r => percent(of(r).teacher_agreement)},
  {name: "At least", about: "one-sided bound of this entry by itself", number: true, value: r => of(r).teacher_agreement_lower, show: r => percentDown(of(r).teacher_agreement_lower)},
  {name: "Fresh rows", about: "95 % interval for as many handled rows to come", number: true,
    value: r => of(r).teacher_agreement_fresh ? of(r).teacher_agreement_fresh[0] : null,
    show: r => of(r).teacher_agreement_fresh ? range(of(r).teacher_agreement_fresh) : null}];
const coverageColumn = {name: "Coverage", number: true, value: r => r.coverage, show: r => [percent(r.coverage), isNumber(r.coverage) ? bar(r.coverage) : null]};
const labelsText = labels => labels.map(l => [said(labelName(l.label)), " " + count(l.n)]);
const rowText = r => ["line " + r.line + (r.id ? ", " + visible(r.id) : "") + ": ", r.input === null ? "(no text)" : said(r.input)];
const searched = r => [r.input || "", r.id || "", "line " + r.line, labelName(r.teacher), labelName(r.surrogate)];
const label = (name, key) => ({name, value: r => labelName(r[key]), show: r => said(labelName(r[key]))});

function addReasons({explain: e}) {
  const node = section("reasons", "Why rows are deferred", "Reasons", "Each deferred row has one reason, the first that applies. “Would agree” is how often the classifier would have given the LLM's answer there.");
  const about = r => (r.pairs || []).map(p => p.labels ? [said(labelName(p.labels[0])), " / ", said(labelName(p.labels[1])), " " + count(p.n)] :
    ["traces " + p.traces.map(t => t.row).join(" and ") + ": ", said(labelName(p.traces[0].label)), " / ", said(labelName(p.traces[1].label)), " " + count(p.n)]);
  addTable(node, {id: "reasons-table", caption: "Reasons to defer, of " + rowsText(e.n - e.n_handled) + " deferred", rows: e.reasons.filter(r => r.n > 0).sort((a, b) => b.n - a.n),
    words: r => [r.text, r.help, ...(r.labels || []).map(l => labelName(l.label))],
    columns: [{name: "Reason", header: true, value: r => r.text},
      {name: "Rows", number: true, value: r => r.n, show: r => count(r.n)},
      {name: "Of deferred", number: true, value: r => r.share, show: r => [percent(r.share), bar(r.share)]},
      {name: "Would agree", number: true, value: r => r.would_agree, show: r => percent(r.would_agree)},
      {name: "Most often", wide: true, value: r => r.n, show: r => list(r.pairs && r.pairs.length > 0 ? about(r) : labelsText(r.labels || []))},
      {name: "What would help", wide: true, value: r => r.help}]});
}

function addLabels(data) {
  const e = data.explain;
  const node = section("labels", "Labels", "Labels", "Rows and coverage are of the LLM's label; the answers are of the classifier's label. Bounds hold for each label by itself: of many labels, some fail.");
  addTable(node, {id: "labels-table", caption: count(e.labels.length) + " labels", rows: e.labels, words: l => [labelName(l.label), ...l.taken_for.map(t => labelName(t.label))],
    columns: [{...label("Label", "label"), header: true},
      {name: "Learned from", number: true, value: l => l.n_learn, show: l => count(l.n_learn)},
      {name: "Rows", number: true, value: l => l.n, show: l => count(l.n)},
      coverageColumn,
      {name: "Answered", number: true, value: l => l.answered.n_handled, show: l => count(l.answered.n_handled)},
      ...answeredColumns(l => l.answered),
      {name: "Taken for", wide: true, value: l => sum(l.taken_for, t => t.n), show: l => list(labelsText(l.taken_for))}]});
  addLeftOut(node, data, "labels", "labels");
}

function addRegions({explain: e}) {
  const node = section("regions", "Regions", "Regions", e.regions_reason ? visible(e.regions_reason) + "." : "Groups of similar inputs (k-means cells of the vectors), largest first, with the words that tell them from the others.");
  if (e.regions.length === 0) return;
  const rows = e.regions.map((r, i) => ({...r, number: i + 1}));
  addTable(node, {id: "regions-table", caption: count(rows.length) + " regions", rows,
    words: r => [...r.labels.map(l => labelName(l.label)), ...(r.words || []).map(w => w.word), ...r.typical.concat(r.borderline).flatMap(searched)],
    columns: [{name: "Region", header: true, value: r => r.number, show: r => "Region " + r.number},
      {name: "Rows", number: true, value: r => r.n, show: r => [count(r.n), bar(r.share)]},
      coverageColumn, ...answeredColumns(r => r),
      {name: "Labels", wide: true, value: r => r.labels.length > 0 ? labelName(r.labels[0].label) : null, show: r => list(labelsText(r.labels))},
      {name: "Words", wide: true, value: r => r.words && r.words.length > 0 ? r.words[0].word : null, show: r => r.words ? r.words.map((w, i) => [i > 0 ? ", " : "", said(w.word)]).flat() : null},
      {name: "Examples", wide: true, value: r => r.typical.length, show: r => el("details", null, el("summary", null, "Rows"),
        el("p", null, "Typical:"), list(r.typical.map(rowText)),
        r.borderline.length > 0 ? [el("p", null, "Near the threshold:"), list(r.borderline.map(x => [...rowText(x), x.handled ? " (handled)" : " (deferred)"]))] : null)}]});
}

function addSuspects({explain: e}) {
  const node = section("suspects", "Answers to look at again", "Suspects", "The classifier and at least half of the nearest traces say one label and the LLM another. Some are the LLM's mistakes, some are the classifier's: look before changing one.");
  addTable(node, {id: "suspects-table", caption: count(e.suspects.length) + " suspect answers, the clearest first", rows: e.suspects, words: searched,
    columns: [{name: "Line", number: true, value: s => s.line},
      {name: "Input", wide: true, header: true, value: s => s.input, show: s => s.input === null ? "(no text)" : said(s.input)},
      label("LLM", "teacher"), label("Classifier", "surrogate"),
      {name: "Sure", about: "probability of the classifier's label", number: true, value: s => s.probability, show: s => percent(s.probability)},
      {name: "LLM's label", about: "its probability by the classifier", number: true, value: s => s.teacher_probability, show: s => percent(s.teacher_probability, 2)},
      {name: "Nearest traces", about: "share of the 10 nearest that carry the classifier's label", number: true, value: s => s.neighbours_agree, show: s => percent(s.neighbours_agree, 0)}]});
}

function addBoundary({explain: e}, whyText) {
  const node = section("border", "At the border", "Border", "Pairs of similar inputs with one label, of which one is handled and the other deferred.");
  addTable(node, {id: "border-table", caption: count(e.boundary.length) + " pairs, the most alike first", rows: e.boundary, words: p => searched(p.handled).concat(searched(p.deferred)),
    columns: [{name: "Similarity", number: true, value: p => p.similarity, show: p => plain(p.similarity)},
      {name: "Label", value: p => labelName(p.handled.teacher), show: p => said(labelName(p.handled.teacher))},
      {name: "Handled", wide: true, header: true, value: p => p.handled.score, show: p => [...rowText(p.handled), " (score " + plain(p.handled.score) + ")"]},
      {name: "Deferred", wide: true, value: p => p.deferred.score, show: p => [...rowText(p.deferred), " (score " + plain(p.deferred.score) + ")"]},
      {name: "Why deferred", value: p => whyText(p.deferred.why)}]});
}

function addSlices(data) {
  const e = data.explain;
  const node = section("slices", "Slices of the traffic", "Slices", "Rows of one length, script, time or value of a key, against all others. A flagged figure differs by more than chance; all flags hold together at 5 %.");
  const flagged = (value, flag) => flag ? el("span", {class: "flag"}, percent(value), " differs") : percent(value);
  addTable(node, {id: "slices-table", caption: count(e.slices.length) + " slices", rows: e.slices, words: s => [s.key, s.value],
    columns: [{name: "Key", value: s => s.key, show: s => said(s.key)},
      {name: "Value", header: true, value: s => s.value, show: s => said(s.value)},
      {name: "Rows", number: true, value: s => s.n, show: s => count(s.n)},
      {name: "Coverage", number: true, value: s => s.coverage, show: s => flagged(s.coverage, s.flag_coverage)},
      {name: "Agreement", number: true, value: s => s.teacher_agreement, show: s => isNumber(s.teacher_agreement) ? flagged(s.teacher_agreement, s.flag_agreement) : null},
      {name: "At least", number: true, value: s => s.teacher_agreement_lower, show: s => percentDown(s.teacher_agreement_lower)},
      {name: "p, coverage", about: "Fisher's exact test, corrected (Holm)", number: true, value: s => s.p_coverage, show: s => plain(s.p_coverage)},
      {name: "p, agreement", about: "Fisher's exact test, corrected (Holm)", number: true, value: s => s.p_agreement, show: s => plain(s.p_agreement)}]});
  addLeftOut(node, data, "slices", "slices");
}
