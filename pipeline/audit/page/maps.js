/** Kinds of maps: their colours, the value with the strongest, and what its bar says. */
const {share: SHARE, signed: SIGNED} = data.colours, {scales} = data.arrays;
const KINDS = {
  mean: {colours: SHARE, scale: scales.mean, words: "times an even map's share"},
  deviation: {colours: SHARE, scale: scales.deviation, words: "standard deviation, times an even share"},
  difference: {colours: SIGNED, scale: scales.difference, signed: true, words: "less and more than all classes, in even shares"},
  map: {colours: SIGNED, scale: data.scale ?? 1, signed: true, words: "against and for the target, per pixel"},
};

/** Red, green, blue of a value in [0, 1] between evenly spaced colours. */
function colour(colours, value) {
  const place = Math.min(1, Math.max(0, value)) * (colours.length - 1);
  const first = Math.min(colours.length - 2, Math.floor(place)), rest = place - first;
  return colours[first].map((low, channel) => low + rest * (colours[first + 1][channel] - low));
}

function paint(canvas, values, {colours, scale, signed: both}) {
  const context = canvas.getContext("2d"), picture = context.createImageData(canvas.width, canvas.height);
  values.forEach((value, cell) => {
    const level = both ? (value / scale + 1) / 2 : value / scale;
    picture.data.set([...colour(colours, level), 255], 4 * cell);
  });
  context.putImageData(picture, 0, 0);
  return canvas;
}

/** A map as a canvas with a text alternative that says where most of its mass is. */
function mapCanvas(values, kind, name) {
  const label = `${name}: most ${where(values)}`;
  return paint(element("canvas", {width: grid, height: grid, class: "map", role: "img", "aria-label": label}), values, KINDS[kind]);
}

function where(values) {
  const thirds = Array(9).fill(0), third = place => Math.min(2, Math.floor(3 * (place + 0.5) / grid));
  values.forEach((value, cell) => {
    thirds[3 * third(Math.floor(cell / grid)) + third(cell % grid)] += Math.max(0, value);
  });
  const fullest = thirds.indexOf(Math.max(...thirds));
  if (fullest === 4) return "in the centre";
  return ["at the top", "in the middle", "at the bottom"][Math.floor(fullest / 3)] + [" on the left", "", " on the right"][fullest % 3];
}

/** A map with its name, and a suspected region as a dashed frame over it. */
function mapFigure(values, kind, name, box = null) {
  const framed = element("div", {class: "framed"}, mapCanvas(values, kind, name), box && boxOver(box));
  return element("figure", {class: "heat"}, element("figcaption", {}, name), framed, colourBar(kind));
}

function boxOver([top, left, bottom, right]) {
  const {height, width} = data.run, sides = {x: left, y: top, width: right - left, height: bottom - top};
  return drawn("svg", {viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", class: "box", "aria-hidden": "true"},
    drawn("rect", {...sides, class: "under"}), drawn("rect", {...sides, class: "over"}));
}

/** Which values the colours are; the same bar for all maps of a kind, because they have one scale. */
function colourBar(name) {
  const kind = KINDS[name], {scale, words} = kind, steps = Array.from({length: 128}, (_, step) => step / 127);
  const values = steps.map(step => kind.signed ? (2 * step - 1) * scale : step * scale);
  const canvas = paint(element("canvas", {width: 128, height: 1, "aria-hidden": "true"}), values, kind);
  const ends = kind.signed ? [`${MINUS}${significant(scale)}`, "0", `+${significant(scale)}`] : ["0", "", significant(scale)];
  return element("div", {class: "bar"}, canvas, element("div", {class: "ends"}, ends.map(end => element("span", {}, end))),
    element("p", {class: "words"}, words));
}
