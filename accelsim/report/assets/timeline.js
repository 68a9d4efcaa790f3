"use strict";
// The unit timeline: single operations where few are in sight, else the share of time in which a unit issues work.

const LANES = ["load", "matrix", "vector", "store"];
const LANE_HEIGHT = 0.8;
const MOST_BARS = 1500;
const VIEW_BINS = 400;

class Timeline {
  constructor(place, timeline) {
    Object.assign(this, { place, timeline });
    this.cycles = DATA.cycles;
    this.view = [0, this.cycles];
    for (const button of document.querySelectorAll("[data-view]")) {
      button.addEventListener("click", () => this.move(button.dataset.view));
    }
    this.refresh().then(() => {
      place.on("plotly_relayout", (change) => this.moved(change));
      place.on("plotly_click", (event) => this.clicked(event.points[0]));
    });
  }

  moved(change) {
    let view = null;
    if (change["xaxis.autorange"]) view = [0, this.cycles];
    else if (change["xaxis.range[0]"] !== undefined) view = [change["xaxis.range[0]"], change["xaxis.range[1]"]];
    else if (change["xaxis.range"]) view = change["xaxis.range"];
    if (view) this.show(Number(view[0]), Number(view[1]));
  }

  move(how) {
    const [from, to] = this.view, middle = (from + to) / 2, span = to - from;
    const [shift, scale] = { whole: [0, 0], in: [0, 0.25], out: [0, 1], left: [-span / 2, 0.5], right: [span / 2, 0.5] }[how];
    if (how === "whole") this.show(0, this.cycles);
    else this.show(middle + shift - span * scale, middle + shift + span * scale);
  }

  show(from, to) {
    const span = Math.min(this.cycles, Math.max(to - from, Math.min(20, this.cycles)));
    const start = Math.min(Math.max(0, from), this.cycles - span);
    this.view = [start, start + span];
    return this.refresh();
  }

  refresh() {
    const operations = this.timeline.operations ? this.inSight() : null;
    const single = operations !== null && operations.length <= MOST_BARS;
    const data = single ? this.bars(operations) : this.shares(operations);
    const [from, to] = this.view;
    const what = single ? `${number(operations.length, 0)} operations` : "shares of time";
    document.getElementById("timeline-said").textContent =
      `cycles ${number(from, 0)} to ${number(to, 0)} (${number((to - from) / DATA.clock_mhz, 2)} µs): ${what}`;
    return draw(this.place, {
      data,
      layout: {
        height: 380,
        barmode: "overlay",
        bargap: 0,
        showlegend: false,
        hovermode: "closest",
        dragmode: "zoom",
        xaxis: { title: { text: "cycle" }, tickformat: ",d", range: this.view, autorange: false },
        yaxis: {
          tickvals: LANES.map((_, lane) => LANES.length - 1 - lane + LANE_HEIGHT / 2),
          ticktext: LANES,
          range: [-0.1, LANES.length],
          fixedrange: true,
          showgrid: false,
          zeroline: false,
        },
        shapes: LANES.map((_, lane) => ({
          type: "line", xref: "paper", x0: 0, x1: 1, y0: lane, y1: lane, layer: "below", line: { color: "#c4cad1", width: 1 },
        })),
      },
    });
  }

  /** Operations any part of which is in the view. */
  inSight() {
    const { begin, done } = this.timeline.operations, [from, to] = this.view, found = [];
    for (let at = 0; at < begin.length; at++) if (done[at] > from && begin[at] < to) found.push(at);
    return found;
  }

  colour(layer) {
    return layer < 0 ? DATA.colours[DATA.colours.length - 1] : DATA.colours[layer];
  }

  layer(layer) {
    return layer < 0 ? "of no layer" : DATA.layers[layer];
  }

  bars(found) {
    const o = this.timeline.operations;
    const texts = found.map((at) => {
      const waits = ["semaphore", "dependency", "bank"].filter((why) => o[why][at]).map((why) => `${why} ${number(o[why][at], 0)}`);
      return `<b>${this.layer(o.layer[at])}</b>, instruction ${o.index[at]}<br>${wrap(DATA.instructions[o.index[at]])}<br>` +
        `dispatched in cycle ${number(o.dispatched[at], 0)}; beats from ${number(o.begin[at], 0)} to ${number(o.end[at] - 1, 0)}, ` +
        `${number(o.busy[at], 0)} of them busy; last result in ${number(o.done[at] - 1, 0)}` +
        (waits.length ? `<br>waits in cycles: ${waits.join(", ")}` : "");
    });
    const trace = (from, to, height, opacity) => ({
      type: "bar",
      x: found.map((at) => (from[at] + to[at]) / 2),
      width: found.map((at) => to[at] - from[at]),
      base: found.map((at) => LANES.length - 1 - o.unit[at]),
      y: found.map(() => height),
      text: texts,
      textposition: "none",
      hovertemplate: "%{text}<extra></extra>",
      customdata: found.map((at) => o.index[at]),
      marker: {
        color: found.map((at) => paler(this.colour(o.layer[at]), opacity)),
        // A white edge would cover narrow bars.
        line: { color: "#fff", width: found.map((at) => (to[at] - from[at] > (this.view[1] - this.view[0]) / 250 ? 0.5 : 0)) },
      },
    });
    return [trace(o.end, o.done, LANE_HEIGHT / 3, 0.45), trace(o.begin, o.end, LANE_HEIGHT, 1)];
  }

