/** All that was found about a class. */
function classPanel(found) {
  return element("article", {"aria-labelledby": "class-name"},
    steps(found),
    element("h1", {class: "eyebrow"}, `${title}, class ${found.number}`),
    element("h2", {tabindex: -1, id: "class-name"}, found.name),
    figures(found), mapsOf(found), suspicionOf(found), clustersOf(found), casesOf(found), confusedWith(found), likeOthers(found));
}

const block = (heading, ...children) => element("section", {}, element("h3", {}, heading), children);
const note = (...words) => element("p", {class: "note"}, words);

function steps(found) {
  const place = data.classes.indexOf(found), before = data.classes[place - 1], after = data.classes[place + 1];
  return element("nav", {class: "steps", "aria-label": "Classes"},
    element("a", {href: "#classes"}, "All classes"),
    before && element("a", {href: `#class-${before.number}`, rel: "prev"}, `← ${before.name}`),
    after && element("a", {href: `#class-${after.number}`, rel: "next"}, `${after.name} →`));
}

function figures(found) {
  const named = [
    ["images", count(found.images)],
    data.labelled && ["predicted as labelled", percent(found.accuracy)],
    ["mean confidence", percent(found.confidence)],
    data.labelled && ["mean probability of the label", percent(found.self_confidence)],
    found.failures > 0 && ["failed", count(found.failures)],
    found.zero_maps > 0 && ["maps without a positive part", count(found.zero_maps)],
  ];
  return element("dl", {class: "figures"}, named.filter(Boolean).map(
    ([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value))));
}

function mapsOf(found) {
  if (found.mean === null) return note("There is no map of this class to show.");
  const mean = means(found.mean), beyond = mean.map((value, cell) => value - meanOfAll[cell]), box = found.shortcut?.box;
  return block("Where its maps lie",
    note(`Positive parts of its maps, each as shares of the whole on a ${grid} × ${grid} grid. `,
      `${percent(found.border)} of the mean map is on the border, ${percent(found.corner)} in its fullest corner; `,
      found.coincidence === null ? "" : `two of its maps overlap by ${decimal(found.coincidence)}; `,
      "all classes have the same colours."),
    element("div", {class: "heats"},
      mapFigure(mean, "mean", "Mean map", box),
      mapFigure(deviations(found.mean), "deviation", "How it varies", box),
      mapFigure(meanOfAll, "mean", "Mean of all classes"),
      mapFigure(beyond, "difference", "Beyond all classes", box)));
}

function suspicionOf(found) {
  const suspicion = found.shortcut;
  if (!suspicion) return null;
  const whose = suspicion.cluster === null ? "all its" : `cluster ${suspicion.cluster},`;
  const verdict = suspected(found)
    ? "A suspect: the score stands out among the classes." : "No suspect: the score does not stand out among the classes.";
  return block("Does it rest on a shortcut?",
    element("p", {class: "verdict"}, verdict, checkedWords(suspicion.check)),
    note(`About ${whose} ${several(suspicion.images, "image")}. The dashed frame holds ${percent(suspicion.mass)} `,
      `of the median map, and ${percent(suspicion.elsewhere)} of the other classes' mean map.`),
    element("div", {class: "evidence"}, scoreParts(suspicion), interventionOf(suspicion.check)));
}

function scoreParts(suspicion) {
  return bars([
    ["score", suspicion.score, "Mean of those below"],
    ["border", suspicion.border, "Mass on the border, in excess of the other classes'"],
    ["corner", suspicion.corner, "Mass in the corner with most of it, in excess of the other classes'"],
    ["same place", suspicion.place, "Median mass in the frame, in excess of the other classes'"],
    ["cluster apart", suspicion.apart, "Silhouette of the cluster times “same place”"],
    ["agreement", suspicion.agreement, "“Same place” of the other method's maps"],
  ].filter(([, value]) => value !== null));
}

function checkedWords(check) {
  if (!check) return element("span", {class: "quiet"}, " It was not checked.");
  const words = check.confirmed ? " An intervention confirms it." : " An intervention does not confirm it.";
  return element("span", {class: `mark ${check.confirmed ? "confirmed" : "cleared"}`}, words);
}

