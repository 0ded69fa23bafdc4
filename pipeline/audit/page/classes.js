const highest = Math.max(...data.classes.map(found => found.shortcut?.score ?? 0)) || 1;
const suspected = found => found.shortcut !== null && found.shortcut.suspect;

/** What the table says of each class; columns in which no class has anything are left out. */
function classColumns() {
  const columns = [
    {title: "Class", kind: "name", value: found => found.name, cell: found => linked(found.number, found.name)},
    {title: "Mean map", kind: "thumbnail", cell: thumbnail},
    {title: "Shortcut", words: "Suspicion that the class relies on a shortcut, 0 to 1; the bar is relative to the highest",
      value: found => found.shortcut?.score ?? null, cell: suspicion},
    {title: "Images", words: "Explained; without labels, those predicted as the class", value: found => found.images},
    {title: "Accuracy", words: "Share predicted as labelled", value: found => found.accuracy, cell: accuracy},
    share("Confidence", found => found.confidence, "Mean probability of the predicted class"),
    share("Border", found => found.border, "Share of the mean map in the outer eighth of each side"),
    share("Corner", found => found.corner, "Share of the mean map in the corner with most mass, three eighths of each side"),
    bounded("Coincidence", found => found.coincidence, "Mean overlap of two of its maps, 1 if all are the same"),
    {title: "Clusters", words: "Groups of its images whose maps are alike", value: found => found.clusters.length},
    counted("Labels in doubt", found => found.doubted, "Images whose label is in doubt by confident learning"),
    counted("Outliers", found => found.outliers, "Images whose map is an outlier in the class"),
    counted("Unfaithful", found => found.unfaithful, "Maps whose sum violates completeness"),
    counted("Failed", found => found.failures, "Images that could not be explained"),
  ];
  return columns.filter(column => !column.value || data.classes.some(column.value));
}

function thumbnail(found) {
  return found.mean === null ? DASH : mapCanvas(means(found.mean), "mean", `Mean map of ${found.name}`);
}

function accuracy(found) {
  return found.accuracy === null ? DASH : element("span", {class: "beside"}, meter(found.accuracy), percent(found.accuracy));
}

function suspicion(found) {
  if (!found.shortcut) return DASH;
  const {score, check} = found.shortcut, mark = check?.confirmed ? "confirmed" : suspected(found) ? "suspect" : null;
  return element("span", {class: "beside"}, mark && element("span", {class: `mark ${mark}`}, mark),
    meter(score / highest), decimal(score));
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
  const kinds = Object.keys(FILTERS).filter((name, place) => place === 0 || data.classes.some(FILTERS[name]));
  const choice = element("select", {id: "filter", change: () => filter()}, kinds.map(name => element("option", {}, name)));
  const said = element("p", {class: "note", role: "status"});
  function filter() {
    const typed = search.value.toLowerCase().split(/\s+/).filter(Boolean), wanted = FILTERS[choice.value];
    const matches = found => typed.every(word => `${found.name.toLowerCase()} ${found.number}`.includes(word));
    const left = data.classes.filter(found => wanted(found) && matches(found));
    const all = several(data.classes.length, "class", "classes");
    said.textContent = left.length === data.classes.length ? all : `${count(left.length)} of ${all}`;
    table.show(left);
  }
  filter();
  return element("div", {},
    element("div", {class: "controls"},
      element("label", {for: "search"}, "Search"), search, element("label", {for: "filter"}, "Show"), choice, said),
    data.run.pooled && element("div", {class: "key"}, colourBar("mean")), table.element, glossary(columns));
}

function glossary(columns) {
  const named = columns.filter(column => column.words);
  return element("details", {}, element("summary", {}, "Meaning of the columns"), element("dl", {class: "glossary"},
    named.map(column => [element("dt", {}, column.title), element("dd", {}, column.words)])));
}
