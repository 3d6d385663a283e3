// An app made with the SDK's gRPC server. Bulk subscriptions are left out: this version of the SDK does not serve the method
// Dapr calls for them, and answers it without trailers, so that the fallback to the older method never happens.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { BROKERS, CommunicationProtocolEnum, name, startSide } from "./support.mjs";

let side, client;
before(async () => {
  side = await startSide(CommunicationProtocolEnum.GRPC);
  client = side.sidecar.client(CommunicationProtocolEnum.GRPC);
});
after(async () => {
  await client.stop();
  await side.close();
});

for (const broker of BROKERS) {
  test(`${broker} delivers to the gRPC app`, async () => {
    const text = name();
    assert.deepEqual(await client.pubsub.publish(broker, "programmed", { text }), {});
    await side.inbox.wait("programmed", (data) => JSON.stringify(data).includes(text));
  });
}

test("cron reaches the gRPC app", () => side.inbox.wait("cron"));

test("the subscriptions are in the metadata", async () => {
  const found = await (await side.sidecar.http("GET", "/metadata")).json();
  for (const broker of BROKERS) {
    assert.ok(found.subscriptions.some((entry) => entry.pubsubname === broker && entry.topic === "programmed"));
  }
});
