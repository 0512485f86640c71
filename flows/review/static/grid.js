// The grid: media of what is on the screen only, pages as they are needed, decisions by keyboard.
import { Outbox, newId, post } from "/static/api.js";
import { listen, showHelp } from "/static/keys.js";

const PLAY_AFTER = 150; // milliseconds on a card before it plays
const by = (id) => document.getElementById(id);
const cards = by("cards");
const all = () => [...cards.querySelectorAll(".card")];
const focused = () => document.activeElement?.closest?.(".card");

// Media: pictures within a screen of the window are loaded, all others are released.
const near = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      const image = target.querySelector("img");
      if (!image) continue;
      if (isIntersecting && !image.hasAttribute("src")) image.src = target.dataset.poster;
      if (!isIntersecting && image.hasAttribute("src")) image.removeAttribute("src");
    }
  },
  { rootMargin: "60% 0px" },
);

function adopt(card) {
  const image = card.querySelector("img");
  if (image) {
    card.dataset.poster = image.getAttribute("src");
    image.loading = "eager"; // near the window is when it should load
    image.addEventListener("error", () => image.hasAttribute("src") && refresh(card));
  }
  near.observe(card);
}

// Paths of media are valid for some minutes only; a page is fetched again when one no longer is.
const refreshing = new Map();
async function refresh(card) {
  const here = card.dataset.here;
  if (card.dataset.refreshed && Date.now() - card.dataset.refreshed < 60000) {
    card.querySelector("img").removeAttribute("src"); // the file is gone
    return;
  }
  card.dataset.refreshed = Date.now();
  if (!refreshing.has(here)) {
    refreshing.set(here, fetchCards(here).finally(() => refreshing.delete(here)));
  }
  for (const fresh of (await refreshing.get(here).catch(() => null))?.querySelectorAll(".card") ?? []) {
    if (fresh.dataset.key !== card.dataset.key || fresh.dataset.run !== card.dataset.run) continue;
    card.dataset.video = fresh.dataset.video;
    card.dataset.poster = fresh.querySelector("img")?.getAttribute("src") ?? "";
    if (card.querySelector("img").hasAttribute("src")) card.querySelector("img").src = card.dataset.poster;
  }
}

async function fetchCards(query) {
  const response = await fetch(`/grid/cards?${query}`);
  if (!response.ok) throw new Error(`the server answered ${response.status}`);
  const template = document.createElement("template");
  template.innerHTML = await response.text(); // the server's own markup; texts of rows are escaped in it
  return template.content;
}

// A card plays while it has the pointer or the focus.
let waiting = 0;
let playing = null;
function play(card) {
  clearTimeout(waiting);
  if (playing?.closest(".card") === card) return;
  stop();
  if (!card?.dataset.video) return;
  waiting = setTimeout(() => {
    playing = document.createElement("video");
    Object.assign(playing, { muted: true, loop: true, playsInline: true, autoplay: true, src: card.dataset.video });
    playing.tabIndex = -1;
    playing.setAttribute("aria-hidden", "true");
    playing.addEventListener("error", () => refresh(card));
    card.querySelector(".thumb").append(playing);
  }, PLAY_AFTER);
}
function stop() {
  clearTimeout(waiting);
  if (!playing) return;
  playing.removeAttribute("src");
  playing.load(); // releases what it has
  playing.remove();
  playing = null;
}
cards.addEventListener("pointerover", (event) => {
  if (event.pointerType === "mouse") play(event.target.closest(".card"));
});
cards.addEventListener("pointerleave", () => play(focused()));
cards.addEventListener("focusin", (event) => play(event.target.closest(".card")));
cards.addEventListener("focusout", stop);

// Pages: the next one is fetched when its link comes near.
let loading = null;
const end = new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && more(), {
  rootMargin: "150% 0px",
});
function more() {
  const link = cards.querySelector("[data-more]");
  if (!link) return Promise.resolve();
  loading ??= fetchCards(link.dataset.more)
    .then((content) => {
      const added = [...content.querySelectorAll(".card")];
      end.disconnect();
      link.closest("li").replaceWith(content);
      added.forEach(adopt);
      watchEnd();
    })
    .catch((error) => toast(`The next page cannot be loaded: ${error.message}`))
    .finally(() => (loading = null));
  return loading;
}
function watchEnd() {
  const link = cards.querySelector(".more");
  if (link) end.observe(link);
}

// Decisions.
const outbox = new Outbox((count, problem) => problem && toast(`${count} not saved yet: ${problem}`));
const last = new Map(); // key -> decision_id of what was decided here
let toastTimer = 0;
function toast(text) {
  by("toast").textContent = text;
  by("toast").hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => (by("toast").hidden = true), 6000);
}

function subject(card) {
  const byPicture = by("filters").elements.scope.value === "picture" && card.dataset.picture;
  return byPicture ? { scope: "picture", key: card.dataset.picture } : { scope: "film", key: card.dataset.key };
}

