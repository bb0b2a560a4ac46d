// What the dots are coloured by. A colouring: {name, groups: [{name, colour, n}], of: group of each row}.
// Hues after M. Okabe and K. Ito, told apart in most kinds of colour vision; labels beyond them share a grey.
const HUES = [["#1267b8", "#5aa9f0"], ["#c4570a", "#f0934a"], ["#00805b", "#2fc79a"], ["#a3488a", "#e08fc6"], ["#8a6d00", "#e6c229"],
  ["#6a51c9", "#b3a0ff"], ["#0a7f94", "#4fd0e6"], ["#b3261e", "#ff8a80"], ["#5d7a1f", "#a9cf54"], ["#7a4b2a", "#c99873"]];
const GREY = ["#9aa4b0", "#66727f"];

function grouped(name, groups, of) {
  for (const group of groups) group.n = 0;
  for (const g of of) ++groups[g].n;
  return {name, groups, of};
}

// By how many rows carry it: the ten most frequent have a hue each.
function byLabel(name, of, labelText, what = "labels") {
  const n = new Map();
  for (const label of of) n.set(label, (n.get(label) || 0) + 1);
  const order = [...n.keys()].sort((a, b) => n.get(b) - n.get(a) || a - b);
  const first = order.slice(0, HUES.length), groups = first.map((label, i) => ({name: labelText(label), colour: HUES[i]}));
  if (order.length > first.length) groups.push({name: count(order.length - first.length) + " other " + what, colour: GREY});
  const at = new Map(first.map((label, i) => [label, i]));
  return grouped(name, groups, of.map(label => at.has(label) ? at.get(label) : first.length));
}

const titled = text => text[0].toUpperCase() + text.slice(1);

function colourings(map, labelText, {other, part, verdicts}) {
  const reasons = map.whys.map((why, i) => ({name: why, colour: HUES[i]}));
  const kinds = verdicts ? [...new Set(verdicts)].sort() : [];  // of the regions
  const known = map.region && verdicts;
  const parts = map.region ? [byLabel(titled(part), map.region, i => titled(part) + " " + (i + 1), part + "s")] : [];
  return [
    ...(verdicts ? parts : []),  // where they have verdicts, they are what the page is about
    grouped("Decision", [{name: "handled", colour: HUES[0]}, {name: "deferred", colour: HUES[1]}], map.why.map(w => w === 0 ? 0 : 1)),
    ...(known ? [grouped("Verdict of the " + part, kinds.map(name => ({name, colour: HUES[name.startsWith("handle") ? 0 : name.startsWith("defer") ? 1 : 4]})),
      map.region.map(r => kinds.indexOf(verdicts[r])))] : []),
    ...(map.whys.length > 2 ? [grouped("Reason", reasons, map.why)] : []),
    grouped("Agreement", [{name: "handled, agrees", colour: HUES[0]}, {name: "handled, disagrees", colour: HUES[7]},
      {name: "deferred, would agree", colour: GREY}, {name: "deferred, would disagree", colour: HUES[1]}],
      map.why.map((w, i) => (w === 0 ? 0 : 2) + (map.teacher[i] === map.surrogate[i] ? 0 : 1))),
    byLabel("LLM's label", map.teacher, labelText),
    byLabel(titled(other) + "'s label", map.surrogate, labelText),
    ...(verdicts ? [] : parts),
  ];
}
