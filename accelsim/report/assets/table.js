"use strict";
// Tables that sort by their headers, filter by text and by range, and show a page of rows at a time.

const MOST_ON_A_LINE = 28;
const PAGE_SIZES = [25, 50, 100, 500];

/** What a filter's text asks of a number: a test, null for an empty text, undefined for one that is none. */
function rangeOf(text) {
  const clean = text.replaceAll(",", "").replaceAll(" ", "");
  if (!clean) return null;
  const value = "([-+]?(?:\\d+\\.?\\d*|\\.\\d+)(?:e[-+]?\\d+)?)";
  const between = clean.match(new RegExp(`^${value}?(?:\\.\\.|…)${value}?$`, "i"));
  if (between && (between[1] || between[2])) {
    const low = between[1] === undefined ? -Infinity : Number(between[1]);
    const high = between[2] === undefined ? Infinity : Number(between[2]);
    return (x) => x !== null && x >= low && x <= high;
  }
  const side = clean.match(new RegExp(`^(<=|>=|<|>|=)?${value}$`, "i"));
  if (!side) return undefined;
  const limit = Number(side[2]);
  return {
    "<": (x) => x !== null && x < limit, "<=": (x) => x !== null && x <= limit,
    ">": (x) => x !== null && x > limit, ">=": (x) => x !== null && x >= limit,
    "=": (x) => x === limit, undefined: (x) => x === limit,
  }[side[1]];
}

/** A title that may break after the dots of a key. */
function breakable(title) {
  return title.split(/(?<=[.])/).flatMap((part, at) => (at ? [make("wbr"), part] : [part]));
}

/** A number as it is shown: a filter asks for what the reader sees. */
function asShown(value, decimals) {
  if (value === null || Number.isInteger(value)) return value;
  return Number(decimals === null || decimals === undefined ? value.toPrecision(SHOWN_DIGITS) : value.toFixed(decimals));
}

class DataTable {
  /**
   * @param {Element} place where the table goes
   * @param {object} table columns, values by column, count, total
   * @param {object} options label, pick(row): called when a row is chosen
   */
  constructor(place, table, options) {
    Object.assign(this, { place, table, options });
    this.columns = table.columns;
    this.shown = new Set(this.columns.filter((column) => column.shown).map((column) => column.key));
    this.filters = new Map();
    this.sorted = { key: null, down: false };
    this.allowed = null;
    this.selected = false;
    this.chosen = null;
    this.page = 0;
    this.size = options.size || PAGE_SIZES[1];
    this.build();
    this.refresh();
  }

  build() {
    this.said = make("span", { class: "note", role: "status" });
    this.pager = make("span", { class: "bar" });
    this.clear = make("button", { type: "button", onclick: () => this.clearFilters() }, "clear filters");
    const bar = make("div", { class: "bar" }, this.said, this.clear, this.pager);
    if (this.columns.some((column) => !column.shown)) bar.append(this.columnChoice());
    this.head = make("thead");
    this.body = make("tbody");
    this.foot = make("tfoot");
    const table = make("table", { "aria-label": this.options.label }, this.head, this.body, this.foot);
    this.place.replaceChildren(bar, make("div", { class: "scroll" }, table));
    this.buildHead();
  }

  columnChoice() {
    const boxes = this.columns.map((column) => {
      const box = make("input", { type: "checkbox", onchange: () => this.toggle(column.key, box.checked) });
      box.checked = this.shown.has(column.key);
      return make("label", {}, box, " " + column.title + (column.unit ? ` (${column.unit})` : ""));
    });
    return make("details", { class: "columns" }, make("summary", {}, "columns"), make("div", {}, ...boxes));
  }

  toggle(key, on) {
    if (on) this.shown.add(key);
    else this.shown.delete(key);
    this.buildHead();
    this.refresh();
  }

  visible() {
    return this.columns.filter((column) => this.shown.has(column.key));
  }

  buildHead() {
    this.arrows = new Map();
    const titles = make("tr"), filters = make("tr", { class: "filters" });
    for (const column of this.visible()) {
      const arrow = make("span", { class: "arrow", "aria-hidden": "true" });
      const button = make("button", { type: "button", title: column.help, onclick: () => this.sort(column.key) }, ...breakable(column.title), arrow);
      const cell = make("th", { class: column.kind, scope: "col" }, button);
      if (column.unit) cell.append(make("span", { class: "unit" }, column.unit));
      this.arrows.set(column.key, { cell, arrow });
      titles.append(cell);
      const text = column.kind === "text";
      const input = make("input", {
        type: "text",
        placeholder: text ? "contains" : "range",
        title: text ? "Rows whose text contains this" : "A range: 10..20, >=10, <20, or a number",
        "aria-label": `filter ${column.title}`,
        "data-filter": column.key,
        oninput: (event) => this.filter(column.key, event.target.value),
      });
      input.value = this.filters.get(column.key) || "";
      filters.append(make("th", { class: column.kind }, input));
    }
    this.head.replaceChildren(titles, filters);
  }

  sort(key) {
    const column = this.columns.find((one) => one.key === key);
    const first = column.kind === "number" && this.options.largestFirst;
    if (this.sorted.key !== key) this.sorted = { key, down: Boolean(first) };
    else if (this.sorted.down === Boolean(first)) this.sorted.down = !this.sorted.down;
    else this.sorted = { key: null, down: false };
    this.page = 0;
    this.refresh();
  }

  filter(key, text) {
    if (text.trim()) this.filters.set(key, text);
    else this.filters.delete(key);
    this.page = 0;
    this.refresh();
  }

  clearFilters() {
    this.filters.clear();
    for (const input of this.head.querySelectorAll("input")) input.value = "";
    this.page = 0;
    this.refresh();
    if (this.options.cleared) this.options.cleared();
  }

