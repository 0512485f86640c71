// Portrait, driving clip and result side by side: in sync, frame by frame, and compared.
import { clock, make } from "./format.js";

const SPEEDS = [0.1, 0.25, 0.5, 1, 1.5, 2, 4];
const FLICKER_MS = 180;
const AHEAD = 3; // items whose media are loaded before they are shown
const field = (id) => document.getElementById(id);

function video(url, label) {
  const element = make("video", { playsinline: true, preload: "auto", loop: true, "aria-label": label });
  element.src = url;
  return element;
}

export class Stage {
  #media = new Map();
  #speed = SPEEDS.indexOf(1);
  #flicker = null;
  #previous = document.createElement("canvas");
  loop = true;
  sound = true;
  difference = "";
  item = null;

  constructor(onLost) {
    this.onLost = onLost;
    field("scrub").addEventListener("input", (event) => this.seek(Number(event.target.value)));
    this.#watch();
  }

  get result() {
    return this.#media.get(this.item)?.result ?? null;
  }

  get clip() {
    return this.#media.get(this.item)?.clip ?? null;
  }

  get time() {
    return this.result?.currentTime ?? 0;
  }

  // Load the media of items to come, and drop those of items that are far.
  prepare(items) {
    for (const item of items.slice(0, AHEAD)) this.#of(item);
    for (const [item, media] of this.#media) {
      if (item === this.item || items.slice(0, AHEAD).includes(item)) continue;
      for (const element of [media.result, media.clip]) {
        if (!element) continue;
        element.pause();
        element.removeAttribute("src");
        element.load();
      }
      this.#media.delete(item);
    }
  }

  show(item) {
    this.pause();
    this.#setFlicker(false);
    this.item = item;
    const media = this.#of(item);
    field("portrait").replaceChildren(media.portrait ?? absent("no picture"));
    field("clip").replaceChildren(media.clip ?? media.clipPoster ?? absent("no picture"));
    field("result").replaceChildren(media.result ?? absent(item.error ? "failed" : "no video"));
    field("portrait-note").textContent = [item.portrait.name, item.portrait.media ? "" : note(item.portrait)].filter(Boolean).join(", ");
    field("clip-note").textContent = [item.clip.name, item.clip.media ? "" : note(item.clip)].filter(Boolean).join(", ");
    field("result-note").textContent = item.width ? `${item.width} x ${item.height}` : "";
    field("result").style.aspectRatio = item.width ? `${item.width} / ${item.height}` : "1";
    field("transport").hidden = !media.result;
    if (!media.result) return;
    this.#apply();
    this.seek(0);
    this.play();
  }

  // Another film of the same picture, at the same time.
  continueAs(item) {
    const media = this.#media.get(this.item);
    this.#media.delete(this.item);
    this.#media.set(item, media);
    this.item = item;
    continueWith(media.result, new URL(item.video, location.href).href);
  }

  play() {
    const { result, clip } = this;
    if (!result) return;
    result.muted = !this.sound;
    result.play().catch((error) => {
      if (error.name !== "NotAllowedError") return;
      result.muted = true; // until the person presses a key
      result.play().catch(() => {});
    });
    clip?.play().catch(() => {});
  }

  pause() {
    this.result?.pause();
    this.clip?.pause();
  }

  toggle() {
    if (this.result?.paused) this.play();
    else this.pause();
  }

  seek(time) {
    const { result, clip } = this;
    if (!result) return;
    result.currentTime = Math.max(0, Math.min(time, result.duration || time));
    if (clip) clip.currentTime = this.item.clip.start + result.currentTime;
  }

  // To the middle of the frame, which no rounding moves to a neighbour.
  step(frames) {
    this.pause();
    const { fps } = this.item;
    const last = Math.max(0, (this.item.frames || Math.round((this.result?.duration || 0) * fps)) - 1);
    const frame = Math.max(0, Math.min(last, Math.floor(this.time * fps + 1e-3) + frames));
    this.seek((frame + 0.5) / fps);
  }

  changeSpeed(by) {
    this.#speed = Math.max(0, Math.min(SPEEDS.length - 1, this.#speed + by));
    this.#apply();
    return SPEEDS[this.#speed];
  }

  toggleLoop() {
    this.loop = !this.loop;
    this.#apply();
  }

  toggleSound() {
    this.sound = !this.sound;
    this.#apply();
  }

  // The reference takes the result's place several times a second, so that the eye sees every change.
  toggleFlicker() {
    this.#setFlicker(this.#flicker === null);
  }

  // Off, difference to the reference, difference to the frame before.
  cycleDifference() {
    this.difference = { "": "reference", reference: "previous", previous: "" }[this.difference];
    this.#apply();
    return this.difference;
  }

  // The portrait into which the result was pasted, else the poster: a frame of the result.
  get reference() {
    const { portrait } = this.#media.get(this.item) ?? {};
    const { width, height } = this.item;
    const alike = this.item.whole && portrait && this.item.portrait.media && portrait.naturalWidth * height === portrait.naturalHeight * width;
    return alike ? this.item.portrait.media : this.item.poster;
  }

  #of(item) {
    const known = this.#media.get(item);
    if (known) return known;
    const who = item.identity || item.job;
    const image = (url, alt) => (url ? make("img", { src: url, alt, decoding: "async" }) : null);
    const media = {
      result: item.video ? video(item.video, `Result: ${item.job}`) : null,
      clip: item.clip.media ? video(item.clip.media, `Driving clip: ${item.clip.name}`) : null,
      clipPoster: image(item.clip.thumbnail, `First frame of the driving clip ${item.clip.name}`),
      portrait: image(item.portrait.media || item.portrait.thumbnail, `Portrait of ${who}`),
    };
    if (media.clip) media.clip.muted = true;
    media.result?.addEventListener("error", () => this.onLost(item));
    media.result?.addEventListener("ended", () => this.pause());
    this.#media.set(item, media);
    return media;
  }

