// check.mjs - Home Assistant's own JavaScript client talks to the simulated home.
// Usage: node check.mjs HOME_PROGRAM
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import WebSocket from "ws";
import {
  callService, createConnection, createLongLivedTokenAuth, entitiesColl, getConfig, getServices, getStates, getUser,
} from "home-assistant-js-websocket";

globalThis.WebSocket = WebSocket;
const token = "a-simulated-home-needs-no-secret-token";
const home = spawn(process.argv[2], ["--port", "0", "--rate", "100", "--coalesce"], { stdio: ["ignore", "pipe", "inherit"] });
const lines = createInterface({ input: home.stdout });
const [first] = await once(lines, "line");
const url = `http://127.0.0.1:${first.split(" ").pop()}`;
const control = async (command) => assert.equal((await fetch(`${url}/control/${encodeURIComponent(command)}`, { method: "POST" })).status, 200);

// Fulfils when `condition(value)` holds for something that `watch` reports, or fails after 10 s.
const until = (what, watch, condition) => new Promise((resolve, reject) => {
  const late = setTimeout(() => reject(new Error(`waited in vain for ${what}`)), 10000);
  watch((value) => condition(value) && (clearTimeout(late), resolve(value)));
});

try {
  const connection = await createConnection({ auth: createLongLivedTokenAuth(url, token) });
  assert.equal(connection.haVersion, "2026.2.3");
  assert.equal((await getUser(connection)).is_admin, true);
  assert.equal((await getConfig(connection)).state, "RUNNING");
  assert.ok((await getServices(connection)).light.turn_on);
  const states = await getStates(connection);
  assert.ok(states.length > 60);
  await assert.rejects(connection.sendMessagePromise({ type: "nonsense" }), { code: "unknown_command" });

  // The collection that HA's frontend uses: the snapshot, then compressed differences.
  const entities = entitiesColl(connection);
  const all = await until("entities", (see) => entities.subscribe(see), (seen) => Object.keys(seen).length >= states.length - 4);
  assert.equal(all["sun.sun"].attributes.friendly_name, "Sun");

  let fired = null;
  await connection.subscribeEvents((event) => { fired ??= event.data.service_data.brightness === 77 ? event : null; }, "call_service");
  const lit = until("the light", (see) => entities.subscribe(see),
    (seen) => seen["light.kitchen_light"]?.state === "on" && seen["light.kitchen_light"].attributes.brightness === 77);
  const result = await callService(connection, "light", "turn_on", { brightness: 77 }, { entity_id: "light.kitchen_light" });
  const light = (await lit)["light.kitchen_light"];
  await until("call_service", (see) => { const timer = setInterval(() => see(fired) && clearInterval(timer), 10); timer.unref(); }, (event) => event);
  assert.equal(fired.context.id, result.context.id);
  assert.equal(light.context.id, result.context.id);

  const removed = until("a removal", (see) => entities.subscribe(see), (seen) => !seen["light.kitchen_light"]);
  await control("remove light.kitchen_light");
  await removed;

  // The connection breaks; the client reconnects and its subscriptions go on.
  const ready = until("the reconnection", (see) => connection.addEventListener("ready", () => see(true)), (yes) => yes);
  await control("abort");
  await ready;
  await until("events after it", (see) => connection.subscribeEvents(see, "state_changed"), (event) => event.data.entity_id);
  connection.close();
  console.log(`home-assistant-js-websocket: ${states.length} entities, service, removal, reconnection: all as with Home Assistant`);
} finally {
  home.kill("SIGTERM");
}
const [code] = await once(home, "exit");
assert.equal(code, 0);
