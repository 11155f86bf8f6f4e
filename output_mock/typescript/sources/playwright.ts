import { type BrowserContext, type Request, test as base } from "@playwright/test";

import { OutputMock, type OutputMockOptions, usualServer } from "./output-mock.js";

export { expect } from "@playwright/test";
export * from "./output-mock.js";

const HINT = "Correct the script, or say test.use({ outputStrict: false }) if the test expects it.";

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
      if (complaint !== undefined) throw new Error(`${complaint}\n${HINT}`);
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
  const preflights = new Preflights();
  await context.route(isOurs, async (route) => {
    const request = route.request();
    const url = new URL(request.url());
    url.pathname = `${root}/w/${world}${url.pathname.slice(root.length)}`;
    const refusal = await preflights.refusal(request, url);
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
 * What a browser asks a server before it sends certain requests of pages of another origin (a preflight, as CORS has it).
 *
 * Playwright answers that itself for requests that are routed, and allows everything. So the server is asked here, as a
 * browser would ask it, once for each method and list of headers.
 */
class Preflights {
  readonly #refusals = new Map<string, Promise<string | undefined>>();

  /** Why a browser would not send this request; undefined if it would. */
  async refusal(request: Request, url: URL): Promise<string | undefined> {
    const given = await request.allHeaders();
    const { origin } = given;
    if (origin === undefined || origin === url.origin) return undefined;
    const method = request.method();
    const headers = Object.keys(given)
      .filter((name) => !isSafe(name, given[name] ?? ""))
      .sort();
    if (["GET", "HEAD", "POST"].includes(method) && !headers.length) return undefined;
    const key = [method, origin, ...headers].join(" ");
    const refusal = this.#refusals.get(key) ?? asked(url, origin, method, headers);
    this.#refusals.set(key, refusal);
    return refusal;
  }
}

async function asked(url: URL, origin: string, method: string, headers: string[]): Promise<string | undefined> {
  const asking = {
    origin,
    "access-control-request-method": method,
    "access-control-request-headers": headers.join(","),
  };
  const answer = await fetch(url, { method: "OPTIONS", headers: asking });
  const allowed = (what: string) => answer.headers.get(`access-control-allow-${what}`) ?? "";
  const has = (what: string, wanted: string) =>
    allowed(what)
      .split(",")
      .some((one) => one.trim() === "*" || one.trim().toLowerCase() === wanted.toLowerCase());
  if (!has("origin", origin)) return `the server's CORS headers do not allow pages of ${origin}`;
  if (method !== "POST" && method !== "GET" && !has("methods", method)) {
    return `the server's CORS headers allow the methods ${allowed("methods")}`;
  }
  const refused = headers.find((name) => !has("headers", name));
  if (refused === undefined) return undefined;
  return `the server's CORS headers allow the headers ${allowed("headers")}, not ${refused}`;
}

// What pages may send without asking, and what browsers send by themselves.
const SAFE = new Set(
  [
    "accept accept-charset accept-encoding accept-language cache-control connection content-language content-length",
    "cookie date dnt expect host if-modified-since if-none-match keep-alive last-event-id origin pragma priority purpose",
    "range referer save-data te trailer transfer-encoding upgrade upgrade-insecure-requests user-agent via",
  ].flatMap((line) => line.split(" ")),
);

function isSafe(name: string, value: string): boolean {
  if (name === "content-type")
    return /^(application\/x-www-form-urlencoded|multipart\/form-data|text\/plain)\b/i.test(value);
  return SAFE.has(name) || name.startsWith(":") || name.startsWith("sec-") || name.startsWith("proxy-");
}
