"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const color = (name) => `var(--m${data.methods.indexOf(name) % 8})`;
const unit = (metric) => `${metric.title}${metric.unit ? " " + metric.unit : ""}`;

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function drawing(tag, attributes = {}, text = "") {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.textContent = text;
  return made;
}

/* Two panes of a sheet over each other, and a line between them. */
class Wipe {
  constructor(sheet, source, place, left, right) {
    this.sheet = sheet;
    this.source = source;
    this.sides = [left, right];
    this.place = place;
    this.canvas = element("canvas", { width: 2 * sheet.width, height: 2 * sheet.height });
    this.canvas.setAttribute("role", "img");
    this.slider = element("input", { type: "range", min: 0, max: 1000, value: 1000 * place });
    this.slider.setAttribute("aria-label", "wipe");
    this.slider.addEventListener("input", () => this.move(this.slider.value / 1000));
    this.selects = [0, 1].map((side) => this.choice(side));
    const drag = (event) => {
      if (event.type === "pointermove" && event.pointerType !== "mouse" && !event.buttons) return;
      const box = this.canvas.getBoundingClientRect();
      this.move(Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)));
    };
    this.canvas.addEventListener("pointermove", drag);
    this.canvas.addEventListener("pointerdown", drag);
    this.draw();
  }
  choice(side) {
    const select = element("select");
    select.setAttribute("aria-label", side ? "right" : "left");
    select.append(...this.sheet.names.map((name) => element("option", { textContent: name })));
    select.value = this.sides[side];
    select.addEventListener("change", () => { this.sides[side] = select.value; this.draw(); });
    return select;
  }
  move(place) {
    this.place = place;
    this.slider.value = Math.round(1000 * place);
    this.draw();
  }
  draw() {
    const { width, height, names, columns } = this.sheet;
    const pen = this.canvas.getContext("2d");
    const line = this.place * width;
    [[0, line], [line, width]].forEach(([from, to], side) => {
      const pane = names.indexOf(this.sides[side]);
      const x = (pane % columns) * width, y = Math.floor(pane / columns) * height;
      if (to > from) pen.drawImage(this.source, x + from, y, to - from, height,
        2 * from, 0, 2 * (to - from), 2 * height);
    });
    pen.fillStyle = "#ffffffd0";
    pen.fillRect(2 * line - 1, 0, 2, 2 * height);
    this.canvas.setAttribute("aria-label", `${this.sides[0]} left, ${this.sides[1]} right`);
  }
}

/* What stands left and right at first: the result, and what it should be. */
function sides(sheet) {
  const other = sheet.names.includes("truth") ? "truth" : "hole";
  return [data.methods[0], other];
}

function caption(name, told, ...rows) {
  const head = element("div", { className: "name" },
    element("span", { textContent: name }), element("span", { textContent: told }));
  return element("figcaption", {}, head, ...rows);
}

function still(one) {
  const image = new Image();
  image.src = one.sheet.uri;
  const wipe = new Wipe(one.sheet, image, one.middle, ...sides(one.sheet));
  image.decode().then(() => wipe.draw());
  const controls = element("div", { className: "controls" },
    wipe.selects[0], wipe.slider, wipe.selects[1]);
  return element("figure", {}, wipe.canvas,
    caption(one.video, `frame ${one.index}, ${one.figure}`, controls));
}

function player(video) {
  const film = element("video", { muted: true, loop: true, playsInline: true, preload: "auto" });
  const wipe = new Wipe(video.film, film, video.middle, ...sides(video.film));
  const button = element("button", { textContent: "play" });
  const curve = drawing("svg", { class: "curve", viewBox: "0 0 600 84", preserveAspectRatio: "none" });
  const cursor = drawing("line", { y1: 0, y2: 84, stroke: "#ffffffa0", "stroke-width": 1 });
  const x = (index) => 600 * (index + 0.5) / video.frames;
  const values = Object.values(video.curves).flat().filter((value) => value !== null);
  const low = Math.min(...values), high = Math.max(...values, low + 1e-6);
  const y = (value) => 78 - 72 * (value - low) / (high - low);
  for (const method of [...data.methods].reverse()) {
    const points = video.curves[method].map((value, n) => value === null ? null : `${x(video.at[n])},${y(value)}`);
    const line = drawing("polyline", { points: points.filter(Boolean).join(" "), fill: "none",
      stroke: color(method), "stroke-width": method === data.methods[0] ? 2.5 : 1.2,
      "vector-effect": "non-scaling-stroke" });
    line.append(drawing("title", {}, method));
    curve.append(line);
  }
  curve.append(cursor);
  const show = () => {
    const index = Math.min(video.frames - 1, Math.floor(film.currentTime * data.rate + 0.01));
    cursor.setAttribute("x1", x(index));
    cursor.setAttribute("x2", x(index));
    wipe.draw();
  };
  const play = () => { show(); if (!film.paused) requestAnimationFrame(play); };
  button.addEventListener("click", () => (film.paused ? film.play() : film.pause()));
  film.addEventListener("play", () => { button.textContent = "pause"; play(); });
  film.addEventListener("pause", () => { button.textContent = "play"; });
  film.addEventListener("seeked", show);
  film.addEventListener("loadeddata", show);
  film.src = video.film.uri;
  curve.addEventListener("click", (event) => {
    const box = curve.getBoundingClientRect();
    const index = Math.floor(video.frames * (event.clientX - box.left) / box.width);
    film.currentTime = (index + 0.5) / data.rate;
  });
  const controls = element("div", { className: "controls" },
    button, wipe.selects[0], wipe.slider, wipe.selects[1]);
  const main = data.metrics.find((metric) => metric.key === data.main);
  const mean = video.means[data.methods[0]][data.main];
  const told = mean === null ? "" : `${mean.toFixed(main.digits)} ${main.unit}`;
  const figure = element("figure", { id: `film-${video.name}` }, wipe.canvas, curve,
    caption(video.name, `${told} · ${video.frames} frames · ${(100 * video.hole).toFixed(0)} % hole`, controls));
  return figure;
}

