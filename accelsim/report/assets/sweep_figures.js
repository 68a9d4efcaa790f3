"use strict";
// The figures of a sweep, from its points: scatter with the front, parallel coordinates, heat map.

const VALUES = DATA.points.values;
const METRIC = new Map(DATA.metrics.map((metric) => [metric.key, metric]));
const KEY = new Map(DATA.keys.map((key) => [key.key, key]));
const CLASSES = ["#0072B2", "#56B4E9", "#9AA3AC", "#E69F00", "#D55E00"]; // best to worst
const PALE = "#d5dae0";
const MOST_LINES = 1000;
const MOST_CELLS_WITH_NUMBERS = 150;
const WIDE_COLOURS = 3; // and colours are
const WIDE = 5; // largest over smallest from which on an axis is logarithmic

function titleOf(key) {
  const metric = METRIC.get(key);
  return metric ? metric.title + (metric.unit ? ` in ${metric.unit}` : "") : plotText(key);
}

function shownValue(key, value) {
  const metric = METRIC.get(key);
  return typeof value === "number" ? number(value, metric ? metric.decimals : null) : plotText(value ?? "–");
}

const TEXTS = new Map();

/** What a point is, for the box at the pointer. */
function pointText(row) {
  if (!TEXTS.has(row)) TEXTS.set(row, newPointText(row));
  return TEXTS.get(row);
}

function newPointText(row) {
  const settings = DATA.keys.map(({ key }) => `${plotText(key)} = ${shownValue(key, VALUES[key][row])}`);
  const results = DATA.metrics.map((metric) => `${metric.title}: ${shownValue(metric.key, VALUES[metric.key][row])} ${metric.unit}`);
  return `<b>point ${VALUES.number[row]}</b><br>${settings.join("<br>")}<br>${results.join("<br>")}<br>` +
    `bounded by: ${plotText(VALUES.bound_limit[row])}; most cycles in: ${VALUES.cause[row]}`;
}

