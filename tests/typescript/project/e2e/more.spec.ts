import { expect, test } from "./output-mock.js";

const PAGE = "http://127.0.0.1:5173/empty.html";

test("all pages of a test share a fake, by each name of the machine, and stream from it", async ({
  context,
  page,
  outputMock,
}) => {
  await outputMock.workflow("report", { takes: "45m", returns: 3 });
  await page.goto(PAGE);
  await page.evaluate(async () => {
    const headers = { "Content-Type": "application/json" };
    const body = JSON.stringify({ workflowName: "report", workflowId: "r" });
    await fetch("http://localhost:3001/workflow/start", { method: "POST", headers, body });
  });
  const other = await context.newPage();
  await other.goto(PAGE);
  const last = await other.evaluate(
    () =>
      new Promise<string>((resolve) => {
        const source = new EventSource("http://127.0.0.1:3001/workflow/r/history/stream");
        source.addEventListener("done", (event) => {
          source.close();
          resolve(event.data);
        });
      }),
  );
  expect(last).toContain("WORKFLOW_EXECUTION_COMPLETED");
  expect((await outputMock.run("r")).output).toBe(3);
  expect(await outputMock.calls({ route: "start" })).toHaveLength(1);
});

test.describe("with calls that no script matches", () => {
  test.use({ outputStrict: false });

  test("a page may send the headers that the server's CORS headers allow, and no others", async ({
    page,
    outputMock,
  }) => {
    await page.goto(PAGE);
    const ask = (headers: Record<string, string>, method = "GET") =>
      page.evaluate(
        ([headers, method]) =>
          fetch("http://127.0.0.1:3001/workflow/runs", { headers, method }).then(
            (answer) => answer.status,
            (problem: Error) => problem.name,
          ),
        [headers, method] as const,
      );
    expect(await ask({ Authorization: "Basic t", "Content-Type": "application/json" })).toBe(200);
    expect(await ask({ "X-Mine": "1" })).toBe("TypeError");
    expect(await ask({ "X-Mine": "1" })).toBe("TypeError");
    expect(await ask({}, "DELETE")).toBe(404);
    const { calls } = await outputMock.listCalls({});
    expect(calls.map((call) => call.method)).toEqual(["OPTIONS", "GET", "OPTIONS", "OPTIONS", "DELETE"]);
  });
});

test("the client works in a browser, too", async ({ page }) => {
  await page.goto(PAGE);
  const seen = await page.evaluate(async () => {
    const client = "/tests/output-mock/output-mock.ts";
    const { OutputMock } = (await import(client)) as typeof import("../tests/output-mock/output-mock.js");
    const mock = await OutputMock.open({ server: "http://127.0.0.1:5173/api", clock: "manual" });
    const { mode } = await mock.getClock();
    await mock.close();
    return mode;
  });
  expect(seen).toBe("manual");
});

test.describe("behind a proxy of the page's own server", () => {
  test.use({ outputApiUrl: "/api" });

  test("a page can stop a run, since CORS has no say", async ({ page, outputMock }) => {
    await outputMock.workflow("report", { takes: "45m", returns: 3 });
    await page.goto(PAGE);
    const status = await page.evaluate(async () => {
      const headers = { "Content-Type": "application/json" };
      const body = JSON.stringify({ workflowName: "report", workflowId: "r" });
      await fetch("/api/workflow/start", { method: "POST", headers, body });
      return (await fetch("/api/workflow/r/stop", { method: "PATCH" })).status;
    });
    expect(status).toBe(200);
    expect((await outputMock.run("r")).status).toBe("cancelled");
  });
});
