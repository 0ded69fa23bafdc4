const PORTION = 100;

/**
 * A table that sorts by its heads and shows its rows in portions.
 *
 * A column has a title, value(row) to sort by (text or a number, null is last), optionally cell(row) to show, a kind if
 * it is text, and words that say what it is. Returns the element, and show(rows), which shows others.
 */
function sortable(columns, rows, name) {
  const body = element("tbody"), more = element("button", {type: "button", class: "more", click: () => grow()});
  const heads = columns.map(column => head(column, () => sortBy(column)));
  let shown = rows, ordered = rows, next = 0, sorted = {column: null, up: false};

  function sortBy(column) {
    sorted = {column, up: sorted.column === column ? !sorted.up : isText(column)};
    heads.forEach(other => other.removeAttribute("aria-sort"));
    heads[columns.indexOf(column)].setAttribute("aria-sort", sorted.up ? "ascending" : "descending");
    refill();
  }

  function refill() {
    const {column, up} = sorted;
    ordered = column ? [...shown].sort((a, b) => compare(column.value(a), column.value(b), up)) : shown;
    body.replaceChildren();
    next = 0;
    grow();
  }

  function grow() {
    body.append(...ordered.slice(next, next + PORTION).map(row => line(columns, row)));
    next = Math.min(next + PORTION, ordered.length);
    const left = ordered.length - next;
    more.hidden = left === 0;
    more.textContent = `Show ${count(Math.min(PORTION, left))} more of ${count(left)}`;
  }

  refill();
  const table = element("table", {class: "table"}, element("caption", {class: "hidden"}, name),
    element("thead", {}, element("tr", {}, heads)), body);
  const scroll = element("div", {class: "scroll", tabindex: 0, role: "region", "aria-label": name}, table);
  return {element: element("div", {}, scroll, more), show: wanted => { shown = wanted; refill(); }};
}

const isText = column => column.kind !== undefined;

function head(column, click) {
  const words = column.value ? element("button", {type: "button", click}, column.title) : column.title;
  return element("th", {scope: "col", class: isText(column) ? null : "number", title: column.words}, words);
}

function line(columns, row) {
  return element("tr", {}, columns.map((column, place) => element(place ? "td" : "th",
    {scope: place ? null : "row", class: isText(column) ? column.kind : "number"}, shownIn(column, row))));
}

function shownIn(column, row) {
  if (column.cell) return column.cell(row);
  const value = column.value(row);
  return value === null ? DASH : typeof value === "number" ? count(value) : value;
}

function compare(a, b, up) {
  if (a === null || b === null) return (a === null) - (b === null);
  const order = typeof a === "string" ? a.localeCompare(b, "en", {numeric: true}) : a - b;
  return up ? order : -order;
}

const bounded = (heading, value, words) => ({title: heading, words, value, cell: row => decimal(value(row))});
const share = (heading, value, words) => ({title: heading, words, value, cell: row => percent(value(row))});
const counted = (heading, value, words) => ({
  title: heading, words, value, cell: row => value(row) ? count(value(row)) : element("span", {class: "quiet"}, "0"),
});
