// The numbers behind one value of the viewer: whole layers, fetched one at a time, or single rows on demand.
const PREFETCH_ALL = 32 << 20; // bytes of all layers below which every layer is fetched, unasked, nearest first
const KEEP = 64 << 20; // bytes of layers or rows that one viewer keeps
const PAUSE = 40; // milliseconds a pointer must rest before its row is asked for

/** Thrown where the server no longer has this picture. */
class Expired extends Error {}

class StackData {
  /** `server`: the component's Python functions; `arrived()` after new numbers came, `failed(error)` when none will. */
  constructor(value, server, arrived, failed) {
    Object.assign(this, { value, server, arrived, failed });
    this.tokens = value.prefix.length + value.grid[0] * value.grid[1];
    this.panels = value.signed.length;
    this.whole = value.data !== null;
    this.rowBytes = this.panels * (4 + this.tokens);
    this.layerBytes = this.tokens * this.rowBytes;
    this.blocks = new Map(); // whole layers by number, or rows by "layer/query/direction"; oldest first
    this.prefetchesAll = this.whole && value.layers * this.layerBytes <= PREFETCH_ALL;
    this.stopped = false;
    this.busy = false;
    this.wanted = null;
  }

  /** Every layer is here. */
  get complete() { return this.whole && this.blocks.size === this.value.layers; }

  /** The block that holds this row, or undefined: then it is on its way. */
  want(layer, query, direction) {
    const key = this.whole ? layer : `${layer}/${query}/${direction}`;
    const changed = !this.wanted || this.wanted.key !== key;
    this.wanted = { key, layer, query, direction };
    const block = this.blocks.get(key);
    if (changed && (!block || this.whole)) this.schedule();
    return block;
  }

  /** Stop asking: another value has taken this one's place. */
  stop() {
    this.stopped = true;
    clearTimeout(this.timer);
  }

  schedule() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.pump(), this.whole ? 0 : PAUSE);
  }

  /** One request after another, always what is needed most. */
  async pump() {
    if (this.busy || this.stopped) return;
    this.busy = true;
    try {
      for (let next = this.next(); next && !this.stopped; next = this.next()) {
        const block = this.whole ? await this.fetchLayer(next.layer) : await this.fetchRows(next);
        if (this.stopped) return;
        this.keep(next.key, block);
        this.arrived();
      }
    } catch (error) {
      if (!this.stopped) this.failed(error, !this.blocks.has(this.wanted.key));
    } finally {
      this.busy = false;
    }
  }

  next() {
    if (!this.blocks.has(this.wanted.key)) return this.wanted;
    if (!this.whole) return null;
    for (let far = 1; far < this.value.layers && (this.prefetchesAll || far === 1); far++) {
      for (const layer of [this.wanted.layer - far, this.wanted.layer + far]) {
        if (layer >= 0 && layer < this.value.layers && !this.blocks.has(layer)) return { key: layer, layer };
      }
    }
    return null;
  }

  keep(key, block) {
    this.blocks.set(key, block);
    const most = Math.max(3, Math.floor(KEEP / (this.whole ? this.layerBytes : this.rowBytes)));
    const far = (other) => (this.whole ? Math.abs(other - this.wanted.layer) : 0);
    while (this.blocks.size > most) {
      const farthest = [...this.blocks.keys()].reduce((worst, other) => (far(other) > far(worst) ? other : worst));
      this.blocks.delete(farthest);
    }
  }

  async fetchLayer(layer) {
    let address = this.value.data.url;
    if (layer !== this.value.shown.layer) {
      const answer = await this.ask("layer", { token: this.value.token, layer });
      const shown = new URL(address, document.baseURI); // what stands before and after the file's name fits all files
      address = shown.href.replace(/file=[^?]*/, () => answer.file);
    }
    const buffer = await vit.fetchBytes(address).catch((error) => {
      throw error.status === 403 || error.status === 404 ? new Expired() : error;
    });
    return vit.readBlock(buffer, this.panels, this.tokens, this.tokens);
  }

  async fetchRows({ layer, query, direction }) {
    const answer = await this.ask("rows", { token: this.value.token, layer, query, direction });
    const buffer = await vit.gunzip(new Blob([vit.fromBase64(answer.rows)]).stream());
    return vit.readBlock(buffer, this.panels, 1, this.tokens);
  }

  async ask(name, request) {
    const answer = await this.server[name](request); // undefined where the server could not be reached
    if (answer?.expired) throw new Expired();
    if (!answer || answer.error) throw new Error(answer?.error || "no answer");
    return answer;
  }
}
