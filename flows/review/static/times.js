// Times in the reader's zone and language; without scripts they are shown in UTC.
const sameDay = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const otherDay = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

export function showTime(element) {
  const time = new Date(element.dateTime);
  if (Number.isNaN(time.getTime())) return;
  const today = time.toDateString() === new Date().toDateString();
  element.textContent = (today ? sameDay : otherDay).format(time);
  element.title = time.toString();
}

export function showTimes(parent = document) {
  for (const element of parent.querySelectorAll("time")) showTime(element);
}

export function duration(seconds) {
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

showTimes();
