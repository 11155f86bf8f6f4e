// Read answers with what openapi-generator made, write them again, and ask a server with all three clients.
import createClient from "openapi-fetch";
import * as fetched from "./fetch_client";
import * as orval from "./orval";
import type { paths } from "./types";

declare function require(name: string): any;
declare const process: any;
const { readFileSync } = require("node:fs");
const { deepStrictEqual: same } = require("node:assert");
const [file, url] = process.argv.slice(2);

function readBack(schema: string, value: unknown): unknown {
  const models = fetched as Record<string, any>;
  if (schema === "StreamHistory") return (value as unknown[]).map((event) => readBack("HistoryEvent", event));
  return JSON.parse(JSON.stringify(models[`${schema}ToJSON`](models[`${schema}FromJSON`](value))));
}

for (const [schema, value, name] of JSON.parse(readFileSync(file, "utf8"))) {
  try {
    same(readBack(schema, value), value);
  } catch (error) {
    console.log(`${schema} of ${name}: ${String(error).slice(0, 300)}`);
  }
}

const output = { sum: 3, of: { a: 1 } };

async function withOpenapiFetch(): Promise<void> {
  const client = createClient<paths>({ baseUrl: url });
  const { data } = await client.POST("/workflow/run", { body: { workflowName: "echo", input: { a: 1 } } });
  if (!data) throw new Error("it is no result");
  same(data.output, output);
  const path = { id: data.workflowId };
  const page = await client.GET("/workflow/{id}/history", { params: { path, query: { includePayloads: true } } });
  same(page.data?.events[0]?.workflowExecutionStartedEventAttributes?.input, [{ a: 1 }]);
  const missing = await client.GET("/workflow/{id}/status", { params: { path: { id: "nobody" } } });
  same(missing.error && typeof missing.error === "object" && missing.error.workflowId, "nobody");
  const body = { payload: { by: "ana" } };
  const told = await client.POST("/workflow/{id}/signal/{signal}", {
    params: { path: { id: data.workflowId, signal: "approve" } },
    body,
  });
  same(told.response.status, 404);
}

async function withOrval(): Promise<void> {
  const fetchIt = globalThis.fetch;
  globalThis.fetch = (path, options) => fetchIt(new URL(String(path), url), options);
  const ran = await orval.runWorkflow({ workflowName: "echo", input: { a: 1 } });
  if (ran.status !== 200) throw new Error("it is no result");
  same(ran.data.output, output);
  const page = await orval.getHistory(ran.data.workflowId, { includePayloads: true });
  if (page.status !== 200) throw new Error("it is no page");
  same(page.data.events[0]?.workflowExecutionStartedEventAttributes?.input, [{ a: 1 }]);
  const missing = await orval.getStatus("nobody");
  if (missing.status !== 404) throw new Error("it found what is not there");
  same(missing.data.workflowId, "nobody");
  globalThis.fetch = fetchIt;
}

async function withFetchClient(): Promise<void> {
  const settings = new fetched.Configuration({ basePath: url });
  const start = new fetched.StartApi(settings);
  const ran = await start.runWorkflow({ runRequest: { workflowName: "echo", input: { a: 1 } } });
  same(ran.output, output);
  const page = await new fetched.HistoryApi(settings).getHistory({ id: ran.workflowId, includePayloads: true });
  same(page.events[0]?.workflowExecutionStartedEventAttributes?.input, [{ a: 1 }]);
  const status = await new fetched.ReadApi(settings).getStatus({ id: ran.workflowId });
  same(typeof status.completedAt, "number");
}

withOpenapiFetch().then(withOrval).then(withFetchClient);
