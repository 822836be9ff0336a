// What every canvas component of this project shares, an ES module that Python ends by its exports. Usage in a component's
// own script: vit.colours("viridis"), vit.readBlock(...), ...
const vit = (() => {
  // ---- colour maps: 256 packed RGBA pixels, from evenly spaced stops -------------------------------------------------
  const STOPS = {
    viridis: "440154 482878 3e4989 31688e 26828e 1f9e89 35b779 6ece58 b5de2b fde725",
    magma: "000004 180f3d 440f76 721f81 9e2f7f cd4071 f1605d fd9668 feca8d fcfdbf",
    inferno: "000004 1b0c41 4a0c6b 781c6d a52c60 cf4446 ed6925 fb9b06 f7d13d fcffa4",
    turbo: "30123b 4145ab 4675ed 39a2fc 1bcfd4 24eca6 61fc6c a4fc3b d1e834 f3c63a fe9b2d f36315 d93806 b11901 7a0402",
    grey: "000000 ffffff",
    diverging: "17366f 2b5fae 6d9bd6 b9cfe9 f4f2ef f0c2a8 de8259 b84727 6f1d12", // blue below zero, red above
  };
  const tables = {};

  /** Uint32Array(256) of packed pixels for ImageData; index 0 is the low end. */
  function colours(name) {
    if (!tables[name]) {
      const stops = STOPS[name].split(" ").map((hex) => [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16)));
      tables[name] = Uint32Array.from({ length: 256 }, (_, index) => {
        const at = (index / 255) * (stops.length - 1), low = Math.min(Math.floor(at), stops.length - 2);
        const mixed = stops[low].map((value, c) => Math.round(value + (stops[low + 1][c] - value) * (at - low)));
        return (255 << 24) | (mixed[2] << 16) | (mixed[1] << 8) | mixed[0];
      });
    }
    return tables[name];
  }

  /** The same colours, more transparent the nearer to zero, so that a picture underneath shows through. */
  function faded(name) {
    const zero = name === "diverging" ? 127.5 : 0, key = `${name}, faded`;
    tables[key] ??= colours(name).map((pixel, index) => {
      const alpha = 0.12 + 0.88 * (Math.abs(index - zero) / (255 - zero)) ** 0.6;
      return (pixel & 0xffffff) | (Math.round(255 * alpha) << 24);
    });
    return tables[key];
  }

  /** The ends that a map is coloured between. Where they are one, a diverging table shows its middle: no difference is
   *  not the strongest negative one. */
  function apart(low, high, table) {
    const diverging = table === tables.diverging || table === tables["diverging, faded"];
    return high > low || !diverging ? [low, high] : [low - 1, high + 1];
  }

  // ---- numbers that pack.py wrote ------------------------------------------------------------------------------------
  const SQUARES = Float32Array.from({ length: 256 }, (_, code) => (code / 255) ** 2);

  /** ArrayBuffer of [panels, rows, tokens] codes after their [panels, rows] float32 maxima, as pack.py lays them out. */
  function readBlock(buffer, panels, rows, tokens) {
    const head = 4 * panels * rows, count = panels * rows * tokens, expected = head + count + 1;
    if (buffer.byteLength !== expected) throw new Error(`expected ${expected} bytes, got ${buffer.byteLength}`);
    const codes = new Uint8Array(buffer, head, count);
    addUp(codes, rows, tokens, new Uint8Array(buffer, head + count)[0]);
    return { rows, tokens, maxima: new Float32Array(buffer, 0, panels * rows), codes };
  }

  /** Codes from their differences, in place: to the row above (prediction 1), and to the left before that (2). */
  function addUp(codes, rows, tokens, prediction) {
    if (prediction === 0) return;
    for (let start = 0; start < codes.length; start += tokens) {
      if (prediction === 2) for (let at = start + 1; at < start + tokens; at++) codes[at] += codes[at - 1];
      if (start % (rows * tokens)) for (let at = start; at < start + tokens; at++) codes[at] += codes[at - tokens];
    }
  }

  /** One panel's row `query` (direction "to") or column `query` ("by") into `out`, a Float32Array of `tokens`. */
  function readRow(block, panel, signed, query, direction, out) {
    const { rows, tokens, maxima, codes } = block, first = panel * rows;
    if (direction === "to" || rows === 1) { // a block of one row holds what was asked for, whatever the direction
      const row = first + (rows === 1 ? 0 : query), scale = maxima[row], start = row * tokens;
      if (signed) for (let i = 0; i < tokens; i++) out[i] = ((codes[start + i] << 24) >> 24) * scale / 127;
      else for (let i = 0; i < tokens; i++) out[i] = SQUARES[codes[start + i]] * scale;
    } else {
      for (let i = 0, at = first * tokens + query; i < tokens; i++, at += tokens) {
        out[i] = (signed ? ((codes[at] << 24) >> 24) / 127 : SQUARES[codes[at]]) * maxima[first + i];
      }
    }
    return out;
  }

  /** fetch + gunzip -> ArrayBuffer. Throws an Error whose `status` is the HTTP status where it was not 200 or 206. */
  async function fetchBytes(url, signal) {
    const response = await fetch(url, { signal });
    if (!response.ok) throw Object.assign(new Error(`HTTP ${response.status}`), { status: response.status });
    return gunzip(response.body);
  }
  const gunzip = (stream) => new Response(stream.pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
  const fromBase64 = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0)).buffer;

  // ---- drawing -------------------------------------------------------------------------------------------------------
  /** Draws gh x gw values as a small bitmap that CSS scales up: values outside [lowest, highest] are clipped. */
  class HeatMap {
    constructor(canvas) {
      this.canvas = canvas;
      this.context = canvas.getContext("2d");
    }
    /** `values[offset ...]`, row by row. `smooth`: values (not colours) are interpolated linearly between cell centres. */
    draw(values, offset, gh, gw, lowest, highest, table, smooth = false) {
      const [low, high] = apart(lowest, highest, table);
      const factor = smooth ? Math.max(1, Math.min(8, Math.floor(192 / Math.max(gh, gw)))) : 1;
      const width = gw * factor, height = gh * factor, gain = high > low ? 255 / (high - low) : 0;
      if (!this.image || this.image.width !== width || this.image.height !== height) {
        this.canvas.width = width;
        this.canvas.height = height;
        this.image = this.context.createImageData(width, height);
        this.pixels = new Uint32Array(this.image.data.buffer);
        this.across = steps(gw, factor);
        this.down = steps(gh, factor);
      }
      const { pixels, across, down } = this;
      if (factor === 1) {
        for (let i = 0; i < pixels.length; i++) pixels[i] = table[level((values[offset + i] - low) * gain)];
      } else {
        for (let y = 0, at = 0; y < height; y++) {
          const top = offset + down.low[y] * gw, bottom = offset + down.high[y] * gw, v = down.part[y];
          for (let x = 0; x < width; x++, at++) {
            const left = across.low[x], right = across.high[x], u = across.part[x];
            const above = values[top + left] + (values[top + right] - values[top + left]) * u;
            const below = values[bottom + left] + (values[bottom + right] - values[bottom + left]) * u;
            pixels[at] = table[level((above + (below - above) * v - low) * gain)];
          }
        }
      }
      this.context.putImageData(this.image, 0, 0);
      if (this.smooth !== smooth) this.canvas.style.imageRendering = smooth ? "auto" : "pixelated";
      this.smooth = smooth;
    }
  }
  const level = (scaled) => (scaled <= 0 ? 0 : scaled >= 255 ? 255 : (scaled + 0.5) | 0);

  /** For `cells * factor` samples: the cells on both sides and how far in between. */
  function steps(cells, factor) {
    const count = cells * factor, low = new Uint16Array(count), high = new Uint16Array(count), part = new Float32Array(count);
    for (let i = 0; i < count; i++) {
      const at = Math.min(Math.max((i + 0.5) / factor - 0.5, 0), cells - 1);
      low[i] = Math.floor(at);
      high[i] = Math.min(low[i] + 1, cells - 1);
      part[i] = at - low[i];
    }
    return { low, high, part };
  }

  /** A canvas 256 x 1 that shows a colour map. */
  function drawBar(canvas, table) {
    canvas.width = 256;
    canvas.height = 1;
    const context = canvas.getContext("2d"), image = context.createImageData(256, 1);
    new Uint32Array(image.data.buffer).set(table);
    context.putImageData(image, 0, 0);
  }

  // ---- language, numbers, elements -----------------------------------------------------------------------------------
  /** "zh" or "en": what the component was told, or the browser's language. */
  const language = (told) => told || ((navigator.language || "").toLowerCase().startsWith("zh") ? "zh" : "en");

  /** The component's elem_id. Its props say it, but not where Gradio mounts it late, in a tab that opens first now. */
  const nameOf = (element, props) => props.viewer || element.closest("[id]:not([id^='html-'])").id;

  /** A caption that Python sent: one string, or {"en": ..., "zh": ...}. */
  const localise = (caption, lang) =>
    caption && typeof caption === "object" ? caption[lang] ?? caption.en ?? "" : String(caption ?? "");

  /** t("key", {name: value}) over {"en": {...}, "zh": {...}}; {name} in a string is replaced. */
  const translator = (strings, lang) => (key, values = {}) =>
    (strings[lang][key] ?? strings.en[key]).replace(/\{(\w+)\}/g, (_, name) => values[name]);

  /** Fills the text of every [data-text="key"], and aria-labels of [data-label="key"], below `root`. */
  function fillText(root, t) {
    for (const node of root.querySelectorAll("[data-text]")) node.textContent = t(node.dataset.text);
    for (const node of root.querySelectorAll("[data-label]")) node.setAttribute("aria-label", t(node.dataset.label));
  }

  /** A value as people read it: "6.1%" or "0.482". */
  function number(value, unit) {
    if (unit !== "percent") return Math.abs(value) >= 0.0005 || value === 0 ? value.toFixed(3) : value.toExponential(1);
    const percent = 100 * value, size = Math.abs(percent);
    return `${percent.toFixed(size >= 1 || size === 0 ? 1 : size >= 0.1 ? 2 : 3)}%`;
  }

  /** The two ends of a scale as people read them: equal digits, so many that ends that differ are seen to. */
  function ends(low, high, unit) {
    const percent = unit === "percent", factor = percent ? 100 : 1, apart = factor * (high - low);
    if (!(apart > 0)) return [number(low, unit), number(high, unit)];
    const digits = Math.max(percent ? 1 : 3, 1 - Math.floor(Math.log10(apart)));
    const text = (value) => (digits > 9 ? (factor * value).toExponential(1) : (factor * value).toFixed(digits)) + (percent ? "%" : "");
    return [text(low), text(high)];
  }

  /** Sets text only where it changed, which spares the browser a layout. */
  function setText(node, text) {
    if (node.firstChild && node.firstChild === node.lastChild && node.firstChild.nodeType === 3) {
      if (node.firstChild.data !== text) node.firstChild.data = text;
    } else node.textContent = text;
  }

  /** element("button", {class: "x", type: "button"}, "text" or children) - text always as text, never as HTML. */
  function element(tag, attributes = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  }

  /** {name: node} of every [data-part="name"] below `root`. */
  const parts = (root) => Object.fromEntries([...root.querySelectorAll("[data-part]")].map((node) => [node.dataset.part, node]));

  /** "empty", "loading", "ready", "error" or "expired", said in the picture's place where nothing is to be looked at yet,
   *  else in `part.notice`. */
  function showState(root, part, state, covered, message) {
    root.dataset.state = state;
    setText(part.message, covered ? message : "");
    part.message.hidden = !covered;
    setText(part.notice, covered ? "" : message);
    part.notice.hidden = covered || !message;
  }

  /** What a viewer without a value says, of which base.css shows the sentence that is true of the page's picture. */
  function sayEmpty(message, t) {
    const said = { "on-its-way": "loading", "none-chosen": "empty", "not-made": "not_made" };
    message.replaceChildren(...Object.entries(said).map(([name, key]) => element("span", { class: name }, t(key))));
  }

  /** Calls `then(image)` when a file of Python's has been decoded; never where it has expired: maps say so themselves. */
  function loadPicture(file, then) {
    const image = new Image();
    image.src = file.url;
    image.decode().then(() => then(image), () => {});
  }

  /** A loaded picture in an <img>, or none; the stage around it takes its shape, or that of gh x gw patches. */
  function placePicture(node, stage, picture, gh, gw) {
    node.hidden = !picture;
    if (picture) {
      node.src = picture.src;
      node.style.imageRendering = picture.naturalWidth < 64 ? "pixelated" : "auto";
    }
    stage.style.aspectRatio = picture ? `${picture.naturalWidth} / ${picture.naturalHeight}` : `${gw} / ${gh}`;
  }

  /** A frame around one of rows x columns cells, or none where the index is below 0. It is the node's background, which
   *  costs a browser less to move than a node. */
  function placeCell(node, index, rows, columns) {
    if (node.hidden !== index < 0) node.hidden = index < 0;
    if (index < 0) return;
    const share = (at, count) => `${count > 1 ? (100 * at) / (count - 1) : 0}%`;
    const size = `${100 / columns}% ${100 / rows}%`;
    if (node.dataset.size !== size) node.style.backgroundSize = node.dataset.size = size;
    node.style.backgroundPosition = `${share(index % columns, columns)} ${share(Math.floor(index / columns), rows)}`;
  }

  /** The cell (row by row, from 0) of a gh x gw grid under a pointer event, or -1 outside of `box`. */
  function cellAt(event, box, gh, gw) {
    const area = box.getBoundingClientRect();
    const column = Math.floor(((event.clientX - area.left) / area.width) * gw);
    const row = Math.floor(((event.clientY - area.top) / area.height) * gh);
    return row >= 0 && row < gh && column >= 0 && column < gw ? row * gw + column : -1;
  }

  /** The cell one step from `cell` in the direction of an arrow key; null for another key. Edges hold. */
  function arrowStep(key, cell, gh, gw) {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[key];
    if (!step) return null;
    const row = Math.min(Math.max(Math.floor(cell / gw) + step[0], 0), gh - 1);
    const column = Math.min(Math.max((cell % gw) + step[1], 0), gw - 1);
    return row * gw + column;
  }

  /** Has base.css fade the right edge of a frame that scrolls sideways for as long as there is more behind it. What it
   *  returns is to be called where the frame gets other children. */
  function fadeEnd(frame) {
    const mark = () => frame.classList.toggle("more", frame.scrollLeft + frame.clientWidth < frame.scrollWidth - 1);
    const sizes = new ResizeObserver(mark);
    for (const node of [frame, ...frame.children]) sizes.observe(node);
    frame.addEventListener("scroll", mark, { passive: true });
    return mark;
  }

  /** Calls `draw` once before the next paint, however often it is asked. */
  function painter(draw) {
    let waiting = false;
    return () => {
      if (waiting) return;
      waiting = true;
      requestAnimationFrame(() => { waiting = false; draw(); });
    };
  }

  /** document.addEventListener for as long as `node` is on the page. */
  function listen(node, type, handler) {
    const wrapped = (event) => (node.isConnected ? handler(event) : document.removeEventListener(type, wrapped));
    document.addEventListener(type, wrapped);
  }

  /** Offers a canvas as a PNG download that carries `manifest`, what Python said of where the numbers come from (none
   *  where it said nothing), `about`, a plain object saying what is seen of them, and the date. */
  function savePng(canvas, name, manifest, about) {
    canvas.toBlob((png) => offerPng(png, name, manifest, about));
  }

  /** `savePng` of a PNG that is there already, as a Blob. */
  function offerPng(png, name, manifest, about) {
    const file = withManifest(png, { ...manifest, ...about, date: new Date().toISOString() });
    const link = element("a", { href: URL.createObjectURL(file), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  /** A PNG with `manifest` as JSON in an iTXt chunk (UTF-8, keyword "vit-explorer") behind IHDR, which ends at byte 33. */
  function withManifest(png, manifest) {
    // keyword, NUL, uncompressed, method 0, no language, no translated keyword, text: PNG specification, 11.3.3.4
    const chunk = new TextEncoder().encode(`iTXtvit-explorer\0\0\0\0\0${JSON.stringify(manifest)}`);
    const word = (number) => Uint8Array.of(number >>> 24, number >>> 16, number >>> 8, number);
    return new Blob([png.slice(0, 33), word(chunk.length - 4), chunk, word(crc32(chunk)), png.slice(33)], { type: png.type });
  }

  function crc32(bytes) {
    let crc = -1;
    for (const byte of bytes) {
      crc ^= byte;
      for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
    }
    return ~crc;
  }

  return { colours, faded, apart, readBlock, readRow, fetchBytes, gunzip, fromBase64, HeatMap, drawBar, language, nameOf, localise, translator,
    fillText, number, ends, setText, element, parts, showState, sayEmpty, loadPicture, placePicture, placeCell, cellAt, arrowStep, fadeEnd, painter, listen, savePng, offerPng };
})();

const styled = new Set(); // names of components whose style sheet the page has

/** Puts a component, the module `own` that Python made of its files, into Gradio's element, and starts its script. Its
 *  rules hold in its elements only, with the weight of an id. */
function mount(own, element, ...given) {
  if (!styled.has(own.name)) {
    styled.add(own.name);
    document.head.append(vit.element("style", {}, `:is(#vit, [data-vit="${own.name}"]) {\n${own.style}\n}`));
  }
  element.dataset.vit = own.name; // not a class: those are Gradio's
  element.innerHTML = own.markup;
  own.default(vit, element, ...given);
}
