/** Shapes beside colours, so that clusters are told apart without seeing colours (Okabe and Ito's eight). */
const SHAPES = [
  "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0", "M-3.6-3.6h7.2v7.2h-7.2z", "M0-4.8L4.6 3.4H-4.6z", "M0-5L5 0L0 5L-5 0z",
  "M-1.5-5h3v3.5h3.5v3h-3.5v3.5h-3v-3.5h-3.5v-3h3.5z", "M0 4.8L4.6-3.4H-4.6z", "M-5-2h10v4h-10z", "M-2-5h4v10h-4z",
];
const shapeOf = cluster => SHAPES[cluster % SHAPES.length];
const NONE = 255;

function sign(cluster) {
  return drawn("svg", {viewBox: "-6 -6 12 12", class: `sign cluster-${cluster % 8}`, "aria-hidden": "true"}, drawn("path", {d: shapeOf(cluster)}));
}

/** Images of a class where their maps are alike lie together. */
function scatter(found) {
  const images = points(found.number);
  if (images.length < 2) return null;
  const size = 260, pad = 12, place = value => pad + value * (size - 2 * pad);
  const plot = drawn("svg", {viewBox: `0 0 ${size} ${size}`, class: "scatter", role: "img", "aria-label": `Embedding of ${several(images.length, "map")} in ${several(found.clusters.length, "cluster")}`});
  for (const {row, cluster, sure, x, y} of images) {
    const known = cluster !== NONE, words = [`row ${row}`, known && `cluster ${cluster}`, data.labelled && `p(label) ${percent(sure)}`];
    plot.append(drawn("path", {d: shapeOf(known ? cluster : 0), class: known ? `cluster-${cluster % 8}` : "none", transform: `translate(${place(x).toFixed(1)} ${place(1 - y).toFixed(1)})`},
      drawn("title", {}, words.filter(Boolean).join(", "))));
  }
  const legend = found.clusters.map(({number, images: size}) => element("li", {}, sign(number), `cluster ${number}`, element("span", {class: "quiet"}, ` ${count(size)}`)));
  return element("figure", {class: "plot"}, element("figcaption", {}, "Embedding"), plot, element("ul", {class: "legend"}, legend),
    element("p", {class: "words"}, "Two spectral coordinates: maps that are alike lie together."));
}

/** Shares as bars with their numbers. */
function parts(named) {
  const rows = named.map(([name, value, words]) => element("tr", {}, element("th", {scope: "row", title: words}, name),
    element("td", {}, meter(value)), element("td", {class: "number"}, decimal(value))));
  return element("table", {class: "parts"}, element("tbody", {}, rows));
}

function meter(value, mark = null) {
  const bar = drawn("svg", {viewBox: "0 0 100 8", preserveAspectRatio: "none", class: "meter", "aria-hidden": "true"},
    drawn("rect", {width: 100, height: 8, class: "ground"}), drawn("rect", {width: (100 * Math.min(1, Math.max(0, value))).toFixed(1), height: 8, class: "value"}));
  if (mark !== null) bar.append(drawn("rect", {x: (100 * mark - 0.5).toFixed(1), width: 1, height: 8, class: "tick"}));
  return bar;
}

/** Means with intervals on one axis that has 0 on it. */
function intervals(title, named, words) {
  const ends = named.flatMap(([, {low, high}]) => [low, high]).concat(0);
  const low = Math.min(...ends), high = Math.max(...ends), place = value => (4 + 92 * (value - low) / ((high - low) || 1)).toFixed(2);
  const rows = named.map(([name, found]) => element("tr", {}, element("th", {scope: "row"}, name),
    element("td", {class: "wide"}, drawn("svg", {viewBox: "0 0 100 10", preserveAspectRatio: "none", class: "interval", "aria-hidden": "true"},
      drawn("line", {x1: place(0), x2: place(0), y1: 0, y2: 10, class: "zero"}),
      drawn("line", {x1: place(found.low), x2: place(found.high), y1: 5, y2: 5}),
      drawn("line", {x1: place(found.mean), x2: place(found.mean), y1: 1.5, y2: 8.5, class: "mean"}))),
    element("td", {class: "number"}, words(found))));
  return element("table", {class: "parts"}, element("caption", {}, title), element("tbody", {}, rows));
}

/** The smallest eigenvalues as dots: the widest gap says how many clusters there are. */
function eigenvalues(found) {
  const values = found.eigenvalues;
  if (values.length < 2) return null;
  const top = Math.max(...values) || 1, step = 240 / values.length;
  const dots = values.map((value, place) => drawn("circle", {cx: (step * (place + 0.5)).toFixed(1), cy: (104 - 96 * value / top).toFixed(1), r: 4, class: place < found.clusters.length ? "before" : "after"},
    drawn("title", {}, significant(value))));
  return element("figure", {class: "plot"}, element("figcaption", {}, "Eigenvalues"),
    drawn("svg", {viewBox: "0 0 240 112", class: "eigenvalues", role: "img", "aria-label": `Eigenvalues ${values.map(significant).join(", ")}`},
      drawn("line", {x1: 0, x2: 240, y1: 104, y2: 104}), dots),
    element("p", {class: "words"}, `Of the maps' neighbour graph: the widest gap comes after ${count(found.clusters.length)}.`));
}
