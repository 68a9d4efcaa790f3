"use strict";
// One point of a sweep: its layers, its energy, and what one step of each key would change.

const LAYERS = DATA.layers;

function layersFigure(row) {
  const from = LAYERS.starts[row], to = LAYERS.starts[row + 1], places = [...Array(to - from).keys()];
  const names = places.map((at) => LAYERS.names[LAYERS.name[from + at]]);
  const total = (at) => DATA.causes.reduce((sum, cause) => sum + LAYERS.causes[cause.name][from + at], 0);
  const totals = places.map(total), whole = totals.reduce((sum, cycles) => sum + cycles, 0);
  const traces = DATA.causes.map((cause) => ({
    type: "bar",
    orientation: "h",
    name: cause.name,
    y: places,
    x: places.map((at) => LAYERS.causes[cause.name][from + at]),
    customdata: places.map((at) => {
      const cycles = LAYERS.causes[cause.name][from + at];
      return `${names[at]}<br><b>${cause.name}</b>: ${number(cycles, 0)} of ${number(totals[at], 0)} cycles<br>` +
        `${number(LAYERS.macs[from + at], 0)} MACs, ${number(LAYERS.dram_bytes[from + at], 0)} DRAM bytes, ${number(LAYERS.energy_nj[from + at])} nJ`;
    }),
    hovertemplate: "%{customdata}<extra></extra>",
    marker: {
      color: cause.colour,
      line: { width: 0.5, color: "#fff" },
      pattern: cause.hatch ? { shape: cause.hatch, fillmode: "overlay", fgcolor: "#fff", size: 6, solidity: 0.25 } : { shape: "" },
    },
  })).filter((trace) => trace.x.some((cycles) => cycles));
  return {
    data: traces,
    layout: {
      barmode: "stack",
      height: 150 + 24 * places.length,
      xaxis: { title: { text: `cycles of ${DATA.whose}` }, tickformat: ",d" },
      yaxis: {
        tickvals: places, autorange: "reversed", fixedrange: true,
        ticktext: places.map((at) => `${shortened(names[at])}  ${number((100 * totals[at]) / whole, 1)} %`),
      },
    },
  };
}

function shortened(text) {
  const plain = plainText(text);
  return plotText(plain.length > 30 ? `${plain.slice(0, 15)}…${plain.slice(-14)}` : plain);
}

function energyFigure(row) {
  const parts = DATA.components.map(({ key, name }) => [name, VALUES[key][row] || 0])
    .filter((part) => part[1] > 0).sort((a, b) => b[1] - a[1]);
  const whole = parts.reduce((sum, part) => sum + part[1], 0);
  return {
    data: [{
      type: "bar", orientation: "h", y: parts.map((part) => part[0]), x: parts.map((part) => part[1]), marker: { color: "#0072B2" },
      customdata: parts.map((part) => number((100 * part[1]) / whole, 1)),
      hovertemplate: "%{y}: %{x:,.4~g} nJ, %{customdata} %<extra></extra>",
    }],
    layout: { height: 90 + 28 * parts.length, xaxis: { title: { text: `energy of ${DATA.whose} in nJ` }, tickformat: ",~g" }, yaxis: { autorange: "reversed" } },
  };
}

/** The points that differ from this one in one key only, by one value of those the sweep has. */
function stepsOf(row, rows) {
  const place = (other) => JSON.stringify(DATA.keys.map(({ key }) => VALUES[key][other]));
  const at = new Map(rows.map((other) => [place(other), other]));
  const found = [];
  for (const { key, values } of DATA.keys) {
    const here = values.indexOf(VALUES[key][row]);
    for (const next of [here - 1, here + 1]) {
      if (next < 0 || next >= values.length) continue;
      const settings = DATA.keys.map((one) => (one.key === key ? values[next] : VALUES[one.key][row]));
      found.push({ key, value: values[next], row: at.get(JSON.stringify(settings)) });
    }
  }
  return found;
}

function stepsTable(row, rows, choose) {
  const metrics = DATA.objectives.map((key) => METRIC.get(key));
  const change = (metric, other) => {
    const from = VALUES[metric.key][row], to = VALUES[metric.key][other];
    if (from === null || to === null || !from) return "–";
    const percent = (100 * (to - from)) / from;
    return `${percent > 0 ? "+" : percent < 0 ? "−" : "±"}${number(Math.abs(percent), 1)} %`;
  };
  const lines = stepsOf(row, rows).map((step) => {
    const there = step.row !== undefined;
    const name = `${step.key} = ${typeof step.value === "number" ? number(step.value, null) : step.value}`;
    return make("tr", {},
      make("td", { class: "text" }, name),
      ...metrics.map((metric) => make("td", { class: "number" }, there ? change(metric, step.row) : "")),
      make("td", {}, there ? VALUES.bound_limit[step.row] : "not done"),
      make("td", { class: "number" }, there ? make("button", { type: "button", onclick: () => choose(step.row) }, String(VALUES.number[step.row])) : ""));
  });
  if (!lines.length) return make("p", { class: "note" }, "No key of the sweep has another value.");
  const head = make("tr", {}, make("th", {}, "step"), ...metrics.map((metric) => make("th", { class: "number" }, metric.title)),
    make("th", {}, "bounded by"), make("th", { class: "number" }, "point"));
  return make("div", { class: "scroll" }, make("table", { "aria-label": "One step of each key" }, make("thead", {}, head), make("tbody", {}, ...lines)));
}

function showPoint(row, rows, choose) {
  const get = (id) => document.getElementById(id);
  get("point-none").hidden = true;
  get("point-shown").hidden = false;
  get("point-title").textContent = `Point ${VALUES.number[row]}`;
  const settings = DATA.keys.map(({ key }) => `${key} = ${typeof VALUES[key][row] === "number" ? number(VALUES[key][row], null) : VALUES[key][row]}`);
  const results = DATA.metrics.map((metric) => `${metric.title} ${number(VALUES[metric.key][row], metric.decimals)}${metric.unit ? ` ${metric.unit}` : ""}`);
  get("point-text").textContent = `${settings.join(", ")}: ${results.join(", ")}. Bounded by: ${VALUES.bound_limit[row]}. ` +
    `Schedule: ${VALUES.schedule[row]}.${DATA.front[row] ? " On the Pareto front." : ""}`;
  const layers = LAYERS.starts[row + 1] > LAYERS.starts[row];
  get("layers-plot").hidden = !layers;
  if (layers) draw(get("layers-plot"), layersFigure(row));
  draw(get("energy-plot"), energyFigure(row));
  get("point-steps").replaceChildren(stepsTable(row, rows, choose));
}
