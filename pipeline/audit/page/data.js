"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const grid = data.arrays.grid;
const title = document.title;

const bytes = text => Uint8Array.from(atob(text), letter => letter.charCodeAt(0));

/** Maps as multiples of an even map's share: unpack(packed)(number) is a Float64Array of grid * grid cells. */
function unpack({levels, top}) {
  const all = bytes(levels), cells = grid * grid;
  return number => Float64Array.from(all.subarray(number * cells, (number + 1) * cells), level => level / 255 * top[number]);
}

const means = unpack(data.arrays.mean);
const deviations = unpack(data.arrays.deviation);
const clusterMeans = unpack(data.arrays.cluster_mean);
const classes = new Map(data.classes.map(found => [found.number, found]));

const meanOfAll = (() => {
  const sum = new Float64Array(grid * grid);
  data.arrays.mean.top.forEach((_, number) => means(number).forEach((value, cell) => { sum[cell] += value; }));
  return sum.map(value => value / data.arrays.mean.top.length);
})();

const points = (() => {
  const {groups, row, cluster, sure, x, y} = data.arrays;
  const rows = new Uint32Array(bytes(row).buffer), [clusters, surety, across, down] = [cluster, sure, x, y].map(bytes);
  const places = new Map();
  let first = 0;
  groups.number.forEach((number, place) => { places.set(number, [first, first += groups.count[place]]); });
  /** Images of a class: row, cluster, probability of the label, and place in the embedding in [0, 1]. */
  return number => {
    const found = [], [start, end] = places.get(number) ?? [0, 0];
    for (let place = start; place < end; place++) {
      if (across[place] === 255) continue;
      const [x, y] = [across, down].map(column => column[place] / 254);
      found.push({row: rows[place], cluster: clusters[place], sure: surety[place] / 255, x, y});
    }
    return found;
  };
})();

/** An element of HTML; children are elements or text, which is never markup. */
function element(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

function drawn(tag, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function filled(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (typeof value === "function") made.addEventListener(name, value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat(Infinity).filter(child => child !== null && child !== undefined && child !== false));
  return made;
}

const MINUS = "\u2212", DASH = "\u2013";
const count = value => value.toLocaleString("en-US");
const plain = (value, digits) => value.toFixed(digits).replace("-", MINUS);
const decimal = (value, digits = 2) => value === null ? DASH : plain(value, digits);
const signed = (value, digits = 2) => (value > 0 ? "+" : "") + plain(value, digits);
const points100 = value => `${signed(100 * value, 0)} points`;
const several = (value, one, many = `${one}s`) => `${count(value)} ${value === 1 ? one : many}`;

function percent(value) {
  if (value === null || value === undefined) return DASH;
  if (value > 0 && value < 0.001) return "< 0.1 %";
  if (value > 0.999 && value < 1) return "> 99.9 %";
  return `${(100 * value).toFixed(value === 0 || value === 1 ? 0 : 1)} %`;
}

function significant(value) {
  if (value === null || value === undefined) return DASH;
  return (Math.abs(value) >= 1000 ? Math.round(value).toLocaleString("en-US") : String(Number(value.toPrecision(3)))).replace("-", MINUS);
}

const linked = (number, name) => classes.has(number) ? element("a", {href: `#class-${number}`}, name) : name;
