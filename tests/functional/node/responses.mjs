// The responses protocol as JavaScript clients see it: openai-node, and Vercel's openai() provider, which checks every
// event. URL and key come from the environment, what each of them got goes to standard output as JSON.
import { createOpenAI } from '@ai-sdk/openai'
import { generateText, isStepCount, streamText, tool } from 'ai'
import OpenAI from 'openai'
import { ResponsesWS } from 'openai/resources/responses/ws'
import { z } from 'zod'

const baseURL = process.env.SPILLWAY_URL
const apiKey = process.env.SPILLWAY_KEY
const model = process.env.SPILLWAY_MODEL
const input = 'one two three four five'

async function sdk() {
  const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 })
  const whole = await client.responses.create({ model, input, max_output_tokens: 16 })
  let streamed = ''
  const stream = client.responses.stream({ model, input, max_output_tokens: 16 })
  for await (const event of stream) if (event.type === 'response.output_text.delta') streamed += event.delta
  const final = await stream.finalResponse()
  const next = await client.responses.create({ model, input: 'on', previous_response_id: whole.id })
  const left = await client.responses.create({ model, input, stream: true })
  for await (const _ of left) break
  return { whole: whole.output_text, streamed, final: final.output_text, previous: next.previous_response_id === whole.id }
}

// The same over a WebSocket: one turn, and one that goes on from it.
async function socket() {
  const connection = new ResponsesWS(new OpenAI({ baseURL, apiKey }))
  const turn = (more) => new Promise((resolve, reject) => {
    connection.once('response.incomplete', (event) => resolve(event.response))
    connection.once('error', reject)
    connection.send({ type: 'response.create', model, max_output_tokens: 16, ...more })
  })
  let streamed = ''
  connection.on('response.output_text.delta', (event) => { streamed += event.delta })
  const first = await turn({ input })
  const second = await turn({ input: 'on', previous_response_id: first.id })
  connection.close()
  return { streamed, previous: second.previous_response_id === first.id }
}

async function vercel() {
  const openai = createOpenAI({ baseURL, apiKey })
  const whole = await generateText({ model: openai(model), prompt: input, maxOutputTokens: 16 })
  const errors = []
  const streaming = streamText({ model: openai(model), prompt: input, maxOutputTokens: 16,
    onError: ({ error }) => errors.push(String(error)) })
  let streamed = ''
  for await (const piece of streaming.textStream) streamed += piece
  const look = tool({ description: 'looks', inputSchema: z.object({ text: z.string() }), execute: async () => 'seen' })
  const calling = streamText({ model: openai(model), prompt: input, tools: { look },
    stopWhen: isStepCount(2), prepareStep: ({ stepNumber }) => ({ toolChoice: stepNumber ? 'auto' : 'required' }),
    onError: ({ error }) => errors.push(String(error)) })
  const kinds = []
  for await (const part of calling.fullStream) kinds.push(part.type)
  const steps = await calling.steps
  return { whole: whole.text, streamed, tokens: (await streaming.usage).totalTokens, steps: steps.length,
    call: steps[0].toolCalls[0]?.input, last: steps.at(-1).text, errors, kinds: [...new Set(kinds)] }
}

console.log(JSON.stringify({ sdk: await sdk(), socket: await socket(), vercel: await vercel() }))
