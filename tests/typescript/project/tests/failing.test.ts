// These tests fail, each for its own reason.
import { expect, outputTest, started, test } from "./output-mock/vitest.js";

async function run(api: string, workflowName: string): Promise<void> {
  const headers = { "Content-Type": "application/json" };
  await fetch(`${api}/workflow/run`, { method: "POST", headers, body: JSON.stringify({ workflowName }) });
}

test("of what it calls", async ({ outputMock }) => {
  await outputMock.workflow("report", { steps: [{ step: "draft", takes: "2m" }], returns: 1 });
  await run(outputMock.url, "report");
  await outputMock.assertCalled(started("other"));
});

test("of a call that no script matches", async ({ outputMock }) => {
  await run(outputMock.url, "nobody");
});

outputTest({ strict: false })("of nothing, as it is not strict", async ({ outputMock }) => {
  await run(outputMock.url, "nobody");
  expect(await outputMock.calls({ missed: true })).toHaveLength(1);
});
