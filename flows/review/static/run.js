// Shows the progress of a run as server-sent events report it.
import { localTime, make, showLocalTimes } from "/static/format.js";

function duration(seconds) {
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

const page = document.getElementById("run");
const by = (id) => document.getElementById(id);
const show = (id, text) => {
  const element = by(id);
  if (element.textContent !== String(text)) element.textContent = text;
};

let progress = JSON.parse(page.dataset.progress);
let arrived = performance.now();
let ahead = 0; // by how many milliseconds the server's clock is ahead of this one

function update(values) {
  progress = values;
  arrived = performance.now();
  if (values.now) ahead = new Date(values.now) - Date.now();
  by("state").className = `badge ${values.state}`;
  by("bar").max = values.jobs || 1;
  by("bar").value = values.ended;
  for (const name of ["state", "ended", "jobs", "waiting", "note"]) show(name, values[name]);
  show("where", values.where || "an unknown machine");
  by("note").hidden = !values.note;
  for (const status of ["done", "reused", "failed", "cancelled"]) show(`count-${status}`, values.counts[status] || 0);
  by("tile-cancelled").hidden = !values.counts.cancelled;
  show("rate", values.jobsPerMinute ? `${values.jobsPerMinute.toFixed(1)}/min` : "–");
  show("frames", values.framesPerSecond ? `${values.framesPerSecond.toFixed(1)} frames/s` : "–");
  showFailures(values);
  document.title = `${values.ended}/${values.jobs} ${values.run} – troupe`;
  tick();
}

function showFailures(values) {
  const list = by("failures");
  const known = new Map([...list.children].map((item) => [item.dataset.job, item]));
  const items = values.failures.map((failure) => known.get(failure.job) || failureItem(failure));
  if (items.length !== known.size || items.some((item, n) => item !== list.children[n])) list.replaceChildren(...items);
  by("no-failures").hidden = items.length > 0;
  by("retry").hidden = items.length === 0;
  const kinds = Object.entries(values.failedKinds).map(([kind, count]) => {
    const query = new URLSearchParams({ run: values.run, status: "failed", error_kind: kind });
    return make("li", {}, make("a", { href: `/grid?${query}` }, `${count} ${kind}`));
  });
  by("kinds").replaceChildren(...kinds);
}

function failureItem(failure) {
  const href = `/job?${new URLSearchParams({ run: progress.run, job: failure.job })}`;
  return make(
    "li",
    { "data-job": failure.job },
    make("a", { href }, failure.job),
    " ",
    make("span", { class: "kind" }, failure.kind),
    " ",
    make("time", { datetime: failure.at, title: failure.at }, localTime(failure.at)),
    make("p", {}, failure.error),
  );
}

// What changes with time alone: how long ago the run was heard of, and the time left.
function tick() {
  const live = progress.state === "running";
  const age = (Date.now() + ahead - new Date(progress.updated)) / 1000;
  const late = live && age > progress.lateAfter;
  const ago = age < 2 ? "just now" : age < 3600 ? `${duration(age)} ago` : null;
  if (ago) show("updated", ago);
  by("updated").classList.toggle("late", late);
  if (late) {
    by("note").hidden = false;
    show("note", `No heartbeat for ${duration(age)}: the run hangs, or its machine or the network is gone.`);
  }
  const left = progress.secondsLeft === null ? null : progress.secondsLeft - (performance.now() - arrived) / 1000;
  show("left", left === null ? "–" : left < 5 ? "seconds" : duration(left));
}

const source = new EventSource(page.dataset.events);
const connection = by("connection");
source.addEventListener("progress", (event) => {
  connection.hidden = true;
  update(JSON.parse(event.data));
});
source.addEventListener("unavailable", (event) => {
  connection.textContent = `The store does not answer: ${JSON.parse(event.data)}`;
  connection.hidden = false;
});
source.addEventListener("error", () => {
  connection.textContent = "The connection to troupe review is lost; what is shown is the last that was known.";
  connection.hidden = false;
});
showLocalTimes();
update(progress);
setInterval(tick, 1000);
