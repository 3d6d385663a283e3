// A sidecar process and the SDK's client and server around it. The SDK is loaded from the folder PROA_CLIENT_NODE.
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import fs from "node:fs";
import { createRequire } from "node:module";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

export const sdk = createRequire(process.env.PROA_CLIENT_NODE)("@dapr/dapr");
export const { DaprClient, DaprServer, CommunicationProtocolEnum, DaprPubSubStatusEnum } = sdk;
export const BROKERS = ["pubsub-memory", "pubsub-redis"];
export const STORES = ["memory", "sqlite", "redis"];
export const quiet = { level: "error", service: { log() {}, info() {}, warn() {}, error() {}, verbose() {}, debug() {} } };

const here = path.dirname(fileURLToPath(import.meta.url));
const SECRETS = { colour: "blue", database: { password: "open sesame" } };

/** Sidecars find one another on the whole machine: another run of these tests has other names. */
export const uniqueId = (appId) => `${appId}-${process.env.PROA_CLIENT_RUN}`;
export const name = () => `k${randomUUID().replaceAll("-", "")}`;
/** Whether a case of what comes later is left out. */
export const later = (what) => (process.env.PROA_CLIENT_LATER ?? "").split(" ").includes(what);
export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export function freePort() {
  return new Promise((resolve) => {
    const probe = net.createServer().listen(0, "127.0.0.1", () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}

/** Polls until `look` gives something true; fails with `what` after `seconds`. */
export async function until(what, look, seconds = 15) {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`gave up waiting for ${what}`);
    await pause(20);
  }
}

/** What arrived, by place. */
export class Inbox {
  entries = new Map();
  put(place, entry) {
    this.entries.set(place, [...(this.entries.get(place) ?? []), entry]);
  }
  wait(place, fits = () => true) {
    return until(`an event at ${place}`, () => (this.entries.get(place) ?? []).find(fits));
  }
}

export class Sidecar {
  static async start(appId, appPort, protocol, webUrl) {
    const self = new Sidecar();
    const home = (self.home = fs.mkdtempSync(path.join(os.tmpdir(), "proa-client-")));
    fs.mkdirSync(path.join(home, "files"));
    fs.mkdirSync(path.join(home, "resources"));
    fs.writeFileSync(path.join(home, "secrets.json"), JSON.stringify(SECRETS));
    const values = { DIR: home, REDIS_HOST: process.env.PROA_CLIENT_REDIS, WEB_URL: webUrl, HTTP_APP: uniqueId("js-http") };
    const source = path.join(here, "..", "resources");
    for (const file of fs.readdirSync(source)) {
      const text = fs.readFileSync(path.join(source, file), "utf8");
      fs.writeFileSync(path.join(home, "resources", file), text.replace(/\$([A-Z_]+)/g, (_, key) => values[key]));
    }
    self.appId = appId;
    self.httpPort = String(await freePort());
    self.grpcPort = String(await freePort());
    self.url = `http://127.0.0.1:${self.httpPort}/v1.0`;
    const flags = {
      "app-id": appId, "app-port": appPort, "app-protocol": protocol,
      "dapr-http-port": self.httpPort, "dapr-grpc-port": self.grpcPort,
      "dapr-internal-grpc-port": await freePort(), "metrics-port": await freePort(),
      "dapr-listen-addresses": "127.0.0.1", "resources-path": path.join(home, "resources"),
    };
    const log = fs.openSync(path.join(home, "sidecar.log"), "w");
    self.child = spawn(process.env.PROA_BIN, Object.entries(flags).flatMap(([flag, value]) => [`--${flag}`, String(value)]), {
      cwd: home,
      env: { ...process.env, PROA_CLIENT_SECRET: "from the environment" },
      stdio: ["ignore", log, log],
    });
    try {
      await until("the sidecar's health", async () => {
        if (self.child.exitCode !== null) throw new Error("the sidecar ended");
        return (await self.http("GET", "/healthz").catch(() => null))?.status === 204;
      }, 60);
    } catch (failure) {
      const text = self.log();
      self.close();
      throw new Error(`${failure.message}:\n${text}`);
    }
    return self;
  }

  log() {
    return fs.readFileSync(path.join(this.home, "sidecar.log"), "utf8");
  }

  http(method, route, body) {
    return fetch(this.url + route, { method, body, signal: AbortSignal.timeout(20_000) });
  }

  client(protocol) {
    const daprPort = protocol === CommunicationProtocolEnum.HTTP ? this.httpPort : this.grpcPort;
    return new DaprClient({ daprHost: "127.0.0.1", daprPort, communicationProtocol: protocol, logger: quiet });
  }

  close() {
    this.child.kill("SIGKILL");
    fs.rmSync(this.home, { recursive: true, force: true });
  }
}

/** An app made with the SDK's server, its inbox and its sidecar. */
export async function startSide(protocol) {
  const http = protocol === CommunicationProtocolEnum.HTTP;
  const port = String(await freePort());
  const inbox = new Inbox();
  const sidecarPorts = { http: await freePort() };
  const server = new DaprServer({
    serverHost: "127.0.0.1", serverPort: port, communicationProtocol: protocol, logger: quiet,
    clientOptions: { daprHost: "127.0.0.1", daprPort: String(sidecarPorts.http), communicationProtocol: protocol, logger: quiet },
  });
  for (const broker of BROKERS) {
    await server.pubsub.subscribe(broker, "programmed", async (data) => inbox.put("programmed", data));
    await server.pubsub.subscribeBulk(broker, "bulk", async (data) => inbox.put("bulk", data));
  }
  await server.binding.receive("cron", async () => inbox.put("cron", true));
  for (const verb of ["get", "post", "put"]) {
    // The body arrives as text; over HTTP, an empty one is an empty object.
    await server.invoker.listen("said", async ({ body }) => ({ heard: body ? JSON.parse(body) : undefined, verb }), { method: verb });
  }
  await server.invoker.listen("large", async ({ body }) => ({ length: JSON.parse(body).large.length }), { method: "post" });
  if (http) {
    // Declared in a file: the app only has to answer the route.
    const web = server.daprServer.getServer();
    web.post("/declared", (request, response) => {
      inbox.put("declared", request.body);
      response.json({ status: "SUCCESS" });
    });
    web.post("/echo", (request, response) => response.json({ method: "POST", body: request.body }));
  }
  // The server's own `start` waits for a sidecar it was told about beforehand; here the app has to listen first.
  await server.daprServer.start("127.0.0.1", port);
  const sidecar = await Sidecar.start(uniqueId(http ? "js-http" : "js-grpc"), port, http ? "http" : "grpc", `http://127.0.0.1:${port}/echo`);
  return {
    inbox, sidecar,
    async close() {
      sidecar.close();
      await Promise.race([server.daprServer.stop(), pause(1000)]);
    },
  };
}
