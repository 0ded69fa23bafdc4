/** All that was found about a class. */
function classPanel(found) {
  const place = data.classes.indexOf(found), near = step => data.classes[place + step];
  const step = (other, words) => other && element("a", {href: `#class-${other.number}`, rel: words}, words === "prev" ? `← ${other.name}` : `${other.name} →`);
  const heading = element("h2", {tabindex: -1, id: "class-name"}, found.name);
  return element("article", {"aria-labelledby": "class-name"},
    element("nav", {class: "steps", "aria-label": "Classes"}, element("a", {href: "#classes"}, "All classes"), step(near(-1), "prev"), step(near(1), "next")),
    element("h1", {class: "eyebrow"}, `${title}, class ${found.number}`), heading, figures(found),
    mapsOf(found), suspicionOf(found), clustersOf(found),
    rowsOf("Typical images", "Those whose maps are nearest to the mean map.", found.rows.slice(0, data.limits.examples).map(row => card(row))),
    rowsOf("Labels in doubt", "The model gives another class a higher probability.", ofClass(data.doubts, found, "label").map(doubtCard)),
    rowsOf("Outliers", "Their map stands alone in the class.", ofClass(data.outliers, found, "number").map(outlierCard)),
    rowsOf("Unfaithful maps", "They miss much of what they should sum to.", ofClass(data.unfaithful, found, "number").map(unfaithfulCard)),
    confusedWith(found), likeOthers(found));
}

const ofClass = (listed, found, name) => listed.filter(one => one[name] === found.number);
const doubtCard = one => card(one.row, `p(label) ${percent(one.self_confidence)}`, suggestionOf(one));
const suggestionOf = one => one.suggested === null ? "confident learning is not sure" : `should be: ${classes.get(one.suggested)?.name ?? (one.suggested === one.predicted ? one.predicted_name : `class ${one.suggested}`)}`;
const outlierCard = one => card(one.row, `outlier factor ${decimal(one.factor)}`);
const unfaithfulCard = one => card(one.row, `misses ${percent(one.relative)}, δ ${significant(one.delta)}`);

function figures(found) {
  const named = [
    ["images", count(found.images)], data.labelled && ["predicted as labelled", percent(found.accuracy)],
    ["mean confidence", percent(found.confidence)], data.labelled && ["mean probability of the label", percent(found.self_confidence)],
    found.failures > 0 && ["failed", count(found.failures)], found.zero_maps > 0 && ["maps without a positive part", count(found.zero_maps)],
  ];
  return element("dl", {class: "figures"}, named.filter(Boolean).map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value))));
}

function mapsOf(found) {
  if (found.mean === null) return element("p", {class: "note"}, "There is no map of this class to show.");
  const mean = means(found.mean), box = found.shortcut?.box;
  return element("section", {}, element("h3", {}, "Where its maps lie"),
    element("p", {class: "note"}, `Positive parts of its maps, each as shares of the whole on a ${grid} × ${grid} grid. ${percent(found.border)} of the mean map is on the border, ${percent(found.corner)} in its fullest corner; two of its maps overlap by ${decimal(found.coincidence)}. All classes have the same colours.`),
    element("div", {class: "heats"}, mapFigure(mean, "mean", "Mean map", box), mapFigure(deviations(found.mean), "deviation", "How it varies", box),
      mapFigure(meanOfAll, "mean", "Mean of all classes"), mapFigure(mean.map((value, cell) => value - meanOfAll[cell]), "difference", "Beyond all classes", box)));
}

function suspicionOf(found) {
  const suspicion = found.shortcut;
  if (!suspicion) return null;
  const about = suspicion.cluster === null ? `all its ${several(suspicion.images, "image")}` : `cluster ${suspicion.cluster}, ${several(suspicion.images, "image")}`;
  const words = suspected(found) ? `A suspect: the score is at least ${data.suspect}.` : `No suspect: the score is below ${data.suspect}.`;
  return element("section", {}, element("h3", {}, "Does it rest on a shortcut?"),
    element("p", {class: "verdict"}, words, checkedWords(suspicion.check)),
    element("p", {class: "note"}, `About ${about}. The dashed frame holds ${percent(suspicion.mass)} of the median map, and ${percent(suspicion.elsewhere)} of the other classes' mean map.`),
    element("div", {class: "evidence"}, parts([
      ["score", suspicion.score, "Mean of the four below"], ["border", suspicion.border, "Mass on the border, beyond what other classes have there"],
      ["corner", suspicion.corner, "Mass in the fullest corner, beyond what other classes have there"],
      ["same place", suspicion.place, "Mass in the frame in half of the images or more, beyond what other classes have there"],
      ["cluster apart", suspicion.apart, "Silhouette of the cluster that it is about"]]), counterCheck(suspicion.check)));
}

