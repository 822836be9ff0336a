// The numbers behind one value of the viewer: whole layers, fetched one at a time, or single rows on demand.
import { readBlock } from "../kit/scripts/blocks.js";
import { Expired, fetchBytes, fromBase64, gunzip } from "../kit/scripts/fetching.js";

const PREFETCH_ALL = 32 << 20; // bytes of all layers below which every layer is fetched, unasked, nearest first
const KEEP = 64 << 20; // bytes of layers or rows that one viewer keeps
const PAUSE = 40; // milliseconds a pointer must rest before its row is asked for

/**
 * What a viewer gets of Python; see viewer.py's `viewer_value`.
 * @typedef {object} StackValue
 * @property {string} token
 * @property {[number, number]} grid
 * @property {string[]} prefix names of the tokens before the patches
 * @property {boolean[]} signed one for each panel
 * @property {number} layers
 * @property {{url: string} | null} data the proposed layer as a file; null where only single rows are sent
 * @property {{layer: number}} shown
 */
/** @typedef {import("../kit/scripts/blocks.js").Block} Block */
/** @typedef {{key: number | string, layer: number, query: number, direction: string}} Wanted */
/** @typedef {Record<string, (request: object) => Promise<any>>} Server */

export class StackData {
  /**
   * @param {StackValue} value
   * @param {Server} server the component's Python functions
   * @param {() => void} arrived called after new numbers came
   * @param {(error: Error, needed: boolean) => void} failed called when none will; `needed`: whether somebody waits
   */
  constructor(value, server, arrived, failed) {
    this.value = value;
    this.server = server;
    this.arrived = arrived;
    this.failed = failed;
    this.tokens = value.prefix.length + value.grid[0] * value.grid[1];
    this.panels = value.signed.length;
    this.whole = value.data !== null;
    this.rowBytes = this.panels * (4 + this.tokens);
    this.layerBytes = this.tokens * this.rowBytes;
    /** @type {Map<number | string, Block>} whole layers by number, or rows by "layer/query/direction"; oldest first */
    this.blocks = new Map();
    this.prefetchesAll = this.whole && value.layers * this.layerBytes <= PREFETCH_ALL;
    this.stopped = false;
    this.busy = false;
    /** @type {Wanted | null} */
    this.wanted = null;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
  }

  /** Every layer is here. */
  get complete() {
    return this.whole && this.blocks.size === this.value.layers;
  }

  /**
   * The block that holds this row, or undefined: then it is on its way.
   * @param {number} layer
   * @param {number} query
   * @param {string} direction
   */
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
      const needed = !this.wanted || !this.blocks.has(this.wanted.key);
      if (!this.stopped) this.failed(error instanceof Error ? error : new Error(String(error)), needed);
    } finally {
      this.busy = false;
    }
  }

  /** @returns {Wanted | null} */
  next() {
    const { wanted } = this;
    if (!wanted) return null;
    if (!this.blocks.has(wanted.key)) return wanted;
    if (!this.whole) return null;
    for (let far = 1; far < this.value.layers && (this.prefetchesAll || far === 1); far++) {
      for (const layer of [wanted.layer - far, wanted.layer + far]) {
        if (layer >= 0 && layer < this.value.layers && !this.blocks.has(layer)) return { ...wanted, key: layer, layer };
      }
    }
    return null;
  }

  /**
   * @param {number | string} key
   * @param {Block} block
   */
  keep(key, block) {
    this.blocks.set(key, block);
    const most = Math.max(3, Math.floor(KEEP / (this.whole ? this.layerBytes : this.rowBytes)));
    const here = this.wanted?.layer ?? 0;
    /** @param {number | string} other */
    const far = (other) => (this.whole ? Math.abs(Number(other) - here) : 0);
    while (this.blocks.size > most) {
      const farthest = [...this.blocks.keys()].reduce((worst, other) => (far(other) > far(worst) ? other : worst));
      this.blocks.delete(farthest);
    }
  }

  /** @param {number} layer */
  async fetchLayer(layer) {
    let address = this.value.data?.url ?? "";
    if (layer !== this.value.shown.layer) {
      const answer = await this.ask("layer", { token: this.value.token, layer });
      const shown = new URL(address, document.baseURI); // what stands before and after the file's name fits all files
      address = shown.href.replace(/file=[^?]*/, () => answer.file);
    }
    return readBlock(await fetchBytes(address), this.panels, this.tokens, this.tokens);
  }

  /** @param {Wanted} wanted */
  async fetchRows({ layer, query, direction }) {
    const answer = await this.ask("rows", { token: this.value.token, layer, query, direction });
    const buffer = await gunzip(new Blob([fromBase64(answer.rows)]).stream());
    return readBlock(buffer, this.panels, 1, this.tokens);
  }

  /**
   * @param {string} name
   * @param {object} request
   */
  async ask(name, request) {
    const answer = await this.server[name](request); // undefined where the server could not be reached
    if (answer?.expired) throw new Expired();
    if (!answer || answer.error) throw new Error(answer?.error || "no answer");
    return answer;
  }
}
