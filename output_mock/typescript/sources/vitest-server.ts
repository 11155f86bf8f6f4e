/// <reference types="node" />
import { spawn } from "node:child_process";
import type { TestProject } from "vitest/node";

import { usualServer } from "./output-mock.js";

// The documents of jsdom and happy-dom have this address in vitest.
const OF_DOCUMENTS = ["--allow-origin", "http://localhost:3000"];
const PATIENCE_MS = 30_000;

/** What is started, and how. */
export interface ServeOptions {
  /** The command. Default: `output-mock`, which has to be on the PATH. */
  command?: string;
  /** Arguments of `serve`: `["workflows.yaml", "--seed", "7"]`. */
  arguments?: string[];
}

/**
 * Make a `globalSetup` of vitest that starts `output-mock serve` on a free port, and stops it at the end.
 *
 * With `OUTPUT_CONTROL_URL` in the environment, it starts nothing, and the tests use that server.
 */
export function serveOutputMock({ command = "output-mock", arguments: more = [] }: ServeOptions = {}) {
  return async (project: TestProject): Promise<() => Promise<void>> => {
    if (process.env["OUTPUT_CONTROL_URL"]) {
      project.provide("outputMockUrl", usualServer());
      return async () => {};
    }
    const { url, stop } = await started(command, ["serve", "--quiet", "--port", "0", ...OF_DOCUMENTS, ...more]);
    project.provide("outputMockUrl", url);
    return stop;
  };
}

export default serveOutputMock();

function started(command: string, words: string[]): Promise<{ url: string; stop: () => Promise<void> }> {
  const child = spawn(command, words, { stdio: ["ignore", "pipe", "pipe"] });
  const ended = new Promise<void>((resolve) => {
    child.on("exit", () => resolve());
    child.on("error", () => resolve());
  });
  const stop = () => {
    child.kill("SIGTERM");
    return ended;
  };
  // However this process ends.
  process.on("exit", () => child.kill("SIGKILL"));
  let told = "";
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => {
      void stop();
      reject(new Error(`\`${command} serve\` has not begun to listen within ${PATIENCE_MS / 1000} s: ${told}`));
    }, PATIENCE_MS);
    const read = (chunk: Buffer) => {
      told = (told + chunk.toString()).slice(-10_000);
      const url = / on (http:\/\/\S+)/.exec(told)?.[1];
      if (url === undefined) return;
      clearTimeout(late);
      resolve({ url, stop });
    };
    child.stdout.on("data", read);
    child.stderr.on("data", (chunk: Buffer) => {
      // Quiet as it is, it tells what is wrong.
      process.stderr.write(chunk);
      read(chunk);
    });
    child.on("error", (problem) => {
      clearTimeout(late);
      const hint =
        "Put it on the PATH, say where it is with serveOutputMock({ command: '.venv/bin/output-mock' }) in a globalSetup " +
        "of your own, or start the server yourself and set OUTPUT_CONTROL_URL.";
      reject(new Error(`\`${command} serve\` cannot be started: ${problem.message}. ${hint}`));
    });
    child.on("exit", (code) => {
      clearTimeout(late);
      reject(new Error(`\`${command} ${words.join(" ")}\` has ended with status ${code}: ${told}`));
    });
  });
}
