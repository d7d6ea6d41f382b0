#!/usr/bin/env node
// Prisma's query engine as an HTTP server, as prisma-client-py starts it: query_engine.mjs -p PORT | --version.
//
// LiteLLM's database client wants the engine as a native program, which no package carries. Prisma's own npm package has the
// same engine compiled to WebAssembly: it speaks to the database through a driver in JavaScript, and takes queries as JSON
// where the program also takes GraphQL. So this serves the program's paths, and turns one form of a query into the other.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";

import { PrismaPg } from "@prisma/adapter-pg";
import { bindAdapter } from "@prisma/driver-adapter-utils";
import { parse, valueFromASTUntyped } from "graphql";
import pg from "pg";

const require = createRequire(import.meta.url);
const SCHEMA = readFileSync(process.env.PRISMA_DML_PATH ?? "/dev/null", "utf8");
const TRACE = "{}";
const JSON_OF = jsonFields(SCHEMA);
const ACTION = /^((?:find(?:Unique|First|Many))|(?:(?:create|update|delete|upsert)(?:One|Many))|aggregate|groupBy)(.+?)(OrThrow)?$/;

async function startEngine() {
  const room = require.resolve("@prisma/client/runtime/query_engine_bg.postgresql.js");
  const glue = require(room);
  const wasm = await WebAssembly.compile(readFileSync(room.replace(/js$/, "wasm")));
  glue.__wbg_set_wasm((await WebAssembly.instantiate(wasm, { "./query_engine_bg.js": glue })).exports);
  const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 10 });
  const options = {
    datamodel: SCHEMA, env: process.env, logQueries: false, logLevel: "error",
    ignoreEnvVarErrors: true, datasourceOverrides: {}, configDir: ".", engineProtocol: "json",
  };
  const engine = new glue.QueryEngine(options, (line) => console.error(line), bindAdapter(new PrismaPg(pool)));
  await engine.connect(TRACE);
  return engine;
}

// The fields of each model that hold JSON: GraphQL writes them as strings, which this form would keep as strings.
function jsonFields(schema) {
  const models = schema.matchAll(/^model (\w+) \{([^]*?)^\}/gm);
  return new Map(Array.from(models, ([, name, body]) =>
    [name, new Set(Array.from(body.matchAll(/^\s*(\w+)\s+Json\b/gm), ([, field]) => field))]));
}

class Query {
  constructor(text) {
    this.field = parse(text).definitions[0].selectionSet.selections[0];
    const [, action, model, orThrow] = ACTION.exec(this.field.name.value) ?? [];
    this.what = action ? { modelName: model, action: action + (orThrow ?? "") } : { action: this.field.name.value };
    this.json = JSON_OF.get(model) ?? new Set();
  }

  toJson() {
    return { ...this.what, query: { arguments: this.arguments(this.field.arguments), selection: this.selection(this.field) } };
  }

  arguments(nodes) {
    return Object.fromEntries((nodes ?? []).map((node) => [node.name.value, this.value(node.value, node.name.value)]));
  }

  value(node, name) {
    if (node.kind === "ObjectValue") return this.arguments(node.fields);
    if (node.kind === "ListValue") return node.values.map((inner) => this.value(inner, name));
    const value = valueFromASTUntyped(node);
    return node.kind === "StringValue" && this.json.has(name) ? { $type: "Json", value } : value;
  }

  selection(field) {
    return Object.fromEntries((field.selectionSet?.selections ?? []).map((inner) => [inner.name.value, inner.selectionSet
      ? { arguments: this.arguments(inner.arguments), selection: this.selection(inner) } : true]));
  }
}

// What is no plain JSON comes with its type beside it; over GraphQL it is the value alone.
function withoutTypes(value) {
  if (Array.isArray(value)) return value.map(withoutTypes);
  if (value === null || typeof value !== "object") return value;
  if ("$type" in value) return value.value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, withoutTypes(inner)]));
}

function toGraphqlAnswer(answer) {
  if (answer.batchResult) return { batchResult: answer.batchResult.map(toGraphqlAnswer) };
  return answer.errors ? answer : { data: { result: withoutTypes(Object.values(answer.data)[0]) } };
}

async function answer(engine, path, body, transaction) {
  const [, of, id, what] = path.split("/");
  if (of === "status") return { status: "ok" };
  if (of === "transaction" && id === "start") return JSON.parse(await engine.startTransaction(body, TRACE));
  if (of === "transaction") return JSON.parse(await engine[`${what}Transaction`](id, TRACE));
  const asked = JSON.parse(body);
  const toJson = ({ query }) => new Query(query).toJson();
  const query = asked.batch ? { batch: asked.batch.map(toJson), transaction: asked.transaction ? {} : undefined } : toJson(asked);
  return toGraphqlAnswer(JSON.parse(await engine.query(JSON.stringify(query), TRACE, transaction)));
}

async function serve(port) {
  const engine = await startEngine();
  createServer(async (request, response) => {
    const parts = [];
    for await (const part of request) parts.push(part);
    response.setHeader("content-type", "application/json");
    try {
      const body = Buffer.concat(parts).toString();
      response.end(JSON.stringify(await answer(engine, request.url, body, request.headers["x-transaction-id"])));
    } catch (error) {
      console.error(error);
      response.writeHead(500).end(JSON.stringify({ error: String(error) }));
    }
  }).listen(port, "localhost");
  process.on("SIGINT", () => process.exit(0));
}

if (process.argv.includes("--version")) console.log("query-engine");
else await serve(Number(process.argv[process.argv.indexOf("-p") + 1]));
