/** Shapes beside colours, so that clusters can be distinguished without colours (Okabe and Ito's). */
const SHAPES = [
  "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0", "M-3.6-3.6h7.2v7.2h-7.2z", "M0-4.8L4.6 3.4H-4.6z", "M0-5L5 0L0 5L-5 0z",
  "M-1.5-5h3v3.5h3.5v3h-3.5v3.5h-3v-3.5h-3.5v-3h3.5z", "M0 4.8L4.6-3.4H-4.6z", "M-5-2h10v4h-10z", "M-2-5h4v10h-4z",
];
const NONE = 255;

const shapeOf = cluster => SHAPES[cluster % SHAPES.length];
const toneOf = cluster => `cluster-${cluster % SHAPES.length}`;

function sign(cluster) {
  const shape = drawn("path", {d: shapeOf(cluster)});
  return drawn("svg", {viewBox: "-6 -6 12 12", class: `sign ${toneOf(cluster)}`, "aria-hidden": "true"}, shape);
}

/** Images of a class where their maps are alike lie together. */
function scatter(found) {
  const images = points(found.number), size = 260, pad = 12;
  if (images.length < 2) return null;
  const label = `Embedding of ${several(images.length, "map")} in ${several(found.clusters.length, "cluster")}`;
  const marks = images.map(({row, cluster, sure, x, y}) => {
    const [right, down] = [x, 1 - y].map(value => (pad + value * (size - 2 * pad)).toFixed(1)), known = cluster !== NONE;
    const words = [`row ${row}`, known && `cluster ${cluster}`, data.labelled && `p(label) ${percent(sure)}`];
    const look = {d: shapeOf(known ? cluster : 0), class: known ? toneOf(cluster) : "none", transform: `translate(${right} ${down})`};
    return drawn("path", look, drawn("title", {}, words.filter(Boolean).join(", ")));
  });
  const plot = drawn("svg", {viewBox: `0 0 ${size} ${size}`, class: "scatter", role: "img", "aria-label": label}, marks);
  const legend = found.clusters.map(({number, images: many}) => element("li", {},
    sign(number), `cluster ${number}`, element("span", {class: "quiet"}, ` ${count(many)}`)));
  return element("figure", {class: "plot"}, element("figcaption", {}, "Embedding"), plot,
    element("ul", {class: "legend"}, legend),
    element("p", {class: "words"}, "Two spectral coordinates: maps that are alike lie together."));
}

/** Shares as bars with their numbers. */
function bars(named) {
  return element("table", {class: "parts"}, element("tbody", {}, named.map(([name, value, words]) => element("tr", {},
    element("th", {scope: "row", title: words}, name),
    element("td", {}, meter(value)), element("td", {class: "number"}, decimal(value))))));
}

function meter(value) {
  const width = (100 * Math.min(1, Math.max(0, value))).toFixed(1);
  return drawn("svg", {viewBox: "0 0 100 8", preserveAspectRatio: "none", class: "meter", "aria-hidden": "true"},
    drawn("rect", {width: 100, height: 8, class: "ground"}), drawn("rect", {width, height: 8, class: "value"}));
}

/** Means with intervals on one axis that has 0 on it. */
function intervals(heading, named, words) {
  const ends = named.flatMap(([, {low, high}]) => [low, high]).concat(0), lowest = Math.min(...ends);
  const place = value => (4 + 92 * (value - lowest) / ((Math.max(...ends) - lowest) || 1)).toFixed(2);
  const upright = (value, kind, y1, y2) => drawn("line", {x1: place(value), x2: place(value), y1, y2, class: kind});
  const frame = {viewBox: "0 0 100 10", preserveAspectRatio: "none", class: "interval", "aria-hidden": "true"};
  const axis = ({mean, low, high}) => drawn("svg", frame, upright(0, "zero", 0, 10),
    drawn("line", {x1: place(low), x2: place(high), y1: 5, y2: 5}), upright(mean, "mean", 1.5, 8.5));
  const rows = named.map(([name, found]) => element("tr", {}, element("th", {scope: "row"}, name),
    element("td", {class: "wide"}, axis(found)), element("td", {class: "number"}, words(found))));
  return element("table", {class: "parts"}, element("caption", {}, heading), element("tbody", {}, rows));
}

/** The smallest eigenvalues as dots: the widest gap says how many clusters there are. */
function eigenvalues(found) {
  const values = found.eigenvalues, top = Math.max(...values) || 1, step = 240 / values.length;
  if (values.length < 2) return null;
  const dots = values.map((value, place) => drawn("circle", {
    cx: (step * (place + 0.5)).toFixed(1), cy: (104 - 96 * value / top).toFixed(1), r: 4,
    class: place < found.clusters.length ? "before" : "after",
  }, drawn("title", {}, significant(value))));
  const label = `Eigenvalues ${values.map(significant).join(", ")}`;
  return element("figure", {class: "plot"}, element("figcaption", {}, "Eigenvalues"),
    drawn("svg", {viewBox: "0 0 240 112", class: "eigenvalues", role: "img", "aria-label": label},
      drawn("line", {x1: 0, x2: 240, y1: 104, y2: 104}), dots),
    element("p", {class: "words"}, `Of the maps' neighbour graph: the widest gap comes after ${count(found.clusters.length)}.`));
}
