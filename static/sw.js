// Keeps the whole folder in the browser, and answers from there; the build fills in its version and its files.

const VERSION = "{{version}}";
/** @type {string[]} below the root, first what is needed first; pages as folders */
const FILES = JSON.parse(`{{files}}`);
const PREFIX = "batchnorm-lab ";
const AT_ONCE = 6; // files on their way

const worker = /** @type {any} */ (self);
/** @type {string} */
const root = worker.registration.scope;
const NAME = `${PREFIX}${root} ${VERSION}`; // another folder on the same host keeps its own

async function keep() {
  const cache = await caches.open(NAME);
  const left = [...FILES];
  const next = async () => {
    for (let file = left.shift(); file !== undefined; file = left.shift()) {
      // What lies below the version never changes, and the page has just fetched most of it.
      const how = file.startsWith(`${VERSION}/`) ? "force-cache" : "no-cache";
      const answer = await fetch(new URL(file, root), { cache: how });
      if (!answer.ok) throw new Error(`${file}: ${answer.status}`);
      await cache.put(new URL(file, root), answer);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, next));
}

async function forgetOthers() {
  for (const name of await caches.keys()) {
    if (name.startsWith(`${PREFIX}${root} `) && name !== NAME) await caches.delete(name);
  }
}

/** @param {Request} request */
async function answer(request) {
  const url = new URL(request.url);
  const cache = await caches.open(NAME);
  const plain = new URL(url.pathname.replace(/index\.html?$/, ""), url);
  const found = await cache.match(plain);
  if (found) return found;
  if (request.mode === "navigate" && (await cache.match(new URL(`${plain.pathname}/`, url)))) {
    return Response.redirect(`${plain.pathname}/${url.search}`);
  }
  return fetch(request);
}

worker.addEventListener("install", (/** @type {any} */ event) => event.waitUntil(keep()));
worker.addEventListener("activate", (/** @type {any} */ event) =>
  event.waitUntil(forgetOthers().then(() => worker.clients.claim())),
);
worker.addEventListener("fetch", (/** @type {any} */ event) => {
  const { request } = event;
  if (request.method === "GET" && request.url.startsWith(root)) event.respondWith(answer(request));
});