function interventionOf(check) {
  if (!check) return null;
  const inPoints = ({mean, low, high}) => `${points100(mean)} [${signed(100 * low, 0)}, ${signed(100 * high, 0)}]`;
  const inLogits = ({mean, low, high}) => `${signed(mean)} [${signed(low)}, ${signed(high)}]`;
  const three = what => [["the frame", check.region[what]], ["elsewhere", check.control[what]], ["difference", check.difference[what]]];
  return element("div", {class: "check"}, element("h4", {}, "Intervention"),
    note(`The frame was covered by the blur around it in ${several(check.images, "image")}, and so were ${several(check.elsewhere.length, "region")} `,
      `of its size elsewhere. Uncovered, ${percent(check.accuracy)} are predicted as the class.`),
    intervals("Accuracy changes by", three("accuracy"), inPoints),
    intervals("The class's score changes by", three("score"), inLogits));
}

function clustersOf(found) {
  if (!found.clusters.length) return null;
  return block(several(found.clusters.length, "cluster"),
    note("Images whose maps are alike. A small cluster that stands apart often shows something that should not decide the class."),
    element("div", {class: "plots"}, scatter(found), eigenvalues(found)),
    found.clusters.map(clusterOf));
}

function clusterOf(cluster) {
  const said = [
    several(cluster.images, "image"), `${percent(cluster.share)} of the class`,
    cluster.accuracy !== null && `${percent(cluster.accuracy)} predicted as labelled`,
    `${percent(cluster.purity)} predicted ${cluster.predicted_name}`,
    `stands apart by ${decimal(cluster.apart)}`, `${percent(cluster.border)} on the border`,
  ];
  const shown = cluster.rows.slice(0, data.limits.cluster).map(row => card(row));
  return element("section", {class: "cluster"},
    element("h4", {}, sign(cluster.number), `Cluster ${cluster.number}`),
    note(said.filter(Boolean).join(" · ")),
    element("div", {class: "with-map"}, mapFigure(clusterMeans(cluster.mean), "mean", "Mean map"), montage(shown)));
}

function casesOf(found) {
  const own = (listed, name) => listed.filter(one => one[name] === found.number);
  const typical = found.rows.slice(0, data.limits.examples).map(row => card(row));
  return [
    cases("Typical images", "Those whose maps are nearest to the mean map.", typical, colourBar("map")),
    cases("Labels in doubt", "The model gives another class a higher probability.", own(data.doubts, "label").map(doubtCard)),
    cases("Outliers", "Their map stands alone in the class.", own(data.outliers, "number").map(outlierCard)),
    cases("Unfaithful maps", "Their sum is far from F(x) − F(baseline): they violate completeness.", own(data.unfaithful, "number").map(unfaithfulCard)),
  ];
}

/** Cards under a heading; those without a picture are only counted. */
function cases(heading, words, cards, key = null) {
  const shown = montage(cards);
  if (!shown) return null;
  const left = cards.length - shown.children.length;
  return block(heading, note(words, left > 0 && ` ${count(left)} more are in the list of all classes.`),
    key && element("div", {class: "key"}, key), shown);
}

function confusedWith(found) {
  const pairs = data.confusions.filter(one => [one.label, one.predicted].includes(found.number));
  if (!pairs.length) return null;
  return block("Confused with", element("ul", {class: "pairs"}, pairs.map(one => element("li", {},
    `${several(one.images, "image")} of `, linked(one.label, one.label_name), " predicted as ",
    linked(one.predicted, one.predicted_name), element("span", {class: "quiet"}, ` ${percent(one.share)}`)))));
}

function likeOthers(found) {
  const pairs = data.alike.filter(one => [one.first, one.second].includes(found.number)).slice(0, 5);
  if (!pairs.length) return null;
  return block("Maps like those of", element("div", {class: "heats"}, pairs.map(one => one.first === found.number
    ? likeness(one.second, one.second_name) : likeness(one.first, one.first_name))));
}

const likeness = (number, name) => element("a", {href: `#class-${number}`, class: "like"},
  mapFigure(means(classes.get(number).mean), "mean", name));
