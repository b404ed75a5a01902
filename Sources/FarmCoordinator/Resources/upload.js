// Files for a job: their digests, and sending those that the farm lacks.

import { call, Refusal } from "./api.js";

/** The SHA-256 of bytes, as hexadecimal digits. */
export async function digestOf(buffer) {
  // Only a page from https or from this machine has the browser's own.
  const digest = globalThis.crypto?.subtle ? new Uint8Array(await crypto.subtle.digest("SHA-256", buffer)) : sha256(new Uint8Array(buffer));
  return Array.from(digest, (value) => value.toString(16).padStart(2, "0")).join("");
}

/** The first 32 bits of the fractional parts of roots of the first primes, as FIPS 180-4 has them. */
function constants(amount, power) {
  const found = [];
  for (let number = 2; found.length < amount; number += 1) {
    let isPrime = true;
    for (let divisor = 2; divisor * divisor <= number; divisor += 1) if (number % divisor === 0) isPrime = false;
    if (isPrime) found.push(Math.floor((number ** power % 1) * 2 ** 32) >>> 0);
  }
  return Uint32Array.from(found);
}

const rounds = constants(64, 1 / 3);
const beginning = constants(8, 1 / 2);
const turn = (value, by) => (value >>> by) | (value << (32 - by));

/** SHA-256 by FIPS 180-4, for pages that have no other. */
export function sha256(bytes) {
  const state = Uint32Array.from(beginning);
  const length = Math.ceil((bytes.length + 9) / 64) * 64;
  const padded = new Uint8Array(length);
  padded.set(bytes);
  padded[bytes.length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setUint32(length - 8, Math.floor(bytes.length / 2 ** 29));
  view.setUint32(length - 4, (bytes.length << 3) >>> 0);
  const words = new Uint32Array(64);
  for (let start = 0; start < length; start += 64) {
    for (let i = 0; i < 16; i += 1) words[i] = view.getUint32(start + 4 * i);
    for (let i = 16; i < 64; i += 1) {
      const [p, q] = [words[i - 15], words[i - 2]];
      words[i] = words[i - 16] + words[i - 7] + (turn(p, 7) ^ turn(p, 18) ^ (p >>> 3)) + (turn(q, 17) ^ turn(q, 19) ^ (q >>> 10));
    }
    let [a, b, c, d, e, f, g, h] = state;
    for (let i = 0; i < 64; i += 1) {
      const first = (h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & f) ^ (~e & g)) + rounds[i] + words[i]) | 0;
      const second = ((turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      [h, g, f, e, d, c, b, a] = [g, f, e, (d + first) | 0, c, b, a, (first + second) | 0];
    }
    [a, b, c, d, e, f, g, h].forEach((value, i) => (state[i] += value));
  }
  const out = new DataView(new ArrayBuffer(32));
  state.forEach((value, i) => out.setUint32(4 * i, value));
  return new Uint8Array(out.buffer);
}

/** Sends a file; `progress` is called with the bytes that are sent. */
function put(digest, file, progress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("PUT", `/v1/blobs/${digest}`);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.onprogress = (event) => progress(event.loaded);
    request.onerror = () => reject(new TypeError("network: the file was not sent"));
    request.onload = () => {
      if (request.status < 300) return resolve();
      let problem = {};
      try {
        problem = JSON.parse(request.responseText);
      } catch {
        // The answer of something between here and the coordinator.
      }
      return reject(new Refusal(request.status, problem));
    };
    request.send(file);
  });
}

/** Sends those of the files, by digest, that the farm lacks; `progress` is called with a share of 1. */
export async function send(files, progress) {
  const { digests } = await call("POST", "/v1/blobs/missing", { digests: [...files.keys()] });
  const missing = digests.filter((digest) => files.get(digest));
  const total = missing.reduce((sum, digest) => sum + files.get(digest).size, 0);
  let before = 0;
  for (const digest of missing) {
    await put(digest, files.get(digest), (sent) => progress(total ? (before + sent) / total : 1));
    before += files.get(digest).size;
  }
  progress(1);
}
