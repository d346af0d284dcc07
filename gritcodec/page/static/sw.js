// What makes the page work offline. `gritcodec page` writes VERSION, FILES and WEIGHTS in front of this.
/* global VERSION, FILES, WEIGHTS */
// Caches belong to the origin: names tell the folder, since there may be other pages. worker.js names KEPT too.
const MINE = `gritcodec ${self.registration.scope} `, SHELL = MINE + VERSION, KEPT = `${MINE}weights`

self.addEventListener('install', (event) => {
  event.waitUntil((async () => {
    const cache = await caches.open(SHELL)
    await cache.addAll(FILES.map((name) => new Request(name, { cache: 'no-cache' })))
    await self.skipWaiting()
  })())
})
self.addEventListener('activate', (event) => {
  event.waitUntil((async () => {
    for (const name of await caches.keys()) if (name.startsWith(MINE) && name !== SHELL && name !== KEPT) await caches.delete(name)
    // The page puts weights there itself, as it reads them; those of another release go.
    const cache = await caches.open(KEPT), wanted = WEIGHTS.map((name) => new URL(name, self.registration.scope).href)
    for (const request of await cache.keys()) if (!wanted.includes(request.url)) await cache.delete(request)
    await self.clients.claim()
  })())
})
self.addEventListener('fetch', (event) => {
  const { request } = event
  if (request.method !== 'GET' || new URL(request.url).origin !== self.location.origin) return
  event.respondWith((async () => {
    const cache = await caches.open(SHELL)
    const found = await cache.match(request.mode === 'navigate' && new URL(request.url).pathname === new URL(self.registration.scope).pathname ? './' : request, { ignoreSearch: true })
    const kept = found ?? (await (await caches.open(KEPT)).match(request))
    if (kept) return kept
    const answer = await fetch(request)
    // Samples are fetched when they are played, and kept from then on.
    if (answer.status === 200 && request.url.startsWith(`${self.registration.scope}samples/`)) event.waitUntil(cache.put(request, answer.clone()).catch(() => null))
    return answer
  })())
})