  /** Bars of each bin's share: pale while operations are under way, solid where beats are issued; a layer on the other. */
  shares(found) {
    const { width, first, cells } = found === null ? this.givenBins() : this.countedBins(found);
    const tops = new Map(), pale = bars(width, 0.4), solid = bars(width, 1);
    for (const { unit, layer, bin, active, busy } of cells) {
      const lane = LANES.length - 1 - unit, key = `${unit},${bin}`, under = tops.get(key) || 0, start = (first + bin) * width;
      tops.set(key, under + active / width);
      const text = `<b>${this.layer(layer)}</b>, ${LANES[unit]}<br>cycles ${number(start, 0)} to ${number(start + width, 0)}: ` +
        `under way in ${number((100 * active) / width, 1)} %, issues in ${number((100 * busy) / width, 1)} %`;
      for (const [trace, cycles] of [[pale, active], [solid, busy]]) {
        trace.x.push(start + width / 2);
        trace.base.push(lane + LANE_HEIGHT * under);
        trace.y.push((LANE_HEIGHT * cycles) / width);
        trace.marker.color.push(this.colour(layer));
        trace.text.push(text);
      }
    }
    return [pale, solid];
  }

  countedBins(found) {
    const o = this.timeline.operations, [from, to] = this.view;
    const width = Math.max(1, Math.ceil((to - from) / VIEW_BINS)), first = Math.floor(from / width);
    const sums = new Sums();
    for (const at of found) {
      // Busy cycles count as spread evenly over the operation's.
      const density = o.busy[at] / (o.end[at] - o.begin[at]);
      const last = Math.floor((o.end[at] - 1) / width);
      for (let bin = Math.max(first, Math.floor(o.begin[at] / width)); bin <= last && bin * width < to; bin++) {
        const part = Math.min(o.end[at], (bin + 1) * width) - Math.max(o.begin[at], bin * width);
        sums.add(o.unit[at], o.layer[at], bin - first, part, part * density);
      }
    }
    return { width, first, cells: sums.cells() };
  }

  /** The bins that came with the page, joined to as many as the view has room for. */
  givenBins() {
    const own = this.timeline.bin_cycles, [from, to] = this.view;
    const joined = Math.max(1, Math.ceil((to - from) / own / VIEW_BINS)), width = own * joined, first = Math.floor(from / width);
    const sums = new Sums();
    for (const stretch of this.timeline.bins) {
      stretch.active.forEach((active, at) => {
        const bin = Math.floor((stretch.first + at) / joined);
        if (active && bin >= first && bin * width < to) sums.add(stretch.unit, stretch.layer, bin - first, active, stretch.busy[at]);
      });
    }
    return { width, first, cells: sums.cells() };
  }

  clicked(point) {
    if (point.customdata !== undefined) showInstruction(point.customdata);
  }
}

/** A colour mixed with white, so that bars that lie on one another do not make a third. */
function paler(colour, share) {
  if (share === 1) return colour;
  const parts = [1, 3, 5].map((at) => Math.round(255 - share * (255 - parseInt(colour.slice(at, at + 2), 16))));
  return `rgb(${parts.join(",")})`;
}

/** Active and busy cycles by unit, layer and bin. */
class Sums {
  constructor() {
    this.found = new Map();
  }

  add(unit, layer, bin, active, busy) {
    const key = `${unit},${layer},${bin}`;
    if (!this.found.has(key)) this.found.set(key, { unit, layer, bin, active: 0, busy: 0 });
    const cell = this.found.get(key);
    cell.active += active;
    cell.busy += busy;
  }

  /** In order of layers, so that they lie on one another alike in all bins. */
  cells() {
    return [...this.found.values()].sort((a, b) => a.layer - b.layer);
  }
}

function bars(width, opacity) {
  return {
    type: "bar", x: [], base: [], y: [], width, text: [], textposition: "none", hovertemplate: "%{text}<extra></extra>",
    marker: { color: [], opacity, line: { width: 0 } },
  };
}

/** An instruction over several lines, so that its box is not wider than the page. */
function wrap(text) {
  const lines = [""];
  for (const word of text.split(" ")) {
    if (lines[lines.length - 1].length + word.length > 80) lines.push("");
    lines[lines.length - 1] += (lines[lines.length - 1] ? " " : "") + word;
  }
  return lines.join("<br>");
}
