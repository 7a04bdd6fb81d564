// Run by `node --test`; MAB_API_URL and MAB_PYTHON_SPLIT name a real API and the Python client's assignments.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, test } from "node:test";

import { Client, bucket } from "../mab-client.js";
import { fileStorage } from "../node.js";

const AWAY = "http://127.0.0.1:9";
const PAGE = readFileSync(new URL("../../../docs/API.md", import.meta.url), "utf8");
const opened = [];

function start(url, options) {
  const client = new Client(url, options);
  opened.push(client);
  return client;
}

afterEach(() => opened.splice(0).forEach((client) => client.close()));

function experiment(name, ranges = { control: [[0, 24]], variant_a: [[25, 99]], variant_b: [] }) {
  const allocations = Object.entries(ranges).map(([variant, buckets]) => ({
    variant_name: variant, is_control: variant === "control", buckets,
  }));
  return { experiment_id: `exp_${name}`, experiment_name: name, allocation_id: `alc_${name}`, allocations };
}

const list = (...experiments) => ({ experiments, next_cursor: null });

function sessionOf(wanted, id = "exp_one") {
  for (let n = 0; ; n++) if (wanted(bucket(id, `s${n}`))) return `s${n}`;
}

async function serving(answers, work) {
  const asked = [];
  const server = createServer((request, response) => {
    asked.push(request.headers);
    (answers.length > 1 ? answers.shift() : answers[0])(response);
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  try {
    return await work(`http://127.0.0.1:${server.address().port}`, asked);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

const gives = (status, body = "", headers = {}) => (response) => response.writeHead(status, headers).end(body);

test("the vectors of the API's page hold", () => {
  const vectors = [...PAGE.matchAll(/^\| `(exp_\w+)` \| `([^`]+)` \| (\d+) \|$/gm)];
  assert.ok(vectors.length >= 10);
  for (const [, id, session, number] of vectors) assert.equal(bucket(id, session), Number(number), session);
});

test("a session sees the variant of its bucket, by id and by name", () => {
  const client = start(AWAY, { bootstrap: list(experiment("one")) });
  const low = sessionOf((n) => n === 24), high = sessionOf((n) => n === 25);
  for (const asked of ["one", "exp_one"]) {
    assert.equal(client.assign(asked, low).variant, "control");
    assert.deepEqual(client.assign(asked, high), {
      experimentId: "exp_one", variant: "variant_a", source: "allocation", allocationId: "alc_one",
    });
  }
});

test("a session without a name gets the control, and nothing throws", () => {
  const client = start(AWAY, { bootstrap: list(experiment("one")), default: "control" });
  for (const session of ["", null, undefined, 7, {}, Symbol("s"), "\ud800"]) {
    assert.equal(client.assign("one", session).source, "control");
  }
  for (const asked of [null, undefined, {}, Symbol("e"), "__proto__", "toString"]) {
    assert.equal(client.assign(asked, "s").variant, "control");
  }
});

test("an experiment that is not known has its default", () => {
  const client = start(AWAY, { default: "control", defaults: { hero: "plain" } });
  assert.equal(client.assign("exp_one", "s").variant, "control");
  assert.equal(client.assign("hero", "s").variant, "plain");
  assert.equal(client.assign("hero", "s", { default: "own" }).variant, "own");
  assert.equal(start(AWAY).assign("exp_one", "s").variant, null);
});

test("a bad experiment keeps what it had, the others go on", async () => {
  const bad = experiment("bad", { control: [[0, 98]], b: [] });
  const bodies = [list(experiment("bad")), list(bad, experiment("one"), 3, null)].map((body) => JSON.stringify(body));
  await serving(bodies.map((body) => gives(200, body)), async (url) => {
    const client = start(url);
    await client.refresh();
    await client.refresh();
    assert.equal(client.assign("bad", "s").source, "allocation");
    assert.equal(client.assign("one", "s").source, "allocation");
    assert.deepEqual(Object.keys(client.status().refused), ["exp_bad", "number 2", "number 3"]);
  });
});

for (const ranges of [
  { control: [[0, 98]] }, { control: [[0, 100]] }, { control: [[-1, 99]] }, { control: [[0, 99.5]] },
  { control: [[0, 99]], b: [[99, 99]] }, { control: [["0", "99"]] }, { control: null }, { other: [[0, 99]] },
]) {
  test(`no experiment: ${JSON.stringify(ranges)}`, () => {
    const client = start(AWAY, { bootstrap: list(experiment("bad", ranges)) });
    assert.equal(client.status().experiments, 0);
  });
}

for (const body of ["", "[]", "null", '{"experiments": {}}', '{"experiments": [], "next_cursor": "more"}']) {
  test(`no list: ${body}`, () => assert.throws(() => new Client(AWAY, { bootstrap: body })));
}

test("it asks with its key and the name of what it has, and keeps it for the next start", async () => {
  const folder = mkdtempSync(join(tmpdir(), "mab-client-"));
  const answers = [gives(200, JSON.stringify(list(experiment("one"))), { ETag: '"v1"' }), gives(304)];
  await serving(answers, async (url, asked) => {
    const first = start(url, { key: "secret", storage: fileStorage(folder) });
    await first.refresh();
    first.close();
    const second = start(url, { key: "secret", storage: fileStorage(folder) });
    assert.equal(second.status().origin, "storage");
    await second.refresh();
    assert.equal(second.status().failures, 0);
    assert.equal(asked[0].authorization, "Bearer secret");
    assert.equal(asked[1]["if-none-match"], '"v1"');
  });
  writeFileSync(join(folder, "mab-client.list"), "{");
  assert.equal(start(AWAY, { storage: fileStorage(folder) }).status().origin, null);
});

test("what is no answer leaves what was there", async () => {
  const cut = (response) => { response.writeHead(200, { "Content-Length": "100" }); response.write("{"); response.destroy(); };
  const answers = [gives(401), gives(302, "", { Location: AWAY }), gives(200, "no JSON"), cut, gives(503)];
  const count = answers.length;
  await serving(answers, async (url) => {
    const client = start(url, { bootstrap: list(experiment("one")) });
    for (let n = 1; n <= count; n++) {
      await client.refresh();
      assert.equal(client.status().failures, n);
    }
    assert.equal(client.status().lastError, "HTTP 503");
    assert.equal(client.assign("one", "s").source, "allocation");
    assert.equal(client.status().isStale, true);
  });
});

test("a session keeps its variant while that is live", () => {
  const held = new Map();
  const sticky = { get: (id, session) => held.get(id + session), put: (id, session, v) => held.set(id + session, v) };
  const session = sessionOf((n) => n > 50);
  assert.equal(start(AWAY, { bootstrap: list(experiment("one")), sticky }).assign("one", session).variant, "variant_a");
  const moved = list(experiment("one", { control: [[0, 99]], variant_a: [] }));
  assert.equal(start(AWAY, { bootstrap: moved, sticky }).assign("one", session).source, "sticky");
  const retired = list(experiment("one", { control: [[0, 99]], variant_b: [] }));
  assert.equal(start(AWAY, { bootstrap: retired, sticky }).assign("one", session).variant, "control");
  const broken = { get() { throw new Error("away"); }, put() {} };
  assert.equal(start(AWAY, { bootstrap: moved, sticky: broken }).assign("one", session).variant, "control");
});

test("exposures come in order, and a callback that fails loses none", () => {
  const taken = [];
  let isDown = true;
  const onExposures = (batch) => { if (isDown) throw new Error("away"); taken.push(...batch); };
  const client = start(AWAY, { bootstrap: list(experiment("one")), onExposures, clock: () => 5 });
  client.assign("one", "first");
  client.flush();
  isDown = false;
  client.assign("nothing", "second");
  client.close();
  assert.deepEqual(taken.map(({ sessionId, source, at }) => [sessionId, source, at]), [
    ["first", "allocation", 5], ["second", "default", 5],
  ]);
});

test("the age grows from the last answer", async () => {
  let now = 1_000_000;
  await serving([gives(200, JSON.stringify(list(experiment("one"))))], async (url) => {
    const client = start(url, { clock: () => now, staleSeconds: 10 });
    await client.refresh();
    now += 10_000;
    assert.deepEqual([client.status().ageSeconds, client.status().isStale], [10, false]);
    now += 1;
    assert.equal(client.status().isStale, true);
  });
});

test("a period below a second is refused", () => {
  for (const pollSeconds of [0, 0.99, NaN]) assert.throws(() => new Client(AWAY, { pollSeconds }), RangeError);
});

test("the real API: the same split as in Python", { skip: !process.env.MAB_API_URL }, async () => {
  const expected = JSON.parse(readFileSync(process.env.MAB_PYTHON_SPLIT, "utf8"));
  const client = start(process.env.MAB_API_URL);
  await client.refresh();
  assert.equal(client.status().lastError, null);
  assert.ok(expected.length > 500);
  for (const [id, session, variant] of expected) assert.equal(client.assign(id, session).variant, variant);
});
