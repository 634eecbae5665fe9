// The client of Socket.IO: node socket-io.mjs URL OPTIONS
//
// Connects with OPTIONS (JSON, those of `io`) and prints what happens as lines of JSON, until it is killed:
// {"on": NAME, "data": DATA, "transport": TRANSPORT} for each event of the server and of the connection itself.
import { createRequire } from "node:module";

const require = createRequire(process.env.CLIENTS);
const { io } = require("socket.io-client");

const [url, options] = process.argv.slice(2);
const socket = io(url, JSON.parse(options));
const say = (on, data = null) =>
  console.log(JSON.stringify({ on, data, transport: socket.io.engine?.transport?.name ?? null }));

socket.on("connect", () => say("connect"));
socket.on("disconnect", (reason) => say("disconnect", reason));
socket.on("connect_error", (error) => say("connect_error", error.message));
socket.io.on("reconnect", () => say("reconnect"));
socket.io.on("open", () => socket.io.engine.on("upgrade", () => say("upgrade")));
socket.onAny((name, data) => say(name, data));
