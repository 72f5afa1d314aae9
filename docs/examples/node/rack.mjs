// Racklet's API from JavaScript: `node rack.mjs nodes|cycle NODE|follow NODE`.
//
// The service comes from rack.proto at run time; nothing is generated. RACKLET_ADDRESS says where hostd is, as for the
// `racklet` command, RACKLET_CREDENTIALS whom to trust and who one is over TLS; RACKLET_PROTO where the .proto files are.
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import grpc from "@grpc/grpc-js";
import loader from "@grpc/proto-loader";
import protobuf from "protobufjs";

const PROTO = process.env.RACKLET_PROTO ?? fileURLToPath(new URL("../../../protocol", import.meta.url));
const ADDRESS = process.env.RACKLET_ADDRESS ?? `unix:${process.env.XDG_RUNTIME_DIR}/racklet/racklet.sock`;
const RETRY_PAUSE_MS = 300;

const definition = loader.loadSync("racklet/v1/rack.proto", {
  includeDirs: [PROTO],
  keepCase: true, // names as in rack.proto
  longs: String, // offsets, energy and sequences have 64 bits: more than a Number holds
  enums: String,
  defaults: true, // a field that is 0 or empty is there as well
});
const { Rack } = grpc.loadPackageDefinition(definition).racklet.v1;
const rack = new Rack(ADDRESS, credentials(), {
  "grpc.initial_reconnect_backoff_ms": 200,
  "grpc.max_reconnect_backoff_ms": 2_000, // a hostd that starts again is seen within this
  "grpc.enable_http_proxy": 0,
});

/** Returns what `racklet pki issue` made, for TLS; without it plain text, for the unix socket and loopback. */
function credentials() {
  const folder = process.env.RACKLET_CREDENTIALS;
  if (!folder || ADDRESS.startsWith("unix:")) return grpc.credentials.createInsecure();
  const [ca, key, certificate] = ["ca.crt", "client.key", "client.crt"].map((name) => readFileSync(`${folder}/${name}`));
  return grpc.credentials.createSsl(ca, key, certificate);
}

/** Calls a method that gives one answer. */
function ask(method, request, timeout_ms = 20_000) {
  return new Promise((resolve, reject) => {
    rack[method](request, { deadline: Date.now() + timeout_ms }, (error, answer) =>
      error ? reject(error) : resolve(answer),
    );
  });
}

// What a refusal says to a program: a google.rpc.ErrorInfo in the trailer grpc-status-details-bin.
const rpc = protobuf.Root.fromJSON({
  nested: {
    Any: { fields: { type_url: { type: "string", id: 1 }, value: { type: "bytes", id: 2 } } },
    Status: { fields: { details: { rule: "repeated", type: "Any", id: 3 } } },
    ErrorInfo: {
      fields: {
        reason: { type: "string", id: 1 },
        domain: { type: "string", id: 2 },
        metadata: { keyType: "string", type: "string", id: 3 },
      },
    },
  },
});

/** Returns the reason of a refusal, such as "HAT_OFFLINE"; undefined when the error is not from hostd. */
function reasonOf(error) {
  const [raw] = error.metadata?.get("grpc-status-details-bin") ?? [];
  if (raw === undefined) return undefined;
  const { details } = rpc.lookupType("Status").decode(raw);
  const info = details.find((detail) => detail.type_url.endsWith("/google.rpc.ErrorInfo"));
  return info && rpc.lookupType("ErrorInfo").decode(info.value).reason;
}

/** Yields all nodes, page by page. */
async function* nodes() {
  let page_token = "";
  do {
    const page = await ask("ListNodes", { page_token });
    yield* page.nodes;
    page_token = page.next_page_token;
  } while (page_token);
}

/** Cycles a node's supply, once, however often the call has to be repeated. */
async function cycle(node) {
  const request = { name: `nodes/${node}`, action: "POWER_ACTION_CYCLE", request_id: randomUUID() };
  for (let attempt = 1; ; attempt++) {
    try {
      return await ask("SetPower", request, 60_000);
    } catch (error) {
      // UNAVAILABLE without a reason: nobody answered. Whether it was carried out hostd knows by the request's id.
      const isLost = error.code === grpc.status.UNAVAILABLE && [undefined, "SHUTTING_DOWN"].includes(reasonOf(error));
      if (!isLost || attempt === 100) throw error;
      await pause(RETRY_PAUSE_MS);
    }
  }
}

/** Yields the bytes of a node's newest boot and those after it, over a restart of hostd without loss or repetition. */
async function* follow(node) {
  const place = { name: `nodes/${node}/boots/-`, offset: "0", follow: true, following_boots: true };
  for (;;) {
    const call = rack.ReadBootLog(place);
    try {
      for await (const piece of call) {
        const length = piece.data?.length ?? piece.gap?.lost_bytes ?? 0; // what tells of damage takes none
        place.name = piece.boot;
        place.offset = String(BigInt(piece.offset) + BigInt(length));
        if (piece.gap) console.error(`${piece.gap.lost_bytes} bytes lost: ${piece.gap.reason}`);
        if (piece.data) yield piece.data;
      }
      return;
    } catch (error) {
      const mayComeBack = error.code === grpc.status.UNAVAILABLE || error.code === grpc.status.CANCELLED;
      if (!mayComeBack) throw error;
      console.error("hostd went away; waiting for it");
      await pause(RETRY_PAUSE_MS);
    } finally {
      call.cancel(); // frees what hostd holds for this reader
    }
  }
}

async function main([command, node]) {
  if (command === "nodes") {
    for await (const { name, supply_state, energy_uj } of nodes()) {
      console.log(name, supply_state, `${BigInt(energy_uj) / 1_000_000n} J`);
    }
  } else if (command === "cycle" && node) {
    const { supply_state, supply_uv } = await cycle(node);
    console.log(node, supply_state, `${Number(supply_uv) / 1e6} V`);
  } else if (command === "follow" && node) {
    for await (const data of follow(node)) process.stdout.write(data);
  } else {
    console.error("usage: rack.mjs nodes | cycle NODE | follow NODE");
    return 2;
  }
  return 0;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  console.error(`${reasonOf(error) ?? "error"}: ${error.details ?? error.message}`);
  process.exitCode = 1;
} finally {
  rack.close();
}
