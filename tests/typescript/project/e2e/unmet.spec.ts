// These tests fail, each for its own reason.
import { expect, test } from "./output-mock.js";

test("of what it sees", async ({ page, outputMock }) => {
  await outputMock.workflow("report", { takes: "45m", returns: 3 });
  await page.goto("/");
  await page.getByText("Make a report").click();
  await expect(page.locator("#state")).toHaveText("running");
  await expect(page.locator("#state")).toHaveText("lost", { timeout: 1 });
});

test("of a call that no script matches", async ({ outputMock, request }) => {
  await request.post(`${outputMock.url}/workflow/run`, { data: { workflowName: "nobody" } });
});