function checkedWords(check) {
  if (!check) return element("span", {class: "quiet"}, " It was not checked.");
  return element("span", {class: `mark ${check.confirmed ? "confirmed" : "cleared"}`}, check.confirmed ? " The counter-check confirms it." : " The counter-check does not confirm it.");
}

function counterCheck(check) {
  if (!check) return null;
  const points = ({mean, low, high}) => `${points100(mean)} [${signed(100 * low, 0)}, ${signed(100 * high, 0)}]`;
  const logits = ({mean, low, high}) => `${signed(mean)} [${signed(low)}, ${signed(high)}]`;
  const named = what => [["the frame", check.region[what]], ["elsewhere", check.control[what]], ["difference", check.difference[what]]];
  return element("div", {class: "check"}, element("h4", {}, "Counter-check"),
    element("p", {class: "note"}, `The frame was blurred in ${several(check.images, "image")}, and so were ${several(check.elsewhere.length, "region")} of its size elsewhere. Uncovered, ${percent(check.accuracy)} are predicted as the class.`),
    intervals("Accuracy changes by", named("accuracy"), points), intervals("The class's score changes by", named("score"), logits));
}

function clustersOf(found) {
  if (!found.clusters.length) return null;
  return element("section", {}, element("h3", {}, several(found.clusters.length, "cluster")),
    element("p", {class: "note"}, "Images whose maps are alike. A small cluster that stands apart often shows something that the class should not be told by."),
    element("div", {class: "plots"}, scatter(found), eigenvalues(found)), found.clusters.map(clusterOf));
}

function clusterOf(cluster) {
  const said = [several(cluster.images, "image"), `${percent(cluster.share)} of the class`, cluster.accuracy !== null && `${percent(cluster.accuracy)} predicted as labelled`,
    `${percent(cluster.purity)} predicted ${cluster.predicted_name}`, `stands apart by ${decimal(cluster.apart)}`, `${percent(cluster.border)} on the border`];
  return element("section", {class: "cluster"}, element("h4", {}, sign(cluster.number), `Cluster ${cluster.number}`),
    element("p", {class: "note"}, said.filter(Boolean).join(" · ")),
    element("div", {class: "with-map"}, mapFigure(clusterMeans(cluster.mean), "mean", "Mean map"), montage(cluster.rows.slice(0, data.limits.cluster).map(row => card(row)))));
}

function rowsOf(title, words, cards) {
  const shown = montage(cards);
  if (!shown) return null;
  const left = cards.length - shown.children.length;
  return element("section", {}, element("h3", {}, title), element("p", {class: "note"}, words, left > 0 && ` ${count(left)} more are in the list of all classes.`),
    title === "Typical images" && element("div", {class: "key"}, colourBar("map")), shown);
}

function confusedWith(found) {
  const pairs = data.confusions.filter(one => one.label === found.number || one.predicted === found.number);
  return pairs.length ? element("section", {}, element("h3", {}, "Confused with"), element("ul", {class: "pairs"}, pairs.map(one => element("li", {},
    `${several(one.images, "image")} of `, linked(one.label, one.label_name), ` predicted as `, linked(one.predicted, one.predicted_name), element("span", {class: "quiet"}, ` ${percent(one.share)}`))))) : null;
}

function likeOthers(found) {
  const pairs = data.alike.filter(one => one.first === found.number || one.second === found.number).slice(0, 5);
  return pairs.length ? element("section", {}, element("h3", {}, "Maps like those of"), element("div", {class: "heats"}, pairs.map(one => {
    const [number, name] = one.first === found.number ? [one.second, one.second_name] : [one.first, one.first_name];
    return element("a", {href: `#class-${number}`, class: "like"}, mapFigure(means(classes.get(number).mean), "mean", `${name}, ${decimal(one.similarity)}`));
  }))) : null;
}
