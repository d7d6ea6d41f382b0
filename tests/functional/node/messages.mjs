// Anthropic's protocol as its own JavaScript client sees it. URL and key come from the environment, what it got goes to
// standard output as JSON.
import Anthropic, { NotFoundError } from '@anthropic-ai/sdk'

const client = new Anthropic({ baseURL: process.env.SPILLWAY_ROOT, apiKey: process.env.SPILLWAY_KEY, maxRetries: 0 })
const model = process.env.SPILLWAY_MODEL
const messages = [{ role: 'user', content: 'one two three four five' }]
const tools = [{ name: 'look', input_schema: { type: 'object', properties: { text: { type: 'string' } } } }]

const whole = await client.messages.create({ model, max_tokens: 6, messages })
const stream = client.messages.stream({ model, max_tokens: 6, messages })
let streamed = ''
stream.on('text', (piece) => { streamed += piece })
const final = await stream.finalMessage()
const call = await client.messages.stream({ model, max_tokens: 5, messages, tools, tool_choice: { type: 'any' } })
  .finalMessage()
const runner = client.beta.messages.toolRunner({
  model, max_tokens: 6, messages,
  tools: [{ ...tools[0], run: () => 'nothing', parse: (input) => input }],
})
const ran = await runner.runUntilDone()
const missing = await client.messages.create({ model: 'nobody', max_tokens: 6, messages }).catch((error) => error)
const counted = await client.messages.countTokens({ model, messages })
console.log(JSON.stringify({
  whole: whole.content[0].text, streamed, final: final.content[0].text, stop: final.stop_reason,
  call: call.content[0].input, missing: missing instanceof NotFoundError && missing.requestID,
  counted: counted.input_tokens, ran: ran.stop_reason,
}))
