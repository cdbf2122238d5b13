// Where one looks, and what is drawn there.

const map = document.getElementById("map");
const canvas = document.getElementById("map-canvas");
const context = canvas.getContext("2d");
const view = { x: 0.5, y: 0.5, zoom: 1 };
const shown = { focus: -1, picked: -1, cluster: -1 };
const MOST_ZOOM = Math.max(6, Math.sqrt(count) / 2);
const box = { width: 1, height: 1, ratio: 1 };
let asked = false;

function side() {
  return Math.min(box.width, box.height) * 0.94;
}

function toScreen(row) {
  const [x, y] = place(row);
  const scale = side() * view.zoom;
  return [(x - view.x) * scale + box.width / 2, (y - view.y) * scale + box.height / 2];
}

// Longer side of a cover as drawn, CSS pixels: covers grow a little less than the distances
// between them, so that zooming in takes them apart.
function tileSide() {
  const crowded = (0.8 * side()) / Math.sqrt(Math.max(count, 1));
  return Math.min(data.side, Math.max(5, crowded * view.zoom ** 0.85));
}

function clampView() {
  view.zoom = Math.min(MOST_ZOOM, Math.max(1, view.zoom));
  const slack = 0.5 * (1 - 1 / view.zoom);
  view.x = Math.min(0.5 + slack, Math.max(0.5 - slack, view.x));
  view.y = Math.min(0.5 + slack, Math.max(0.5 - slack, view.y));
  // Fitted, one finger scrolls the page; zoomed in, it moves the map.
  canvas.style.touchAction = view.zoom > 1.001 ? "none" : "pan-y";
  map.dataset.zoom = view.zoom.toFixed(2);
}

function redraw() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    draw();
  });
}

function draw() {
  const style = getComputedStyle(map);
  context.setTransform(box.ratio, 0, 0, box.ratio, 0, 0);
  context.imageSmoothingQuality = "high";
  context.clearRect(0, 0, box.width, box.height);
  const size = tileSide();
  const inside = [];
  const dimmed = [];
  for (let row = 0; row < count; row += 1) {
    const [x, y] = toScreen(row);
    if (x < -size || y < -size || x > box.width + size || y > box.height + size) continue;
    const aside = shown.cluster >= 0 && clusterOf[row] !== shown.cluster;
    (aside ? dimmed : inside).push([row, x, y]);
  }
  context.globalAlpha = 0.08;
  for (const [row, x, y] of dimmed) drawTile(row, x, y, size);
  context.globalAlpha = 1;
  for (const [row, x, y] of inside) drawTile(row, x, y, size);
  const ink = style.getPropertyValue("--ink");
  const accent = style.getPropertyValue("--accent");
  if (shown.picked >= 0) ring(shown.picked, size, accent, 3);
  if (shown.focus >= 0) ring(shown.focus, Math.max(size, 28), ink, 2);
}

function drawTile(row, x, y, size) {
  const frame = size < 12 ? 1.25 : 2;
  const [width, height] = fitted(row, size);
  context.fillStyle = colourOf(row);
  context.fillRect(
    x - width / 2 - frame, y - height / 2 - frame, width + 2 * frame, height + 2 * frame,
  );
  drawCover(context, row, x, y, size, size * box.ratio);
}

function ring(row, size, colour, width) {
  const [x, y] = toScreen(row);
  const larger = Math.max(size, 16);
  drawTile(row, x, y, larger);
  const [w, h] = fitted(row, larger);
  context.strokeStyle = colour;
  context.lineWidth = width;
  const apart = 3 + width / 2;
  context.strokeRect(x - w / 2 - apart, y - h / 2 - apart, w + 2 * apart, h + 2 * apart);
}

function resize() {
  const rectangle = map.getBoundingClientRect();
  box.ratio = window.devicePixelRatio || 1;
  box.width = rectangle.width;
  box.height = rectangle.height;
  canvas.width = Math.round(box.width * box.ratio);
  canvas.height = Math.round(box.height * box.ratio);
  redraw();
}

// The cover under a point, or -1; `reach` is how far it may be, CSS pixels.
function coverAt(x, y, reach = Math.max(8, tileSide() / 2)) {
  let best = -1;
  let distance = reach;
  for (let row = 0; row < count; row += 1) {
    if (shown.cluster >= 0 && clusterOf[row] !== shown.cluster) continue;
    const [cx, cy] = toScreen(row);
    const away = Math.max(Math.abs(cx - x), Math.abs(cy - y));
    if (away < distance) [best, distance] = [row, away];
  }
  return best;
}

function zoomAt(factor, x = box.width / 2, y = box.height / 2) {
  const before = view.zoom;
  view.zoom = Math.min(MOST_ZOOM, Math.max(1, before * factor));
  const scale = side();
  view.x += ((x - box.width / 2) / scale) * (1 / before - 1 / view.zoom);
  view.y += ((y - box.height / 2) / scale) * (1 / before - 1 / view.zoom);
  clampView();
  redraw();
}

function moveBy(dx, dy) {
  const scale = side() * view.zoom;
  view.x -= dx / scale;
  view.y -= dy / scale;
  clampView();
  redraw();
}

let flight = 0;

function lookAt(x, y, zoom) {
  cancelAnimationFrame(flight);
  const from = { ...view };
  const start = performance.now();
  const length = reducedMotion.matches ? 0 : 350;
  const step = (now) => {
    const done = length === 0 ? 1 : Math.min(1, (now - start) / length);
    const eased = 1 - (1 - done) ** 3;
    view.zoom = from.zoom * (zoom / from.zoom) ** eased;
    view.x = from.x + (x - from.x) * eased;
    view.y = from.y + (y - from.y) * eased;
    clampView();
    draw();
    if (done < 1) flight = requestAnimationFrame(step);
  };
  step(length === 0 ? start : performance.now());
}

function lookAtAll() {
  lookAt(0.5, 0.5, 1);
}

// Close enough that the cover and those around it are seen.
function lookAtCover(row) {
  const [x, y] = place(row);
  lookAt(x, y, Math.max(view.zoom, Math.min(MOST_ZOOM, MOST_ZOOM / 3)));
}

// So that four fifths of a cluster's covers are in sight.
function lookAtCluster(cluster) {
  const rows = [...clusterOf.keys()].filter((row) => clusterOf[row] === cluster);
  if (!rows.length) return;
  const middle = {};
  let extent = 0;
  for (const axis of ["x", "y"]) {
    const sorted = rows.map((row) => places[axis][row] / 65535).sort((a, b) => a - b);
    const at = (share) => sorted[Math.round(share * (sorted.length - 1))];
    middle[axis] = (at(0.1) + at(0.9)) / 2;
    extent = Math.max(extent, at(0.9) - at(0.1));
  }
  lookAt(middle.x, middle.y, Math.min(MOST_ZOOM / 3, Math.max(1, 0.8 / Math.max(extent, 0.01))));
}
