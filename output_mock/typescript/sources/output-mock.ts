import { ControlPlaneError } from "./connection.js";
import {
  type AddFaultBody,
  type AssertCallsBody,
  type Call,
  type Clock,
  type ExpectedCall,
  type Fault,
  type ListCallsQuery,
  type MakeWorldBody,
  type ReportSection,
  type RunInFull,
  ServerClient,
  WorldClient,
  type WorkflowInFull,
  type WorkflowScript,
} from "./control-plane.js";

export * from "./connection.js";
export * from "./control-plane.js";

// Those that there were before a test put others in their place.
const realRandom = Math.random;
const realNow = Date.now;

/** A duration: `"1h30m"`, `"500ms"`, or a number of seconds. */
export type Duration = string | number;

/** How a fake is made: with a clock, a seed (default 0: the same ids each time), versions and scripts of its own. */
export interface OutputMockOptions extends Omit<MakeWorldBody, "name" | "tokens"> {
  /** The URL of `output-mock serve`. Default: `OUTPUT_CONTROL_URL`, or `http://127.0.0.1:3001`. */
  server?: string | undefined;
  /** The token of `--control-token`, or else of `--auth-token`. Default: `OUTPUT_CONTROL_TOKEN`. */
  controlToken?: string | undefined;
  /** What the name of its world begins with. Default: `test`. */
  label?: string | undefined;
}

/** The server that tests use, unless they name another one: `OUTPUT_CONTROL_URL`, or the usual address. */
export function usualServer(): string {
  return variable("OUTPUT_CONTROL_URL") ?? "http://127.0.0.1:3001";
}

function variable(name: string): string | undefined {
  const { process } = globalThis as { process?: { env?: Record<string, string | undefined> } };
  return process?.env?.[name] || undefined;
}

let opened = 0;

/**
 * A fake of the Output API: a world of its own on a server, which no other test sees.
 *
 * It has all operations of the control plane, and shorter ways to those that tests use most.
 */
export class OutputMock extends WorldClient {
  /** The name of the world. */
  readonly name: string;
  /** Requests with this token in `Authorization` are for this world, also without `/w/NAME` in their path. */
  readonly token: string;
  /** The server with all its worlds. */
  readonly server: ServerClient;
  readonly #followers: Array<(milliseconds: number) => unknown> = [];

  private constructor(server: ServerClient, name: string, token: string, controlToken: string | undefined) {
    super({ url: `${server.url}/w/${name}`, token: controlToken });
    this.server = server;
    this.name = name;
    this.token = token;
  }

  /** Make a fake. Close it when you no longer need it. */
  static async open(options: OutputMockOptions = {}): Promise<OutputMock> {
    const { server: url = usualServer(), controlToken = variable("OUTPUT_CONTROL_TOKEN"), label, ...world } = options;
    const server = new ServerClient({ url, token: controlToken });
    const begin = (label ?? "test").replace(/[^A-Za-z0-9]+/g, "-").slice(0, 36);
    opened += 1;
    const name = `${begin}-${realNow().toString(36)}-${opened}-${realRandom().toString(36).slice(2, 10)}`;
    await server.makeWorld({ seed: 0, ...world, name, tokens: [name] });
    return new OutputMock(server, name, name, controlToken);
  }

  /** Delete the world with all that it has. */
  async close(): Promise<void> {
    try {
      await this.server.deleteWorld(this.name);
    } catch (problem) {
      // With `--world-ttl`, or after a restart of the server, it can be gone already.
      if (!(problem instanceof ControlPlaneError && problem.status === 404)) throw problem;
    }
  }

  /** Script a workflow, as an object or as the text of a YAML file. Replaces the one of that name. */
  workflow(name: string, script: Omit<WorkflowScript, "name"> | string): Promise<WorkflowInFull> {
    return this.putWorkflow(name, script);
  }

  /** Make calls fail: `fault({ status: 503, route: "result" })`. */
  fault(fault: AddFaultBody): Promise<Fault> {
    return this.addFault(fault);
  }

