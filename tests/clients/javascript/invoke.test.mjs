// From one application to the other through two sidecars: the SDK's invoker over HTTP and over gRPC, and plain HTTP. This version of the
// SDK has no proxied gRPC: it refuses to make a proxy.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { CommunicationProtocolEnum, sdk, startSide } from "./support.mjs";

const { HTTP, GRPC } = CommunicationProtocolEnum;
const { GET, POST, PUT } = sdk.HttpMethod;

const sides = {};
before(async () => {
  sides.http = await startSide(HTTP);
  sides.grpc = await startSide(GRPC);
});
after(() => Promise.all(Object.values(sides).map((side) => side.close())));

for (const [from, to] of [["grpc", "http"], ["http", "grpc"]]) {
  describe(`to the ${to} app`, () => {
    const target = () => sides[to].sidecar.appId;

    for (const [label, protocol] of [["HTTP", HTTP], ["gRPC", GRPC]]) {
      describe(`with the client over ${label}`, () => {
        let client;
        before(() => {
          client = sides[from].sidecar.client(protocol);
        });
        after(() => client.stop());

        test("post", async () => {
          const said = await client.invoker.invoke(target(), "said", POST, { hello: "there" });
          assert.deepEqual(said, { heard: { hello: "there" }, verb: "post" });
        });

        test("put", async () => {
          assert.equal((await client.invoker.invoke(target(), "said", PUT, { n: 1 })).verb, "put");
        });

        test("get", async () => {
          assert.equal((await client.invoker.invoke(target(), "said", GET)).verb, "get");
        });

        test("a megabyte", async () => {
          const large = "x".repeat(1 << 20);
          assert.equal((await client.invoker.invoke(target(), "large", POST, { large })).length, large.length);
        });

        test("nobody", async () => {
          await assert.rejects(client.invoker.invoke("nobody", "said", GET));
        });

        test("the own app", async () => {
          const own = await client.invoker.invoke(sides[from].sidecar.appId, "said", POST, { n: 2 });
          assert.deepEqual(own.heard, { n: 2 });
        });
      });
    }

    test("over plain HTTP", async () => {
      const { sidecar } = sides[from];
      const headers = { "content-type": "application/json" };
      const body = JSON.stringify({ n: 3 });
      const spelled = await fetch(`${sidecar.url}/invoke/${target()}/method/said`, { method: "POST", headers, body });
      assert.deepEqual([spelled.status, (await spelled.json()).heard], [200, { n: 3 }]);
      const named = await fetch(`http://127.0.0.1:${sidecar.httpPort}/said`, { method: "POST", headers: { ...headers, "dapr-app-id": target() }, body });
      assert.deepEqual([named.status, (await named.json()).heard], [200, { n: 3 }]);
    });
  });
}
