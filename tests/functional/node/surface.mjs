// What people build in JavaScript, pointed at the gateway: URL and key come from the environment, what each of them got
// goes to standard output as JSON.
import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { ChatOpenAI } from '@langchain/openai'
import { embed, generateText, streamText } from 'ai'
import OpenAI, { NotFoundError } from 'openai'

const baseURL = process.env.SPILLWAY_URL
const apiKey = process.env.SPILLWAY_KEY
const messages = [{ role: 'user', content: 'Hi' }]

async function sdk() {
  const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 })
  const whole = await client.chat.completions.create({ model: 'up', messages })
  let streamed = ''
  for await (const chunk of await client.chat.completions.create({ model: 'up', messages, stream: true }))
    streamed += chunk.choices[0].delta.content ?? ''
  const left = await client.chat.completions.create({ model: 'up', messages, stream: true })
  for await (const _ of left) break
  const missing = await client.chat.completions.create({ model: 'who', messages }).catch((error) => error)
  const embedding = await client.embeddings.create({ model: 'e', input: 'a' })
  return {
    whole: whole.choices[0].message.content, streamed, request_id: whole._request_id,
    missing: missing instanceof NotFoundError && missing.code, embedding: embedding.data[0].embedding,
  }
}

async function vercel() {
  const provider = createOpenAICompatible({ name: 'spillway', baseURL, apiKey, includeUsage: true })
  const model = provider.chatModel('up')
  const whole = await generateText({ model, prompt: 'Hi' })
  const stream = streamText({ model, prompt: 'Hi' })
  let streamed = ''
  for await (const piece of stream.textStream) streamed += piece
  const usage = await stream.usage
  const { embedding } = await embed({ model: provider.textEmbeddingModel('e'), value: 'a' })
  return { whole: whole.text, streamed, tokens: usage.totalTokens, embedding }
}

async function langchain() {
  const model = new ChatOpenAI({ model: 'up', apiKey, configuration: { baseURL } })
  let streamed = ''
  for await (const piece of await model.stream('Hi')) streamed += piece.content
  return { whole: (await model.invoke('Hi')).content, streamed }
}

console.log(JSON.stringify({ sdk: await sdk(), vercel: await vercel(), langchain: await langchain() }))
