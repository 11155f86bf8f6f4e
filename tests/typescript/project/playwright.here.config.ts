import { defineConfig } from "@playwright/test";

import usual from "./playwright.config.js";

// A browser that is installed already.
const launchOptions = { executablePath: process.env["CHROMIUM"]! };
export default defineConfig({
  ...usual,
  use: { ...usual.use, launchOptions },
  workers: 1,
  // However busy the machine is.
  timeout: 100_000,
  expect: { timeout: 50_000 },
  retries: 0,
  reporter: "list",
});
