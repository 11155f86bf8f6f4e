import { inject, test as base, vi } from "vitest";

import { OutputMock, type OutputMockOptions } from "./output-mock.js";

export { expect, vi } from "vitest";
export * from "./output-mock.js";

const HINT = "Correct the script, or say outputTest({ strict: false }) if the test expects it.";
// That which there was before the timers of a test.
const realSetTimeout = globalThis.setTimeout;

declare module "vitest" {
  interface ProvidedContext {
    /** The URL of the server that `vitest-server.ts` has started. */
    outputMockUrl: string;
  }
}

/** How the fake of each test is made. */
export interface OutputTestOptions extends OutputMockOptions {
  /** Whether a test fails if it made a call that no script matches. Default: true. */
  strict?: boolean;
  /**
   * Whether timers of the code under test are fake and fire at once, one after the other. Default: false.
   *
   * With the clock `auto`, code that polls every minute then gets its result in milliseconds. Deadlines that are made
   * with `setTimeout` pass at once, too.
   */
  virtualTime?: boolean;
  /** Environment variables that are the fake's URL during a test. Default: `OUTPUT_API_URL`. */
  env?: string[];
}

/** A `test` of vitest with the fixture `outputMock`, which makes a fake for each test that asks for it. */
export function outputTest(options: OutputTestOptions = {}) {
  const { strict = true, virtualTime = false, env = ["OUTPUT_API_URL"], ...made } = options;
  return base.extend<{ outputMock: OutputMock }>({
    outputMock: async ({ task }, use) => {
      const server = made.server ?? inject("outputMockUrl");
      const mock = await OutputMock.open({ label: task.name, ...made, server });
      mock.onAdvance((milliseconds) => (vi.isFakeTimers() ? vi.advanceTimersByTimeAsync(milliseconds) : undefined));
      const giveBack = setVariables(env, mock.url);
      const endVirtualTime = virtualTime ? fireTimersAtOnce() : () => {};
      try {
        await use(mock);
        const failed = task.result?.state === "fail";
        const complaint = failed || !strict ? undefined : await mock.complaint();
        if (failed || complaint !== undefined) {
          const sections = await mock.report();
          console.error(sections.map(({ title, text }) => `output-mock: ${title}\n${text}`).join("\n\n"));
        }
        if (complaint !== undefined) throw new Error(`${complaint}\n${HINT}`);
      } finally {
        giveBack();
        endVirtualTime();
        await mock.close();
      }
    },
  });
}

/** A `test` with a fake for each test that asks for it. `outputTest(options)` makes others. */
export const test = outputTest();
export const it = test;

/** Have fake timers that fire at once, one after the other. Returns what ends it. */
function fireTimersAtOnce(): () => void {
  let ended = false;
  const fire = async () => {
    if (ended) return;
    if (vi.isFakeTimers() && vi.getTimerCount() > 0) await vi.advanceTimersToNextTimerAsync();
    realSetTimeout(fire, 0);
  };
  vi.useFakeTimers();
  realSetTimeout(fire, 0);
  return () => {
    ended = true;
    vi.useRealTimers();
  };
}

/** Set variables of `process.env` and `import.meta.env`. Returns what undoes it. */
function setVariables(names: string[], value: string): () => void {
  const { process } = globalThis as { process?: { env?: Record<string, string | undefined> } };
  const before = names.map((name) => [name, process?.env?.[name]] as const);
  for (const name of names) vi.stubEnv(name, value);
  return () => {
    for (const [name, old] of before) vi.stubEnv(name, old);
  };
}
