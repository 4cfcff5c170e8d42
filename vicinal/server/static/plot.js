// Points on a canvas: drawn, zoomed, pointed at, enclosed.
import { onTheme, variable } from "./colours.js";
import { visible } from "./dom.js";

const FINE_FROM = 2.2; // from this zoom on, small groups have names
const FURTHEST = 400;
const MARGIN = 28; // around all points

function ends(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

export class Plot {
  /** Callbacks: hover(row or -1, x, y), choose(rows, how: "point" | "area"), moved(). */
  constructor(canvas, callbacks) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.callbacks = callbacks;
    this.tool = "move";
    this.data = null;
    this.lit = null; // rows that a search found, best first, or null
    this.chosen = null; // rows that are selected
    this.current = -1;
    this.path = null; // the line of a lasso, or the two corners of a box, on the screen
    this.scale = 1;
    this.pointers = new Map();
    this.frame = 0;
    this.readColours();
    onTheme(() => { this.readColours(); this.draw(); });
    new ResizeObserver(() => this.resize()).observe(canvas);
    this.listen();
    canvas.plot = this;
  }

  readColours() {
    this.colours = [0, 1, 2, 3, 4, 5, 6, 7].map((each) => variable(`--cloud-${each}`));
    this.none = variable("--cloud-none");
    this.text = variable("--text");
    this.back = variable("--sheet");
    this.accent = variable("--accent");
  }

  /** Show points: {x, y, fine, coarse, regions: {fine, coarse}} as the server gives them. */
  setData(data) {
    this.data = data;
    this.count = data.x.length;
    this.rows = [...data.regions.coarse.map(() => []), []];
    data.coarse.forEach((group, row) => this.rows[group < 0 ? data.regions.coarse.length : group].push(row));
    this.lit = this.chosen = null;
    this.current = -1;
    const [low, high] = ends(data.x), [up, down] = ends(data.y);
    this.middle = [(low + high) / 2, (up + down) / 2];
    this.spans = [Math.max(high - low, 1), Math.max(down - up, 1)];
    this.showAll();
  }

  colourOf(group) { return group < 0 ? this.none : this.colours[this.data.regions.coarse[group].colour % this.colours.length]; }

  get unit() { return Math.min((this.width - 2 * MARGIN) / this.spans[0], (this.height - 2 * MARGIN) / this.spans[1]) * this.scale; }
  screen(x, y) { return [(x - this.left) * this.unit + this.width / 2, (y - this.top) * this.unit + this.height / 2]; }
  place(row) { return this.screen(this.data.x[row], this.data.y[row]); }

  showAll() {
    this.scale = 1;
    [this.left, this.top] = this.middle;
    this.changed();
  }

  /** Bring some rows into view. */
  showRows(rows) {
    const [low, high] = ends(rows.map((row) => this.data.x[row])), [up, down] = ends(rows.map((row) => this.data.y[row]));
    this.left = (low + high) / 2;
    this.top = (up + down) / 2;
    this.scale = 1;
    this.scale = Math.max(1, Math.min(12, 0.8 * Math.min(this.width / (high - low + 300), this.height / (down - up + 300)) / this.unit));
    this.changed();
  }

  zoom(factor, x = this.width / 2, y = this.height / 2) {
    const before = this.unit;
    this.scale = Math.max(0.6, Math.min(FURTHEST, this.scale * factor));
    const ratio = 1 / before - 1 / this.unit;
    this.left += (x - this.width / 2) * ratio;
    this.top += (y - this.height / 2) * ratio;
    this.changed();
  }

  move(dx, dy) {
    this.left -= dx / this.unit;
    this.top -= dy / this.unit;
    this.changed();
  }

  changed() {
    this.callbacks.moved();
    this.draw();
  }

  resize() {
    const box = this.canvas.getBoundingClientRect(), dots = devicePixelRatio || 1;
    if (!box.width) return;
    this.width = box.width;
    this.height = box.height;
    this.canvas.width = Math.round(box.width * dots);
    this.canvas.height = Math.round(box.height * dots);
    this.dots = dots;
    this.draw();
  }

  draw() {
    if (!this.frame) this.frame = requestAnimationFrame(() => { this.frame = 0; this.paint(); });
  }

  paint() {
    const { context, data } = this;
    if (!data || !this.width) return;
    context.setTransform(this.dots, 0, 0, this.dots, 0, 0);
    context.clearRect(0, 0, this.width, this.height);
    const radius = Math.max(1, Math.min(4.5, 170 / Math.sqrt(this.count))) * Math.min(2, Math.sqrt(this.scale));
    const some = this.lit ?? this.chosen;
    let drawn = 0;
    context.globalAlpha = some ? 0.16 : 0.72;
    this.rows.forEach((rows, at) => {
      context.fillStyle = this.colourOf(at < this.rows.length - 1 ? at : -1);
      drawn += this.dotsOf(rows, radius);
    });
    for (const [rows, size] of [[this.chosen, 1.25], [this.lit, 1.7]]) {
      if (!rows) continue;
      context.globalAlpha = 0.95;
      if (rows === this.lit) { // a rim around all of them, behind their colours
        context.fillStyle = this.text;
        this.dotsOf(rows, radius * size + 1.5);
      }
      const groups = new Map();
      for (const row of rows) {
        if (!groups.has(data.coarse[row])) groups.set(data.coarse[row], []);
        groups.get(data.coarse[row]).push(row);
      }
      for (const [group, members] of groups) {
        context.fillStyle = this.colourOf(group);
        this.dotsOf(members, radius * size);
      }
    }
    context.globalAlpha = 1;
    this.names();
    if (this.current >= 0) {
      const [x, y] = this.place(this.current);
      context.beginPath();
      context.arc(x, y, radius + 5, 0, 7);
      context.strokeStyle = this.text;
      context.lineWidth = 2;
      context.stroke();
    }
    this.outline();
    this.canvas.dataset.drawn = String(drawn);
  }

  dotsOf(rows, radius) {
    const { context, data, unit, left, top } = this;
    const dx = this.width / 2 - left * unit, dy = this.height / 2 - top * unit;
    let drawn = 0;
    const small = radius < 1.4;
    context.beginPath();
    for (const row of rows) {
      const x = data.x[row] * unit + dx, y = data.y[row] * unit + dy;
      if (x < -9 || y < -9 || x > this.width + 9 || y > this.height + 9) continue;
      drawn++;
      if (small) context.rect(x - radius, y - radius, 2 * radius, 2 * radius);
      else { context.moveTo(x + radius, y); context.arc(x, y, radius, 0, 6.2832); }
    }
    context.fill();
    return drawn;
  }

  /** Names of groups, the largest first, none over another. */
  names() {
    const { context, data } = this;
    const taken = [];
    const free = (box) => !taken.some((other) => box[0] < other[2] && other[0] < box[2] && box[1] < other[3] && other[1] < box[3]);
    const write = (group, font, size) => {
      const [x, y] = this.screen(group.x, group.y);
      if (x < 0 || y < 0 || x > this.width || y > this.height) return;
      context.font = font;
      // Two words where they have room, at the group's middle or a line above or below; else one.
      for (const count of [2, 1]) {
        const text = visible(group.words.slice(0, count).join(", ")), half = context.measureText(text).width / 2 + 5;
        for (const shift of [0, -1.4 * size, 1.4 * size]) {
          const box = [x - half, y + shift - size * 0.7, x + half, y + shift + size * 0.7];
          if (!text || box[0] < 2 || box[1] < 2 || box[2] > this.width - 2 || box[3] > this.height - 2 || !free(box)) continue;
          taken.push(box);
          context.globalAlpha = 0.9;
          context.lineWidth = 4;
          context.strokeStyle = this.back;
          context.strokeText(text, x, y + shift);
          context.globalAlpha = 1;
          context.fillStyle = this.text;
          context.fillText(text, x, y + shift);
          return;
        }
      }
    };
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.lineJoin = "round";
    const family = 'system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif';
    if (this.scale < FINE_FROM) for (const group of data.regions.coarse) write(group, `650 14px ${family}`, 14);
    else for (const group of data.regions.fine) write(group, `600 13px ${family}`, 13);
    context.globalAlpha = 1;
  }

  outline() {
    if (!this.path || this.path.length < 2) return;
    const { context } = this;
    context.beginPath();
    this.corners().forEach(([x, y], at) => (at ? context.lineTo(x, y) : context.moveTo(x, y)));
    context.closePath();
    context.globalAlpha = 0.12;
    context.fillStyle = this.accent;
    context.fill();
    context.globalAlpha = 1;
    context.strokeStyle = this.accent;
    context.lineWidth = 1.5;
    context.stroke();
  }

  corners() {
    if (this.enclosing !== "box") return this.path;
    const [[a, b], [c, d]] = [this.path[0], this.path.at(-1)];
    return [[a, b], [c, b], [c, d], [a, d]];
  }

  /** The nearest row within reach of a place on the screen, or -1; lit ones come first. */
  nearest(x, y, reach) {
    const look = (rows) => {
      let best = -1, least = reach * reach;
      for (const row of rows) {
        const [a, b] = this.place(row), far = (a - x) ** 2 + (b - y) ** 2;
        if (far < least) { least = far; best = row; }
      }
      return best;
    };
    const lit = this.lit ? look(this.lit) : -1;
    return lit >= 0 ? lit : look(this.data.x.keys());
  }

  inside(corners) {
    const [xs, ys] = [corners.map(([x]) => x), corners.map(([, y]) => y)];
    const [low, high, up, down] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
    const found = [];
    for (let row = 0; row < this.count; row++) {
      const [x, y] = this.place(row);
      if (x < low || x > high || y < up || y > down) continue;
      let odd = false;
      for (let i = 0, j = corners.length - 1; i < corners.length; j = i++) {
        const [a, b] = corners[i], [c, d] = corners[j];
        if (b > y !== d > y && x < ((c - a) * (y - b)) / (d - b) + a) odd = !odd;
      }
      if (odd) found.push(row);
    }
    return found;
  }

  /** Step to the next (1) or the last (-1) of those that are lit or selected, or in view. */
  step(by) {
    const rows = this.lit ?? this.chosen ?? [...this.data.x.keys()].filter((row) => {
      const [x, y] = this.place(row);
      return x >= 0 && y >= 0 && x <= this.width && y <= this.height;
    });
    if (!rows.length) return -1;
    const at = rows.indexOf(this.current);
    this.pointAt(rows[at < 0 ? (by > 0 ? 0 : rows.length - 1) : (at + by + rows.length) % rows.length]);
    return this.current;
  }

  /** Mark one row, and move so that it can be seen. */
  pointAt(row) {
    this.current = row;
    if (row >= 0) {
      const [x, y] = this.place(row);
      if (x < 20 || y < 20 || x > this.width - 20 || y > this.height - 20) [this.left, this.top] = [this.data.x[row], this.data.y[row]];
    }
    this.changed();
  }

  listen() {
    const { canvas, pointers } = this;
    let moved = 0, spread = 0;
    canvas.addEventListener("pointerdown", (event) => {
      if (!this.data || event.button) return;
      canvas.setPointerCapture(event.pointerId);
      pointers.set(event.pointerId, [event.offsetX, event.offsetY]);
      moved = spread = 0;
      this.enclosing = pointers.size > 1 ? null : event.shiftKey && this.tool === "move" ? "box" : this.tool === "move" ? null : this.tool;
      this.path = this.enclosing ? [[event.offsetX, event.offsetY]] : null;
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!this.data) return;
      const before = pointers.get(event.pointerId), [x, y] = [event.offsetX, event.offsetY];
      if (!before) { this.callbacks.hover(this.nearest(x, y, 14), x, y); return; }
      moved += Math.abs(x - before[0]) + Math.abs(y - before[1]);
      pointers.set(event.pointerId, [x, y]);
      this.callbacks.hover(-1);
      if (pointers.size === 2) {
        const [a, b] = [...pointers.values()], now = Math.hypot(a[0] - b[0], a[1] - b[1]);
        if (spread) this.zoom(now / spread, (a[0] + b[0]) / 2, (a[1] + b[1]) / 2);
        spread = now;
        moved = 99;
      } else if (this.path) {
        this.path.push([x, y]);
        this.draw();
      } else this.move(x - before[0], y - before[1]);
    });
    const end = (event) => {
      if (!pointers.delete(event.pointerId)) return;
      spread = 0;
      const path = this.path && moved > 8 ? this.corners() : null;
      this.path = null;
      if (event.type === "pointerup" && path) this.callbacks.choose(this.inside(path), "area");
      else if (event.type === "pointerup" && moved <= 8) {
        const row = this.nearest(event.offsetX, event.offsetY, event.pointerType === "touch" ? 26 : 16);
        this.callbacks.choose(row < 0 ? [] : [row], "point");
      }
      this.draw();
    };
    canvas.addEventListener("pointerup", end);
    canvas.addEventListener("pointercancel", end);
    canvas.addEventListener("pointerleave", () => this.callbacks.hover(-1));
    canvas.addEventListener("dblclick", (event) => this.data && this.zoom(2, event.offsetX, event.offsetY));
    canvas.addEventListener("wheel", (event) => {
      if (!this.data) return;
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), event.offsetX, event.offsetY);
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => {
      if (!this.data || event.ctrlKey || event.metaKey || event.altKey) return;
      const keys = {
        ArrowLeft: () => this.move(60, 0), ArrowRight: () => this.move(-60, 0), ArrowUp: () => this.move(0, 60), ArrowDown: () => this.move(0, -60),
        "+": () => this.zoom(1.4), "=": () => this.zoom(1.4), "-": () => this.zoom(1 / 1.4), 0: () => this.showAll(),
        n: () => this.callbacks.stepped(this.step(1)), p: () => this.callbacks.stepped(this.step(-1)), Escape: () => this.callbacks.clear(),
      };
      if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
    });
  }
}
