// The TypeScript client of a Sartor server. schema.ts is generated from the server's OpenAPI document; this file
// only joins it with openapi-fetch.
import createFetchClient, { type Client } from "openapi-fetch";
import type { components, paths } from "./schema.js";

export type { components, operations, paths } from "./schema.js";

/** What the server answers instead of what was asked for (RFC 9457). */
export type Problem = components["schemas"]["Problem"];
export type Recommendation = components["schemas"]["Recommendation"];
export type RecommendBody = components["schemas"]["RecommendBody"];
export type RankBody = components["schemas"]["RankBody"];

export interface Options {
  /** URL of the server, such as https://sartor.example.com. */
  baseUrl: string;
  /** API key, where the server asks for one. */
  key?: string;
  /** Longest time for one request in milliseconds; 3000 by default. */
  timeout?: number;
  /** Takes the place of the global fetch. */
  fetch?: (request: Request) => Promise<Response>;
}

/** A client whose paths, bodies and answers are typed by the server's document. */
export function createClient({ baseUrl, key, timeout = 3000, fetch = globalThis.fetch }: Options): Client<paths> {
  const client = createFetchClient<paths>({ baseUrl, fetch });
  client.use({
    onRequest({ request }) {
      if (key) request.headers.set("Authorization", `Bearer ${key}`);
      return new Request(request, { signal: AbortSignal.any([request.signal, AbortSignal.timeout(timeout)]) });
    },
  });
  return client;
}

/** What an answer's error says, in one line. */
export function describe(problem: Problem): string {
  const fields = (problem.errors ?? []).map((e) => `; ${e.field ? `${e.field}: ` : ""}${e.message}`);
  return `${problem.status} ${problem.title}${problem.detail ? `: ${problem.detail}` : ""}${fields.join("")}`;
}
