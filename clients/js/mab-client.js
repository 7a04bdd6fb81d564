// Assigns sessions to the variants that mab published, and goes on when its API does not.
// An ES module without dependencies, for browsers and Node. Types: mab-client.d.ts; docs: docs/CLIENTS.md.

const BUCKETS = 100;
const ANSWER_MS = 60_000;
const FIRST_RETRY_SECONDS = 1;
const LAST_RETRY_SECONDS = 300;
const FLUSH_MS = 5_000;
const MOST_WAITING = 100_000;
const STORED = "mab-client";

// SHA-256 (FIPS 180-4), because Web Crypto answers later and an assignment must not wait.
const K = new Int32Array(64);
const FIRST_STATE = new Int32Array(8);
for (let n = 2, found = 0; found < 64; n++) {
  let isPrime = true;
  for (let d = 2; d * d <= n; d++) if (n % d === 0) isPrime = false;
  if (!isPrime) continue;
  if (found < 8) FIRST_STATE[found] = (Math.sqrt(n) % 1) * 2 ** 32;
  K[found++] = (Math.cbrt(n) % 1) * 2 ** 32;
}
const words = new Int32Array(64);
const state = new Int32Array(8);
const encoder = new TextEncoder();
let bytes = new Uint8Array(1024);

/** Hash the first `length` bytes of `bytes` into `state`. */
function hash(length) {
  const end = ((length + 72) >> 6) << 6;
  bytes.fill(0, length, end);
  bytes[length] = 0x80;
  for (let k = 1, bits = length * 8; bits; k++, bits = Math.floor(bits / 256)) bytes[end - k] = bits & 255;
  state.set(FIRST_STATE);
  for (let at = 0; at < end; ) {
    for (let t = 0; t < 16; t++, at += 4) {
      words[t] = (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
    }
    for (let t = 16; t < 64; t++) {
      const x = words[t - 15], y = words[t - 2];
      const u = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
      const v = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
      words[t] = (((words[t - 16] + u) | 0) + ((words[t - 7] + v) | 0)) | 0;
    }
    let a = state[0], b = state[1], c = state[2], d = state[3];
    let e = state[4], f = state[5], g = state[6], h = state[7];
    for (let t = 0; t < 64; t++) {
      const u = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
      const v = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
      const one = (((h + u) | 0) + ((((e & f) ^ (~e & g)) + ((K[t] + words[t]) | 0)) | 0)) | 0;
      h = g; g = f; f = e; e = (d + one) | 0;
      const two = (v + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      d = c; c = b; b = a; a = (one + two) | 0;
    }
    state[0] += a; state[1] += b; state[2] += c; state[3] += d;
    state[4] += e; state[5] += f; state[6] += g; state[7] += h;
  }
}

/** The session's bucket, 0 to 99: the first 8 bytes of the SHA-256 of `id:session`, modulo 100. */
export function bucket(experimentId, sessionId) {
  const text = `${experimentId}:${sessionId}`;
  let length = text.length;
  if (length * 3 + 72 > bytes.length) bytes = new Uint8Array(length * 3 + 72);
  for (let k = 0; k < length; k++) {
    const code = text.charCodeAt(k);
    if (code > 127) {
      if (/\p{Surrogate}/u.test(text)) throw new TypeError("half a surrogate pair has no UTF-8");
      length = encoder.encodeInto(text, bytes).written;
      break;
    }
    bytes[k] = code;
  }
  hash(length);
  return (((state[0] >>> 0) % BUCKETS) * (2 ** 32 % BUCKETS) + ((state[1] >>> 0) % BUCKETS)) % BUCKETS;
}

/** Read an answer of GET /allocations; an experiment that cannot be read keeps what it had. */
function documentOf(body, before) {
  const { experiments, next_cursor: cursor } = JSON.parse(body);
  if (!Array.isArray(experiments) || cursor != null) throw new TypeError("not the whole list of allocations");
  const byId = new Map(), byName = new Map(), refused = {};
  experiments.forEach((given, place) => {
    let found;
    try {
      found = experimentOf(given);
    } catch (error) {
      const id = given?.experiment_id;
      refused[typeof id === "string" ? id : `number ${place}`] = error.message;
      found = before?.byKey.get(id);
    }
    if (found) byId.set(found.id, found), byName.set(found.name, found);
  });
  return { byKey: new Map([...byName, ...byId]), experiments: byId.size, refused };
}

function experimentOf({ experiment_id: id, experiment_name: name, allocation_id: allocationId, allocations }) {
  for (const text of [id, name, allocationId]) if (typeof text !== "string" || !text) throw new TypeError("no text");
  const variants = new Map(), places = [], controls = [];
  for (const { variant_name: variant, is_control: isControl, buckets } of allocations) {
    if (typeof variant !== "string" || !variant || variants.has(variant)) throw new TypeError("no name of its own");
    const assigned = Object.freeze({ experimentId: id, variant, source: "allocation", allocationId });
    variants.set(variant, assigned);
    if (isControl === true) controls.push(assigned);
    for (const [first, last] of buckets) {
      if (!(Number.isInteger(first) && Number.isInteger(last) && 0 <= first && first <= last && last < BUCKETS)) {
        throw new TypeError("no range of buckets");
      }
      for (let n = first; n <= last; n++) {
        if (places[n]) throw new TypeError(`bucket ${n} belongs to two variants`);
        places[n] = assigned;
      }
    }
  }
  for (let n = 0; n < BUCKETS; n++) if (!places[n]) throw new TypeError(`bucket ${n} belongs to no variant`);
  if (controls.length !== 1) throw new TypeError("not one control");
  return { id, name, variants, places, control: Object.freeze({ ...controls[0], source: "control" }) };
}

export class Client {
  #url; #options; #document = { byKey: new Map(), experiments: 0, refused: {} };
  #etag = null; #origin = null; #confirmedAt = null; #failures = 0; #lastError = null;
  #waiting = []; #dropped = 0; #isClosed = false; #asking = null; #timer; #flushTimer; #complainedAt = -Infinity;

  constructor(url, options = {}) {
    const { pollSeconds = 60, staleSeconds = 3600, fetch: by = globalThis.fetch, clock = Date.now } = options;
    if (!(pollSeconds >= 1)) throw new RangeError(`pollSeconds must be at least 1, not ${pollSeconds}`);
    this.#url = `${String(url).replace(/\/+$/, "")}/allocations`;
    this.#options = { ...options, pollSeconds, staleSeconds, fetch: by, clock };
    if (options.bootstrap !== undefined) {
      const text = typeof options.bootstrap === "string" ? options.bootstrap : JSON.stringify(options.bootstrap);
      this.#document = documentOf(text);
      this.#origin = "bootstrap";
    }
    this.#takeStored();
    this.#next(0);
    if (options.onExposures) this.#flushTimer = unref(setInterval(() => this.flush(), FLUSH_MS));
  }

  assign(experiment, sessionId, { default: fallback } = {}) {
    let found, assigned;
    try {
      found = this.#document.byKey.get(experiment);
      if (!found) assigned = this.#unknown(experiment, fallback);
      else if (typeof sessionId !== "string" || !sessionId) assigned = found.control;
      else assigned = this.#kept(found, sessionId, found.places[bucket(found.id, sessionId)]);
    } catch (error) {
      this.#complain(error);
      assigned = found ? found.control : this.#unknown(experiment, fallback);
    }
    if (this.#options.onExposures) {
      if (this.#waiting.length < MOST_WAITING) this.#waiting.push({ ...assigned, sessionId, at: this.#options.clock() });
      else this.#dropped++;
    }
    return assigned;
  }

  status() {
    const { clock, staleSeconds } = this.#options;
    const age = this.#confirmedAt === null ? null : Math.max((clock() - this.#confirmedAt) / 1000, 0);
    return {
      experiments: this.#document.experiments, origin: this.#origin, ageSeconds: age,
      isStale: age === null || age > staleSeconds, failures: this.#failures, lastError: this.#lastError,
      refused: this.#document.refused, droppedExposures: this.#dropped,
    };
  }

  /** Ask now, or join the question that is under way; never rejects. */
  refresh() {
    clearTimeout(this.#timer);
    this.#asking ??= this.#ask().finally(() => (this.#asking = null));
    return this.#asking;
  }

  async #ask() {
    const { fetch: by, key, pollSeconds, clock } = this.#options;
    let retryAfter = 0;
    try {
      const headers = { Accept: "application/json" };
      if (key) headers.Authorization = `Bearer ${key}`;
      if (this.#etag) headers["If-None-Match"] = this.#etag;
      const signal = AbortSignal.timeout(ANSWER_MS);
      const answer = await by(this.#url, { headers, signal, redirect: "error", cache: "no-store" });
      if (answer.status !== 304) {
        retryAfter = Number(answer.headers.get("Retry-After")) || 0;
        const body = await answer.text();
        if (answer.status !== 200) throw new Error(`HTTP ${answer.status}`);
        this.#document = documentOf(body, this.#document);
        this.#etag = answer.headers.get("ETag");
        this.#origin = "api";
        this.#store(`${STORED}.list`, JSON.stringify({ etag: this.#etag, body }));
      }
      this.#failures = 0;
      this.#lastError = null;
      this.#confirmedAt = clock();
      this.#store(`${STORED}.confirmed`, String(this.#confirmedAt));
      this.#next(pollSeconds * (0.9 + 0.2 * Math.random()));
    } catch (error) {
      this.#lastError = String(error?.message ?? error);
      const longest = FIRST_RETRY_SECONDS * 2 ** Math.min(this.#failures++, 30);
      const wait = Math.min(Math.max(longest, retryAfter), LAST_RETRY_SECONDS);
      this.#next(wait * (0.5 + 0.5 * Math.random()));
    }
  }

  /** Hand over the exposures that wait; those of a callback that fails are handed over again. */
  flush() {
    const batch = this.#waiting;
    if (!batch.length) return;
    this.#waiting = [];
    try {
      this.#options.onExposures(batch);
    } catch (error) {
      this.#waiting = batch.concat(this.#waiting);
      this.#complain(error);
    }
  }

  close() {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    clearInterval(this.#flushTimer);
    this.flush();
  }

  #next(seconds) {
    clearTimeout(this.#timer);
    if (!this.#isClosed) this.#timer = unref(setTimeout(() => this.refresh(), seconds * 1000));
  }

  #unknown(experiment, fallback) {
    const experimentId = typeof experiment === "string" ? experiment : "";
    const { default: all = null, defaults = {} } = this.#options;
    const own = Object.hasOwn(defaults, experimentId) ? defaults[experimentId] : all;
    return { experimentId, variant: fallback ?? own, source: "default", allocationId: null };
  }

  #kept(found, sessionId, assigned) {
    const { sticky } = this.#options;
    if (!sticky) return assigned;
    try {
      const held = sticky.get(found.id, sessionId);
      if (held === assigned.variant) return assigned;
      if (found.variants.has(held)) return { ...found.variants.get(held), source: "sticky" };
      sticky.put(found.id, sessionId, assigned.variant);
    } catch (error) {
      this.#complain(error);
    }
    return assigned;
  }

  #takeStored() {
    try {
      const { storage } = this.#options;
      const stored = storage?.getItem(`${STORED}.list`);
      if (!stored) return;
      const { etag, body } = JSON.parse(stored);
      this.#document = documentOf(body);
      this.#etag = etag;
      this.#origin = "storage";
      this.#confirmedAt = Number(storage.getItem(`${STORED}.confirmed`)) || null;
    } catch (error) {
      this.#complain(error);
    }
  }

  #store(name, text) {
    try {
      this.#options.storage?.setItem(name, text);
    } catch (error) {
      this.#complain(error);
    }
  }

  #complain(error) {
    if (Date.now() - this.#complainedAt < 60_000) return;
    this.#complainedAt = Date.now();
    console.warn("mab-client:", error);
  }
}

/** A timer must not keep a Node process alive; in browsers it is a number. */
function unref(timer) {
  timer.unref?.();
  return timer;
}
