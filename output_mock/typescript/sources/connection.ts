import type { Problem } from "./control-plane.js";

// Those that there were before a test put others in their place.
const realFetch = globalThis.fetch;
const realSetTimeout = globalThis.setTimeout;
const realClearTimeout = globalThis.clearTimeout;
// No request waits longer for its answer: a minute is the longest wait that the server grants.
const PATIENCE_MS = 90_000;

/** How a server is reached. */
export interface ConnectionOptions {
  /** The URL of the server, or of a world. */
  url: string;
  /** The token of `--control-token`, or else of `--auth-token`, if the server asks for one. */
  token?: string | undefined;
  /** Another `fetch`. Default: the one that there was when this module was loaded. */
  fetch?: typeof globalThis.fetch | undefined;
}

type Mistake = NonNullable<Problem["mistakes"]>[number];

/** What the control plane refuses, and why. */
export class ControlPlaneError extends Error {
  /** The HTTP status; 0 if there was no answer. */
  readonly status: number;
  /** The kind of error, `NotFoundError` for example; `NoAnswer` if there was none. */
  readonly error: string;
  /** What you probably meant. */
  readonly nearest: string | undefined;
  /** Everything that is wrong with a script. */
  readonly mistakes: Mistake[];

  constructor(status: number, answer: Omit<Problem, "error"> & { error: string }) {
    const mistakes = answer.mistakes ?? [];
    const place = (one: Mistake) => one.at ?? `line ${one.line}, column ${one.column}`;
    const listed = mistakes.length > 1 ? mistakes.map((one) => `\n  ${place(one)}: ${one.message}`) : [];
    super(answer.message + listed.join(""));
    this.name = answer.error;
    this.status = status;
    this.error = answer.error;
    this.nearest = answer.nearest;
    this.mistakes = mistakes;
  }
}

interface Sent {
  body?: unknown;
  query?: object;
}

interface Answered {
  status: number;
  text: string;
  /** What to throw if the text is not what the control plane answers. */
  refused: ControlPlaneError;
}

/** Sends requests to the control plane of a server or of a world. */
export class Connection {
  /** The URL of the API: the server's, or the world's. */
  readonly url: string;
  readonly #fetch: typeof globalThis.fetch;
  readonly #token: string | undefined;

  constructor(options: ConnectionOptions) {
    this.url = options.url.replace(/\/+$/, "");
    this.#token = options.token;
    this.#fetch = options.fetch ?? realFetch;
  }

  /** Send a request whose answer is JSON, or nothing. */
  protected async send<T>(method: string, path: string, sent: Sent = {}): Promise<T> {
    const { status, text, refused } = await this.#answered(method, path, sent);
    return status === 204 ? (undefined as T) : (parsed(text, refused) as T);
  }

  /** Send a request whose answer is text. */
  protected async sendForText(method: string, path: string, sent: Sent = {}): Promise<string> {
    return (await this.#answered(method, path, sent)).text;
  }

  async #answered(method: string, path: string, sent: Sent): Promise<Answered> {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(sent.query ?? {})) {
      if (value !== undefined) query.set(name, String(value));
    }
    const address = `${this.url}/__mock__${path}?${query}`.replace(/\?$/, "");
    const headers: Record<string, string> = {};
    if (this.#token !== undefined) headers["Authorization"] = `Bearer ${this.#token}`;
    const init: RequestInit = { method, headers };
    if (typeof sent.body === "string") {
      headers["Content-Type"] = "application/yaml";
      init.body = sent.body;
    } else if (sent.body !== undefined) {
      headers["Content-Type"] = "application/json";
      init.body = JSON.stringify(sent.body);
    }
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = realSetTimeout(() => reject(new Error(`no answer within ${PATIENCE_MS / 1000} s`)), PATIENCE_MS);
    });
    const asked = async () => {
      const answer = await this.#fetch.call(globalThis, address, init);
      return { status: answer.status, text: await answer.text() };
    };
    let answer: { status: number; text: string };
    try {
      answer = await Promise.race([asked(), late]);
    } catch (problem) {
      throw new ControlPlaneError(0, {
        error: "NoAnswer",
        message:
          `${method} ${address}: ${reason(problem)}\n` +
          'Start the server with "output-mock serve", or name its URL in OUTPUT_CONTROL_URL.',
      });
    } finally {
      realClearTimeout(timer);
    }
    const { status, text } = answer;
    const refused = new ControlPlaneError(status, {
      error: "NoControlPlane",
      message: `${method} ${address} answered ${status}: ${text.slice(0, 200)}\nIs this the URL of "output-mock serve"?`,
    });
    if (status >= 400) throw new ControlPlaneError(status, parsed(text, refused) as Problem);
    return { status, text, refused };
  }
}

/** The value of some JSON. Throws `otherwise` if it is none. */
function parsed(text: string, otherwise: Error): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw otherwise;
  }
}

function reason(problem: unknown): string {
  const cause = problem instanceof Error ? (problem.cause as { code?: string } | undefined) : undefined;
  return cause?.code ?? (problem instanceof Error ? problem.message : String(problem));
}
