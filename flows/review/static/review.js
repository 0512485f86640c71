// The queue and the job page: what is shown, what was decided, and the keys.
import { Outbox, get, newId, post } from "./api.js";
import { describeItem, showDecisions, showLanguages } from "./describe.js";
import { clock, make, showLocalTimes } from "./format.js";
import { listen, showHelp } from "./keys.js";
import { Stage } from "./stage.js";

const field = (id) => document.getElementById(id);
const root = field("review");
const config = JSON.parse(root.dataset.config);
const address = new URLSearchParams(location.search);
const queue = config.mode === "queue";
const LOW = 4; // items left from which on more are fetched

const stage = new Stage(renew);
const outbox = new Outbox(showOutbox);
const items = config.item ? [config.item] : [];
const decided = []; // this person's decisions, the last at the end
let at = 0;
let scope = config.scope;
let counts = null;
let total = 0;
let silence = null;
let last = "";
let ends = !queue;
let fetching = null;
let reasons = config.reasons;
let editing = false;

// Items

function subject(item) {
  return (config.scope === "picture" && item.picture) || item.key || `${item.run}/${item.job}`;
}

async function fetchMore() {
  if (ends || fetching) return fetching;
  const parameters = new URLSearchParams(address);
  parameters.set("state", config.state);
  parameters.set("scope", config.scope);
  if (last) parameters.set("after", last);
  fetching = get("/api/queue", parameters)
    .then((page) => {
      // A render that several runs reused, or a picture with many films, is one item.
      const known = new Set(items.map(subject));
      for (const item of page.items) {
        if (!known.has(subject(item))) items.push(item);
        known.add(subject(item));
      }
      last = page.after;
      ends = !last;
      if (!counts) {
        counts = page.counts;
        total = config.state === "all" ? 0 : counts[config.state];
      }
    })
    .catch((error) => say(error.message, "bad"))
    .finally(() => {
      fetching = null;
    });
  return fetching;
}

async function go(by) {
  const wanted = at + by;
  if (wanted < 0) return say("This is the first one.");
  closeForms();
  if (wanted >= items.length - LOW) fetchMore();
  while (wanted >= items.length && !ends) {
    const before = last;
    await fetchMore();
    if (last === before) break; // the store did not answer
  }
  if (wanted > items.length) return undefined;
  if (wanted === items.length && !ends) return undefined; // the store did not answer; what is shown stays
  at = wanted;
  return show();
}

function show() {
  const item = items[at];
  root.setAttribute("aria-busy", "false");
  showCounts();
  if (queue) {
    root.hidden = !item;
    field("finished").hidden = Boolean(item);
  }
  if (!item) {
    stage.pause();
    document.title = "Nothing left – troupe";
    return;
  }
  stage.show(item);
  stage.prepare(items.slice(at, at + 4));
  describe();
  document.title = `${item.job} – troupe`;
  field("announced").textContent = [item.job, item.identity, item.language, item.review?.state].filter(Boolean).join(", ");
}

// Paths of media are valid for a quarter of an hour.
async function renew(item) {
  if (item.renewed && Date.now() - item.renewed < 5000) return say("The video cannot be loaded.", "bad");
  try {
    Object.assign(item, await get("/api/job", { run: item.run, job: item.job }), { renewed: Date.now() });
    if (stage.item === item) {
      const { time } = stage;
      stage.result.src = item.video;
      stage.seek(time);
      stage.play();
    }
  } catch (error) {
    say(error.message, "bad");
  }
  return undefined;
}

async function showLanguage(film) {
  const item = items[at];
  if (!film || film.key === item.key) return;
  try {
    const other = await get("/api/job", { run: film.run, job: film.job });
    if (items[at] !== item) return;
    other.films = item.films;
    items[at] = other;
    stage.continueAs(other);
    describe();
    say(`Language ${other.language || other.job}`);
  } catch (error) {
    say(error.message, "bad");
  }
}

// What is shown of an item

function describe() {
  const item = items[at];
  describeItem(item);
  field("place").textContent = queue ? `${at + 1} of ${Math.max(items.length, total)}` : "";
  showLanguages(item, showLanguage);
  showReview();
}

function showReview() {
  showDecisions(items[at], scope, (time) => {
    stage.pause();
    stage.seek(time);
  });
}

