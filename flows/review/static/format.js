// Times, sizes and elements for people.
export function clock(seconds) {
  const whole = Math.max(0, seconds);
  const minutes = Math.floor(whole / 60);
  return `${minutes}:${(whole - 60 * minutes).toFixed(2).padStart(5, "0")}`;
}

// In the reader's zone.
export function localTime(text) {
  const time = new Date(text);
  if (Number.isNaN(time.getTime())) return text;
  return time.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}

export function showLocalTimes(root = document) {
  for (const element of root.querySelectorAll("time[datetime]")) {
    element.textContent = localTime(element.dateTime);
    element.title = element.dateTime;
  }
}

// Texts of rows become text, never markup.
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== ""));
  return element;
}