  #apply() {
    const { result, clip } = this;
    for (const element of [result, clip]) {
      if (!element) continue;
      element.loop = this.loop;
      element.playbackRate = element.defaultPlaybackRate = SPEEDS[this.#speed];
    }
    if (result) result.muted = !this.sound;
    this.#overlay();
    press("loop", this.loop);
    press("sound", this.sound);
    press("flicker", this.#flicker !== null);
    press("difference", this.difference !== "");
    field("difference").textContent = this.difference === "previous" ? "difference: frame" : "difference";
    field("speed").textContent = `${SPEEDS[this.#speed]}×`;
  }

  #overlay() {
    const frame = field("result");
    frame.querySelector(".overlay")?.remove();
    frame.classList.toggle("amplified", this.difference !== "");
    if (!this.result) return;
    if (this.difference === "previous") {
      frame.append(make("canvas", { class: "overlay previous" }));
      this.#drawPrevious();
    } else if (this.difference || this.#flicker !== null) {
      const kind = this.difference ? "overlay difference" : "overlay";
      frame.append(make("img", { class: kind, src: this.reference, alt: "" }));
    }
  }

  #setFlicker(on) {
    clearInterval(this.#flicker);
    this.#flicker = null;
    if (on) {
      this.difference = "";
      this.#flicker = setInterval(() => {
        const overlay = field("result").querySelector(".overlay");
        if (overlay) overlay.hidden = !overlay.hidden;
      }, FLICKER_MS);
    }
    if (this.item) this.#apply();
  }

  #drawPrevious() {
    const canvas = field("result").querySelector("canvas.previous");
    const { result } = this;
    if (!canvas || !result?.videoWidth) return;
    const before = this.#previous;
    if (before.width !== result.videoWidth || before.height !== result.videoHeight) {
      for (const each of [canvas, before]) [each.width, each.height] = [result.videoWidth, result.videoHeight];
      before.getContext("2d").drawImage(result, 0, 0);
    }
    if (canvas.width !== before.width) [canvas.width, canvas.height] = [before.width, before.height];
    const context = canvas.getContext("2d");
    context.globalCompositeOperation = "copy";
    context.drawImage(result, 0, 0);
    context.globalCompositeOperation = "difference";
    context.drawImage(before, 0, 0);
    before.getContext("2d").drawImage(result, 0, 0);
  }

  // Once per picture of the screen: time, scrubber, the clip's place.
  #watch() {
    let drawn = -1;
    const tick = () => {
      const { result, clip } = this;
      if (result) {
        const { fps, frames } = this.item;
        const frame = Math.floor(result.currentTime * fps + 1e-3);
        field("time").textContent = `${clock(result.currentTime)} · frame ${frame + 1}${frames ? `/${frames}` : ""}`;
        field("scrub").max = result.duration || 1;
        field("scrub").value = result.currentTime;
        field("scrub").setAttribute("aria-valuetext", clock(result.currentTime));
        field("play").classList.toggle("playing", !result.paused);
        field("play").setAttribute("aria-label", result.paused ? "Play" : "Pause");
        if (clip && clip.readyState > 1) this.#follow(result, clip);
        if (this.difference === "previous" && frame !== drawn) this.#drawPrevious();
        drawn = frame;
      }
      requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  }

  #follow(result, clip) {
    const wanted = this.item.clip.start + result.currentTime;
    const off = clip.currentTime - wanted;
    const rate = SPEEDS[this.#speed];
    if (clip.seeking || result.seeking) return;
    if (Math.abs(off) > 0.25 || (result.paused && Math.abs(off) > 0.5 / this.item.fps)) {
      clip.currentTime = Math.min(wanted, clip.duration || wanted);
    } else {
      // A few per cent faster or slower, which nobody sees.
      clip.playbackRate = Math.abs(off) > 0.02 ? rate * (off > 0 ? 0.95 : 1.05) : rate;
    }
    if (result.paused !== clip.paused) {
      if (result.paused) clip.pause();
      else clip.play().catch(() => {});
    }
  }
}

function absent(text) {
  return make("p", { class: "absent" }, text);
}

function note(input) {
  return input.note.replaceAll("`", "");
}

function press(id, on) {
  field(id).setAttribute("aria-pressed", String(on));
}
