"use strict";
// A sweep's page: what is chosen and selected, and what shows it.

const BRUSH = { modeBarButtons: [["toImage"], ["select2d", "lasso2d"], ["zoom2d", "pan2d"], ["zoomIn2d", "zoomOut2d", "resetScale2d"]], doubleClick: false, doubleClickDelay: 500 };
const ROWS_OF_NUMBER = new Map((VALUES.number || []).map((value, row) => [String(value), row]));
const byId = (id) => document.getElementById(id);

const STATE = {
  group: 0,
  rows: DATA.groups.length ? DATA.groups[0].rows : [],
  selection: null, // rows by number, or null for none
  cleared: 0, // how often selections were let go of
  chosen: null,
  xKey: DATA.objectives[0],
  yKey: DATA.objectives[1] || (DATA.metrics[1] || DATA.metrics[0] || {}).key,
  colour: DATA.objectives[0],
  parallelMetrics: [...new Set([...DATA.objectives, "utilization"])].filter((key) => METRIC.has(key)),
  heatX: (DATA.keys[0] || {}).key,
  heatY: (DATA.keys[1] || DATA.keys[0] || {}).key,
  heatMetric: DATA.objectives[0],
  fixed: {},
};

let POINTS = null;

/** Fill a drop-down; `take` gets what is chosen. */
function choices(select, options, chosen, take) {
  select.replaceChildren(...options.map(([value, text]) => make("option", { value, selected: value === chosen }, text)));
  select.onchange = () => take(select.value);
}

function drawFront() {
  return draw(byId("front-plot"), frontFigure(STATE), BRUSH);
}

function drawParallel() {
  const drawn = linesDrawn(STATE).length;
  byId("parallel-said").textContent = drawn < STATE.rows.length ? `${number(drawn, 0)} of ${number(STATE.rows.length, 0)} points are drawn` : "";
  return draw(byId("parallel-plot"), parallelFigure(STATE), BRUSH);
}

/** Failed points of the network shown, by place. */
function failedRows() {
  const { model } = DATA.failed.values, first = STATE.rows[0];
  return [...Array(DATA.failed.count).keys()].filter((row) =>
    !model || !VALUES.model || first === undefined || model[row] === VALUES.model[first]);
}

function drawHeat() {
  if (DATA.keys.length < 2) return null;
  return draw(byId("heat-plot"), heatFigure(STATE, failedRows()));
}

const WAITING = new Set();

/** Draw these when the browser has shown what is done already; each once, however often it is asked for. */
function drawSoon(...draws) {
  if (!WAITING.size) {
    requestAnimationFrame(() => setTimeout(() => {
      const now = [...WAITING];
      WAITING.clear();
      for (const one of now) one();
    }));
  }
  for (const one of draws) WAITING.add(one);
}

function select(rows) {
  STATE.selection = rows && rows.length ? new Set(rows) : null;
  if (!STATE.selection) STATE.cleared += 1;
  byId("let-go").hidden = !STATE.selection;
  byId("selected").textContent = STATE.selection ? `${number(STATE.selection.size, 0)} ${STATE.selection.size === 1 ? "point" : "points"} selected` : "";
  POINTS.allow(STATE.selection ? [...STATE.selection] : DATA.groups.length > 1 ? STATE.rows : null, Boolean(STATE.selection));
  drawSoon(drawFront, drawParallel, drawHeat);
}

function choose(row, scroll) {
  STATE.chosen = row;
  POINTS.choose(row, true);
  showPoint(row, STATE.rows, (other) => choose(other));
  drawSoon(drawFront, drawParallel);
  if (scroll) byId("point").scrollIntoView();
}