/** The least and the largest of the values that are known. */
function extent(values) {
  let low = Infinity, high = -Infinity;
  for (const value of values) {
    if (value === null) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

function isWide(values, wide) {
  const [low, high] = extent(values);
  return low > 0 && high / low > wide;
}

/** A key on several lines. */
function broken(key) {
  return plotText(key).replace(/\.(?=[^.]*$)/, ".<br>");
}

function pick(values, rows) {
  return rows.map((row) => values[row]);
}

/** Marks of a logarithmic axis: all digits of a decade, or 1, 2 and 5, or powers of ten, as there is room for. */
function decadeTicks(low, high) {
  const digits = high / low > 2000 ? [1] : high / low > 20 ? [1, 2, 5] : [1, 2, 3, 4, 5, 6, 7, 8, 9], ticks = [];
  // Negative powers as quotients, which are the decimals meant.
  for (let power = Math.floor(Math.log10(low)) - 1; power <= Math.log10(high) + 1; power++) {
    ticks.push(...digits.map((digit) => (power < 0 ? digit / 10 ** -power : digit * 10 ** power)));
  }
  return ticks;
}

function metricAxis(key, rows) {
  const values = pick(VALUES[key], rows), title = { text: titleOf(key) };
  if (!isWide(values, WIDE)) return { title, type: "linear", tickformat: ",~g" };
  const tickvals = decadeTicks(...extent(values));
  return { title, type: "log", tickvals, ticktext: tickvals.map(shortNumber) };
}

/** Rows none of which is beaten in both, along the first. */
function frontOf(rows, xKey, yKey) {
  const sign = (key) => (METRIC.get(key).more ? -1 : 1);
  const x = (row) => sign(xKey) * VALUES[xKey][row], y = (row) => sign(yKey) * VALUES[yKey][row];
  const known = rows.filter((row) => VALUES[xKey][row] !== null && VALUES[yKey][row] !== null);
  let best = Infinity;
  return known.sort((a, b) => x(a) - x(b) || y(a) - y(b)).filter((row) => y(row) < best && ((best = y(row)), true));
}

function frontFigure(state) {
  const { rows, xKey, yKey } = state, traces = [];
  const line = frontOf(rows, xKey, yKey);
  traces.push({
    type: "scatter", mode: "lines", name: "best of these two", x: pick(VALUES[xKey], line), y: pick(VALUES[yKey], line),
    // A step: between two marks there is no point, and what the worse of them in one costs is what the better one does.
    line: { color: "#1d2329", width: 1.5, dash: "dot", shape: "hv" }, hoverinfo: "skip",
  });
  const known = new Set(DATA.limits.map((limit) => limit.name));
  const limits = [...DATA.limits, { name: null, colour: "#999999", symbol: "x" }];
  for (const limit of limits) {
    const mine = rows.filter((row) => (limit.name === null ? !known.has(VALUES.bound_limit[row]) : VALUES.bound_limit[row] === limit.name));
    if (!mine.length) continue;
    traces.push({
      type: "scatter",
      mode: "markers",
      name: `bounded by: ${limit.name || "other"}`,
      x: pick(VALUES[xKey], mine),
      y: pick(VALUES[yKey], mine),
      customdata: mine,
      text: mine.map(pointText),
      hovertemplate: "%{text}<extra></extra>",
      marker: {
        color: limit.colour, symbol: limit.symbol, size: 9, opacity: 0.85,
        line: { color: mine.map((row) => (DATA.front[row] ? "#000" : "#fff")), width: mine.map((row) => (DATA.front[row] ? 2 : 0.6)) },
      },
      selectedpoints: state.selection ? mine.flatMap((row, at) => (state.selection.has(row) ? [at] : [])) : null,
      selected: { marker: { opacity: 1 } },
      // Pale and not only thin: points that lie on one another would add up.
      unselected: { marker: { opacity: 0.35, color: PALE } },
    });
  }
  if (state.chosen !== null && rows.includes(state.chosen)) {
    traces.push({
      type: "scatter", mode: "markers", name: `point ${VALUES.number[state.chosen]}`, x: [VALUES[xKey][state.chosen]], y: [VALUES[yKey][state.chosen]],
      marker: { symbol: "circle-open", size: 20, color: "#000", line: { width: 2 } }, hoverinfo: "skip",
    });
  }
  return {
    data: traces,
    layout: {
      height: 520,
      hovermode: "closest",
      dragmode: "select",
      selectdirection: "any",
      uirevision: `${xKey} ${yKey} ${state.group}`,
      selectionrevision: `${state.cleared} ${xKey} ${yKey} ${state.group}`,
      newselection: { line: { color: "#1d2329", width: 1.5 } },
      xaxis: metricAxis(xKey, rows),
      yaxis: metricAxis(yKey, rows),
      margin: { l: 80, r: 50, t: 30, b: 55 },
    },
  };
}

/** Where values stand on an axis of the parallel coordinates, 0 to 1, and its marks. */
function parallelAxis(key, rows) {
  const values = VALUES[key];
  if (KEY.has(key)) {
    const all = KEY.get(key).values, place = new Map(all.map((value, at) => [value, all.length > 1 ? at / (all.length - 1) : 0.5]));
    const every = Math.ceil(all.length / 9);
    return { key, at: (row) => place.get(values[row]), marks: all.filter((_, at) => at % every === 0).map((value) => [place.get(value), shownValue(key, value)]) };
  }
  const known = pick(values, rows), [low, high] = extent(known);
  const log = isWide(known, WIDE), scale = log ? Math.log : (value) => value, back = log ? Math.exp : (value) => value;
  const span = scale(high) - scale(low);
  const marks = span ? [0, 0.25, 0.5, 0.75, 1].map((at) => [at, shortNumber(back(scale(low) + at * span))]) : [[0.5, shortNumber(low)]];
  return { key, at: (row) => (values[row] === null ? null : span ? (scale(values[row]) - scale(low)) / span : 0.5), marks };
}

function shortNumber(value) {
  return value.toLocaleString("en-US", { maximumSignificantDigits: 3 });
}

/** Lines that are drawn: all where they are few, else those selected or on the front, and of the rest as many as fit. */
function linesDrawn(state) {
  if (state.rows.length <= MOST_LINES) return state.rows;
  const first = state.rows.filter((row) => row === state.chosen || DATA.front[row] || (state.selection && state.selection.has(row)));
  const taken = new Set(first.slice(0, MOST_LINES)), rest = state.rows.filter((row) => !taken.has(row));
  const every = Math.max(1, Math.ceil(rest.length / Math.max(1, MOST_LINES - taken.size)));
  rest.forEach((row, at) => { if (at % every === 0 && taken.size < MOST_LINES) taken.add(row); });
  return state.rows.filter((row) => taken.has(row));
}

/** For each row its fifth of the points by this metric, the best first. */
function classesOf(key, rows) {
  const sign = METRIC.get(key).more ? -1 : 1;
  const known = rows.filter((row) => VALUES[key][row] !== null).sort((a, b) => sign * (VALUES[key][a] - VALUES[key][b]));
  return new Map(known.map((row, at) => [row, Math.floor((at * CLASSES.length) / known.length)]));
}

function parallelFigure(state) {
  const rows = linesDrawn(state);
  const axes = [...DATA.keys.map((key) => key.key), ...state.parallelMetrics].map((key) => parallelAxis(key, state.rows));
  const classes = classesOf(state.colour, state.rows), chosen = state.selection;
  const lines = (mine, colour, width, opacity, name) => ({
    type: "scatter", mode: "lines", name, hoverinfo: "skip", opacity, line: { color: colour, width },
    x: mine.flatMap(() => [...axes.keys(), null]),
    y: mine.flatMap((row) => [...axes.map((axis) => axis.at(row)), null]),
  });
  const traces = [];
  if (chosen) traces.push({ ...lines(rows.filter((row) => !chosen.has(row)), PALE, 1, 0.6), showlegend: false });
  // The best are drawn last, over the others.
  for (let place = CLASSES.length - 1; place >= 0; place--) {
    const mine = rows.filter((row) => classes.get(row) === place && (!chosen || chosen.has(row)));
    const name = ["best fifth", "second", "third", "fourth", "worst fifth"][place];
    traces.push({ ...lines(mine, CLASSES[place], 1.6, rows.length > 300 && !chosen ? 0.5 : 0.85, name), legendrank: place });
  }
  if (state.chosen !== null && rows.includes(state.chosen)) traces.push(lines([state.chosen], "#000", 3, 1, `point ${VALUES.number[state.chosen]}`));
  const spots = rows.flatMap((row) => axes.map((axis, at) => [at, axis.at(row), row])).filter((spot) => spot[1] !== null);
  traces.push({
    type: "scatter", mode: "markers", showlegend: false, x: spots.map((spot) => spot[0]), y: spots.map((spot) => spot[1]),
    customdata: spots.map((spot) => spot[2]), text: spots.map((spot) => spot[2]).map(pointText), hovertemplate: "%{text}<extra></extra>",
    marker: { size: 8, opacity: 0, color: "#000" }, selected: { marker: { opacity: 0 } }, unselected: { marker: { opacity: 0 } },
  });
  const annotations = axes.flatMap((axis, at) => axis.marks.map(([place, text]) => ({
    x: at, y: place, text, showarrow: false, xanchor: "right", xshift: -5, font: { size: 12 }, bgcolor: "rgba(255,255,255,0.85)", borderpad: 1,
  })));
  return {
    data: traces,
    layout: {
      height: 460,
      hovermode: "closest",
      dragmode: "select",
      uirevision: state.group,
      selectionrevision: `${state.cleared} ${state.group}`,
      annotations,
      shapes: axes.map((_, at) => ({ type: "line", x0: at, x1: at, y0: 0, y1: 1, line: { color: "#55606b", width: 1 } })),
      xaxis: {
        tickvals: [...axes.keys()], ticktext: axes.map((axis) => METRIC.has(axis.key) ? titleOf(axis.key).replace(" in ", "<br>in ") : broken(axis.key)), range: [-0.35, axes.length - 0.85],
        fixedrange: true, showgrid: false, zeroline: false, showline: false, ticks: "",
      },
      yaxis: { visible: false, range: [-0.07, 1.07], fixedrange: true },
      margin: { l: 30, r: 50, t: 30, b: 60 },
    },
  };
}

/** The best row of each cell of two keys, among points that the other keys' choices leave. */
function heatCells(state, failed) {
  const { heatX, heatY, heatMetric, fixed } = state, more = METRIC.get(heatMetric).more;
  const kept = (values, row) => Object.entries(fixed).every(([key, value]) => value === null || values[key][row] === value);
  const cells = new Map(), name = (values, row) => JSON.stringify([values[heatX][row], values[heatY][row]]);
  for (const row of state.rows) {
    const value = VALUES[heatMetric][row];
    if (!kept(VALUES, row) || value === null) continue;
    const cell = cells.get(name(VALUES, row)) || { best: row, count: 0, rows: [] };
    const best = VALUES[heatMetric][cell.best];
    if (more ? value > best : value < best) cell.best = row;
    cell.count += 1;
    cell.rows.push(row);
    cells.set(name(VALUES, row), cell);
  }
  const lost = new Set();
  failed.forEach((row) => { if (kept(DATA.failed.values, row)) lost.add(name(DATA.failed.values, row)); });
  return { cells, lost };
}

function heatFigure(state, failed) {
  const { heatX, heatY, heatMetric } = state, xs = KEY.get(heatX).values, ys = KEY.get(heatY).values;
  const { cells, lost } = heatCells(state, failed);
  const cellAt = (x, y) => cells.get(JSON.stringify([x, y]));
  const found = [...cells.values()].map((cell) => VALUES[heatMetric][cell.best]);
  const log = isWide(found, WIDE_COLOURS), metric = METRIC.get(heatMetric);
  const z = ys.map((y) => xs.map((x) => {
    const cell = cellAt(x, y);
    return cell ? (log ? Math.log10(VALUES[heatMetric][cell.best]) : VALUES[heatMetric][cell.best]) : null;
  }));
  const text = ys.map((y) => xs.map((x) => {
    const cell = cellAt(x, y);
    return cell ? `best of ${number(cell.count, 0)}:<br>${pointText(cell.best)}` : "";
  }));
  const few = xs.length * ys.length <= MOST_CELLS_WITH_NUMBERS;
  const [low, high] = extent(found);
  const ticks = log && found.length ? [0, 0.25, 0.5, 0.75, 1].map((at) => Math.log10(low) + at * Math.log10(high / low)) : null;
  const annotations = [];
  ys.forEach((y, up) => xs.forEach((x, across) => {
    if (!cellAt(x, y) && lost.has(JSON.stringify([x, y]))) annotations.push({ x: across, y: up, text: "✕", showarrow: false, font: { color: "#a94400", size: 14 } });
  }));
  const shapes = [];
  if (state.selection) {
    ys.forEach((y, up) => xs.forEach((x, across) => {
      const cell = cellAt(x, y);
      if (cell && cell.rows.some((row) => state.selection.has(row))) {
        shapes.push({ type: "rect", x0: across - 0.47, x1: across + 0.47, y0: up - 0.47, y1: up + 0.47, line: { color: "#D55E00", width: 2.5 } });
      }
    }));
  }
  const named = (key, values) => ({
    title: { text: plotText(key) }, tickvals: [...values.keys()], ticktext: values.map((value) => shownValue(key, value)), showgrid: false, zeroline: false, fixedrange: true,
  });
  return {
    data: [{
      type: "heatmap", x: [...xs.keys()], y: [...ys.keys()], z, text, hovertemplate: "%{text}<extra></extra>", hoverongaps: false, xgap: 2, ygap: 2,
      customdata: ys.map((y) => xs.map((x) => (cellAt(x, y) ? cellAt(x, y).best : null))),
      // Dark is best, whichever way the metric goes.
      colorscale: "Cividis", reversescale: Boolean(metric.more),
      colorbar: {
        title: { text: titleOf(heatMetric), side: "right" }, thickness: 16,
        ...(ticks ? { tickvals: ticks, ticktext: ticks.map((tick) => shortNumber(10 ** tick)) } : { tickformat: ",~g" }),
      },
    }],
    layout: {
      height: Math.min(760, Math.max(300, 120 + 44 * ys.length)),
      hovermode: "closest",
      margin: { l: 80, r: 24, t: 34, b: 55 },
      modebar: { orientation: "h" },
      xaxis: named(heatX, xs),
      yaxis: named(heatY, ys),
      shapes,
      annotations: [...annotations, ...(few ? cellNumbers(xs, ys, cellAt, z, heatMetric) : [])],
    },
  };
}

/** A cell's number in it, dark on light and light on dark. */
function cellNumbers(xs, ys, cellAt, z, key) {
  const [low, high] = extent(z.flat()), more = METRIC.get(key).more;
  return ys.flatMap((y, up) => xs.flatMap((x, across) => {
    const cell = cellAt(x, y);
    if (!cell) return [];
    const place = high > low ? (z[up][across] - low) / (high - low) : 0.5;
    return [{ x: across, y: up, text: shortNumber(VALUES[key][cell.best]), showarrow: false, font: { size: 12, color: (more ? 1 - place : place) < 0.55 ? "#fff" : "#1d2329" } }];
  }));
}
