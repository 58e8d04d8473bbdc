// Runs a page's script against as little of a browser as it needs: node stub_browser.js page.html
// Prints JSON: what the script asked the player for, and what it showed, after each thing a user does.
"use strict";
const fs = require("fs");
const html = fs.readFileSync(process.argv[2], "utf-8");

class Element {
  constructor(tag, id) {
    Object.assign(this, { tagName: tag.toUpperCase(), id, children: [], listeners: {}, style: {}, hidden: false, value: "", textContent: "" });
    this.clientWidth = 1000;
  }
  append(...parts) {
    for (const part of parts) {
      if (typeof part !== "string") part.parentElement = this;
      this.children.push(part);
    }
  }
  addEventListener(name, listener) { (this.listeners[name] ||= []).push(listener); }
  fire(name, event = {}) { for (const listener of this.listeners[name] || []) listener({ target: this, preventDefault() {}, ...event }); }
  getContext() {
    const context = new Proxy({}, { get: (own, key) => (key in own ? own[key] : (...args) => drawn.push([key, ...args.map((a) => (typeof a === "number" ? a : 0))])), set: (own, key, value) => ((own[key] = value), true) });
    return context;
  }
  getBoundingClientRect() { return { left: 0, width: this.clientWidth }; }
  setPointerCapture() {}
  remove() { this.removed = true; }
}

const drawn = [];
const elements = {};
for (const [, tag, id] of html.matchAll(/<(\w+)[^>]*? id="([\w-]+)"/g)) elements[id] = new Element(tag, id);
for (const id of ["view-data", "view-video"]) {
  elements[id].textContent = new RegExp(`id="${id}">([^<]*)</script>`).exec(html)[1];
}
Object.assign(elements["view-zoom"], { value: "1" });
Object.assign(elements["view-span"], { value: "0" });
elements["view-sound"].parentElement = new Element("label");
const player = elements["view-player"];
const asked = [];
Object.assign(player, { paused: true, readyState: 4, requestVideoFrameCallback() {} });
Object.defineProperty(player, "currentTime", { get: () => asked.at(-1) ?? 0, set: (time) => asked.push(time) });
player.play = () => { player.paused = false; player.fire("play"); return Promise.resolve(); };
player.pause = () => { player.paused = true; player.fire("pause"); };

const page = new Element("window");
let blob = null;
globalThis.document = { getElementById: (id) => elements[id] ?? null, createElement: (tag) => new Element(tag) };
globalThis.window = { devicePixelRatio: 2 };
globalThis.location = { hash: "" };
globalThis.addEventListener = page.addEventListener.bind(page);
globalThis.requestAnimationFrame = () => {};
URL.createObjectURL = (made) => { blob = made; return "blob:"; };

const scripts = [...html.matchAll(/<script>([^]*?)<\/script>/g)].map((found) => found[1]);
for (const script of scripts) (0, eval)(script);

const report = {};
const after = (name) => {
  player.fire("seeked");
  report[name] = { time: asked.at(-1) ?? null, place: elements["view-place"].textContent };
};
const key = (name, options = {}) => page.fire("keydown", { target: { tagName: "BODY" }, key: name, ...options });
after("start");
key("ArrowRight"); after("right");
key("ArrowRight", { shiftKey: true }); after("far right");
key("ArrowLeft"); after("left");
key("End"); after("end");
key("ArrowRight"); after("beyond the end");
elements["view-slider"].value = "4"; elements["view-slider"].fire("input"); after("slider");
elements["view-lanes"].fire("pointerdown", { clientX: 500, pointerId: 1 }); after("click in the middle");
location.hash = "#frame=5"; page.fire("hashchange"); after("link");
key("ArrowLeft", { target: elements["view-search"].constructor && { tagName: "INPUT", type: "search" } }); after("typing");
// Two steps before the player has reached the first: it goes to the last one then.
key("ArrowRight"); key("ArrowRight"); after("two steps"); after("two steps, reached");
key(" "); report.playing = !player.paused; key(" "); report.stopped = player.paused;
elements["view-search"].value = "jaw"; elements["view-search"].fire("input");
const labels = elements["view-names"].children.filter((child) => child.tagName === "LABEL");
report.found = labels.filter((label) => !label.hidden).length;
report.named = labels.length;
report.panels = elements["view-panels"].children.length;
report.lanes = elements["view-lanes"].children.filter((child) => child.className === "lane").length;
report.notANumber = drawn.some((call) => call.some((part) => Number.isNaN(part)));
report.drawn = drawn.length;
blob.arrayBuffer().then((bytes) => {
  report.videoBytes = bytes.byteLength;
  console.log(JSON.stringify(report));
});
