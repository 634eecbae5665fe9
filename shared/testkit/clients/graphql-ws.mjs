// The client of graphql-transport-ws: node graphql-ws.mjs URL OPTIONS
//
// OPTIONS is JSON: `token`, `query` and, for one that resumes, `after`: the sequence that it has. It subscribes, and
// when it loses its connection, or was too slow, subscribes again after the last sequence it has seen. Prints what
// happens as lines of JSON, until it is killed:
// {"on": "connected" | "closed" | "next" | "missed" | "error" | "complete", "data": DATA}.
import { createRequire } from "node:module";

const require = createRequire(process.env.CLIENTS);
const { createClient } = require("graphql-ws");
const WebSocket = require("ws");

const [url, options] = process.argv.slice(2);
const { token, query, after } = JSON.parse(options);
const say = (on, data = null) => console.log(JSON.stringify({ on, data }));

const client = createClient({
  url,
  webSocketImpl: WebSocket,
  connectionParams: token ? { token } : undefined,
  retryAttempts: Number.MAX_SAFE_INTEGER,
  retryWait: () => new Promise((resolve) => setTimeout(resolve, 50)),
  // Also when the server is not there for a moment; not when it closes the socket on purpose
  shouldRetry: (event) => !(event?.code >= 4400),
  on: {
    connected: () => say("connected"),
    closed: (event) => say("closed", { code: event?.code ?? null, reason: event?.reason ?? null }),
  },
});

// What it sends when it connects again is made of this once more, with the sequence as it is then
const payload = { query, variables: after === undefined ? {} : { after } };
const subscribe = () =>
  client.subscribe(payload, {
    next: (result) => {
      const sequence = result.data?.notificationCreated?.sequence;
      if (sequence !== undefined) payload.variables.after = sequence;
      say("next", result);
    },
    error: (error) => {
      const place = Array.isArray(error) ? error[0]?.extensions?.afterSequence : undefined;
      if (place === undefined) {
        say("error", Array.isArray(error) ? error : { code: error?.code, reason: error?.reason });
        return;
      }
      // It was too slow, and is told where to go on
      payload.variables.after = place;
      say("missed", place);
      subscribe();
    },
    complete: () => say("complete"),
  });
subscribe();
