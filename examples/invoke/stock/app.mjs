// Knows what is in stock: `node app.mjs`. An ordinary web application; that its callers come through sidecars shows only in headers.
// Environment: APP_PORT; MODULES, the folder that has node_modules (its own if not set).
import { createRequire } from "node:module";

const express = createRequire(process.env.MODULES ? `${process.env.MODULES}/` : import.meta.url)("express");

const items = new Map([["kettle", 3], ["teapot", 5]]);
const app = express();
app.use(express.json());

app.post("/items/:name/reserve", (request, response) => {
  const { name } = request.params;
  const left = items.get(name);
  const caller = request.get("dapr-caller-app-id");
  if (left === undefined) return response.status(404).json({ error: `there is no ${name}` });
  if (left < request.body.count) return response.status(409).json({ error: `only ${left} of ${name} left` });
  items.set(name, left - request.body.count);
  response.json({ item: name, left: items.get(name), caller });
});

// An event every 300 ms, three in all.
app.get("/deliveries", (request, response) => {
  response.type("text/event-stream").flushHeaders();
  let sent = 0;
  const timer = setInterval(() => {
    sent += 1;
    items.set("kettle", items.get("kettle") + 1);
    response.write(`data: {"delivery":${sent},"kettles":${items.get("kettle")}}\n\n`);
    if (sent === 3) {
      clearInterval(timer);
      response.end();
    }
  }, 300);
  response.on("close", () => clearInterval(timer));
});

app.listen(Number(process.env.APP_PORT ?? 6002), "127.0.0.1");
