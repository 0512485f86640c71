// Keys of a page: what they do, and the list that `?` shows.
const NAMES = { " ": "space", ArrowRight: "→", ArrowLeft: "←" };

export function keyName(event) {
  return NAMES[event.key] ?? event.key;
}

function typing(target) {
  return target.matches("input:not([type=range]):not([type=checkbox]), textarea, select");
}

// `commands`: [keys, label, function] each; a key of `1-9` stands for all digits.
export function listen(commands) {
  const byKey = new Map(commands.flatMap(([keys, , run]) => keys.map((key) => [key, run])));
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (typing(event.target) || document.querySelector("dialog[open]")) return;
    // A focused button is pressed by space and Enter, as everywhere.
    if ((event.key === " " || event.key === "Enter") && event.target.closest("button, a, summary")) return;
    const name = keyName(event);
    const run = byKey.get(name) ?? (/^[1-9]$/.test(name) ? byKey.get("1-9") : undefined);
    if (!run) return;
    event.preventDefault();
    run(name, event);
  });
  addEventListener("click", (event) => {
    const button = event.target.closest("[data-key]");
    if (button) byKey.get(button.dataset.key)?.(button.dataset.key, event);
  });
}

export function showHelp(commands, dialog, list) {
  list.replaceChildren(
    ...commands.flatMap(([keys, label]) => {
      const term = document.createElement("dt");
      term.append(
        ...keys.flatMap((key, n) => {
          const element = document.createElement("kbd");
          element.textContent = key;
          return n ? [" ", element] : [element];
        }),
      );
      const detail = document.createElement("dd");
      detail.textContent = label;
      return [term, detail];
    }),
  );
  dialog.showModal();
}