  /** Show only these rows, all for null; `selected` says whether the reader can let go of them. */
  allow(rows, selected) {
    this.allowed = rows === null ? null : new Set(rows);
    this.selected = rows !== null && selected;
    this.page = 0;
    this.refresh();
  }

  tests() {
    const tests = [];
    for (const [key, text] of this.filters) {
      const column = this.columns.find((one) => one.key === key), values = this.table.values[key];
      const input = this.head.querySelector(`input[data-filter="${CSS.escape(key)}"]`);
      if (column.kind === "text") {
        const wanted = text.trim().toLowerCase();
        tests.push((row) => String(values[row] ?? "").toLowerCase().includes(wanted));
        continue;
      }
      const test = rangeOf(text);
      if (input) input.setAttribute("aria-invalid", String(test === undefined));
      if (test) tests.push((row) => test(asShown(values[row], column.decimals)));
    }
    return tests;
  }

  /** Rows by number that pass the filters, in order. */
  rows() {
    for (const input of this.head.querySelectorAll("input")) input.removeAttribute("aria-invalid");
    const tests = this.tests(), rows = [];
    for (let row = 0; row < this.table.count; row++) {
      if ((!this.allowed || this.allowed.has(row)) && tests.every((test) => test(row))) rows.push(row);
    }
    if (this.sorted.key !== null) {
      const values = this.table.values[this.sorted.key], sign = this.sorted.down ? -1 : 1;
      rows.sort((a, b) => {
        const x = values[a], y = values[b];
        // What has no value comes last, whichever way.
        if (x === null || y === null) return (x === null) - (y === null);
        return sign * (typeof x === "string" ? x.localeCompare(y, "en", { numeric: true }) : x - y);
      });
    }
    return rows;
  }

  refresh() {
    const rows = (this.current = this.rows());
    for (const [key, { cell, arrow }] of this.arrows) {
      const mine = this.sorted.key === key;
      arrow.textContent = mine ? (this.sorted.down ? "▼" : "▲") : "";
      if (mine) cell.setAttribute("aria-sort", this.sorted.down ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
    }
    const pages = Math.max(1, Math.ceil(rows.length / this.size));
    this.page = Math.min(this.page, pages - 1);
    const start = this.page * this.size, columns = this.visible();
    this.body.replaceChildren(...rows.slice(start, start + this.size).map((row) => this.row(row, columns)));
    const total = this.table.total;
    const filtered = this.filters.size > 0 || this.allowed !== null;
    // It is of all rows, whatever is shown.
    const name = columns.find((column) => column.kind === "text");
    const text = (column) => (filtered && column === name ? `${total[column.key]}, of all rows` : total[column.key]);
    this.foot.replaceChildren(...(total ? [make("tr", {}, ...columns.map((column) => this.cell(column, text(column))))] : []));
    const count = `${number(this.table.count, 0)} ${this.table.count === 1 ? "row" : "rows"}`;
    this.said.textContent = filtered ? `${number(rows.length, 0)} of ${count}` : count;
    this.clear.hidden = this.filters.size === 0 && !this.selected;
    this.pages(pages);
    if (this.options.shown) this.options.shown(rows);
  }

  pages(pages) {
    const smallest = PAGE_SIZES[0];
    this.pager.hidden = this.table.count <= smallest;
    const go = (page) => { this.page = page; this.refresh(); };
    const sizes = make("select", { "aria-label": "rows a page", onchange: (event) => { this.size = Number(event.target.value); go(0); } },
      ...PAGE_SIZES.map((size) => make("option", { value: size, selected: size === this.size }, `${size} a page`)));
    this.pager.replaceChildren(
      make("button", { type: "button", disabled: this.page === 0, "aria-label": "previous page", onclick: () => go(this.page - 1) }, "◀"),
      `page ${number(this.page + 1, 0)} of ${number(pages, 0)}`,
      make("button", { type: "button", disabled: this.page >= pages - 1, "aria-label": "next page", onclick: () => go(this.page + 1) }, "▶"),
      sizes,
    );
  }

  row(row, columns) {
    const pick = this.options.pick;
    const line = make("tr", {
      "data-row": row,
      class: this.chosen === row ? "chosen" : null,
      tabindex: pick ? 0 : null,
      "aria-selected": pick ? String(this.chosen === row) : null,
      onclick: pick && (() => this.choose(row)),
      onkeydown: pick && ((event) => this.key(event, row)),
    });
    line.append(...columns.map((column) => this.cell(column, this.table.values[column.key][row])));
    return line;
  }

  cell(column, value) {
    const text = column.kind === "text" ? (value ?? "") : value === null || value === undefined ? "" : number(value, column.decimals);
    // A short text stays on its line.
    return make("td", { class: text.length <= MOST_ON_A_LINE ? `${column.kind} short` : column.kind }, text);
  }

  key(event, row) {
    const lines = [...this.body.children], at = lines.indexOf(event.currentTarget);
    const next = { ArrowDown: lines[at + 1], ArrowUp: lines[at - 1], Home: lines[0], End: lines[lines.length - 1] }[event.key];
    if (event.key === "Enter" || event.key === " ") this.choose(row);
    else if (next) next.focus();
    else return;
    event.preventDefault();
  }

  /** Mark a row and say so; to another page where it is there. */
  choose(row, quiet) {
    this.chosen = row;
    for (const line of this.body.children) {
      const mine = Number(line.dataset.row) === row;
      line.classList.toggle("chosen", mine);
      line.setAttribute("aria-selected", String(mine));
    }
    if (!quiet && this.options.pick) this.options.pick(row);
  }
}
