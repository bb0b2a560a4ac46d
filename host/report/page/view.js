// The part of the map that is seen: scale and shift between the layout's plane and the canvas, in CSS pixels.
const EXTENT = 4095;  // coordinates are 0 to EXTENT

function makeView() {
  let zoom = 1, cx = EXTENT / 2, cy = EXTENT / 2, width = 1, height = 1;
  const scale = () => zoom * Math.min(width, height) * 0.95 / EXTENT;
  return {
    resize(w, h) { width = w, height = h; },
    reset() { zoom = 1, cx = cy = EXTENT / 2; },
    x: v => width / 2 + (v - cx) * scale(),
    y: v => height / 2 + (v - cy) * scale(),
    shift(dx, dy) { cx -= dx / scale(), cy -= dy / scale(); },
    // Zooms about a point of the canvas; about the middle where there is none.
    zoomBy(factor, px = width / 2, py = height / 2) {
      const next = Math.min(Math.max(zoom * factor, 1), 60), before = scale();
      zoom = next;
      const after = scale();
      cx += (px - width / 2) * (1 / before - 1 / after), cy += (py - height / 2) * (1 / before - 1 / after);
    },
    show(vx, vy) {
      const out = (p, most) => p < 20 || p > most - 20;
      if (out(this.x(vx), width) || out(this.y(vy), height)) cx = vx, cy = vy;
    },
    radius: n => Math.min(Math.max(Math.sqrt(zoom) * (n > 4000 ? 1.9 : n > 1000 ? 2.4 : 3.2), 1.6), 6),
  };
}
