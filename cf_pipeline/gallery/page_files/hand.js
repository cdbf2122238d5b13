// Pointer, fingers and keys.

const pointers = new Map();
const STEP = 56;
let pinch = 0;
let travelled = 0;

function local(event) {
  const rectangle = map.getBoundingClientRect();
  return [event.clientX - rectangle.left, event.clientY - rectangle.top];
}

function spread() {
  const [[ax, ay], [bx, by]] = [...pointers.values()];
  return { distance: Math.hypot(ax - bx, ay - by), x: (ax + bx) / 2, y: (ay + by) / 2 };
}

canvas.addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  cancelAnimationFrame(flight);
  pointers.set(event.pointerId, local(event));
  canvas.setPointerCapture(event.pointerId);
  if (pointers.size === 1) travelled = 0;
  if (pointers.size === 2) pinch = spread().distance;
});

canvas.addEventListener("pointermove", (event) => {
  const [x, y] = local(event);
  const before = pointers.get(event.pointerId);
  if (before === undefined) {
    focusCover(coverAt(x, y));
    return;
  }
  pointers.set(event.pointerId, [x, y]);
  travelled += Math.hypot(x - before[0], y - before[1]);
  if (travelled > 4) focusCover(-1);
  if (pointers.size === 1) {
    moveBy(x - before[0], y - before[1]);
  } else if (pointers.size === 2) {
    const now = spread();
    moveBy((x - before[0]) / 2, (y - before[1]) / 2);
    if (pinch > 0) zoomAt(now.distance / pinch, now.x, now.y);
    pinch = now.distance;
  }
});

function lift(event) {
  const known = pointers.delete(event.pointerId);
  if (!known || event.type === "pointercancel" || travelled > 4 || pointers.size) return;
  const row = coverAt(...local(event), event.pointerType === "touch" ? 22 : undefined);
  if (row >= 0) pick(row);
}
canvas.addEventListener("pointerup", lift);
canvas.addEventListener("pointercancel", lift);
canvas.addEventListener("pointerleave", () => {
  if (!pointers.size) focusCover(-1);
});

canvas.addEventListener(
  "wheel",
  (event) => {
    // Zoomed out all the way, the wheel scrolls the page on.
    if (event.deltaY > 0 && view.zoom <= 1.001) return;
    event.preventDefault();
    const pixels = event.deltaMode === 1 ? 16 * event.deltaY : event.deltaY;
    zoomAt(Math.exp(-Math.max(-200, Math.min(200, pixels)) / 300), ...local(event));
    focusCover(-1);
  },
  { passive: false },
);

// The cover that lies in a direction, about a step away as the map is drawn now.
function stepTo(dx, dy) {
  const from = shown.focus >= 0 ? toScreen(shown.focus) : [box.width / 2, box.height / 2];
  if (shown.focus < 0) return coverAt(...from, Infinity);
  let best = shown.focus;
  let least = Infinity;
  for (let row = 0; row < count; row += 1) {
    if (row === shown.focus || (shown.cluster >= 0 && clusterOf[row] !== shown.cluster)) continue;
    const [x, y] = toScreen(row);
    const along = (x - from[0]) * dx + (y - from[1]) * dy;
    const across = Math.abs((x - from[0]) * dy) + Math.abs((y - from[1]) * dx);
    if (along <= 1 || across > along) continue;
    const cost = Math.abs(along - Math.min(STEP, along)) + 2 * across + Math.max(0, STEP / 2 - along);
    if (cost < least) [best, least] = [row, cost];
  }
  return best;
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function followFocus() {
  const [x, y] = toScreen(shown.focus);
  const margin = 0.2;
  const dx = x - Math.min(box.width * (1 - margin), Math.max(box.width * margin, x));
  const dy = y - Math.min(box.height * (1 - margin), Math.max(box.height * margin, y));
  moveBy(-dx, -dy);
  focusCover(shown.focus, true);
}

map.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const arrow = ARROWS[event.key];
  if (arrow && event.shiftKey) {
    moveBy(-arrow[0] * STEP * 2, -arrow[1] * STEP * 2);
    focusCover(-1);
  } else if (arrow) {
    const row = stepTo(...arrow);
    if (row >= 0) {
      focusCover(row, true);
      followFocus();
    }
  } else if (event.key === "+" || event.key === "=") {
    const at = shown.focus >= 0 ? toScreen(shown.focus) : [];
    zoomAt(1.5, ...at);
    focusCover(shown.focus);
  } else if (event.key === "-" || event.key === "_") {
    zoomAt(1 / 1.5);
    focusCover(shown.focus);
  } else if (event.key === "0") {
    focusCover(-1);
    showCluster(-1);
  } else if (event.key === "Enter" || event.key === " ") {
    if (shown.focus >= 0) pick(shown.focus);
  } else if (event.key === "Escape") {
    focusCover(-1);
  } else {
    return;
  }
  event.preventDefault();
});
map.addEventListener("blur", () => focusCover(-1));

function onButton(id, action) {
  document.getElementById(id).addEventListener("click", action);
}
onButton("zoom-in", () => zoomAt(1.6));
onButton("zoom-out", () => zoomAt(1 / 1.6));
onButton("zoom-all", () => showCluster(-1));

for (const button of document.querySelectorAll("[data-cluster], [data-cover]")) {
  button.hidden = false;
  button.addEventListener("click", () => {
    document.getElementById("map-heading").scrollIntoView({
      behavior: reducedMotion.matches ? "auto" : "smooth",
    });
    map.focus({ preventScroll: true });
    if (button.dataset.cluster !== undefined) showCluster(button.dataset.cluster);
    else pick(data.ids.indexOf(button.dataset.cover), { fly: true });
  });
}

new ResizeObserver(resize).observe(map);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
document.getElementById("map-tool").hidden = false;
document.getElementById("map-off").hidden = true;
clampView();
resize();
loadSheets().then(() => {
  map.dataset.ready = "yes";
  redraw();
});
