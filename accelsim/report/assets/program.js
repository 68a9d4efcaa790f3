"use strict";
// A program's page: tables, figures, and what a click on a layer shows.

const TABLES = {};
const LISTING = document.getElementById("listing");
const LAYER_CHOICE = document.getElementById("layer-choice");
const NO_LAYER = DATA.layers.length - 1;

for (const place of document.querySelectorAll("[data-table]")) {
  const name = place.dataset.table;
  TABLES[name] = new DataTable(place, DATA.tables[name], {
    label: place.dataset.label,
    largestFirst: true,
    size: name === "chip" ? 100 : 50,
    pick: name === "layers" ? pickLayer : null,
  });
}

/** Scroll the listing, and not the page, to a line. */
function scrollListing(line) {
  LISTING.scrollTop = Math.max(0, line.offsetTop - LISTING.offsetTop - LISTING.clientHeight / 4);
}

function mark(lines) {
  for (const line of LISTING.querySelectorAll(".chosen, .pointed")) line.classList.remove("chosen", "pointed");
  for (const line of lines) line.classList.add("chosen");
}

/** Mark a layer's instructions; what is of no layer where it is the last. */
function showLayer(layer) {
  const none = layer === NO_LAYER;
  const lines = [...LISTING.querySelectorAll(none ? "div[data-index]:not([data-layer])" : `div[data-layer="${layer}"]`)];
  mark(lines);
  const instructions = lines.filter((line) => line.dataset.index !== undefined).length;
  const name = TABLES.layers.table.values.name[layer];
  document.getElementById("layer-said").textContent = `${name}: ${number(instructions, 0)} ${instructions === 1 ? "instruction" : "instructions"}`;
  LAYER_CHOICE.value = none ? "" : String(layer);
  TABLES.layers.choose(layer, true);
  if (lines.length) scrollListing(lines[0]);
}

/** A layer of the table: its instructions are brought in sight, the page moved as little as that takes. */
function pickLayer(row) {
  showLayer(row);
  LISTING.scrollIntoView({ block: "nearest" });
}

function showNone() {
  mark([]);
  document.getElementById("layer-said").textContent = "";
  document.getElementById("only-layer").checked = false;
  LISTING.classList.remove("only");
  TABLES.layers.choose(null, true);
}

/** Mark an instruction in its layer, and bring it in sight. */
function showInstruction(index) {
  const line = LISTING.querySelector(`div[data-index="${index}"]`);
  showLayer(line.dataset.layer === undefined ? NO_LAYER : Number(line.dataset.layer));
  line.classList.add("pointed");
  scrollListing(line);
  document.getElementById("disassembly").scrollIntoView();
}

LAYER_CHOICE.addEventListener("change", () => (LAYER_CHOICE.value === "" ? showNone() : showLayer(Number(LAYER_CHOICE.value))));
document.getElementById("only-layer").addEventListener("change", (event) => LISTING.classList.toggle("only", event.target.checked));

for (const place of document.querySelectorAll("[data-figure]")) {
  draw(place, DATA.figures[place.dataset.figure]);
  place.on("plotly_click", (event) => {
    const point = event.points[0], layers = point.data.meta && point.data.meta.layers;
    const layer = layers && layers[point.pointNumber];
    if (layer !== undefined && layer >= 0) {
      showLayer(layer);
      document.getElementById("disassembly").scrollIntoView();
    }
  });
}

for (const place of document.querySelectorAll(".layer-legend")) layerLegend(place);
if (DATA.timeline) new Timeline(document.getElementById("timeline-plot"), DATA.timeline);
