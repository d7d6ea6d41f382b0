// What openai-node does beside chatting, a subject a function: what it got, or what went wrong with it, goes to standard
// output as JSON. URLs and keys come from the environment; `slow` is a provider that takes its time and counts who leaves.
import OpenAI, {
  APIUserAbortError, AuthenticationError, BadRequestError, NotFoundError, PermissionDeniedError, RateLimitError, toFile,
} from 'openai'

const { SPILLWAY_URL: baseURL, SPILLWAY_KEY: apiKey, SPILLWAY_POOR_KEY: poorKey, SPILLWAY_SLOW: slowURL } = process.env
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 })
const messages = [{ role: 'user', content: 'one two three four five' }]
const model = 'cloudbrain'
const names = (list) => list.map((one) => one.id)
const failure = (promise) => promise.then(() => 'no error', (error) => error)

async function gathered(pages) {
  const all = []
  for await (const one of pages) all.push(one)
  return all
}

async function until(condition) {
  for (const end = Date.now() + 20_000; Date.now() < end;) {
    const value = await condition()
    if (value) return value
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  throw new Error(`${condition} did not come about`)
}

// One of them, once it has that status.
const ended = (all, id, status) => until(async () => {
  const now = await all.retrieve(id)
  return now.status === status && now
})
const slow = async () => (await fetch(`${slowURL}/stats`)).json()

async function completions() {
  const whole = await client.completions.create({ model: 'words', prompt: 'a', max_tokens: 2 })
  let streamed = ''
  for await (const chunk of await client.completions.create({ model: 'words', prompt: 'a', stream: true }))
    streamed += chunk.choices[0]?.text ?? ''
  return { id: whole.id.split('-')[0], whole: whole.choices[0].text, tokens: whole.usage.total_tokens, streamed }
}

async function models() {
  const one = await client.models.retrieve(model)
  const missing = await failure(client.models.retrieve('nobody'))
  return { list: names(await gathered(client.models.list())), one: [one.id, one.object],
    missing: missing instanceof NotFoundError && missing.code }
}

async function files() {
  const made = await client.files.create({ file: await toFile(Buffer.from('ä\r\n--x'), 'grüße.txt'), purpose: 'user_data' })
  const ids = [made.id]
  for (const name of ['b', 'c'])
    ids.push((await client.files.create({ file: await toFile(Buffer.from(name), name), purpose: 'evals' })).id)
  const listed = names(await gathered(client.files.list({ limit: 2, order: 'asc' })))
  const found = await client.files.retrieve(made.id)
  const content = await (await client.files.content(made.id)).text()
  const deleted = (await client.files.delete(made.id)).deleted
  const gone = await failure(client.files.retrieve(made.id))
  return { name: found.filename, bytes: found.bytes, listed: ids.every((id) => listed.includes(id)), content, deleted,
    gone: gone instanceof NotFoundError }
}

async function batch(body, lines) {
  const text = Array.from({ length: lines }, (_, i) => JSON.stringify(
    { custom_id: `line-${i}`, method: 'POST', url: '/v1/chat/completions', body: { messages, ...body } })).join('\n')
  const file = await client.files.create({ file: await toFile(Buffer.from(text), 'in.jsonl'), purpose: 'batch' })
  return client.batches.create({ input_file_id: file.id, endpoint: '/v1/chat/completions', completion_window: '24h' })
}

async function batches() {
  const made = await batch({ model, max_tokens: 3 }, 3)
  const done = await ended(client.batches, made.id, 'completed')
  const output = (await (await client.files.content(done.output_file_id)).text()).trim().split('\n').map(JSON.parse)
  const long = await batch({ model: 'slow', max_tokens: 5000 }, 1)
  await until(async () => (await slow()).open_streams === 1)
  await client.batches.cancel(long.id)
  const cancelled = await ended(client.batches, long.id, 'cancelled')
  await until(async () => (await slow()).open_streams === 0)
  return { counts: done.request_counts, lines: output.map((line) => line.custom_id).sort(),
    texts: [...new Set(output.map((line) => line.response.body.choices[0].message.content))],
    cancelled: cancelled.request_counts.completed, listed: names(await gathered(client.batches.list({ limit: 1 }))).length }
}

async function uploads() {
  const made = await client.uploads.create({ filename: 'parts', purpose: 'evals', bytes: 10, mime_type: 'text/plain' })
  const part = async (text) => (await client.uploads.parts.create(made.id, { data: await toFile(Buffer.from(text), 'p') })).id
  const second = await part('world'), first = await part('hello')
  const done = await client.uploads.complete(made.id, { part_ids: [first, second] })
  const again = await failure(client.uploads.cancel(made.id))
  const other = await client.uploads.create({ filename: 'x', purpose: 'evals', bytes: 10, mime_type: 'text/plain' })
  return { status: done.status, content: await (await client.files.content(done.file.id)).text(),
    again: again instanceof BadRequestError, cancelled: (await client.uploads.cancel(other.id)).status }
}

async function moderations() {
  const answer = await client.moderations.create({ input: ['a', 'b'] })
  return answer.results.map((one) => one.flagged)
}

async function stored() {
  const { completions } = client.chat
  const kept = []
  for (const i of ['0', '1', '2'])
    kept.push(await completions.create({ model, messages, max_tokens: 5, store: true, metadata: { i } }))
  const found = await completions.retrieve(kept[0].id)
  const listed = names(await gathered(completions.list({ limit: 2 })))
  const one = names(await gathered(completions.list({ metadata: { i: '1' } })))
  const changed = await completions.update(kept[0].id, { metadata: { new: 'x' } })
  const asked = await gathered(completions.messages.list(kept[0].id))
  const deleted = (await completions.delete(kept[0].id)).deleted
  const gone = await failure(completions.retrieve(kept[0].id))
  return { same: found.choices[0].message.content === kept[0].choices[0].message.content,
    listed: String(listed) === String(names(kept)), one: String(one) === kept[1].id, changed: changed.metadata,
    asked: asked.map((message) => message.content), deleted, gone: gone instanceof NotFoundError }
}

async function responses() {
  const input = Array.from({ length: 3 }, (_, i) => ({ role: 'user', content: `${i}` }))
  const made = await client.responses.create({ model, input, max_output_tokens: 16 })
  const found = await client.responses.retrieve(made.id)
  const items = await gathered(client.responses.inputItems.list(made.id, { limit: 2 }))
  const counted = await client.responses.inputTokens.count({ model, input })
  await client.responses.delete(made.id)
  const gone = await failure(client.responses.retrieve(made.id))
  const behind = await client.responses.create({ model, input, max_output_tokens: 16, background: true })
  const done = await ended(client.responses, behind.id, 'incomplete')
  return { same: found.output_text === made.output_text && made.output_text.length > 0,
    items: items.map((item) => item.content), counted: counted.input_tokens > 0, gone: gone instanceof NotFoundError,
    background: [behind.status, done.output_text === made.output_text] }
}

async function conversations() {
  const { items } = client.conversations
  const made = await client.conversations.create({ metadata: { topic: 'cats' }, items: [{ role: 'user', content: 'one' }] })
  const answer = await client.responses.create({ model, input: 'two', conversation: made.id, max_output_tokens: 16 })
  const listed = await gathered(items.list(made.id, { order: 'asc', limit: 2 }))
  const found = await items.retrieve(listed[2].id, { conversation_id: made.id })
  await items.delete(listed[0].id, { conversation_id: made.id })
  const changed = await client.conversations.update(made.id, { metadata: { topic: 'dogs' } })
  const deleted = (await client.conversations.delete(made.id)).deleted
  const gone = await failure(client.conversations.retrieve(made.id))
  return { asked: listed.slice(0, 2).map((item) => item.content[0].text), answered: listed[2].id === answer.output[0].id,
    same: found.content[0].text === answer.output_text, named: answer.conversation.id === made.id, changed: changed.metadata,
    deleted, gone: gone instanceof NotFoundError }
}

async function cancelled() {
  const before = (await slow()).disconnects
  const made = await client.responses.create({ model: 'slow', input: 'a', max_output_tokens: 5000, background: true })
  await until(async () => (await slow()).open_streams === 1)
  const now = await client.responses.cancel(made.id)
  await until(async () => (await slow()).disconnects === before + 1)
  return [now.status, (await client.responses.retrieve(made.id)).status]
}

async function tools() {
  const parameters = { type: 'object', properties: { text: { type: 'string' } } }
  const tools = [{ type: 'function', function: { name: 'look', parameters } }]
  const ask = { model, messages, max_tokens: 5, tools, tool_choice: 'required' }
  const { message } = (await client.chat.completions.create(ask)).choices[0]
  const [call] = message.tool_calls
  const streamed = await client.chat.completions.stream(ask).finalMessage()
  const answer = { role: 'tool', tool_call_id: call.id, content: 'seen' }
  const next = await client.chat.completions.create({ model, tools, messages: [...messages, message, answer] })
  return { call: [call.function.name, JSON.parse(call.function.arguments)], text: next.choices[0].message.content.length > 0,
    same: streamed.tool_calls[0].function.arguments === call.function.arguments }
}

async function errors() {
  const create = (key, more) => failure(new OpenAI({ baseURL, apiKey: key, maxRetries: 0 }).chat.completions.create(
    { model, messages, max_tokens: 1, ...more }))
  const wrong = await create('sk-wrong'), bad = await create(apiKey, { temperature: 3 })
  const missing = await create(apiKey, { model: 'nobody' }), forbidden = await create(poorKey, { model: 'words' })
  const limited = await until(async () => (got => got instanceof RateLimitError && got)(await create(poorKey)))
  return { 401: [wrong instanceof AuthenticationError, wrong.code], 400: [bad instanceof BadRequestError, bad.param],
    404: [missing instanceof NotFoundError, missing.code], 403: [forbidden instanceof PermissionDeniedError, forbidden.status],
    429: [limited instanceof RateLimitError, limited.code], wait: Number(limited.headers.get('retry-after')),
    ids: [wrong, bad, missing, forbidden, limited].every((error) => error.requestID.startsWith('req_')) }
}

// Each leaves in another way; the provider notices each of them.
async function leaving() {
  const ask = { model: 'slow', messages, max_tokens: 5000 }
  const { completions } = client.chat
  const left = []
  async function noticed(way, leave) {
    const before = (await slow()).disconnects
    await leave()
    left.push([way, await until(async () => (await slow()).disconnects - before)])
  }
  await noticed('break', async () => { for await (const _ of await completions.create({ ...ask, stream: true })) break })
  await noticed('abort of a stream', async () => {
    const stream = await completions.create({ ...ask, stream: true })
    for await (const _ of stream) stream.controller.abort()
  })
  await noticed('abort before the first token', async () => {
    const abort = new AbortController()
    const answer = failure(completions.create(ask, { signal: abort.signal }))
    await until(async () => (await slow()).open_streams === 1)
    abort.abort()
    if (!(await answer instanceof APIUserAbortError)) throw new Error(`${await answer}`)
  })
  await noticed('break of a response', async () => {
    const stream = await client.responses.create({ model: 'slow', input: 'a', max_output_tokens: 5000, stream: true })
    for await (const event of stream) if (event.type === 'response.output_text.delta') break
  })
  return left
}

const got = {}
for (const subject of [completions, models, files, batches, uploads, moderations, stored, responses, conversations,
  cancelled, tools, errors, leaving])
  got[subject.name] = await subject().catch((error) => ({ error: error.stack }))
console.log(JSON.stringify(got))
