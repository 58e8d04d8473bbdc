"use strict";
// Frame i of the video is shown from i / fps on; its middle is what is asked for, so that rounding never matters.
(() => {
  const COLOURS = ["#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17a2b8", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22"];
  const DASHES = { truth: [6, 4], detector: [1.5, 2.5] };
  const COEFFICIENT_GROUPS = new Set(["jaw", "mouth", "brows", "eyes", "cheeks and nose", "other expressions", "emotion"]);
  const LANE_HEIGHT = 76;
  const FAR = 10; // frames of an arrow key with shift

  const element = (id) => document.getElementById(id);
  const make = (tag, parent, text) => {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = text;
    if (parent) parent.append(made);
    return made;
  };

  const view = JSON.parse(element("view-data").textContent);
  const player = element("view-player");
  const slider = element("view-slider");
  const lanesBox = element("view-lanes");
  let frame = 0; // shown or asked for, counted from the video's first
  let waiting = false; // for the player to reach it
  let wanted = null; // asked for meanwhile
  let window_ = [0, view.frames]; // frames that the curves show

  // The video

  function blobOf(base64, type) {
    const STEP = 1 << 20; // a multiple of four characters
    const pieces = [];
    for (let at = 0; at < base64.length; at += STEP) {
      const binary = atob(base64.slice(at, at + STEP));
      const bytes = new Uint8Array(binary.length);
      for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
      pieces.push(bytes);
    }
    return new Blob(pieces, { type });
  }

  const panels = view.panels.map((panel) => {
    const figure = make("figure", element("view-panels"));
    const canvas = make("canvas", figure);
    canvas.width = canvas.height = view.size;
    make("figcaption", figure, panel.title);
    const label = make("label", element("view-choices"));
    const box = make("input", label);
    box.type = "checkbox";
    box.checked = panel.shown;
    label.append(" " + panel.name);
    box.addEventListener("change", showPanels);
    return { ...panel, figure, context: canvas.getContext("2d"), canvas, box };
  });

  function showPanels() {
    const side = view.size * Number(element("view-zoom").value);
    for (const panel of panels) {
      panel.figure.hidden = !panel.box.checked;
      panel.figure.style.width = panel.canvas.style.width = panel.canvas.style.height = side + "px";
    }
    drawPanels();
  }

  function drawPanels() {
    if (player.readyState < 2) return;
    for (const { box, context, left, top } of panels) {
      if (box.checked) context.drawImage(player, left, top, view.size, view.size, 0, 0, view.size, view.size);
    }
  }

  function seek(index) {
    index = Math.min(Math.max(Math.round(index), 0), view.frames - 1);
    if (!player.paused) player.pause();
    showPlace(index);
    if (waiting) {
      wanted = index;
      return;
    }
    waiting = true;
    player.currentTime = (index + 0.5) / view.fps;
  }

  player.addEventListener("seeked", () => {
    waiting = false;
    drawPanels();
    if (wanted !== null) {
      const next = wanted;
      wanted = null;
      seek(next);
    }
  });
  player.addEventListener("loadeddata", drawPanels);
  player.addEventListener("play", () => { element("view-play").textContent = "pause"; });
  player.addEventListener("pause", () => {
    element("view-play").textContent = "play";
    seek(frame); // players stop between two frames; the picture has to be the one whose number is shown
  });
  player.addEventListener("error", () => {
    element("view-problem").hidden = false;
    element("view-problem").textContent = "This browser cannot play the video (H.264 in MP4): " + (player.error && player.error.message);
  });

  function follow(now, metadata) {
    if (!player.paused) {
      const time = metadata ? metadata.mediaTime : player.currentTime;
      showPlace(Math.min(Math.floor(time * view.fps + 0.25), view.frames - 1));
    }
    drawPanels();
    nextPicture();
  }

  function nextPicture() {
    if ("requestVideoFrameCallback" in player) player.requestVideoFrameCallback(follow);
    else requestAnimationFrame((now) => follow(now));
  }

  // The curves

  const groups = [...new Set(view.series.map((series) => series.group))];
  const lanes = [];
  if (view.waveform) lanes.push(makeLane("sound", []));
  for (const group of groups) lanes.push(makeLane(group, view.series.filter((series) => series.group === group)));
  const cursor = make("div", lanesBox);
  cursor.id = "view-cursor";

  function makeLane(name, members) {
    const box = make("div", lanesBox);
    box.className = "lane";
    const canvas = make("canvas", box);
    const legend = make("div", box);
    members.forEach((series, number) => { series.colour = COLOURS[number % COLOURS.length]; });
    return { name, members, box, canvas, legend };
  }

  function rangeOf(lane, shown) {
    if (lane.name === "sound") return [-1, 1];
    let low = Infinity;
    let high = -Infinity;
    for (const series of shown) {
      for (const values of [series.values, ...Object.values(series.references)]) {
        for (const value of values) {
          if (value === null) continue;
          if (value < low) low = value;
          if (value > high) high = value;
        }
      }
    }
    if (low > high) return [0, 1];
    if (COEFFICIENT_GROUPS.has(lane.name)) return [Math.min(low, 0), Math.max(high, 1)];
    const margin = 0.05 * (high - low) || 1;
    return [low - margin, high + margin];
  }

  function drawLane(lane) {
    const shown = lane.members.filter((series) => series.shown);
    lane.box.hidden = lane.name !== "sound" && shown.length === 0;
    if (lane.box.hidden) return;
    const width = Math.max(lanesBox.clientWidth, 1);
    const dense = window.devicePixelRatio || 1;
    lane.canvas.width = Math.round(width * dense);
    lane.canvas.height = Math.round(LANE_HEIGHT * dense);
    lane.canvas.style.height = LANE_HEIGHT + "px";
    const context = lane.canvas.getContext("2d");
    context.scale(dense, dense);
    const [low, high] = rangeOf(lane, shown);
    const y = (value) => LANE_HEIGHT - 3 - ((value - low) / (high - low)) * (LANE_HEIGHT - 18);
    context.lineWidth = 1;
    context.strokeStyle = "#ddd";
    for (const level of COEFFICIENT_GROUPS.has(lane.name) ? [0, 1] : [0]) {
      if (level < low || level > high) continue;
      context.beginPath();
      context.moveTo(0, y(level));
      context.lineTo(width, y(level));
      context.stroke();
    }
    if (lane.name === "sound") drawSound(context, width, y);
    for (const series of shown) {
      for (const [name, values] of Object.entries(series.references)) {
        context.globalAlpha = 0.7;
        drawCurve(context, values, series.colour, DASHES[name] || [3, 3], width, y);
      }
      context.globalAlpha = 1;
      drawCurve(context, series.values, series.colour, [], width, y);
    }
  }

  const xOf = (index, width) => ((index + 0.5 - window_[0]) / (window_[1] - window_[0])) * width;

  function drawCurve(context, values, colour, dash, width, y) {
    context.strokeStyle = colour;
    context.setLineDash(dash);
    context.beginPath();
    let pen = false;
    const last = Math.min(values.length, Math.ceil(window_[1]) + 1);
    for (let i = Math.max(0, Math.floor(window_[0]) - 1); i < last; i++) {
      if (values[i] === null) {
        pen = false;
      } else if (pen) {
        context.lineTo(xOf(i, width), y(values[i]));
      } else {
        context.moveTo(xOf(i, width), y(values[i]));
        pen = true;
      }
    }
    context.stroke();
    context.setLineDash([]);
  }

  function drawSound(context, width, y) {
    const [low, high] = view.waveform;
    const step = view.frames / low.length;
    context.strokeStyle = "#888";
    context.beginPath();
    for (let i = 0; i < low.length; i++) {
      const x = (((i + 0.5) * step - window_[0]) / (window_[1] - window_[0])) * width;
      if (x < 0 || x > width) continue;
      context.moveTo(x, y(low[i]) + 0.5);
      context.lineTo(x, y(high[i]) - 0.5);
    }
    context.stroke();
  }

  const drawLanes = () => lanes.forEach(drawLane);

  function showPlace(index) {
    frame = index;
    slider.value = index;
    element("view-place").textContent = `frame ${view.first + index}, ${((view.first + index) / view.fps).toFixed(2)} s`;
    const span = Number(element("view-span").value) * view.fps;
    const before = window_;
    if (!span || span >= view.frames) window_ = [0, view.frames];
    else if (index < window_[0] || index >= window_[1] || Math.abs(window_[1] - window_[0] - span) > 1e-6) {
      const start = Math.min(Math.max(index - span / 2, 0), view.frames - span);
      window_ = [start, start + span];
    }
    if (before[0] !== window_[0] || before[1] !== window_[1]) drawLanes();
    cursor.style.left = xOf(index, lanesBox.clientWidth) + "px";
    for (const lane of lanes) {
      if (!lane.box.hidden) showLegend(lane);
    }
  }

  function showLegend(lane) {
    lane.legend.textContent = lane.name;
    for (const series of lane.members) {
      if (!series.shown) continue;
      const value = series.values[frame];
      const text = [value === null ? "–" : value + series.unit];
      for (const [name, values] of Object.entries(series.references)) {
        if (values[frame] !== null) text.push(`${name} ${values[frame]}`);
      }
      make("span", lane.legend, `${series.name} ${text.join(", ")}`).style.color = series.colour;
    }
  }

  // What is shown

  const names = [];
  for (const group of groups) {
    const title = make("b", element("view-names"), group);
    const labels = [];
    for (const series of view.series.filter((one) => one.group === group)) {
      const label = make("label", element("view-names"));
      const box = make("input", label);
      box.type = "checkbox";
      box.checked = series.shown;
      make("span", label, " " + series.name).style.color = series.colour;
      box.addEventListener("change", () => {
        series.shown = box.checked;
        redraw();
      });
      labels.push({ label, name: series.name.toLowerCase() });
    }
    names.push({ title, labels });
  }

  element("view-search").addEventListener("input", (event) => {
    const sought = event.target.value.trim().toLowerCase();
    for (const { title, labels } of names) {
      for (const { label, name } of labels) label.hidden = !name.includes(sought);
      title.hidden = labels.every(({ label }) => label.hidden);
    }
  });

  function redraw() {
    drawLanes();
    showPlace(frame);
  }

  // What the user does

  function togglePlay() {
    if (!player.paused) player.pause();
    else player.play().catch(() => {});
  }

  function seekAt(event) {
    const box = lanesBox.getBoundingClientRect();
    const share = (event.clientX - box.left) / box.width;
    seek(Math.floor(window_[0] + share * (window_[1] - window_[0])));
  }

  slider.max = view.frames - 1;
  slider.addEventListener("input", () => seek(Number(slider.value)));
  element("view-play").addEventListener("click", togglePlay);
  element("view-back").addEventListener("click", () => seek(frame - 1));
  element("view-forth").addEventListener("click", () => seek(frame + 1));
  element("view-rate").addEventListener("change", (event) => { player.playbackRate = Number(event.target.value); });
  element("view-zoom").addEventListener("change", showPanels);
  element("view-span").addEventListener("change", redraw);
  element("view-sound").addEventListener("change", (event) => { player.muted = !event.target.checked; });
  lanesBox.addEventListener("pointerdown", (event) => {
    lanesBox.setPointerCapture(event.pointerId);
    seekAt(event);
  });
  lanesBox.addEventListener("pointermove", (event) => {
    if (event.buttons & 1) seekAt(event);
  });
  addEventListener("resize", redraw);
  addEventListener("hashchange", seekHash);
  addEventListener("keydown", (event) => {
    const target = event.target;
    if (event.ctrlKey || event.altKey || event.metaKey || target.tagName === "SELECT" || target.type === "search") return;
    const step = event.shiftKey ? FAR : 1;
    const moves = { ArrowLeft: frame - step, ArrowRight: frame + step, Home: 0, End: view.frames - 1 };
    if (event.key === " ") togglePlay();
    else if (event.key in moves) seek(moves[event.key]);
    else return;
    event.preventDefault();
  });

  function seekHash() {
    const found = /^#frame=(\d+)$/.exec(location.hash);
    if (found) seek(Number(found[1]) - view.first);
  }

  if (!view.waveform) element("view-sound").parentElement.hidden = true;
  player.src = URL.createObjectURL(blobOf(element("view-video").textContent, "video/mp4"));
  element("view-video").remove(); // its text is as large as the video
  player.addEventListener("loadedmetadata", seekHash, { once: true });
  showPanels();
  redraw();
  nextPicture();
})();
