// What the page says of every cover, unpacked once.

const data = JSON.parse(document.getElementById("map-data").textContent);
const count = data.ids.length;
const NOBODY = 65535;

function octets(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

function shorts(text) {
  const bytes = octets(text);
  const view = new DataView(bytes.buffer);
  return Uint16Array.from({ length: bytes.length / 2 }, (_, row) => view.getUint16(2 * row, true));
}

const places = { x: shorts(data.x), y: shorts(data.y) };
const clusterOf = shorts(data.cluster);
const fieldOf = shorts(data.field);
const sizes = octets(data.sizes);
const nearest = { ours: shorts(data.ours), imagenet: shorts(data.imagenet) };
const reducedMotion = matchMedia("(prefers-reduced-motion: reduce)");

function place(row) {
  return [places.x[row] / 65535, places.y[row] / 65535];
}

function colourOf(row) {
  const cluster = data.clusters[clusterOf[row]];
  return cluster === undefined ? data.none : data.palette[cluster.colour];
}

function wordsOf(cluster) {
  const known = data.clusters[cluster];
  if (known === undefined) return "in no cluster: it has no place in latent space";
  return known.words.length ? known.words.join(", ") : "no word tells it apart";
}

function fieldName(row) {
  return fieldOf[row] === NOBODY ? "" : data.fields[fieldOf[row]];
}

function neighboursOf(row, space) {
  const per = nearest[space].length / count;
  return [...nearest[space].subarray(row * per, (row + 1) * per)].filter((near) => near !== NOBODY);
}

// Sheets of tiles, and the same at half and a quarter of the size for when tiles are drawn small:
// a browser that shrinks a picture to a tenth leaves out most of its pixels.
const sheets = [];

async function loadSheets() {
  for (const uri of data.sheets) {
    const image = new Image();
    image.src = uri;
    await image.decode();
    sheets.push([image, shrunk(image, 2), shrunk(image, 4)]);
  }
}

function shrunk(image, by) {
  const canvas = document.createElement("canvas");
  canvas.width = Math.ceil(image.naturalWidth / by);
  canvas.height = Math.ceil(image.naturalHeight / by);
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  return canvas;
}

// Width and height of a cover whose longer side is `box`.
function fitted(row, box) {
  const [width, height] = [sizes[2 * row], sizes[2 * row + 1]];
  const scale = box / Math.max(width, height);
  return [width * scale, height * scale];
}

// Draw a cover with its middle at (x, y); `pixels` is how many device pixels the box has.
function drawCover(context, row, x, y, box, pixels) {
  const perSheet = data.columns * data.rows;
  const sheet = sheets[Math.floor(row / perSheet)];
  if (sheet === undefined) return;
  const level = pixels > data.side / 2 ? 0 : pixels > data.side / 4 ? 1 : 2;
  const at = row % perSheet;
  const [width, height] = [sizes[2 * row], sizes[2 * row + 1]];
  const left = (at % data.columns) * data.side + Math.floor((data.side - width) / 2);
  const top = Math.floor(at / data.columns) * data.side + Math.floor((data.side - height) / 2);
  const by = 2 ** level;
  const [w, h] = fitted(row, box);
  context.drawImage(
    sheet[level], left / by, top / by, width / by, height / by, x - w / 2, y - h / 2, w, h,
  );
}

// A canvas of its own for one cover, `box` CSS pixels wide and high.
function coverCanvas(row, box) {
  const canvas = document.createElement("canvas");
  const ratio = window.devicePixelRatio || 1;
  canvas.width = canvas.height = Math.round(box * ratio);
  canvas.style.width = canvas.style.height = `${box}px`;
  canvas.setAttribute("aria-hidden", "true");
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  drawCover(context, row, canvas.width / 2, canvas.width / 2, canvas.width, canvas.width);
  return canvas;
}
