// The map of the embedding space: dots on a canvas, with a legend that hides groups, a search, and a row at a time in words.
const HITS_LISTED = 50;

// surrogate: what gives the other label; part: what the regions are called; verdicts: of each region, where there are any.
function addMap(data) {
  const {surrogate: other = "classifier", part = "region"} = data;
  const map = data.map, n = map.line.length, e = data.explain;
  const labelText = i => i < 0 ? labelName(null) : visible(map.labels[i]);
  const node = section("map", "Map of the inputs", "Map", "Each dot is an input, placed so that inputs with similar vectors stand side by side. " +
    (n < e.n ? "It shows " + count(n) + " of the " + rowsText(e.n) + ", drawn at random. " : "") +
    "Nearness is meaningful; the distance between far groups is not. The neighbour layout is UMAP's method; the other is the first two " +
    "principal components, which hold " + percent(map.share[0]) + " and " + percent(map.share[1]) + " of the variance.");
  const ways = colourings(map, labelText, {other, part, verdicts: data.verdicts}), layouts = {neighbours: [map.x, map.y], components: [map.px, map.py]};
  const view = makeView(), hidden = new Set();
  let way = ways[0], [xs, ys] = layouts.neighbours, hits = null, wanted = -1, picked = -1, printing = false;

  const canvas = el("canvas", {tabindex: "0", role: "application", "aria-roledescription": "map of dots",
    "aria-label": "Map of " + rowsText(n) + ": " + count(map.why.filter(w => w === 0).length) + " handled, " +
      count(map.why.filter(w => w !== 0).length) + " deferred. Arrow keys go from dot to dot, plus and minus zoom, 0 shows all, Escape leaves the dot.",
    "aria-describedby": "map-picked"}, "The tables below say the same in words.");
  const hover = el("div", {class: "hover", hidden: true, "aria-hidden": "true"});
  const legend = el("ul", {class: "legend", "aria-label": "Groups; press to hide or show"});
  const pickedText = el("div", {class: "picked", id: "map-picked", role: "status"}, el("p", null, "Point at a dot, or walk with the arrow keys."));
  const hitStatus = el("span", {role: "status", class: "about"}), hitList = el("ol", {class: "hits"});

  const dark = () => !printing && document.documentElement.dataset.theme === "dark";
  const seen = i => !hidden.has(way.of[i]) && (wanted < 0 || map.teacher[i] === wanted || map.surrogate[i] === wanted);
  const strong = i => hits === null || hits.has(i);

  function draw() {
    const ratio = window.devicePixelRatio || 1, w = canvas.clientWidth, h = canvas.clientHeight;
    if (w === 0 || h === 0) return;
    canvas.width = Math.round(w * ratio), canvas.height = Math.round(h * ratio);
    view.resize(w, h);
    const pen = canvas.getContext("2d"), r = view.radius(n), shade = dark() ? 1 : 0;
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    const dots = (which, grow) => {
      for (let g = 0; g < way.groups.length; ++g) {
        pen.fillStyle = way.groups[g].colour[shade];
        pen.beginPath();
        for (let i = 0; i < n; ++i) {
          if (way.of[i] !== g || !which(i)) continue;
          const px = view.x(xs[i]), py = view.y(ys[i]);
          if (px < -9 || py < -9 || px > w + 9 || py > h + 9) continue;
          pen.moveTo(px + r + grow, py);
          pen.arc(px, py, r + grow, 0, 7);
        }
        pen.fill();
      }
    };
    pen.globalAlpha = hits === null && wanted < 0 ? .8 : .12;
    dots(i => !hidden.has(way.of[i]) && !(seen(i) && strong(i)), 0);
    pen.globalAlpha = .85;
    dots(i => seen(i) && strong(i), hits === null ? 0 : 1.5);
    if (picked >= 0) {
      pen.globalAlpha = 1, pen.lineWidth = 2.5, pen.strokeStyle = dark() ? "#ffffff" : "#000000";
      pen.beginPath();
      pen.arc(view.x(xs[picked]), view.y(ys[picked]), r + 5, 0, 7);
      pen.stroke();
    }
  }
  // In words, as paragraphs.
  function words(i) {
    const text = map.text[i], teacher = map.teacher[i], surrogate = map.surrogate[i];
    const name = "Line " + map.line[i] + (map.id && map.id[i] ? ", " + visible(map.id[i]) : "");
    return [el("p", null, el("strong", null, name + ": "), text === null ? "(no text)" : said(text)),
      el("p", null, map.why[i] === 0 ? "Handled" : "Deferred, " + map.whys[map.why[i]], "; score " + plain(map.score[i]) + ". LLM: ", said(labelText(teacher)),
        teacher === surrogate ? "; the " + other + " says the same." : ["; " + other + ": ", said(labelText(surrogate)), "."])];
  }
  function pick(i) {
    picked = i;
    if (i < 0) pickedText.replaceChildren(el("p", null, "No dot is chosen."));
    else pickedText.replaceChildren(...words(i)), view.show(xs[i], ys[i]);
    draw();
  }
  function nearest(px, py, most) {
    let best = -1, least = most * most;
    for (let i = 0; i < n; ++i) {
      if (!seen(i)) continue;
      const dx = view.x(xs[i]) - px, dy = view.y(ys[i]) - py, d = dx * dx + dy * dy;
      if (d < least && (strong(i) || best < 0)) least = d, best = i;
    }
    return best;
  }
  // The nearest dot within a quarter circle of the direction.
  function walk(dx, dy) {
    if (picked < 0) return pick(nearest(canvas.clientWidth / 2, canvas.clientHeight / 2, 1e9));
    let best = -1, least = Infinity;
    for (let i = 0; i < n; ++i) {
      if (i === picked || !seen(i) || !strong(i)) continue;
      const x = xs[i] - xs[picked], y = ys[i] - ys[picked], along = x * dx + y * dy, across = Math.abs(x * dy - y * dx);
      if (along <= 0 || across > along) continue;
      const d = along * along + 2 * across * across;
      if (d < least) least = d, best = i;
    }
    if (best >= 0) pick(best);
  }
  function search(text) {
    const word = text.trim().toLowerCase();
    hits = word === "" ? null : new Set();
    if (hits !== null)
      for (let i = 0; i < n; ++i)
        if ([map.text[i] || "", map.id ? map.id[i] || "" : "", labelText(map.teacher[i]), labelText(map.surrogate[i]), "line " + map.line[i]]
          .some(field => field.toLowerCase().includes(word))) hits.add(i);
    const found = hits === null ? [] : [...hits];
    hitStatus.textContent = hits === null ? "" : count(found.length) + " found" + (found.length > HITS_LISTED ? ", the first " + HITS_LISTED + " listed" : "");
    hitList.replaceChildren(...found.slice(0, HITS_LISTED).map(i => el("li", null, el("button", {type: "button", onclick: () => pick(i)},
      map.text[i] === null ? "line " + map.line[i] : said(map.text[i]), map.why[i] === 0 ? " (handled)" : " (deferred)"))));
    draw();
  }
  function drawLegend() {
    legend.replaceChildren(...way.groups.map((group, g) => {
      if (group.n === 0) return null;
      const swatch = svg("svg", {class: "swatch", viewBox: "0 0 10 10", "aria-hidden": "true"},
        svg("circle", {cx: 5, cy: 5, r: 5, fill: group.colour[dark() ? 1 : 0]}));
      const button = el("button", {type: "button", "aria-pressed": String(!hidden.has(g)), onclick: () => {
        if (!hidden.delete(g)) hidden.add(g);
        button.setAttribute("aria-pressed", String(!hidden.has(g)));
        draw();
      }}, swatch, said(group.name), " " + count(group.n));
      return el("li", null, button);
    }).filter(Boolean));
  }
  const choice = (id, name, options, change) => el("label", {for: id}, name, el("select", {id, onchange: event => { change(event.target.value); }},
    options.map(([value, text]) => el("option", {value}, text))));
  const used = [...new Set(map.teacher.concat(map.surrogate))].filter(l => l >= 0).sort((a, b) => labelText(a).localeCompare(labelText(b)));
  const again = f => () => { f(); draw(); };
  node.append(el("div", {class: "tools"},
    choice("map-layout", "Layout", [["neighbours", "Neighbours (UMAP)"], ["components", "Principal components"]], v => { [xs, ys] = layouts[v]; view.reset(); draw(); }),
    choice("map-colour", "Colour", ways.map((w, i) => [i, w.name]), v => { way = ways[v]; hidden.clear(); drawLegend(); draw(); }),
    choice("map-label", "Only label", [[-1, "all labels"], ...used.map(l => [l, labelText(l)])], v => { wanted = Number(v); draw(); }),
    el("label", {for: "map-search"}, "Search", el("input", {type: "search", id: "map-search", autocomplete: "off", oninput: event => search(event.target.value)})),
    el("button", {type: "button", "aria-label": "Zoom in", onclick: again(() => view.zoomBy(1.5))}, "+"),
    el("button", {type: "button", "aria-label": "Zoom out", onclick: again(() => view.zoomBy(1 / 1.5))}, "−"),
    el("button", {type: "button", onclick: again(() => view.reset())}, "Show all"), hitStatus),
    el("div", {class: "map"}, el("div", {class: "map-frame"}, canvas, hover), el("div", null, legend, pickedText, hitList)));

  const keys = {ArrowLeft: () => walk(-1, 0), ArrowRight: () => walk(1, 0), ArrowUp: () => walk(0, -1), ArrowDown: () => walk(0, 1),
    "+": again(() => view.zoomBy(1.5)), "=": again(() => view.zoomBy(1.5)), "-": again(() => view.zoomBy(1 / 1.5)), "0": again(() => view.reset()), Escape: () => pick(-1)};
  canvas.addEventListener("keydown", event => {
    if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    keys[event.key]();
  });
  let drag = null;
  canvas.addEventListener("pointerdown", event => { drag = {x: event.offsetX, y: event.offsetY, moved: false}; canvas.setPointerCapture(event.pointerId); });
  canvas.addEventListener("pointermove", event => {
    const {offsetX: x, offsetY: y} = event;
    if (drag) {
      if (Math.hypot(x - drag.x, y - drag.y) < 3 && !drag.moved) return;
      view.shift(x - drag.x, y - drag.y);
      drag = {x, y, moved: true};
      return draw();
    }
    const i = nearest(x, y, 12);
    hover.hidden = i < 0;
    if (i < 0) return;
    hover.replaceChildren(...words(i));
    const w = canvas.clientWidth;
    hover.style.left = Math.min(x + 14, Math.max(w - hover.offsetWidth - 4, 0)) + "px";
    hover.style.top = (y + 16) + "px";
  });
  canvas.addEventListener("pointerup", event => { if (drag && !drag.moved) pick(nearest(event.offsetX, event.offsetY, 12)); drag = null; });
  canvas.addEventListener("pointerleave", () => { hover.hidden = true; });
  canvas.addEventListener("wheel", event => {
    if (document.activeElement !== canvas) return;  // a page that scrolls by must not be caught
    event.preventDefault();
    view.zoomBy(Math.exp(-event.deltaY / 400), event.offsetX, event.offsetY);
    draw();
  }, {passive: false});
  const repaint = now => { printing = now; drawLegend(); draw(); };
  window.addEventListener("beforeprint", () => repaint(true));
  window.addEventListener("afterprint", () => repaint(false));
  document.addEventListener("themechange", () => repaint(false));
  new ResizeObserver(draw).observe(canvas);
  drawLegend();
}
