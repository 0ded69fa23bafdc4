const PARTS = ["Photograph", "Map", "Overlay"];

/** Photograph, map and overlay of an explanation, side by side; null where the page has no picture of it. */
function pictures(row) {
  const card = data.cards[row];
  if (!card) return null;
  const [path, , , , , parts] = card, {width, height} = data.run;
  const shown = parts === 1 ? [["whole", "Map"]] : PARTS.map((name, part) => [`part-${part}`, name]);
  const common = {src: addressOf(row), width, height, decoding: "async", loading: data.folder && "lazy"};
  return element("div", {class: "strip"}, shown.map(([kind, name]) => element("img", {...common, class: kind, alt: `${name} of ${path}`})));
}

function addressOf(row) {
  if (data.folder) return `${data.folder}/${String(Math.floor(row / 1000)).padStart(3, "0")}/${row}.jpg`;
  return document.getElementById(`picture-${row}`)?.textContent ?? "";
}

/** An explanation: its pictures, what it is and is taken for, and what makes someone look at it. */
function card(row, ...said) {
  const shown = pictures(row);
  if (!shown) return null;
  const [path, label, predicted, correct, confidence] = data.cards[row];
  return element("article", {class: "card"}, shown,
    element("p", {class: "says"}, verdict(label, predicted, correct), element("span", {class: "quiet"}, ` ${percent(confidence)}`)),
    said.map(words => element("p", {class: "why"}, words)),
    element("p", {class: "file", title: path}, path));
}

function verdict(label, predicted, correct) {
  if (correct === null) return element("span", {}, predicted);
  if (correct) return element("span", {}, element("span", {class: "mark right"}, "correct "), predicted);
  return element("span", {}, element("span", {class: "mark wrong"}, "wrong "), `${label}, predicted ${predicted}`);
}

/** Cards of rows, those with pictures; null if there are none. */
function montage(cards) {
  const shown = cards.filter(Boolean);
  return shown.length ? element("div", {class: "montage"}, shown) : null;
}
