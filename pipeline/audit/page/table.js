const PORTION = 100;

/**
 * A table that sorts by its heads and shows its rows in portions.
 *
 * A column has a title, value(row) to sort by (text or a number, null is last), optionally cell(row) to show, and
 * words that say what it is. Returns the element, and show(rows), which shows others.
 */
function sortable(columns, rows, name) {
  const body = element("tbody"), more = element("button", {type: "button", class: "more", click: () => grow()});
  let shown = rows, next = 0, sorted = {column: null, up: false};
  const heads = columns.map(column => element("th", {scope: "col", class: isText(column) ? "" : "number", title: column.words},
    column.value ? element("button", {type: "button", click: () => sortBy(column)}, column.title) : column.title));

  function sortBy(column) {
    const up = sorted.column === column ? !sorted.up : isText(column);
    sorted = {column, up};
    heads.forEach((head, place) => {
      if (columns[place] === column) head.setAttribute("aria-sort", up ? "ascending" : "descending");
      else head.removeAttribute("aria-sort");
    });
    refill();
  }

  function refill() {
    const {column, up} = sorted, ordered = column ? [...shown].sort((a, b) => compare(column.value(a), column.value(b), up)) : shown;
    body.replaceChildren();
    next = 0;
    body.ordered = ordered;
    grow();
  }

  function grow() {
    body.append(...body.ordered.slice(next, next + PORTION).map(line));
    next = Math.min(next + PORTION, body.ordered.length);
    more.hidden = next >= body.ordered.length;
    more.textContent = `Show ${count(Math.min(PORTION, body.ordered.length - next))} more of ${count(body.ordered.length - next)}`;
  }

  const line = row => element("tr", {}, columns.map((column, place) => element(place ? "td" : "th", {scope: place ? null : "row", class: isText(column) ? column.kind : "number"}, shownIn(column, row))));
  const table = element("table", {class: "table"}, element("caption", {class: "hidden"}, name), element("thead", {}, element("tr", {}, heads)), body);
  refill();
  return {
    element: element("div", {class: "listing"}, element("div", {class: "scroll", tabindex: 0, role: "region", "aria-label": name}, table), more),
    show: wanted => { shown = wanted; refill(); },
  };
}

const isText = column => column.kind !== undefined;
const shownIn = (column, row) => column.cell ? column.cell(row) : format(column.value(row));
const format = value => value === null ? DASH : typeof value === "number" ? count(value) : value;

function compare(a, b, up) {
  if (a === null || b === null) return (a === null) - (b === null);
  const order = typeof a === "string" ? a.localeCompare(b, "en", {numeric: true}) : a - b;
  return up ? order : -order;
}

const bounded = (title, value, words) => ({title, words, value, cell: row => decimal(value(row))});
const share = (title, value, words) => ({title, words, value, cell: row => percent(value(row))});
const counted = (title, value, words) => ({title, words, value, cell: row => value(row) ? count(value(row)) : element("span", {class: "quiet"}, "0")});
const suspected = found => found.shortcut !== null && found.shortcut.score >= data.suspect;

function classColumns() {
  const columns = [
    {title: "Class", kind: "name", value: found => found.name, cell: found => element("a", {href: `#class-${found.number}`}, found.name)},
    {title: "Mean map", kind: "thumbnail", cell: found => found.mean === null ? DASH : mapCanvas(means(found.mean), "mean", `Mean map of ${found.name}`)},
    {title: "Shortcut", words: "How much the class looks as if it rested on a shortcut, 0 to 1", value: found => found.shortcut?.score ?? null, cell: suspicion},
    {title: "Images", value: found => found.images, words: "Explained; without labels, those predicted as the class"},
    data.labelled && {title: "Accuracy", words: "Share predicted as labelled", value: found => found.accuracy, cell: found => found.accuracy === null ? DASH : element("span", {class: "beside"}, meter(found.accuracy), percent(found.accuracy))},
    share("Confidence", found => found.confidence, "Mean probability of the predicted class"),
    share("Border", found => found.border, "Share of the mean map in the outer eighth of each side"),
    share("Corner", found => found.corner, "Share of the mean map in its fullest corner, a quarter of each side"),
    bounded("Coincidence", found => found.coincidence, "Overlap of two of its maps, 1 where all are the same"),
    {title: "Clusters", words: "Groups of its images whose maps are alike", value: found => found.clusters.length},
    data.labelled && counted("Labels in doubt", found => found.doubted, "Images whose label confident learning holds to be another"),
    counted("Outliers", found => found.outliers, "Images whose map stands alone"),
    counted("Unfaithful", found => found.unfaithful, "Maps that miss much of what they should sum to"),
    counted("Failed", found => found.failures, "Images that could not be explained"),
  ];
  return columns.filter(column => column && (!column.value || isText(column) || data.classes.some(column.value)));
}

function suspicion(found) {
  if (!found.shortcut) return DASH;
  const {score, check} = found.shortcut, mark = check?.confirmed ? "confirmed" : suspected(found) ? "suspect" : null;
  return element("span", {class: "beside"}, mark && element("span", {class: `mark ${mark}`}, mark), meter(score, data.suspect), decimal(score));
}

const FILTERS = {
  "all classes": () => true,
  "suspects": suspected,
  "confirmed shortcuts": found => found.shortcut?.check?.confirmed ?? false,
  "with labels in doubt": found => found.doubted > 0,
  "with outliers": found => found.outliers > 0,
  "with unfaithful maps": found => found.unfaithful > 0,
  "with several clusters": found => found.clusters.length > 1,
  "with failures": found => found.failures > 0,
};

/** The classes with a search over their names and a choice of what is wanted of them. */
function classTable() {
  const columns = classColumns(), table = sortable(columns, data.classes, "Classes");
  const search = element("input", {type: "search", id: "search", autocomplete: "off", spellcheck: "false", input: () => filter()});
  const kinds = Object.entries(FILTERS).filter(([name, wanted]) => name === "all classes" || data.classes.some(wanted));
  const choice = element("select", {id: "filter", change: () => filter()}, kinds.map(([name]) => element("option", {}, name)));
  const said = element("p", {class: "note", role: "status"});
  function filter() {
    const typed = search.value.toLowerCase().split(/\s+/).filter(Boolean), wanted = FILTERS[choice.value];
    const found = data.classes.filter(one => wanted(one) && typed.every(word => `${one.name.toLowerCase()} ${one.number}`.includes(word)));
    said.textContent = found.length === data.classes.length ? several(found.length, "class", "classes") : `${count(found.length)} of ${several(data.classes.length, "class", "classes")}`;
    table.show(found);
  }
  filter();
  const words = columns.filter(column => column.words).map(column => [element("dt", {}, column.title), element("dd", {}, column.words)]);
  return [element("div", {class: "controls"}, element("label", {for: "search"}, "Search"), search, element("label", {for: "filter"}, "Show"), choice, said),
    data.run.pooled && element("div", {class: "key"}, colourBar("mean")), table.element,
    element("details", {}, element("summary", {}, "What the columns say"), element("dl", {class: "glossary"}, words))].filter(Boolean);
}