function show(card, state, reason) {
  const { scope, key } = subject(card);
  for (const each of all()) {
    if (scope === "picture" ? each.dataset.picture !== key : each.dataset.key !== key) continue;
    each.classList.remove("pending", "approved", "rejected");
    each.classList.add(state);
    each.querySelector(".state").textContent = state;
    each.querySelector(".state").title = reason;
    const thumb = each.querySelector(".thumb");
    thumb.ariaLabel = thumb.ariaLabel.replace(/, [a-z]+$/, `, ${state}`);
  }
}

function decide(card, kind, more = {}) {
  const { run, job, key, picture } = card.dataset;
  const decision = { decision_id: newId(), kind, ...subject(card), run_id: run, job_id: job, film: key, picture, ...more };
  const before = card.querySelector(".state").textContent;
  outbox
    .send(decision)
    .then(({ review }) => show(card, review.state, review.by?.reason ?? ""))
    .catch((error) => {
      show(card, before, "");
      toast(error.message);
    });
  return decision.decision_id;
}

function verdict(kind, reason = "") {
  const card = focused();
  if (!card?.dataset.key) return;
  last.set(card.dataset.key, { id: decide(card, kind, { reason }), ...subject(card) });
  show(card, kind, reason);
  toast(`${card.dataset.job} ${kind}${reason ? `: ${reason}` : ""} (u undoes)`);
  move(1);
}

async function undo() {
  // What was decided about this card, or last of all: the focus has moved on by then.
  const key = last.has(focused()?.dataset.key) ? focused().dataset.key : [...last.keys()].pop();
  const card = all().find((each) => each.dataset.key === key);
  if (!card) return toast("Nothing was decided here yet.");
  const { id, scope, key: about } = last.get(key);
  last.delete(key);
  decide(card, "undo", { undoes: id, scope, key: about });
  toast(`${card.dataset.job}: undone`);
  card.querySelector(".thumb").focus();
}

function askReason() {
  const card = focused();
  if (!card?.dataset.key) return;
  const dialog = by("reasons");
  dialog.showModal();
  dialog.onclose = () => {
    card.querySelector(".thumb").focus();
    if (dialog.returnValue.startsWith("reject:")) verdict("rejected", dialog.returnValue.slice(7));
  };
  dialog.returnValue = "";
}
by("reasons").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button) by("reasons").close(button.dataset.close === undefined ? `reject:${button.value}` : "");
});
by("reasons").addEventListener("keydown", (event) => {
  const buttons = by("reasons").querySelectorAll(".reasons button");
  if (/^[1-9]$/.test(event.key)) buttons[event.key - 1]?.click();
  else if (event.key === "Enter" && !event.target.closest("button:focus-visible")) by("reasons").close("reject:");
  else return;
  event.preventDefault();
});

// The focus.
async function move(by) {
  const list = all();
  const at = list.indexOf(focused());
  if (at + by >= list.length) await more();
  const now = all();
  const target = now[Math.min(Math.max(at < 0 ? 0 : at + by, 0), now.length - 1)];
  target?.querySelector(".thumb").focus({ preventScroll: true });
  target?.scrollIntoView({ block: "nearest" });
}
function columns() {
  const list = all();
  const first = list[0]?.offsetTop;
  const wrapped = list.findIndex((card) => card.offsetTop !== first);
  return wrapped < 0 ? list.length : wrapped;
}

const commands = [
  [["→"], "next", () => move(1)],
  [["←"], "previous", () => move(-1)],
  [["ArrowDown", "j"], "a row down", () => move(columns())],
  [["ArrowUp", "k"], "a row up", () => move(-columns())],
  [["a"], "approve", () => verdict("approved")],
  [["r"], "reject, with a reason", askReason],
  [["u"], "undo", undo],
  [["?"], "show these keys", () => showHelp(shown, by("help"), by("help-list"))],
];
const shown = [...commands, [["Enter"], "open the job"]];
listen(commands);
by("help-button").addEventListener("click", () => showHelp(shown, by("help"), by("help-list")));

by("reviewer-form").addEventListener("submit", (event) => {
  event.preventDefault();
  by("reviewer").blur();
});
by("reviewer").addEventListener("change", ({ target }) =>
  post("/api/reviewer", { name: target.value })
    .then(({ reviewer }) => toast(`Decisions are now by ${reviewer}.`))
    .catch((error) => toast(error.message)),
);

// Filters: what is empty is left out of the address.
const form = by("filters");
form.addEventListener("submit", () => {
  for (const field of form.elements) if (field.name && !field.value) field.disabled = true;
});
addEventListener("pageshow", () => {
  for (const field of form.elements) field.disabled = false;
});
for (const select of form.querySelectorAll("select")) {
  select.addEventListener("change", () => select.name !== "scope" && form.requestSubmit());
}

all().forEach(adopt);
watchEnd();
