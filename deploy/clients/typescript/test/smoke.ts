// Asks a running server: go test ./cmd/sartor -run Clients starts one.
import assert from "node:assert/strict";
import { createClient, describe } from "../src/index.js";

const baseUrl = process.env["SARTOR_URL"];
if (!baseUrl) {
  console.log("skipped: SARTOR_URL names no running server");
  process.exit(0);
}
const client = createClient({ baseUrl, key: process.env["SARTOR_KEY"] });

const list = await client.POST("/v1/recommend", { body: { user_id: "u1", scenario: "home", count: 2 } });
assert.equal(list.error, undefined);
assert.equal(list.data?.items.length, 2);
const first = list.data.items[0]!.item_id;

const ranked = await client.POST("/v1/rank", { body: { items: ["nothing", first] } });
assert.deepEqual(ranked.data?.items.map((i) => i.item_id), [first]);

const like = await client.GET("/v1/items/{id}/similar", { params: { path: { id: first }, query: { count: 2 } } });
assert.ok(like.data);

const many = await client.POST("/v1/recommend:batch", { body: { requests: [{ user_id: "u1" }, { user_id: "u2" }] } });
assert.equal(many.data?.results.length, 2);

const bad = await client.POST("/v1/recommend", { body: { count: 1000 } });
assert.equal(bad.error?.status, 422);
assert.match(describe(bad.error!), /^422 Invalid request: .*; count: /);

const event = { event_id: "smoke-ts", type: "view", time: new Date().toISOString(), user_id: "u1", item_id: first };
const taken = await client.POST("/v1/events", { body: event });
assert.equal(taken.data?.accepted, 1);

const version = await client.GET("/version");
assert.ok(version.data?.version !== undefined);
console.log("smoke: all answers are as the types say");
