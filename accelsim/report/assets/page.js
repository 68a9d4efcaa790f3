"use strict";
// What every page uses: its data, making elements, showing numbers, drawing figures.

const DATA = JSON.parse(document.getElementById("data").textContent);

const FONT = 'system-ui, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", Arial, sans-serif';
const LAYOUT = {
  font: { family: FONT, size: 13, color: "#1d2329" },
  paper_bgcolor: "#fff",
  plot_bgcolor: "#fff",
  margin: { l: 70, r: 50, t: 12, b: 50 },
  modebar: { orientation: "v" },
  separators: ".,",
  hoverlabel: { bgcolor: "#fff", bordercolor: "#55606b", align: "left", font: { family: FONT, size: 13, color: "#1d2329" } },
  legend: { orientation: "h", x: 0, y: 1.02, xanchor: "left", yanchor: "bottom", traceorder: "normal" },
};
const AXIS = { gridcolor: "#e3e7eb", linecolor: "#8a949e", zerolinecolor: "#c4cad1", ticks: "outside", tickcolor: "#8a949e", automargin: true };
const CONFIG = {
  displaylogo: false,
  responsive: true,
  doubleClick: "reset",
  // Plotly's own buttons have one that sends the data to its maker: there is none here, and no address to send to.
  showSendToCloud: false,
  plotlyServerURL: "",
  modeBarButtons: [["toImage"], ["zoom2d", "pan2d"], ["zoomIn2d", "zoomOut2d", "resetScale2d"]],
};

/** An element with attributes and children; text stays text. */
function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

const SHOWN_DIGITS = 6;
const _formats = new Map();

/** A number with thousands separators; as many places as asked for, or as it has where none are. */
function number(value, decimals) {
  if (value === null || value === undefined) return "–";
  if (!_formats.has(decimals)) {
    const options = decimals === null || decimals === undefined
      ? { maximumSignificantDigits: SHOWN_DIGITS }
      : { minimumFractionDigits: decimals, maximumFractionDigits: decimals };
    _formats.set(decimals, new Intl.NumberFormat("en-US", options));
  }
  return _formats.get(decimals).format(value);
}

/** Text for plotly, which reads some tags and entities. */
function plotText(text) {
  return String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

/** What was text for plotly, as it is. */
function plainText(text) {
  return text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");
}

/** A figure's layout with what all figures have in common. */
function layoutOf(layout) {
  const whole = { ...LAYOUT, ...layout };
  for (const key of Object.keys(whole)) {
    if (/^[xy]axis\d*$/.test(key)) whole[key] = { ...AXIS, ...whole[key] };
  }
  return whole;
}

/** Draw a figure, or draw it anew. */
function draw(target, figure, config) {
  target.style.height = `${figure.layout.height}px`;
  return Plotly.react(target, figure.data, layoutOf(figure.layout), { ...CONFIG, ...config });
}

const PRINTED_WIDTH = 960; // in CSS pixels: what A4 and Letter have between their margins, lying

/** Figures have a width of their own: on paper, that of the paper. */
function resize(width) {
  for (const place of document.querySelectorAll(".js-plotly-plot")) {
    Plotly.relayout(place, width === null ? { autosize: true } : { width: Math.min(width, place.clientWidth || width) });
  }
}

addEventListener("beforeprint", () => resize(PRINTED_WIDTH));
addEventListener("afterprint", () => resize(null));
