// Requests to the server, and the outbox of decisions that are not saved yet.
const csrf = document.querySelector("meta[name=csrf]")?.content ?? "";
const WAITS = [1000, 2000, 5000, 10000];

export class Refused extends Error {}

async function answer(response) {
  const body = await response.json().catch(() => ({}));
  if (response.ok) return body;
  const message = body.error ?? `the server answered ${response.status}`;
  throw response.status >= 500 || response.status === 408 ? new Error(message) : new Refused(message);
}

export async function get(path, parameters) {
  const query = new URLSearchParams(parameters).toString();
  return answer(await fetch(query ? `${path}?${query}` : path, { headers: { Accept: "application/json" } }));
}

export async function post(path, body) {
  const headers = { Accept: "application/json", "Content-Type": "application/json", "X-CSRF-Token": csrf };
  return answer(await fetch(path, { method: "POST", headers, body: JSON.stringify(body) }));
}

// Sends decisions one after the other, and again until the server has them; each has its id, so none is stored twice.
export class Outbox {
  #waiting = [];
  #sending = false;

  constructor(onChange) {
    this.onChange = onChange;
    addEventListener("beforeunload", (event) => {
      if (this.#waiting.length) event.preventDefault();
    });
  }

  send(decision) {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ decision, resolve, reject });
      this.#run();
    });
  }

  async #run() {
    if (this.#sending) return;
    this.#sending = true;
    for (let failures = 0; this.#waiting.length; ) {
      const { decision, resolve, reject } = this.#waiting[0];
      try {
        resolve(await post("/api/decisions", decision));
      } catch (error) {
        if (!(error instanceof Refused)) {
          this.onChange(this.#waiting.length, error.message);
          await new Promise((done) => setTimeout(done, WAITS[Math.min(failures++, WAITS.length - 1)]));
          continue;
        }
        reject(error);
      }
      failures = 0;
      this.#waiting.shift();
      this.onChange(this.#waiting.length, "");
    }
    this.#sending = false;
  }
}

export function newId() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
