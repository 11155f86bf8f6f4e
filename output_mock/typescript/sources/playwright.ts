import { type BrowserContext, type Request, test as base } from "@playwright/test";

import { OutputMock, type OutputMockOptions, usualServer } from "./output-mock.js";

export { expect } from "@playwright/test";
export * from "./output-mock.js";

/** The options of `test.use` and of the configuration's `use`. */
export interface OutputOptions {
  /** How the fake of each test is made: `{ clock: "manual", server: "http://127.0.0.1:3001" }`. */
  outputMockOptions: OutputMockOptions;
  /**
   * The URL at which the page calls the API, as in `http://127.0.0.1:3001`, or `/api` behind a proxy of the page's own
   * server that removes `/api`. Default: the server's URL.
   */
  outputApiUrl: string | undefined;
  /** Whether pages have fake timers, which follow `outputMock.advance`. Default: false. */
  outputVirtualTime: boolean;
  /** Whether a test fails if it made a call that no script matches. Default: true. */
  outputStrict: boolean;
}

/** A `test` of Playwright in which every page calls a fake of the test's own. */
export const test = base.extend<OutputOptions & { outputMock: OutputMock }>({
  outputMockOptions: [{}, { option: true }],
  outputApiUrl: [undefined, { option: true }],
  outputVirtualTime: [false, { option: true }],
  outputStrict: [true, { option: true }],

  outputMock: async ({ outputMockOptions, outputStrict }, use, testInfo) => {
    const mock = await OutputMock.open({ label: testInfo.title, ...outputMockOptions });
    try {
      await use(mock);
      const failed = testInfo.status !== testInfo.expectedStatus;
      const complaint = failed || !outputStrict ? undefined : await mock.complaint();
      if (failed || complaint !== undefined) {
        for (const { title, text } of await mock.report()) {
          await testInfo.attach(`output-mock: ${title}`, { body: text, contentType: "text/plain" });
        }
      }
      if (complaint !== undefined) throw new Error(complaint);
    } finally {
      await mock.close();
    }
  },

  context: async ({ context, outputMock, outputMockOptions, outputApiUrl, outputVirtualTime, baseURL }, use) => {
    const server = outputMockOptions.server ?? usualServer();
    const api = new URL(outputApiUrl ?? server, baseURL ?? server);
    await leadToWorld(context, api, outputMock.name);
    if (outputVirtualTime) {
      await context.clock.install({ time: (await outputMock.getClock()).milliseconds });
      outputMock.onAdvance((milliseconds) => context.clock.fastForward(milliseconds));
    }
    await use(context);
  },
});

/** Send what pages ask of the API at this URL to the world of this name. */
async function leadToWorld(context: BrowserContext, api: URL, world: string): Promise<void> {
  const root = api.pathname.replace(/\/+$/, "");
  const isApi = (url: URL) => sameServer(url, api) && (root === "" || url.pathname.startsWith(`${root}/`));
  const isOurs = (url: URL) => isApi(url) && !url.pathname.startsWith(`${root}/w/`);
  await context.route(isOurs, async (route) => {
    const request = route.request();
    const url = new URL(request.url());
    url.pathname = `${root}/w/${world}${url.pathname.slice(root.length)}`;
    const refusal = await refusedByCors(request, url);
    if (refusal === undefined) return route.continue({ url: url.href });
    console.error(`output-mock: ${request.method()} ${request.url()} is refused, as a browser does it: ${refusal}`);
    return route.abort("accessdenied");
  });
}

function sameServer(one: URL, other: URL): boolean {
  const host = ({ hostname }: URL) => (hostname === "localhost" ? "127.0.0.1" : hostname);
  return one.port === other.port && one.protocol === other.protocol && host(one) === host(other);
}

/**
 * Why a browser would refuse a request of a page of another origin; undefined if it would send it.
 *
 * Playwright allows everything to a request that is routed. So the server is asked here as the browser would ask it.
 */
async function refusedByCors(request: Request, url: URL): Promise<string | undefined> {
  const { origin } = await request.allHeaders();
  const method = request.method();
  if (origin === undefined || origin === url.origin || ["GET", "HEAD", "POST"].includes(method)) return undefined;
  const headers = { origin, "access-control-request-method": method };
  const answer = await fetch(url, { method: "OPTIONS", headers });
  const allowed = answer.headers.get("access-control-allow-methods") ?? "";
  if (allowed.split(",").some((one) => one.trim() === "*" || one.trim() === method)) return undefined;
  return `the server's CORS headers allow ${allowed || "no method"}`;
}
