// What is said of a cover: the card at the pointer, the panel of the one that is picked, a search.

const card = document.getElementById("map-card");
const says = document.getElementById("map-says");
const panel = document.getElementById("picked");
const search = document.getElementById("map-search");
const found = document.getElementById("map-found");
const chooser = document.getElementById("map-cluster");
const MOST_FOUND = 8;

function element(name, text = "", className = "") {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function inWords(row) {
  return [data.titles[row], fieldName(row), wordsOf(clusterOf[row])].filter(Boolean);
}

// Show a cover under the pointer or the keyboard's cursor; -1: none.
function focusCover(row, aloud = false) {
  if (row !== shown.focus) {
    shown.focus = row;
    card.replaceChildren();
    if (row >= 0) {
      const [title, ...more] = inWords(row);
      const text = element("div");
      text.append(element("strong", title), ...more.map((line) => element("span", line)));
      card.append(coverCanvas(row, 72), text);
    }
    redraw();
  }
  card.hidden = row < 0;
  if (row < 0) return;
  if (aloud) says.textContent = inWords(row).join("; ");
  const [x, y] = toScreen(row);
  const beside = tileSide() / 2 + 12;
  const left = x + beside + card.offsetWidth < box.width ? x + beside : x - beside - card.offsetWidth;
  const top = Math.min(box.height - card.offsetHeight - 8, Math.max(8, y - card.offsetHeight / 2));
  card.style.left = `${Math.max(8, left)}px`;
  card.style.top = `${top}px`;
}

function coverButton(row, size) {
  const button = element("button", "", "cover-button");
  button.type = "button";
  button.append(coverCanvas(row, size), element("span", data.titles[row]));
  button.addEventListener("click", () => pick(row, { fly: true }));
  return button;
}

function neighbourList(row, space, title) {
  const part = element("div");
  const neighbours = neighboursOf(row, space);
  const most = nearest[space].length / count;
  const left = neighbours.length < most && count > most;
  part.append(element("h4", left ? `${title}: ${neighbours.length} of ${most} are on the map` : title));
  const list = element("ol", "", "near");
  for (const near of neighbours) {
    const item = element("li");
    item.append(coverButton(near, 40));
    list.append(item);
  }
  part.append(list);
  return part;
}

// Pick a cover: its words and its ten nearest by both features stand beside the map.
function pick(row, { fly = false } = {}) {
  shown.picked = row;
  const head = element("div", "", "picked-head");
  const words = element("div");
  const heading = element("h3", data.titles[row]);
  heading.tabIndex = -1;
  words.append(heading);
  const about = element("p", "", "about");
  const field = fieldName(row);
  about.append(...(field ? [element("span", field)] : []), element("code", data.ids[row]));
  words.append(about);
  if (clusterOf[row] !== NOBODY) {
    const button = element("button", `Cluster: ${wordsOf(clusterOf[row])}`, "link");
    button.type = "button";
    button.addEventListener("click", () => showCluster(clusterOf[row]));
    words.append(button);
  } else {
    words.append(element("p", wordsOf(NOBODY), "about"));
  }
  head.append(coverCanvas(row, 96), words);
  const lists = element("div", "", "near-lists");
  lists.append(
    neighbourList(row, "ours", "Nearest by ours"),
    neighbourList(row, "imagenet", "By ImageNet’s"),
  );
  const walked = panel.contains(document.activeElement);
  panel.replaceChildren(head, lists);
  if (walked) heading.focus(); // the button that was pressed is gone
  says.textContent = `Picked: ${data.titles[row]}. Its nearest covers stand after the map.`;
  if (fly) {
    focusCover(-1);
    lookAtCover(row);
  }
  redraw();
}

// Bring one cluster to the fore; NOBODY or -1: all of them.
function showCluster(cluster) {
  const known = data.clusters[cluster] !== undefined;
  shown.cluster = known ? Number(cluster) : -1;
  chooser.value = known ? String(cluster) : "";
  focusCover(-1);
  if (known) lookAtCluster(shown.cluster);
  else lookAtAll();
  says.textContent = known ? `Cluster ${cluster}: ${wordsOf(cluster)}` : "All clusters";
  redraw();
}

function searchTitles() {
  const wanted = search.value.trim().toLowerCase();
  const rows = [];
  for (let row = 0; wanted && row < count && rows.length < MOST_FOUND; row += 1) {
    if (data.titles[row].toLowerCase().includes(wanted) || data.ids[row].toLowerCase() === wanted) rows.push(row);
  }
  found.replaceChildren(
    ...rows.map((row) => {
      const item = element("li");
      item.append(coverButton(row, 32));
      return item;
    }),
  );
  if (wanted && !rows.length) found.append(element("li", "no title holds that, and no id is that"));
  found.hidden = !wanted;
}

for (const cluster of Object.keys(data.clusters)) {
  const option = element("option", `${cluster}: ${wordsOf(cluster)}`);
  option.value = cluster;
  chooser.append(option);
}
chooser.addEventListener("change", () => showCluster(chooser.value === "" ? -1 : chooser.value));
search.addEventListener("input", searchTitles);
