const overview = document.getElementById("overview"), detail = document.getElementById("detail");
const title = document.title;
let returnTo = 0;

document.getElementById("classes").append(...classTable());

/** A class by its address, #class-7, or the overview; the way back leads to where one was. */
function route() {
  const number = /^#class-(-?\d+)$/.exec(location.hash)?.[1], found = number === undefined ? undefined : classes.get(Number(number));
  if (found && detail.hidden) returnTo = scrollY;
  overview.hidden = found !== undefined;
  detail.hidden = found === undefined;
  detail.replaceChildren(...(found ? [classPanel(found)] : []));
  document.title = found ? `${found.name} · ${title}` : title;
  if (found) {
    scrollTo(0, 0);
    document.getElementById("class-name").focus({preventScroll: true});
  } else if (location.hash === "#classes" && returnTo) {
    scrollTo(0, returnTo);
  } else if (location.hash) {
    document.getElementById(location.hash.slice(1))?.scrollIntoView();
  }
}

/** What is below the table waits until the table is seen, and the pictures are there. */
document.addEventListener("DOMContentLoaded", () => setTimeout(() => {
  const contents = document.getElementById("contents");
  for (const section of [doubts(), confusions(), alike(), outliers(), unfaithful(), comparison()].filter(Boolean)) {
    overview.append(section);
    contents.append(element("li", {}, element("a", {href: `#${section.id}`}, section.querySelector("h2").textContent)));
  }
  addEventListener("hashchange", route);
  route();
  document.documentElement.dataset.ready = "";
}));

document.addEventListener("keydown", event => {
  if (event.key === "Escape" && !detail.hidden) location.hash = "classes";
  if (event.key === "/" && !["INPUT", "SELECT"].includes(event.target.tagName) && detail.hidden) {
    event.preventDefault();
    document.getElementById("search").focus();
  }
});
