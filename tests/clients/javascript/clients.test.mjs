// The SDK's client over HTTP and over gRPC: every building block, both protocols, same expectations.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { BROKERS, CommunicationProtocolEnum, STORES, later, name, sdk, startSide, until } from "./support.mjs";

const { HTTP, GRPC } = CommunicationProtocolEnum;
const FIRST_WRITE = { concurrency: sdk.StateConcurrencyEnum?.CONCURRENCY_FIRST_WRITE ?? 1, consistency: 2 };

let side;
before(async () => {
  side = await startSide(HTTP);
});
after(() => side.close());

for (const [label, protocol] of [["http", HTTP], ["grpc", GRPC]]) {
  describe(`client over ${label}`, () => {
    let client;
    before(() => {
      client = side.sidecar.client(protocol);
    });
    after(() => client.stop());

    for (const store of STORES) {
      test(`state ${store}: save, get, delete`, async () => {
        const key = name();
        assert.deepEqual(await client.state.save(store, [{ key, value: { n: 1 } }]), {});
        assert.deepEqual(await client.state.get(store, key), { n: 1 });
        await client.state.delete(store, key);
        assert.equal(await client.state.get(store, key), "");
      });

      test(`state ${store}: bulk`, async () => {
        const keys = [name(), name(), name()];
        await client.state.save(store, keys.map((key, n) => ({ key, value: { n } })));
        const found = await client.state.getBulk(store, keys);
        for (const [n, key] of keys.entries()) {
          assert.deepEqual(found.find((entry) => entry.key === key).data, { n });
        }
      });

      test(`state ${store}: transaction`, async () => {
        const [kept, gone] = [name(), name()];
        await client.state.save(store, [{ key: gone, value: "x" }]);
        await client.state.transaction(store, [
          { operation: "upsert", request: { key: kept, value: "kept" } },
          { operation: "delete", request: { key: gone } },
        ]);
        assert.equal(await client.state.get(store, kept), "kept");
        assert.equal(await client.state.get(store, gone), "");
      });

      test(`state ${store}: a stale etag is refused`, async () => {
        const key = name();
        await client.state.save(store, [{ key, value: "one" }]);
        const [{ etag }] = await client.state.getBulk(store, [key]);
        await client.state.save(store, [{ key, value: "two", etag, options: FIRST_WRITE }]);
        const outcome = await client.state.save(store, [{ key, value: "three", etag, options: FIRST_WRITE }]).catch((error) => ({ error }));
        assert.match(String(outcome.error), /409|aborted/i);
        assert.equal(await client.state.get(store, key), "two");
      });

      test(`state ${store}: time to live`, async () => {
        const key = name();
        await client.state.save(store, [{ key, value: "short", metadata: { ttlInSeconds: "2" } }]);
        assert.equal(await client.state.get(store, key), "short");
        await until("expiry", async () => (await client.state.get(store, key)) === "", 8);
      });
    }

    for (const broker of BROKERS) {
      for (const topic of ["programmed", "declared"]) {
        test(`publish ${broker} ${topic}`, async () => {
          const text = name();
          assert.deepEqual(await client.pubsub.publish(broker, topic, { text }), {});
          const event = await side.inbox.wait(topic, (data) => (data.data ?? data).text === text);
          if (topic === "declared") {
            assert.equal(event.pubsubname, broker);
            assert.equal(event.source, side.sidecar.appId);
          }
        });
      }

      if (!later("bulk_subscription")) test(`bulk publish ${broker} to a bulk subscription`, async () => {
        const texts = [name(), name(), name()];
        const outcome = await client.pubsub.publishBulk(broker, "bulk", texts.map((text) => ({ event: { text } })));
        assert.deepEqual(outcome.failedMessages, []);
        for (const text of texts) {
          await side.inbox.wait("bulk", (data) => JSON.stringify(data).includes(text));
        }
      });
    }

    test("binding of local files", async () => {
      const fileName = name();
      await client.binding.send("files", "create", "a note", { fileName });
      const answer = await client.binding.send("files", "get", undefined, { fileName });
      assert.equal(label === "http" ? answer : Buffer.from(answer.data).toString(), "a note");
      await client.binding.send("files", "delete", undefined, { fileName });
      await assert.rejects(client.binding.send("files", "get", undefined, { fileName }));
    });

    test("binding over the web", async () => {
      const answer = await client.binding.send("web", "post", { hello: "there" });
      const body = label === "http" ? answer : JSON.parse(Buffer.from(answer.data).toString());
      assert.equal(body.method, "POST");
    });

    test("binding of Redis keys", async () => {
      const key = name();
      await client.binding.send("redis-keys", "create", "kept", { key });
      const answer = await client.binding.send("redis-keys", "get", undefined, { key });
      assert.match(label === "http" ? String(answer) : Buffer.from(answer.data).toString(), /kept/);
    });

    test("secrets", async () => {
      assert.deepEqual({ ...(await client.secret.get("secrets-file", "colour")) }, { colour: "blue" });
      assert.deepEqual({ ...(await client.secret.get("secrets-env", "PROA_CLIENT_SECRET")) }, { PROA_CLIENT_SECRET: "from the environment" });
      const all = await client.secret.getBulk("secrets-file");
      assert.match(JSON.stringify(all), /open sesame/);
      await assert.rejects(client.secret.get("nothing", "colour"));
    });

    test("metadata", async () => {
      const key = name();
      assert.equal(await client.metadata.set(key, "a value"), true);
      const found = await client.metadata.get();
      assert.equal(found.id, side.sidecar.appId);
      assert.equal(found.extended[key], "a value");
      assert.ok(found.components.some((entry) => entry.name === "redis" && entry.type === "state.redis"));
    });

    test("health", async () => {
      assert.equal(await client.health.isHealthy(), true);
    });
  });
}

test("cron reaches the HTTP app", () => side.inbox.wait("cron"));