function showCounts() {
  if (!counts || !queue) return;
  field("counts").replaceChildren(
    ...["pending", "approved", "rejected"].flatMap((state) => [make("span", { class: state }, make("b", {}, String(counts[state])), ` ${state}`)]),
  );
}

function say(text, kind = "") {
  field("status").className = `status ${kind}`;
  field("status").textContent = text;
  clearTimeout(silence);
  if (kind !== "bad") silence = setTimeout(() => field("status").replaceChildren(), 5000);
}

function showOutbox(waiting, problem) {
  field("outbox").hidden = !waiting || !problem;
  field("outbox").textContent = problem ? `${waiting} ${waiting === 1 ? "decision is" : "decisions are"} not saved yet (${problem}); trying again. Keep this page open.` : "";
}

// Decisions

async function decide(kind, values = {}) {
  const item = items[at];
  if (!item?.key) return say("Nothing was rendered, so there is nothing to decide.", "bad");
  const about = scope === "picture" && item.picture ? ["picture", item.picture] : ["film", item.key];
  const decision = { kind, scope: about[0], key: about[1], decision_id: newId(), run_id: item.run, job_id: item.job, ...values };
  const before = item.review.state;
  if (kind !== "undo") decided.push({ item, decision, place: at, before });
  const saved = outbox.send({ ...decision, film: item.key, picture: item.picture });
  closeForms();
  if (kind === "approved" || kind === "rejected") {
    count(before, kind);
    item.review = { state: kind, by: null };
    if (queue) await go(1);
    say(`${kind === "approved" ? "Approved" : "Rejected"} ${item.job}${values.reason ? `: ${values.reason}` : ""}. u undoes.`, kind);
  }
  return settle(item, saved, kind);
}

async function settle(item, saved, kind) {
  try {
    const { review, history } = await saved;
    Object.assign(item, { review, history });
    if (items[at] === item) showReview();
    if (kind === "comment") say("Comment saved.");
  } catch (error) {
    say(`Not saved: ${error.message}`, "bad");
  }
}

async function undo() {
  const entry = decided.pop();
  if (!entry) return say("You have decided nothing to undo.");
  const { item, decision, place, before } = entry;
  closeForms();
  if (place !== at || items[at]?.key !== item.key) {
    at = place;
    items[at] = item;
    show();
  }
  if (decision.kind !== "comment") count(item.review.state, before);
  const { scope: about, key } = decision;
  const saved = outbox.send({ kind: "undo", undoes: decision.decision_id, scope: about, key, decision_id: newId(), run_id: item.run, job_id: item.job, film: item.key, picture: item.picture });
  await settle(item, saved, "undo");
  return say(`Undone: ${decision.kind} ${item.job}.`);
}

function count(from, to) {
  if (!counts || from === to) return;
  counts[from] -= 1;
  counts[to] += 1;
  showCounts();
}

// Reasons and comments

function closeForms() {
  for (const [id, button] of [["reasons", "reject"], ["comment-form", "comment-button"]]) {
    if (field(id).contains(document.activeElement)) document.activeElement.blur();
    field(id).hidden = true;
    field(button).setAttribute("aria-expanded", "false");
  }
}

function openReasons() {
  if (!items[at]?.key) return;
  const open = field("reasons").hidden;
  closeForms();
  field("reasons").hidden = !open;
  field("reject").setAttribute("aria-expanded", String(open));
  if (open) {
    showReasons();
    say("Choose a reason: 1 to 9, or o for another.");
  }
}

function showReasons() {
  field("edit-reasons").setAttribute("aria-pressed", String(editing));
  field("edit-reasons").textContent = editing ? "Done" : "Edit the list";
  field("reason-list").replaceChildren(
    ...reasons.map((reason, n) =>
      make(
        "li",
        {},
        make("button", { type: "button", class: "reason", onclick: () => decide("rejected", { reason }) }, n < 9 ? make("kbd", {}, String(n + 1)) : "", ` ${reason}`),
        editing ? make("button", { type: "button", class: "link", "aria-label": `Remove ${reason}`, onclick: () => saveReasons(reasons.filter((other) => other !== reason)) }, "remove") : "",
      ),
    ),
  );
}

async function saveReasons(list) {
  try {
    ({ reasons } = await post("/api/reasons", { reasons: list }));
    showReasons();
  } catch (error) {
    say(`Not saved: ${error.message}`, "bad");
  }
}