  /** Move the clock forward. Everything that is due on the way happens, and fake timers of the test follow. */
  async advance(by: Duration): Promise<Clock> {
    const before = await this.getClock();
    const after = await this.advanceClock({ by });
    for (const follow of this.#followers) await follow(after.milliseconds - before.milliseconds);
    return after;
  }

  /** Have `follow` called with the milliseconds of each `advance`, after the clock has moved. */
  onAdvance(follow: (milliseconds: number) => unknown): void {
    this.#followers.push(follow);
  }

  /** The latest run of a workflow id, with input, output and error. Looking does not move the clock. */
  run(workflowId: string): Promise<RunInFull> {
    return this.getRun(workflowId);
  }

  /** The calls that match, oldest first: `calls({ route: "start" })`. */
  async calls(matching: ListCallsQuery = {}): Promise<Call[]> {
    return (await this.listCalls({ limit: 1000, ...matching })).calls;
  }

  /**
   * Check that a call was made, at least once or so many `times`: `assertCalled(started("report", { n: 3 }))`.
   *
   * The error names the closest call, and what is different about it.
   */
  async assertCalled(expected: ExpectedCall, { times }: { times?: number } = {}): Promise<Call[]> {
    const body = times === undefined ? { expected: [expected] } : { expected: [expected], times };
    return this.#asserted(this.assertCalled, body);
  }

  /** Check that a call was not made. */
  async assertNotCalled(expected: ExpectedCall): Promise<void> {
    await this.#asserted(this.assertNotCalled, { expected: [expected], times: 0 });
  }

  /** Check that these calls were made in this order; others may be between them. */
  async assertCalledInOrder(...expected: ExpectedCall[]): Promise<void> {
    await this.#asserted(this.assertCalledInOrder, { expected, inOrder: true });
  }

  /** Check that these calls were made, and no others that change anything. */
  async assertCalledOnly(...expected: ExpectedCall[]): Promise<void> {
    await this.#asserted(this.assertCalledOnly, { expected, only: true });
  }

  async #asserted(method: Function, body: AssertCallsBody): Promise<Call[]> {
    // Made here, so that its stack has the line of the test, and first, where the engine can leave out these methods.
    const failed = new Error();
    (Error as { captureStackTrace?: (error: Error, above: Function) => void }).captureStackTrace?.(failed, method);
    try {
      return (await this.assertCalls(body)).calls;
    } catch (problem) {
      if (!(problem instanceof ControlPlaneError && problem.status === 422)) throw problem;
      failed.name = "AssertionError";
      failed.message = problem.message;
      failed.stack = `${failed.name}: ${failed.message}\n${failed.stack?.replace(/^Error\n/, "") ?? ""}`;
      throw failed;
    }
  }

  /** What a failed test should show: the calls, where each run stands, and a timeline of each run. */
  async report(): Promise<ReportSection[]> {
    return (await this.getReport()).sections;
  }

  /** What is wrong with a test that has passed: calls that no script matches, mistakes in scripts. */
  async complaint(): Promise<string | undefined> {
    const missed = await this.calls({ missed: true });
    const { scriptErrors } = await this.getOwnWorld();
    const lines = missed.map((call) => `  #${call.number} ${call.method} ${call.path}: ${call.unmatched}`);
    const mistakes = scriptErrors.filter((error) => !lines.some((line) => line.includes(error)));
    lines.push(...mistakes.map((error) => `  ${error}`));
    if (!lines.length) return undefined;
    return `no script foresaw this:\n${lines.join("\n")}`;
  }
}

type More = Pick<ExpectedCall, "workflowId" | "catalog">;

/** A call that starts a run of this workflow, by `run` or `start`, with exactly this input. */
export function started(workflow: string, input?: unknown, more: More = {}): ExpectedCall {
  return { call: "started", workflow, ...(input === undefined ? {} : { input }), ...more };
}

/** A call that sends a signal. Feedback is the signal `resume`. */
export function signalled(workflowId: string, name?: string, payload?: unknown): ExpectedCall {
  return message("signalled", workflowId, name, payload);
}

/** A call that sends an update. */
export function updated(workflowId: string, name?: string, payload?: unknown): ExpectedCall {
  return message("updated", workflowId, name, payload);
}

/** A call that sends a query. */
export function queried(workflowId: string, name?: string, payload?: unknown): ExpectedCall {
  return message("queried", workflowId, name, payload);
}

/** A call that asks a run to stop. */
export function stopped(workflowId: string): ExpectedCall {
  return { call: "stopped", workflowId };
}

/** A call that terminates a run, for this reason. */
export function terminated(workflowId: string, reason?: string): ExpectedCall {
  return { call: "terminated", workflowId, ...(reason === undefined ? {} : { reason }) };
}

/** A call that resets a run to this step. */
export function reset(workflowId: string, step?: string): ExpectedCall {
  return { call: "reset", workflowId, ...(step === undefined ? {} : { step }) };
}

/** A call of this operation, whatever was answered. */
export function called(
  route: NonNullable<ExpectedCall["route"]>,
  more: Pick<ExpectedCall, "workflow" | "workflowId" | "status"> = {},
): ExpectedCall {
  return { call: "called", route, ...more };
}

/** The same call, but objects in its input or payload may have other keys besides. */
export function partly(expected: ExpectedCall): ExpectedCall {
  return { ...expected, partly: true };
}

function message(
  call: "signalled" | "updated" | "queried",
  workflowId: string,
  name: string | undefined,
  payload: unknown,
): ExpectedCall {
  return {
    call,
    workflowId,
    ...(name === undefined ? {} : { name }),
    ...(payload === undefined ? {} : { payload }),
  };
}