function brushed(plot) {
  plot.on("plotly_selected", (event) => {
    if (!event || !event.points) return;
    const rows = event.points.map((point) => point.customdata).filter((row) => row !== undefined);
    if (rows.length) select([...new Set(rows)]);
  });
  plot.on("plotly_deselect", () => select(null));
  // The browser's own event comes even where drawing made plotly miss the second click.
  plot.addEventListener("dblclick", () => select(null));
  plot.on("plotly_click", (event) => {
    const row = event.points[0].customdata;
    if (row !== undefined) choose(row, true);
  });
}

/** The heat map's drop-downs; one more for each key that is no axis of it. */
function heatChoices() {
  const keys = DATA.keys.map(({ key }) => [key, key]), metrics = DATA.metrics.map((metric) => [metric.key, metric.title]);
  const axis = (mine, other) => (key) => {
    // The two axes are different keys.
    if (STATE[other] === key) STATE[other] = STATE[mine];
    STATE[mine] = key;
    heatChoices();
    drawHeat();
  };
  choices(byId("heat-x"), keys, STATE.heatX, axis("heatX", "heatY"));
  choices(byId("heat-y"), keys, STATE.heatY, axis("heatY", "heatX"));
  choices(byId("heat-metric"), metrics, STATE.heatMetric, (key) => { STATE.heatMetric = key; drawHeat(); });
  for (const label of byId("heat-bar").querySelectorAll(".fixed")) label.remove();
  STATE.fixed = Object.fromEntries(DATA.keys.map(({ key }) => key).filter((key) => key !== STATE.heatX && key !== STATE.heatY)
    .map((key) => [key, STATE.fixed[key] ?? null]));
  for (const key of Object.keys(STATE.fixed)) {
    const box = make("select"), values = KEY.get(key).values;
    choices(box, [["", "best of all"], ...values.map((value, at) => [String(at), typeof value === "number" ? number(value, null) : String(value)])],
      STATE.fixed[key] === null ? "" : String(values.indexOf(STATE.fixed[key])),
      (at) => { STATE.fixed[key] = at === "" ? null : values[Number(at)]; drawHeat(); });
    byId("heat-bar").append(make("label", { class: "fixed" }, `${key} `, box));
  }
}

function start() {
  const metrics = DATA.metrics.map((metric) => [metric.key, metric.title + (metric.unit ? ` (${metric.unit})` : "")]);
  choices(byId("front-x"), metrics, STATE.xKey, (key) => { STATE.xKey = key; select(null); });
  choices(byId("front-y"), metrics, STATE.yKey, (key) => { STATE.yKey = key; select(null); });
  choices(byId("parallel-colour"), metrics, STATE.colour, (key) => { STATE.colour = key; drawParallel(); });
  if (byId("group")) {
    choices(byId("group"), DATA.groups.map((group, at) => [String(at), group.name]), "0", (at) => {
      STATE.group = Number(at);
      STATE.rows = DATA.groups[STATE.group].rows;
      select(null);
    });
  }
  POINTS = new DataTable(document.querySelector('[data-table="points"]'), DATA.points, {
    label: "Points", pick: (row) => choose(row, true), size: 25, cleared: () => { if (STATE.selection) select(null); },
  });
  if (DATA.keys.length < 2) byId("heat").hidden = true;
  else heatChoices();
  byId("let-go").addEventListener("click", () => select(null));
  for (const link of document.querySelectorAll("[data-point]")) {
    link.addEventListener("click", () => choose(ROWS_OF_NUMBER.get(link.dataset.point)));
  }
  if (DATA.groups.length > 1) POINTS.allow(STATE.rows, false);
  drawFront();
  drawParallel();
  brushed(byId("front-plot"));
  brushed(byId("parallel-plot"));
  if (DATA.keys.length >= 2) {
    drawHeat();
    byId("heat-plot").on("plotly_click", (event) => {
      const row = event.points[0].customdata;
      if (row !== null && row !== undefined) choose(row, true);
    });
  }
}

const FAILED = document.querySelector('[data-table="failed"]');
if (FAILED) new DataTable(FAILED, DATA.failed, { label: "Failed points", size: 25 });
if (DATA.points.count) start();
