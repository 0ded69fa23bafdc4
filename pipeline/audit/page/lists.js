/** The lists over all classes; each is null where there is nothing in it. */
function titled(id, heading, words, ...children) {
  return element("section", {id}, element("h2", {}, heading), note(words), children);
}

/** Cards of the first, and a table of all, which is made when it is opened. */
function listed(id, heading, words, {found, cardOf, columns}) {
  if (!found.length) return null;
  const all = element("details", {}, element("summary", {}, `All ${count(found.length)} as a table`));
  all.addEventListener("toggle", () => {
    if (all.open && all.children.length === 1) all.append(sortable(columns, found, heading).element);
  });
  const key = data.scale !== null && element("div", {class: "key"}, colourBar("map"));
  return titled(id, heading, words, key, montage(found.slice(0, data.limits.listed).map(cardOf)), all);
}

const nameOf = number => classes.get(number)?.name ?? `class ${number}`;
const pathColumn = {title: "Image", kind: "file", value: one => one.path};
const classColumn = {
  title: "Class", kind: "name", value: one => nameOf(one.number), cell: one => linked(one.number, nameOf(one.number)),
};

const doubtCard = one => card(one.row, `p(label) ${percent(one.self_confidence)}`, suggestionOf(one));
const outlierCard = one => card(one.row, `outlier factor ${decimal(one.factor)}`);
const unfaithfulCard = one => card(one.row, `misses ${percent(one.relative)}, δ ${significant(one.delta)}`);

function suggestionOf(one) {
  if (one.suggested === null) return "confident learning is not sure";
  return `should be: ${one.suggested === one.predicted ? one.predicted_name : nameOf(one.suggested)}`;
}

function doubts() {
  const words = "The model gives another class a higher probability than the label's; the least probable label first. On training "
    + "images a model repeats wrong labels, so that few of them show.";
  const named = (heading, number, name) => ({
    title: heading, kind: "name", value: one => one[name], cell: one => linked(one[number], one[name]),
  });
  return listed("doubts", "Labels in doubt", words, {found: data.doubts, cardOf: doubtCard, columns: [
    pathColumn, named("Label", "label", "label_name"), named("Predicted", "predicted", "predicted_name"),
    share("p(label)", one => one.self_confidence), bounded("Margin", one => one.margin, "(p(label) − p(best other) + 1) / 2"),
    {title: "Confident learning", kind: "name", value: suggestionOf},
  ]});
}

function outliers() {
  const cardOf = one => card(one.row, `${nameOf(one.number)}, factor ${decimal(one.factor)}`);
  const columns = [pathColumn, classColumn, bounded("Factor", one => one.factor, "About 1 inside a crowd")];
  return listed("outliers", "Outliers", "Images whose map stands alone in its class.", {found: data.outliers, cardOf, columns});
}

function unfaithful() {
  const delta = {title: "δ", value: one => one.delta, cell: one => significant(one.delta)};
  const columns = [pathColumn, classColumn, share("Missed", one => one.relative), delta];
  const words = "Their sum is far from F(x) − F(baseline): they violate completeness.";
  return listed("unfaithful", "Maps not to trust", words, {found: data.unfaithful, cardOf: unfaithfulCard, columns});
}

function alike() {
  if (!data.alike.length) return null;
  const pairs = data.alike.slice(0, data.limits.listed / 2).map(one => element("div", {class: "pair"},
    likeness(one.first, one.first_name), likeness(one.second, one.second_name),
    element("p", {class: "words"}, `similarity ${decimal(one.similarity)}`)));
  const words = "Their mean maps differ from the mean of all classes in the same way: the same corner may be the same watermark.";
  return titled("alike", "Classes with the same maps", words, element("div", {class: "couples"}, pairs));
}

function confusions() {
  if (!data.confusions.length) return null;
  const words = "Pairs of a label and a wrong prediction, the most frequent first, with their maps.";
  const first = data.confusions.slice(0, data.limits.listed);
  return titled("confusions", "Confusions", words, element("div", {class: "confusions"}, first.map(confusion)));
}

function confusion(one) {
  const typical = classes.get(one.predicted)?.rows.slice(0, 2) ?? [];
  const side = (words, rows) => element("div", {}, element("p", {class: "words"}, words), montage(rows.map(row => card(row))));
  return element("section", {class: typical.length ? "confusion both" : "confusion"},
    element("h3", {}, linked(one.label, one.label_name), " taken for ", linked(one.predicted, one.predicted_name),
      element("span", {class: "quiet"}, ` ${several(one.images, "image")}, ${percent(one.share)}`)),
    element("div", {class: "sides"}, side(`${one.label_name}, so taken`, one.rows.slice(0, 2)),
      typical.length > 0 && side(`typical of ${one.predicted_name}`, typical)));
}

function comparison() {
  const found = data.comparison;
  if (!found) return null;
  const number = (heading, name, words) => bounded(heading, one => one[name], words);
  const columns = [
    classColumn, {title: "Images", value: one => one.images},
    number("Correlation", "correlation", "Rank correlation of the two maps of an image, mean"),
    number("Overlap", "overlap", "Share of the fullest tenth of the cells that is common"),
    number("Of mean maps", "mean_overlap", "Overlap of the two mean maps"),
    {title: "Accuracy", value: one => one.accuracy, cell: one => one.accuracy === null ? DASH : points100(one.accuracy)},
    number("Shortcut", "shortcut", "Score in this run"), number("There", "other_shortcut", "Score in the other run"),
    {title: "Suspect", kind: "name", value: one => one.suspect},
  ];
  const words = `${found.method} on ${found.model}, ${found.folder}: ${several(found.images, "image")} in both; `
    + `rank correlation ${decimal(found.correlation)}, overlap of the fullest tenth ${decimal(found.overlap)}.`;
  const table = sortable(columns, found.classes, "Classes beside another run");
  return titled("comparison", "Beside another run", words, table.element);
}
