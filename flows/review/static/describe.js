// What the page shows of an item: its names, measures, facts and languages, and what was decided about it.
import { clock, localTime, make } from "./format.js";

const field = (id) => document.getElementById(id);

export function describeItem(item) {
  field("title").textContent = item.job;
  field("who").textContent = [item.identity, item.language, item.run].filter(Boolean).join(" · ");
  field("error").hidden = !item.error;
  field("error").textContent = item.error && `${item.errorKind}: ${item.error}`;
  const remarks = [item.flagged, item.notes].filter(Boolean).join(" · ");
  field("flagged").hidden = !remarks;
  field("flagged").textContent = remarks;
  field("measures").replaceChildren(
    ...item.measures.map((measure) =>
      make(
        "tr",
        { class: measure.missed ? "missed" : null },
        make("th", { scope: "row" }, measure.label),
        make("td", { class: "number" }, `${measure.value} ${measure.unit}`.trim()),
        make("td", { class: "number" }, measure.bound ? `${measure.missed ? "missed " : ""}${measure.bound}` : ""),
      ),
    ),
  );
  if (!item.measures.length) field("measures").append(make("tr", {}, make("td", { class: "small" }, "not measured")));
  field("facts").replaceChildren(
    ...item.facts.map(([label, value]) => make("div", {}, make("dt", {}, label), make("dd", {}, value))),
  );
}

export function showLanguages(item, onChoice) {
  field("languages").replaceChildren(
    ...item.films.map((film, n) =>
      make(
        "button",
        {
          type: "button",
          "aria-pressed": String(film.key === item.key),
          title: `${film.job}${n < 9 ? ` (${n + 1})` : ""}`,
          onclick: () => onChoice(film),
        },
        film.language || film.job,
      ),
    ),
  );
}

export function showDecisions(item, scope, onTime) {
  const { state, by } = item.review ?? { state: "not reviewable", by: null };
  field("state").className = `state ${state}`;
  field("state").textContent = [state, by?.reason, by && `by ${by.reviewer}`].filter(Boolean).join(" · ");
  const undone = new Set(item.history.map((decision) => decision.undoes));
  field("history").replaceChildren(
    ...item.history.filter((decision) => decision.kind !== "undo").map((decision) => line(decision, undone.has(decision.id), onTime)).reverse(),
  );
  if (!field("history").children.length) field("history").append(make("li", { class: "small" }, "none yet"));
  for (const button of document.querySelectorAll(".verdict button, #comment-button")) button.disabled = !item.key;
  field("scope").hidden = !item.picture;
  field("scope").setAttribute("aria-pressed", String(scope === "picture"));
  field("scope").firstChild.textContent = scope === "picture" ? `picture, ${item.films.length || 1} films ` : "this film ";
}

function line(decision, undone, onTime) {
  const about = decision.scope === "picture" ? " (picture)" : "";
  const what = decision.kind === "comment" ? "commented" : decision.kind;
  return make(
    "li",
    { class: `${decision.kind}${undone ? " undone" : ""}` },
    make("b", {}, `${what}${about}`),
    decision.reason ? ` ${decision.reason}` : "",
    undone ? " – undone" : "",
    decision.time === null ? "" : make("button", { type: "button", class: "link number", title: "Go to this time", onclick: () => onTime(decision.time) }, clock(decision.time)),
    decision.comment ? make("p", {}, decision.comment) : "",
    make("span", { class: "small" }, `${decision.reviewer}, `, make("time", { datetime: decision.at }, localTime(decision.at))),
  );
}
