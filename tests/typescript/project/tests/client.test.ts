import { ControlPlaneError, OutputMock, ServerClient, WorldClient } from "./output-mock/output-mock.js";
import { called, expect, outputTest, partly, reset, started, terminated, test, updated } from "./output-mock/vitest.js";

async function call(url: string, method: string, body?: unknown): Promise<Response> {
  const headers = { "Content-Type": "application/json" };
  return fetch(url, { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
}

async function refusal(asked: Promise<unknown>): Promise<ControlPlaneError> {
  const problem = await asked.then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(problem).toBeInstanceOf(ControlPlaneError);
  return problem as ControlPlaneError;
}

type Described = { operationId: string; parameters?: Array<{ name: string; in: string }>; requestBody?: unknown };

test("each operation of the document has a method that sends its request", async ({ outputMock }) => {
  const { paths } = (await outputMock.getDocument()) as { paths: Record<string, Record<string, Described>> };
  const sent: string[] = [];
  const client = new ServerClient({
    url: "http://fake/",
    token: "t",
    fetch: async (url, init) => {
      const headers = new Headers(init?.headers);
      sent.push(`${init?.method} ${url} ${init?.body} ${headers.get("content-type")} ${headers.get("authorization")}`);
      return new Response("{}");
    },
  });
  const methods = client as unknown as Record<string, (...given: unknown[]) => Promise<unknown>>;
  const wanted: string[] = [];
  for (const [path, item] of Object.entries(paths)) {
    for (const [verb, { operationId, parameters = [], requestBody }] of Object.entries(item)) {
      const named = parameters.filter((one) => one.in === "path").map(() => "a b/ü");
      const body = requestBody === undefined ? [] : [{ some: "body" }];
      const query = parameters.some((one) => one.in === "query") ? [{ limit: 3, missed: true, path: undefined }] : [];
      await methods[operationId]!(...named, ...body, ...query);
      const address = `http://fake${path.replace(/\{\w+\}/g, "a%20b%2F%C3%BC")}${query.length ? "?limit=3&missed=true" : ""}`;
      const told = body.length ? '{"some":"body"} application/json' : "undefined null";
      wanted.push(`${verb.toUpperCase()} ${address} ${told} Bearer t`);
    }
  }
  expect(await new ServerClient({ url: outputMock.server.url }).getMetrics()).toContain("# TYPE");
  expect(wanted.length).toBeGreaterThan(40);
  expect(sent).toEqual(wanted);
});

test("what the server refuses is an error that says what is wrong and where", async ({ outputMock }) => {
  // @ts-expect-error: the key does not exist
  const one = await refusal(outputMock.workflow("report", { retuns: 1 }));
  expect([one.status, one.error, one.name]).toEqual([400, "InvalidScriptError", "InvalidScriptError"]);
  expect(one.message).toContain("'returns'");
  expect(one.mistakes.map((mistake) => mistake.at)).toContain("/retuns");
  const text = await refusal(outputMock.workflow("report", "name: report\nretuns: 1\nsteps: 3\n"));
  expect(text.mistakes.map((mistake) => mistake.line)).toEqual([2, 3]);
  expect(text.message).toContain("line 3");
  // @ts-expect-error: there is no such route
  const route = await refusal(outputMock.calls({ route: "rnu" }));
  expect(route.nearest).toBe("run");
  // @ts-expect-error: an action has one of the known keys
  await refusal(outputMock.workflow("report", { steps: [{ sleeep: "1h" }] }));
});

test("a server that is not there, and one that has no control plane, are told", async () => {
  const nobody = await refusal(new WorldClient({ url: "http://127.0.0.1:9" }).getVersion());
  expect([nobody.status, nobody.error]).toEqual([0, "NoAnswer"]);
  expect(nobody.message).toContain('Start the server with "output-mock serve"');
  const other = new WorldClient({ url: "http://fake", fetch: async () => new Response("Not Found", { status: 404 }) });
  expect((await refusal(other.getVersion())).message).toContain('Is this the URL of "output-mock serve"?');
});

test("a fake that is gone already can be closed", async ({ outputMock }) => {
  const mock = await OutputMock.open({ server: outputMock.server.url });
  await mock.close();
  await mock.close();
  expect((await refusal(outputMock.server.getWorld(mock.name))).status).toBe(404);
});

test.concurrent.each([1, 2, 3, 4])("fakes of tests that run at the same time do not meet: %i", async (number) => {
  const mock = await OutputMock.open({ server: (await import("vitest")).inject("outputMockUrl") });
  await mock.workflow("who", { returns: number });
  const answer = await call(`${mock.url}/workflow/run`, "POST", { workflowName: "who" });
  expect((await answer.json()).output).toBe(number);
  const headers = { Authorization: `Basic ${mock.token}` };
  const { runs } = await (await fetch(`${mock.server.url}/workflow/runs?workflowType=who`, { headers })).json();
  expect(runs).toHaveLength(1);
  expect(await mock.calls({ route: "run" })).toHaveLength(1);
  await mock.close();
});

outputTest({ clock: "manual", scripts: "none", env: ["VITE_API"] })(
  "options make the fake, and variables have its URL",
  async ({ outputMock }) => {
    expect((await outputMock.getClock()).mode).toBe("manual");
    expect((await outputMock.listWorkflows()).workflows).toEqual([]);
    const { env } = import.meta as unknown as { env: Record<string, string> };
    expect([env["VITE_API"], process.env["VITE_API"]]).toEqual([outputMock.url, outputMock.url]);
  },
);

test("the variable is gone after the test that had it", async () => {
  expect(process.env["VITE_API"]).toBeUndefined();
});

test("expected calls are checked by the server, and a fault makes one fail", async ({ outputMock }) => {
  await outputMock.workflow("talk", { steps: [{ wait_for_signal: "end" }], returns: 1 });
  await call(`${outputMock.url}/workflow/start`, "POST", {
    workflowName: "talk",
    workflowId: "t",
    input: { a: 1, b: 2 },
  });
  await outputMock.fault({ status: 503, route: "terminate" });
  expect((await call(`${outputMock.url}/workflow/t/terminate`, "POST", { reason: "r" })).status).toBe(503);
  await outputMock.assertCalled(called("terminate", { status: 503 }), { times: 1 });
  await outputMock.assertNotCalled(terminated("t"));
  await outputMock.assertCalledInOrder(partly(started("talk", { a: 1 })), called("terminate"));
  await outputMock.assertCalledOnly(started("talk", { a: 1, b: 2 }, { workflowId: "t" }), called("terminate"));
  await expect(outputMock.assertCalled(started("talk", { a: 1 }))).rejects.toThrow("input.b is 2");
  await expect(outputMock.assertNotCalled(started("talk"))).rejects.toThrow("#1 POST /workflow/start");
  await expect(outputMock.assertCalled(updated("t", "set"))).rejects.toThrow("update");
  await expect(outputMock.assertCalledOnly(reset("t", "s"))).rejects.toThrow("reset");
  const problem = await outputMock.assertCalled(started("other")).catch((error: Error) => error);
  expect((problem as Error).stack).toContain("client.test.ts");
  expect((problem as Error).stack).not.toContain("output-mock.ts");
});
