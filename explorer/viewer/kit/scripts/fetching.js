// Files of the server: fetched, unpacked, and an error of its own where they have expired.

/** The server no longer has this: the page is to be told to run it again. */
export class Expired extends Error {
  constructor() {
    super("expired");
    this.name = "Expired";
  }
}

/**
 * fetch(); throws Expired for 403 and 404, an Error that names the status for any other that is not 200 or 206.
 * @param {string} url
 */
export async function fetchFile(url) {
  const response = await fetch(url);
  if (response.status === 403 || response.status === 404) throw new Expired();
  if (!response.ok) throw new Error(`HTTP ${response.status}`);
  return response;
}

/**
 * Fetch a gzip file and unpack it. Throws as `fetchFile`.
 * @param {string} url
 */
export async function fetchBytes(url) {
  const { body } = await fetchFile(url);
  if (!body) throw new Error("the answer is empty");
  return gunzip(body);
}

/**
 * Unpack a gzip stream.
 * @param {ReadableStream<Uint8Array<ArrayBuffer>>} stream
 */
export const gunzip = (stream) => new Response(stream.pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();

/**
 * The bytes of a base64 text.
 * @param {string} text
 */
export const fromBase64 = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0)).buffer;

/**
 * Call `then(image)` when a file of Python's has been decoded; never where it has expired: maps say so themselves.
 * @param {{url: string}} file
 * @param {(image: HTMLImageElement) => void} then
 */
export function loadPicture(file, then) {
  const image = new Image();
  image.src = file.url;
  image.decode().then(
    () => then(image),
    () => {},
  );
}
