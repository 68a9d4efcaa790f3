"use strict";
// The unit timeline: single operations where few are in sight, else the shares of time in which a unit issues and waits.

const LANES = ["store", "vector", "matrix", "load", "sequencer"]; // from below; units are numbered from load to sequencer
const LANE_OF = [3, 2, 1, 0, 4];
const SEQUENCER = 4;
const LANE_HEIGHT = 0.8;
const MOST_BARS = 3000;
const VIEW_BINS = 400;
const WAITS_SHARE = 0.38; // of the layer's colour
const MOST_NAMES = 12;

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
    const operations = this.timeline.operations ? this.inSight(this.timeline.operations, "done") : null;
    const states = this.timeline.states ? this.inSight(this.timeline.states, "end") : null;
    const single = operations !== null && operations.length + (states || []).length <= MOST_BARS;
    const data = single ? this.bars(operations, states) : this.shares(states);
    const [from, to] = this.view;
    const what = single ? `${number(operations.length, 0)} operations` : "shares of time";
    document.getElementById("timeline-said").textContent =
      `cycles ${number(from, 0)} to ${number(to, 0)} (${number((to - from) / DATA.clock_mhz, 2)} µs): ${what}`;
    return draw(this.place, {
      data,
      layout: {
        height: 440,
        barmode: "overlay",
        bargap: 0,
        showlegend: false,
        hovermode: "closest",
        dragmode: "zoom",
        xaxis: { title: { text: "cycle" }, tickformat: ",d", range: this.view, autorange: false },
        yaxis: {
          tickvals: LANES.map((_, lane) => lane + LANE_HEIGHT / 2),
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

  /** Operations or states any part of which is in the view. */
  inSight(columns, last) {
    const begins = columns.begin, ends = columns[last], [from, to] = this.view, found = [];
    for (let at = 0; at < begins.length; at++) if (ends[at] > from && begins[at] < to) found.push(at);
    return found;
  }

  colour(layer) {
    return layer < 0 ? DATA.colours[DATA.colours.length - 1] : DATA.colours[layer];
  }

  layer(layer) {
    return layer < 0 ? "of no layer" : DATA.layers[layer];
  }

  reason(at) {
    return this.timeline.states.reasons[this.timeline.states.reason[at]];
  }

  operationText(at) {
    const o = this.timeline.operations;
    const waits = ["semaphore", "dependency", "bank", "dram"].filter((why) => o[why][at]).map((why) => `${why} ${number(o[why][at], 0)}`);
    return `<b>${this.layer(o.layer[at])}</b>, instruction ${o.index[at]}<br>${wrap(DATA.instructions[o.index[at]])}<br>` +
      `dispatched in cycle ${number(o.dispatched[at], 0)}; beats from ${number(o.begin[at], 0)} to ${number(o.end[at] - 1, 0)}, ` +
      `${number(o.busy[at], 0)} of them busy; last result in ${number(o.done[at] - 1, 0)}` +
      (waits.length ? `<br>its own waits in cycles, those behind another operation included: ${waits.join(", ")}` : "");
  }

  stateText(at) {
    const s = this.timeline.states, cycles = s.end[at] - s.begin[at];
    const what = this.reason(at) === "busy" ? "at work" : `waits for: ${this.reason(at)}`;
    return `<b>${this.layer(s.layer[at])}</b>, ${LANES[LANE_OF[s.unit[at]]]} ${what}<br>` +
      `${number(cycles, 0)} ${cycles === 1 ? "cycle" : "cycles"} from ${number(s.begin[at], 0)} on`;
  }

  /** The operation whose beats a unit's cycle lies between; undefined where there is none. */
  operationAt(unit, cycle) {
    const o = this.timeline.operations;
    let low = 0, high = o.unit.length;
    // They are in order of unit and beginning.
    while (low < high) {
      const middle = (low + high) >> 1;
      if (o.unit[middle] < unit || (o.unit[middle] === unit && o.begin[middle] <= cycle)) low = middle + 1;
      else high = middle;
    }
    const at = low - 1;
    return at >= 0 && o.unit[at] === unit && o.end[at] > cycle ? at : undefined;
  }

  /** A bar an operation, pale where it is known what the unit does in its cycles and between them: that lies on it. */
  bars(operations, states) {
    const o = this.timeline.operations, s = this.timeline.states;
    const isWide = (cycles) => cycles > (this.view[1] - this.view[0]) / 250;
    const trace = (found, columns, from, to, height, texts, colours, pattern) => ({
      type: "bar",
      x: found.map((at) => (from[at] + to[at]) / 2),
      width: found.map((at) => to[at] - from[at]),
      base: found.map((at) => LANE_OF[columns.unit[at]]),
      y: found.map(() => height),
      text: texts,
      textposition: "none",
      hovertemplate: "%{text}<extra></extra>",
      marker: {
        color: colours,
        pattern,
        // A white edge would cover narrow bars.
        line: { color: "#fff", width: found.map((at) => (isWide(to[at] - from[at]) ? 0.5 : 0)) },
      },
    });
    const texts = operations.map((at) => this.operationText(at));
    const paled = (share) => operations.map((at) => paler(this.colour(o.layer[at]), share));
    const own = (share) => [
      trace(operations, o, o.end, o.done, LANE_HEIGHT / 3, texts, paled(Math.min(share, 0.5)), undefined),
      { ...trace(operations, o, o.begin, o.end, LANE_HEIGHT, texts, paled(share), undefined), customdata: operations.map((at) => o.index[at]) },
    ];
    if (!states) {
      // As high as the share of its cycles in which it issues; the sequencer has no operations, but its shares of time.
      const heights = operations.map((at) => (LANE_HEIGHT * o.busy[at]) / (o.end[at] - o.begin[at]));
      const pale = own(WAITS_SHARE);
      const solid = { ...pale[1], y: heights, marker: { color: paled(1), line: { width: 0 } } };
      return [...pale, solid, ...this.shares(null, (unit) => unit === SEQUENCER)];
    }
    const busy = states.filter((at) => this.reason(at) === "busy"), waits = states.filter((at) => this.reason(at) !== "busy");
    const owners = busy.map((at) => this.operationAt(s.unit[at], s.begin[at]));
    const colours = (found) => found.map((at) => this.colour(s.layer[at]));
    return [
      ...own(0.25),
      trace(waits, s, s.begin, s.end, LANE_HEIGHT, waits.map((at) => this.stateText(at)), waits.map((at) => paler(this.colour(s.layer[at]), 0.25)),
        // Hatching does not show in narrow bars, and would make the paper's file a hundred times as large.
        { shape: waits.map((at) => (isWide(s.end[at] - s.begin[at]) ? "/" : "")), fillmode: "overlay", fgcolor: colours(waits), size: 6, solidity: 0.35 }),
      {
        ...trace(busy, s, s.begin, s.end, LANE_HEIGHT,
          busy.map((at, place) => (owners[place] === undefined ? this.stateText(at) : this.operationText(owners[place]))), colours(busy), undefined),
        customdata: owners.map((at) => (at === undefined ? null : o.index[at])),
      },
    ];
  }

  /** Bars of each bin's shares: solid where the unit issues, pale where it waits; a layer on the other. */
  shares(states, wanted = () => true) {
    const { width, first, cells } = states === null ? this.givenBins() : this.countedBins(states);
    const tops = new Map(), pale = bars(width), solid = bars(width);
    for (const { unit, layer, bin, busy, waiting, reasons } of cells.filter((cell) => wanted(cell.unit))) {
      const lane = LANE_OF[unit], key = `${unit},${bin}`, start = (first + bin) * width;
      // The run's last bin may be narrower.
      const whole = Math.min(width, this.cycles - start), percent = (cycles) => `${number((100 * cycles) / whole, 1)} %`;
      const why = Object.entries(reasons || {}).map(([name, cycles]) => `${name} ${percent(cycles)}`).join(", ");
      const text = `<b>${this.layer(layer)}</b>, ${LANES[lane]}<br>cycles ${number(start, 0)} to ${number(start + whole - 1, 0)}: ` +
        `issues in ${percent(busy)}, waits in ${percent(waiting)}${why && `<br>for: ${why}`}`;
      for (const [trace, cycles, share] of [[solid, busy, 1], [pale, waiting, WAITS_SHARE]]) {
        if (!cycles) continue;
        const under = tops.get(key) || 0;
        tops.set(key, under + cycles / whole);
        trace.x.push(start + width / 2);
        trace.base.push(lane + LANE_HEIGHT * under);
        trace.y.push((LANE_HEIGHT * cycles) / whole);
        trace.marker.color.push(paler(this.colour(layer), share));
        trace.text.push(text);
      }
    }
    return [pale, solid];
  }

  countedBins(found) {
    const s = this.timeline.states, [from, to] = this.view;
    const width = Math.max(1, Math.ceil((to - from) / VIEW_BINS)), first = Math.floor(from / width);
    const sums = new Sums();
    for (const at of found) {
      const last = Math.floor((s.end[at] - 1) / width), why = this.reason(at);
      for (let bin = Math.max(first, Math.floor(s.begin[at] / width)); bin <= last && bin * width < to; bin++) {
        const cycles = Math.min(s.end[at], (bin + 1) * width) - Math.max(s.begin[at], bin * width);
        const cell = sums.cell(s.unit[at], s.layer[at], bin - first);
        if (why === "busy") cell.busy += cycles;
        else {
          cell.waiting += cycles;
          cell.reasons[why] = (cell.reasons[why] || 0) + cycles;
        }
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
      stretch.busy.forEach((busy, at) => {
        const bin = Math.floor((stretch.first + at) / joined), waiting = stretch.waiting[at];
        if (!(busy || waiting) || bin < first || bin * width >= to) return;
        const cell = sums.cell(stretch.unit, stretch.layer, bin - first);
        cell.busy += busy;
        cell.waiting += waiting;
      });
    }
    return { width, first, cells: sums.cells() };
  }

  clicked(point) {
    if (point.customdata !== undefined && point.customdata !== null) showInstruction(point.customdata);
  }
}

/** A colour mixed with white, so that bars that lie on one another do not make a third. */
function paler(colour, share) {
  if (share === 1) return colour;
  const parts = [1, 3, 5].map((at) => Math.round(255 - share * (255 - parseInt(colour.slice(at, at + 2), 16))));
  return `rgb(${parts.join(",")})`;
}

/** Busy and waiting cycles by unit, layer and bin. */
class Sums {
  constructor() {
    this.found = new Map();
  }

  cell(unit, layer, bin) {
    const key = `${unit},${layer},${bin}`;
    if (!this.found.has(key)) this.found.set(key, { unit, layer, bin, busy: 0, waiting: 0, reasons: {} });
    return this.found.get(key);
  }

  /** In order of layers, so that they lie on one another alike in all bins. */
  cells() {
    return [...this.found.values()].sort((a, b) => a.layer - b.layer);
  }
}

function bars(width) {
  return {
    type: "bar", x: [], base: [], y: [], width, text: [], textposition: "none", hovertemplate: "%{text}<extra></extra>",
    marker: { color: [], line: { width: 0 } },
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

/** What colours mean: a layer each where they are few, else the first and the last of a row from dark to light. */
function layerLegend(place) {
  const last = DATA.layers.length - 1; // what is of no layer
  const few = last <= MOST_NAMES, shown = few ? [...Array(last).keys()] : [0, last - 1];
  const swatch = (colour) => {
    const box = make("span", { class: "swatch", "aria-hidden": "true" });
    box.style.background = colour;
    return box;
  };
  const items = shown.map((at) => make("span", { class: "key" }, swatch(DATA.colours[at]), plainText(DATA.layers[at])));
  if (!few) items.splice(1, 0, "… from dark to light in the layers’ order …");
  place.replaceChildren(...items, make("span", { class: "key" }, swatch(DATA.colours[last]), "of no layer"));
}