function dots() {
  const metric = data.metrics.find((one) => one.key === document.getElementById("metric").value);
  const left = 190, right = 40, width = 1180, row = 26;
  const values = data.videos.flatMap((video) => data.methods.map((m) => video.means[m][metric.key]))
    .filter((value) => value !== null);
  const low = Math.min(...values), high = Math.max(...values, low + 1e-6);
  const x = (value) => left + (width - left - right) * (value - low) / (high - low);
  const height = row * data.videos.length + 34;
  const svg = drawing("svg", { viewBox: `0 0 ${width} ${height}`, width: "100%", role: "img" });
  svg.append(drawing("title", {}, `${unit(metric)} of every clip and method`));
  for (let tick = 0; tick <= 6; tick += 1) {
    const value = low + (high - low) * tick / 6;
    svg.append(drawing("line", { class: "grid", x1: x(value), x2: x(value), y1: 0, y2: height - 24 }));
    svg.append(drawing("text", { x: x(value), y: height - 8, "text-anchor": "middle" },
      value.toFixed(metric.digits > 2 ? 3 : 1)));
  }
  data.videos.forEach((video, n) => {
    const y = row * n + row / 2;
    const place = `#film-${encodeURIComponent(video.name)}`;
    const link = drawing(video.film ? "a" : "g", video.film ? { href: place } : {});
    link.append(drawing("title", {}, video.name), drawing("text", { x: 0, y: row / 2 + 4 }, video.name));
    const room = drawing("svg", { y: row * n, width: left - 14, height: row });
    room.append(link);
    svg.append(room);
    for (const method of [...data.methods].reverse()) {
      const value = video.means[method][metric.key];
      if (value === null) continue;
      const dot = drawing("circle", { cx: x(value), cy: y, fill: color(method), class: "dot",
        r: data.networks.includes(method) ? 6 : 4.5, "fill-opacity": 0.9 });
      dot.append(drawing("title", {}, `${video.name}, ${method}: ${value.toFixed(metric.digits)}`));
      svg.append(dot);
    }
  });
  document.getElementById("dots").replaceChildren(svg);
}

function map(one) {
  const image = new Image();
  image.src = one.sheet.uri;
  const { width, height, columns, names } = one.sheet;
  const figures = names.map((name) => {
    const canvas = element("canvas", { width, height });
    return element("figure", {}, canvas, element("figcaption", { textContent: name }));
  });
  image.decode().then(() => figures.forEach((figure, n) => {
    const pen = figure.querySelector("canvas").getContext("2d");
    pen.drawImage(image, (n % columns) * width, Math.floor(n / columns) * height,
      width, height, 0, 0, width, height);
  }));
  return element("div", { className: "drawn" },
    element("h3", { textContent: one.video }), element("div", {}, ...figures));
}

for (const button of document.querySelectorAll("button[data-part]")) {
  button.addEventListener("click", () => {
    document.querySelector(".scroll[data-part]").dataset.part = button.dataset.part;
    for (const other of document.querySelectorAll("button[data-part]"))
      other.setAttribute("aria-pressed", String(other === button));
  });
}
const choice = document.getElementById("metric");
for (const metric of data.metrics) {
  const part = metric.key.startsWith("hole_") ? "inside the hole" : "whole frame";
  choice.append(element("option", { value: metric.key, textContent: `${unit(metric)}, ${part}` }));
}
choice.value = data.main;
choice.addEventListener("change", dots);
document.getElementById("legend").append(...data.methods.map((method) => {
  const entry = element("span", { textContent: method });
  entry.style.setProperty("--c", color(method));
  return entry;
}));
dots();
document.getElementById("stills").append(...data.stills.map(still));
document.getElementById("players").append(
  ...data.videos.filter((video) => video.film).map(player));
document.getElementById("maps").append(...data.maps.map(map));
for (const [id, content] of [["worst", data.stills], ["attention", data.maps]])
  document.getElementById(id).hidden = content.length === 0;
