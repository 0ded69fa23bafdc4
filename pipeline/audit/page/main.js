const overview = document.getElementById("overview"), detail = document.getElementById("detail");
let returnTo = 0, opened = null;

document.documentElement.style.setProperty("--ratio", data.run.width / data.run.height);

document.getElementById("classes").append(classTable());

/** A class by its address, #class-7, or the overview; the way back leads to where one was. */
function route() {
  const number = /^#class-(-?\d+)$/.exec(location.hash)?.[1], found = number === undefined ? undefined : classes.get(Number(number));
  if (found && detail.hidden) returnTo = scrollY;
  const closed = opened;
  opened = found ?? null;
  overview.hidden = found !== undefined;
  detail.hidden = found === undefined;
  detail.replaceChildren(...(found ? [classPanel(found)] : []));
  document.title = found ? `${found.name} · ${title}` : title;
  if (found) {
    scrollTo(0, 0);
    document.getElementById("class-name").focus({preventScroll: true});
  } else if (closed && ["", "#classes"].includes(location.hash)) {
    scrollTo(0, returnTo);
    overview.querySelector(`tbody a[href="#class-${closed.number}"]`)?.focus({preventScroll: true});
  } else if (location.hash) {
    document.getElementById(location.hash.slice(1))?.scrollIntoView();
  }
}

/** What is below the table waits until the table is seen, and the pictures are there. */
document.addEventListener("DOMContentLoaded", () => setTimeout(() => {
  const contents = document.getElementById("contents");
  for (const section of [doubts(), confusions(), alike(), outliers(), unfaithful(), comparison()].filter(Boolean)) {
    const link = element("a", {href: `#${section.id}`}, section.querySelector("h2").textContent);
    document.getElementById("run").before(section);
    contents.lastElementChild.before(element("li", {}, link));
  }
  addEventListener("hashchange", route);
  route();
  document.documentElement.dataset.ready = "";
}));

addEventListener("beforeprint", () => {
  for (const image of document.images) image.loading = "eager";
});

document.addEventListener("keydown", event => {
  if (event.key === "Escape" && !detail.hidden) location.hash = "classes";
});
