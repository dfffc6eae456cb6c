// OpenAI's own JavaScript SDK, unmodified: it finds the gateway by OPENAI_BASE_URL and OPENAI_API_KEY alone.

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import OpenAI, { AuthenticationError, BadRequestError, NotFoundError } from "openai";

const served = (process.env.CLIENTS_MODELS ?? "demo,tiny").split(",");
const client = new OpenAI();
const hello = [{ role: "user", content: "Say hello" }];
const askTool = [{ role: "user", content: "Please call record_weather for Paris" }];
const askJson = [{ role: "user", content: "The weather of Paris as JSON" }];
const weather = {
  type: "object",
  properties: { city: { type: "string" }, celsius: { type: "integer" } },
  required: ["city", "celsius"],
  additionalProperties: false,
};
const tools = [{ type: "function", function: { name: "record_weather", parameters: weather } }];

function assertWeather(value) {
  assert.deepEqual(Object.keys(value).sort(), ["celsius", "city"]);
  assert.equal(typeof value.city, "string");
  assert.ok(Number.isInteger(value.celsius));
}

for (const model of ["demo", "tiny"]) {
  describe(`the model ${model}`, { skip: !served.includes(model) }, () => {
    test("an answer has text, a finish reason, usage and a request id", async () => {
      const answer = await client.chat.completions.create({ model, messages: hello });
      assert.ok(answer.choices[0].message.content);
      assert.equal(answer.choices[0].finish_reason, "stop");
      assert.ok(answer.usage.completion_tokens > 0);
      assert.ok(answer._request_id);
    });

    test("pieces of a stream make the answer", async () => {
      const whole = await client.chat.completions.create({ model, messages: hello });
      const stream = await client.chat.completions.create({ model, messages: hello, stream: true });
      const pieces = [];
      for await (const chunk of stream) {
        assert.ok(chunk.choices.length > 0, "a chunk of usage alone, though nobody asked for usage");
        if (chunk.choices[0].delta.content) pieces.push(chunk.choices[0].delta.content);
      }
      assert.ok(pieces.length > 1);
      assert.equal(pieces.join(""), whole.choices[0].message.content);
    });

    test("usage comes once in a stream that asks for it", async () => {
      const stream = await client.chat.completions.create({
        model, messages: hello, stream: true, stream_options: { include_usage: true },
      });
      const counted = [];
      for await (const chunk of stream) if (chunk.usage) counted.push(chunk.usage);
      assert.equal(counted.length, 1);
    });

    test("a client may leave a stream and ask again", async () => {
      const stream = await client.chat.completions.create({ model, messages: hello, stream: true });
      for await (const chunk of stream) {
        assert.ok(chunk.id);
        break; // aborts the request
      }
      assert.ok((await client.chat.completions.create({ model, messages: hello })).choices[0].message.content);
    });

    test("a tool is called, at once and in a stream", async () => {
      const answer = await client.chat.completions.create({ model, messages: askTool, tools });
      const streamed = await client.chat.completions.stream({ model, messages: askTool, tools }).finalChatCompletion();
      for (const { choices } of [answer, streamed]) {
        const [call] = choices[0].message.tool_calls;
        assert.equal(call.function.name, "record_weather");
        assertWeather(JSON.parse(call.function.arguments));
      }
    });

    test("runTools runs the tool and answers from its result", async () => {
      const seen = [];
      const run = client.chat.completions.runTools({
        model, messages: askTool,
        tools: [{
          type: "function",
          function: {
            name: "record_weather", parameters: weather, parse: JSON.parse,
            function: (args) => { seen.push(args); return "written down"; },
          },
        }],
      });
      assert.ok(await run.finalContent());
      assert.equal(seen.length, 1);
      assertWeather(seen[0]);
    });

    test("structured output by a JSON schema is parsed", async () => {
      const answer = await client.chat.completions.parse({
        model, messages: askJson,
        response_format: { type: "json_schema", json_schema: { name: "weather", strict: true, schema: weather } },
      });
      assertWeather(JSON.parse(answer.choices[0].message.content));
    });

    test("a wrong key and an unknown model are typed errors", async () => {
      const stranger = new OpenAI({ apiKey: "gw-000000000000-wrong" });
      await assert.rejects(stranger.chat.completions.create({ model, messages: hello }), (error) => {
        assert.ok(error instanceof AuthenticationError);
        assert.equal(error.code, "invalid_api_key");
        return true;
      });
      await assert.rejects(client.chat.completions.create({ model: `${model}x`, messages: hello }), (error) => {
        assert.ok(error instanceof NotFoundError);
        assert.equal(error.code, "model_not_found");
        assert.match(error.message, new RegExp(`\\b${model}\\b`));
        return true;
      });
    });

    test("the model is listed", async () => {
      const ids = [];
      for await (const each of client.models.list()) ids.push(each.id);
      assert.ok(ids.includes(model));
    });
  });
}

describe("the scripted model alone", { skip: !served.includes("demo") }, () => {
  test("embeddings are unpacked from base64", async () => {
    const answer = await client.embeddings.create({ model: "demo", input: ["one", "two"] });
    assert.equal(answer.data.length, 2);
    assert.ok(answer.data[0].embedding.every(Number.isFinite));
    assert.notDeepEqual(answer.data[0].embedding, answer.data[1].embedding);
  });

  test("messages of the wrong type are a bad request error", async () => {
    await assert.rejects(client.chat.completions.create({ model: "demo", messages: "hello" }), BadRequestError);
  });
});