function openComment() {
  if (!items[at]?.key) return;
  closeForms();
  stage.pause();
  field("comment-form").hidden = false;
  field("comment-button").setAttribute("aria-expanded", "true");
  field("comment-at").textContent = clock(stage.time);
  field("comment").value = "";
  field("comment").focus();
}

field("comment-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const comment = field("comment").value.trim();
  const values = { comment, time_seconds: field("comment-time").checked ? stage.time : null };
  if (comment) decide("comment", values);
});
field("comment").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey) {
    event.preventDefault();
    field("comment-form").requestSubmit();
  }
});
field("comment-cancel").addEventListener("click", closeForms);
field("reason-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const reason = field("reason").value.trim();
  if (!reason) return;
  if (field("keep-reason").checked && !reasons.includes(reason)) saveReasons([...reasons, reason]);
  field("reason").value = "";
  decide("rejected", { reason });
});
field("edit-reasons").addEventListener("click", () => {
  editing = !editing;
  showReasons();
});
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !document.querySelector("dialog[open]")) closeForms();
});
field("reviewer-form").addEventListener("submit", (event) => {
  event.preventDefault();
  field("reviewer").blur();
});
field("reviewer").addEventListener("change", async (event) => {
  try {
    const { reviewer } = await post("/api/reviewer", { name: event.target.value });
    say(`Decisions are now by ${reviewer}.`);
  } catch (error) {
    say(`Not saved: ${error.message}`, "bad");
  }
});
field("filters")?.addEventListener("change", (event) => event.currentTarget.requestSubmit());
for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(field(button.dataset.copy).textContent);
    button.textContent = "Copied";
  });
}

function digit(name) {
  const n = Number(name) - 1;
  if (!field("reasons").hidden) {
    if (reasons[n]) decide("rejected", { reason: reasons[n] });
  } else showLanguage(items[at]?.films[n]);
}

function changeScope() {
  if (!items[at]?.picture) return;
  scope = scope === "film" ? "picture" : "film";
  showReview();
  say(scope === "picture" ? "Decisions are for the picture, in all languages." : "Decisions are for this film.");
}

const commands = [
  [["a"], "approve", () => decide("approved")],
  [["r"], "reject with a reason", openReasons],
  [["1-9"], "reason, while rejecting; else language", digit],
  [["o"], "another reason, while rejecting", () => field("reasons").hidden || field("reason").focus()],
  [["c"], "comment at the time shown", openComment],
  [["u"], "undo your last decision", undo],
  [["s"], "decide for the film, or for the picture in all languages", changeScope],
  ...(queue ? [[["j", "→"], "next", () => go(1)], [["k", "←"], "back", () => go(-1)]] : []),
  [["space"], "play or pause", () => stage.toggle()],
  [[","], "one frame back", () => stage.step(-1)],
  [["."], "one frame forward", () => stage.step(1)],
  [["0"], "to the start", () => stage.seek(0)],
  [["["], "slower", () => stage.changeSpeed(-1)],
  [["]"], "faster", () => stage.changeSpeed(1)],
  [["l"], "loop", () => stage.toggleLoop()],
  [["m"], "sound", () => stage.toggleSound()],
  [["f"], "flicker: alternate with the portrait, or with a frame", () => stage.toggleFlicker()],
  [["d"], "difference: to the same, to the frame before, off", () => say(stage.cycleDifference() ? `Difference to the ${stage.difference === "previous" ? "frame before" : "reference"}.` : "Difference off.")],
  [["?"], "these keys", () => showHelp(commands, field("help"), field("keys"))],
];
listen(commands);
field("help-button").addEventListener("click", () => showHelp(commands, field("help"), field("keys")));

// Claims expire within minutes of the last renewal; what another reviewer has taken over is passed.
async function renewClaims() {
  const ahead = items.slice(at).filter((item) => item.key && item.review.state === "pending");
  if (!ahead.length) return;
  const claim = (item) => item.picture || item.key;
  const { items: kept } = await post("/api/claims", { items: [...new Set(ahead.map(claim))] });
  const lost = new Set(ahead.slice(1).filter((item) => !kept.includes(claim(item))));
  if (lost.size) items.splice(at, items.length, ...items.slice(at).filter((item) => !lost.has(item)));
}

if (config.claim) setInterval(() => renewClaims().catch((error) => say(error.message, "bad")), 60_000);

showLocalTimes();
if (queue) go(0);
else show();
