/** The lists over all classes; each is null where there is nothing in it. */
function titled(id, title, words, ...children) {
  return element("section", {id}, element("h2", {}, title), element("p", {class: "note"}, words), children);
}

/** Cards of the first, and a table of all, which is made when it is opened. */
function listed(id, title, words, found, {cardOf, columns}) {
  if (!found.length) return null;
  const all = element("details", {}, element("summary", {}, `All ${count(found.length)} as a table`));
  all.addEventListener("toggle", () => { if (all.open && all.children.length === 1) all.append(sortable(columns, found, title).element); });
  return titled(id, title, words, data.scale !== null && element("div", {class: "key"}, colourBar("map")), montage(found.slice(0, data.limits.listed).map(cardOf)), all);
}

const pathColumn = {title: "Image", kind: "file", value: one => one.path};
const classColumn = {title: "Class", kind: "name", value: one => classes.get(one.number)?.name ?? `class ${one.number}`, cell: one => linked(one.number, classes.get(one.number)?.name ?? `class ${one.number}`)};

function doubts() {
  return listed("doubts", "Labels in doubt", "The model gives another class a higher probability than the label's; the least margin first. Images that the model was trained on it knows by heart, so that few of their wrong labels show.", data.doubts, {
    cardOf: doubtCard,
    columns: [pathColumn, {title: "Label", kind: "name", value: one => one.label_name, cell: one => linked(one.label, one.label_name)},
      {title: "Predicted", kind: "name", value: one => one.predicted_name, cell: one => linked(one.predicted, one.predicted_name)},
      share("p(label)", one => one.self_confidence), bounded("Margin", one => one.margin, "(p(label) - p(best other) + 1) / 2"),
      {title: "Confident learning", kind: "name", value: suggestionOf}],
  });
}

function outliers() {
  return listed("outliers", "Outliers", "Images whose map stands alone in its class.", data.outliers, {
    cardOf: one => card(one.row, `${classColumn.value(one)}, factor ${decimal(one.factor)}`), columns: [pathColumn, classColumn, bounded("Factor", one => one.factor, "About 1 inside a crowd")],
  });
}

function unfaithful() {
  return listed("unfaithful", "Maps not to trust", "Their sum misses much of F(x) − F(baseline), which the method promises.", data.unfaithful, {
    cardOf: unfaithfulCard,
    columns: [pathColumn, classColumn, share("Missed", one => one.relative), {title: "δ", value: one => one.delta, cell: one => significant(one.delta)}],
  });
}

function alike() {
  if (!data.alike.length) return null;
  const side = (number, name) => element("a", {href: `#class-${number}`, class: "like"}, mapFigure(means(classes.get(number).mean), "mean", name));
  const pairs = data.alike.slice(0, data.limits.listed / 2).map(one => element("div", {class: "pair"}, side(one.first, one.first_name), side(one.second, one.second_name), element("p", {class: "words"}, `similarity ${decimal(one.similarity)}`)));
  return titled("alike", "Classes with the same maps", "Their mean maps depart from all classes' mean in the same way: the same corner may be the same watermark.", element("div", {class: "couples"}, pairs));
}

function confusions() {
  if (!data.confusions.length) return null;
  const pairs = data.confusions.slice(0, data.limits.listed).map(one => {
    const typical = classes.get(one.predicted)?.rows.slice(0, 2) ?? [], taken = one.rows.slice(0, 2);
    return element("section", {class: typical.length ? "confusion both" : "confusion"},
      element("h3", {}, linked(one.label, one.label_name), " taken for ", linked(one.predicted, one.predicted_name), element("span", {class: "quiet"}, ` ${several(one.images, "image")}, ${percent(one.share)}`)),
      element("div", {class: "sides"}, element("div", {}, element("p", {class: "words"}, `${one.label_name}, so taken`), montage(taken.map(row => card(row)))),
        typical.length > 0 && element("div", {}, element("p", {class: "words"}, `typical of ${one.predicted_name}`), montage(typical.map(row => card(row))))));
  });
  return titled("confusions", "Confusions", "Which classes are taken for which, the commonest first, with what the model looked at.", element("div", {class: "confusions"}, pairs));
}

function comparison() {
  const found = data.comparison;
  if (!found) return null;
  const number = (title, name, words) => bounded(title, one => one[name], words);
  return titled("comparison", "Beside another run", `${found.method} on ${found.model}, ${found.folder}: ${several(found.images, "image")} in both; rank correlation ${decimal(found.correlation)}, overlap of the fullest tenth ${decimal(found.overlap)}.`,
    sortable([classColumn, counted("Images", one => one.images, ""), number("Correlation", "correlation", "Rank correlation of the two maps of an image, mean"), number("Overlap", "overlap", "Share of the fullest tenth of the cells that is common"),
      number("Of mean maps", "mean_overlap", "Overlap of the two mean maps"), {title: "Accuracy", value: one => one.accuracy, cell: one => one.accuracy === null ? DASH : points100(one.accuracy)},
      number("Shortcut", "shortcut", "Score in this run"), number("There", "other_shortcut", "Score in the other run"), {title: "Suspect", kind: "name", value: one => one.suspect}], found.classes, "Classes beside another run").element);
}
