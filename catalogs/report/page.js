// The page works without this script, which adds search, sorting and inline videos.
const place = document.getElementById("jobs");
const jobs = [...place.children];
const field = (name) => document.getElementById(name);
const total = jobs.reduce((sum, job) => sum + Number(job.dataset.jobs), 0);
const texts = new Map(jobs.map((job) => [job, job.textContent.toLowerCase()]));

const order = {
  job: (a, b) => compare(a.dataset.job, b.dataset.job),
  identity: (a, b) => compare(a.dataset.identity, b.dataset.identity) || order.job(a, b),
  driving: (a, b) => compare(a.dataset.driving, b.dataset.driving) || order.job(a, b),
  finished: (a, b) => compare(b.dataset.finished, a.dataset.finished) || order.job(a, b),
  seconds: (a, b) => b.dataset.seconds - a.dataset.seconds || order.job(a, b),
};

const collator = new Intl.Collator(undefined, { numeric: true });
function compare(a, b) {
  return collator.compare(a, b);
}

function worstFirst(measure) {
  const sign = measure === "quality-identity" ? 1 : -1;
  const value = (job) => {
    const text = job.getAttribute(`data-${measure}`);
    return text === null ? Infinity : sign * Number(text); // unmeasured jobs come last
  };
  return (a, b) => value(a) - value(b) || order.job(a, b);
}

function show() {
  const wanted = field("search").value.trim().toLowerCase();
  const status = field("status").value;
  const flagged = field("flagged").checked;
  let count = 0;
  for (const job of jobs) {
    job.hidden =
      (status && !job.dataset.status.split(" ").includes(status)) ||
      (flagged && !("flagged" in job.dataset)) ||
      !texts.get(job).includes(wanted);
    count += job.hidden ? 0 : Number(job.dataset.jobs);
  }
  field("count").textContent = `${count} of ${total} jobs`;
}

function sort() {
  const by = field("sort").value;
  place.append(...jobs.sort(order[by] || worstFirst(by)));
}

function play(event) {
  const link = event.target.closest("a.play, a.film");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const job = link.closest(".job");
  const video = job.querySelector("video");
  for (const film of job.querySelectorAll("a.film")) film.ariaCurrent = film.href === link.href ? "true" : null;
  if (video) change(video, link);
  else start(job.querySelector("a.play"), link, link.matches(".play"));
}

function start(frame, link, focused) {
  const video = document.createElement("video");
  video.controls = true;
  video.loop = true;
  video.playsInline = true;
  frame.closest(".trio").classList.add("playing");
  frame.replaceWith(video);
  video.src = link.href;
  describe(video, link);
  playIfAllowed(video);
  if (focused) video.focus();
}

function change(video, link) {
  continueWith(video, link.href);
  describe(video, link);
}

function describe(video, link) {
  video.setAttribute("aria-label", link.getAttribute("aria-label").replace(/^Play (the )?/, "The film "));
}

field("controls").hidden = false;
field("controls").addEventListener("submit", (event) => event.preventDefault());
field("search").addEventListener("input", show);
field("status").addEventListener("change", show);
field("flagged").addEventListener("change", show);
field("sort").addEventListener("change", sort);
place.addEventListener("click", play);
// Remove missing pictures, leaving an empty frame.
place.addEventListener("error", (event) => event.target.tagName === "IMG" && event.target.remove(), true);
